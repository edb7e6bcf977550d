package md

import (
	"fmt"
	"io"
	"time"
)

// Spec is an array to be created, as mdadm --create would be told. Sizes are bytes. Level, RaidDevices, Layout and Created must be
// given; everything else works as zero.
type Spec struct {
	Level       int
	Layout      int   // -1 = the level's default
	Chunk       int64 // 0 = the level's default
	RaidDevices int   // slots
	Spares      int
	Version     Version
	Size        int64 // of each member; 0 = what the smallest has
	DataOffset  int64 // 0 = mdadm's choice
	Bitmap      bool
	BitmapChunk int64 // of the array per bit; 0 = mdadm's choice
	PPL         bool  // a partial parity log, which excludes a bitmap
	PPLSize     int64 // of the log on each member; 0 = mdadm's choice, 1 MiB
	AssumeClean bool  // the redundancy is right already: nothing will be resynced
	Name        string
	Homehost    string    // goes in front of Name
	UUID        UUID      // zero = random
	Created     time.Time // whole seconds are kept; all members get the same
	Rand        io.Reader // nil = crypto/rand
}

// NewMember is a device for an array to be created: the first RaidDevices of them have a role, the others are spares.
type NewMember struct {
	Missing     bool
	Size        int64 // bytes
	WriteMostly bool
	FailFast    bool
}

const (
	defaultChunk = 512 << 10
	chunkUnit    = 4 << 10
	maxChunk     = 1 << 30
	raid1Unit    = 64 << 10 // raid1 members are rounded to it, so that the array can become a raid5 later
)

// shape is a Spec with its defaults filled in, in sectors.
type shape struct {
	Spec
	version Version
	layout  uint32
	chunk   uint64
}

// shape fills in the defaults of s and refuses what cannot be.
func (s Spec) shape(members []NewMember) (shape, error) {
	sh := shape{Spec: s, version: s.Version, chunk: uint64(s.Chunk) / Sector, layout: uint32(s.Layout)}
	if s.Version == VDefault {
		sh.version = V12
	}
	if s.Layout < 0 {
		sh.layout = DefaultLayout(s.Level)
	}
	if s.Chunk == 0 && s.chunked() && s.Level != LevelLinear {
		sh.chunk = defaultChunk / Sector
	}
	if s.Level == 1 {
		sh.chunk = 0
	}
	for _, check := range []func(shape) error{shape.checkLevel, shape.checkChunk, shape.checkLayout, shape.checkRest, shape.checkPPL} {
		if err := check(sh); err != nil {
			return sh, err
		}
	}
	return sh, sh.checkMembers(members)
}

// chunked says whether a chunk means anything for the level.
func (s Spec) chunked() bool { return s.Level != 1 }

func (s shape) checkLevel() error {
	least := 1
	switch s.Level {
	case LevelLinear, 0, 1:
	case 4, 5, 10:
		least = 2
	case 6:
		least = 4
	default:
		return fmt.Errorf("level %d is not known: give linear, 0, 1, 4, 5, 6 or 10", s.Level)
	}
	if s.Level == 10 {
		least = max(least, int(s.layout&0xff)*int(s.layout>>8&0xff))
	}
	switch n := s.RaidDevices; {
	case n < least:
		return fmt.Errorf("%s with %d members: it needs %d or more", LevelName(s.Level), n, least)
	case s.Spares < 0 || n+s.Spares > maxDevs:
		return fmt.Errorf("%d members and %d spares: a superblock has room for %d", n, s.Spares, maxDevs)
	case s.Level < 1 && s.Spares > 0:
		return fmt.Errorf("%s has no use for spares: leave them out", LevelName(s.Level))
	}
	return nil
}

func (s shape) checkChunk() error {
	c := s.Chunk
	switch {
	case c < 0 || c%chunkUnit != 0 || c > maxChunk:
		return fmt.Errorf("chunk of %d bytes: give a multiple of 4K, up to 1G", c)
	case c&(c-1) != 0 && s.Level >= 4:
		return fmt.Errorf("chunk of %d bytes: %s needs a power of two", c, LevelName(s.Level))
	}
	return nil
}

func (s shape) checkLayout() error {
	ok := s.layout == 0
	switch s.Level {
	case 0:
		ok = s.layout == Raid0Original || s.layout == Raid0Alternate
	case 5:
		ok = s.layout < uint32(len(raid5Layouts))
	case 6:
		ok = s.layout < uint32(len(raid5Layouts)) || raid6Layouts[s.layout] != ""
	case 10:
		ok = s.layout&0xff != 0 && s.layout>>8&0xff != 0 && s.layout>>17&3 != 3 && s.layout>>19 == 0
	}
	if !ok {
		return fmt.Errorf("layout %#x is none of %s", s.layout, LevelName(s.Level))
	}
	return nil
}

func (s shape) checkRest() error {
	switch {
	case s.version == V090:
		return fmt.Errorf("metadata 0.90 is only read: give 1.0, 1.1 or 1.2")
	case s.version > V12:
		return fmt.Errorf("metadata %s is not known: give 1.0, 1.1 or 1.2", s.version)
	case s.Created.IsZero():
		return fmt.Errorf("the array has no time of creation")
	case s.Bitmap && s.Level < 1:
		return fmt.Errorf("%s has no redundancy that a bitmap could speed up: leave the bitmap out", LevelName(s.Level))
	case s.BitmapChunk != 0 && (s.BitmapChunk < 4096 || s.BitmapChunk&(s.BitmapChunk-1) != 0 || s.BitmapChunk > maxChunk):
		return fmt.Errorf("bitmap chunk of %d bytes: give a power of two from 4K to 1G", s.BitmapChunk)
	case s.version == V10 && s.DataOffset != 0:
		return fmt.Errorf("metadata 1.0 has its data at the start of the member: leave the data offset out")
	case s.DataOffset < 0 || s.DataOffset%chunkUnit != 0:
		return fmt.Errorf("data offset of %d bytes: give a multiple of 4K", s.DataOffset)
	case s.DataOffset != 0 && s.DataOffset < headerRoom*Sector:
		return fmt.Errorf("data offset of %d bytes: superblock and bad block log need %d before it", s.DataOffset, headerRoom*Sector)
	case s.Size < 0 || s.Size%1024 != 0:
		return fmt.Errorf("size of %d bytes: give a multiple of 1K", s.Size)
	}
	return nil
}

func (s shape) checkMembers(members []NewMember) error {
	if len(members) != s.RaidDevices+s.Spares {
		return fmt.Errorf("%d members given for %d roles and %d spares", len(members), s.RaidDevices, s.Spares)
	}
	present := make([]bool, s.RaidDevices)
	missing := 0
	for i, m := range members {
		switch {
		case !m.Missing && i < s.RaidDevices:
			present[i] = true
		case m.Missing && i >= s.RaidDevices:
			return fmt.Errorf("a spare cannot be missing: leave it out")
		case m.Missing:
			missing++
		}
	}
	sb := &Superblock{Level: s.Level, Layout: s.layout, RaidDisks: s.RaidDevices}
	if missing > 0 && !Enough(sb, present) {
		return fmt.Errorf("%s of %d members cannot do without the %d missing", LevelName(s.Level), s.RaidDevices, missing)
	}
	if s.Level == 6 && missing == 1 && !s.AssumeClean {
		return fmt.Errorf("raid6 with one member missing could not be resynced safely: give all members, or two missing")
	}
	return nil
}
