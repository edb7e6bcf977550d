package crash

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"graid/block"
	"graid/raid"
	"graid/raid/md"
	"graid/sim"
)

// Shape is an array of some geometry. Its name is what a reproducing line says.
type Shape struct {
	Name    string
	Level   int
	Layout  int // md's number
	Members int
	Chunks  int64 // of each member
	Losses  int   // members that the level does without, whichever they are
	Bitmap  bool
	PPL     bool // a partial parity log that has room for one record
}

// Shapes is every level, in a few layouts.
var Shapes = []Shape{
	{"linear-2", -1, -1, 2, 2, 0, false, false},
	{"raid0-2", 0, md.Raid0Alternate, 2, 2, 0, false, false},
	{"raid0-3", 0, md.Raid0Original, 3, 2, 0, false, false},
	{"raid1-2", 1, -1, 2, 2, 1, false, false},
	{"raid1-3", 1, -1, 3, 2, 2, false, false},
	{"raid1-3b", 1, -1, 3, 2, 2, true, false},
	{"raid4-3", 4, -1, 3, 2, 1, false, false},
	{"raid5-3", 5, 2, 3, 2, 1, false, false},
	{"raid5-3b", 5, 2, 3, 2, 1, true, false},
	{"raid5-4ra", 5, 1, 4, 2, 1, false, false},
	{"raid6-4", 6, 2, 4, 2, 2, false, false},
	{"raid6-5", 6, 2, 5, 2, 2, false, false},
	{"raid10-2", 10, 0x102, 2, 2, 1, false, false},
	{"raid10-3f2", 10, 0x201, 3, 4, 1, false, false},
	{"raid10-3o2", 10, 0x10201, 3, 4, 1, false, false},
	{"raid10-4", 10, 0x102, 4, 2, 1, false, false},
	{"raid5-3p", 5, 2, 3, 2, 1, false, true},
}

var ctx = context.Background()

func (s *Shape) redundant() bool { return s.Level > 0 }
func (s *Shape) parity() bool    { return s.Level >= 4 && s.Level <= 6 }

// dataAt is the sector at which members' data begins.
func (s *Shape) dataAt() int {
	if s.PPL {
		return 48
	}
	return 32
}

// disks is how many there are: where a member can be replaced there is one beside them, which is blank.
func (s *Shape) disks() int {
	if s.redundant() {
		return s.Members + 1
	}
	return s.Members
}

// place is a sector of a member.
type place struct{ member, at int }

// ground is a shape with an array on it: created, filled and closed.
type ground struct {
	Shape
	world   *sim.World
	disks   []*disk
	base    *image
	baseKey [8][64]key
	sectors int              // of the array
	places  [][]place        // by sector of the array: its copies
	rows    [64][]int        // by sector of a member: the sectors of the array that lie there on some member
	data    [64]uint8        // and those members
	q       [64]int          // of a raid6: the member that has Q there; -1 without
	content [versions][]byte // by version: the whole array

	buf    []byte // to read into
	images [8][]byte

	rotten uint64 // rows whose parity the history has spoilt
	forced bool   // the recovery that was cut had been started by force
}

// The versions a sector may have. Those of a history's writes lie between.
const (
	vBase    = 0
	vEarlier = 6 // what a history that begins dirty has written before it began
	vZero    = 7
	versions = 8

	vError   = 0xfe // as read: an error
	vGarbage = 0xff // as read: nothing that was ever written there
)

// newGround creates the array and fills it, and learns from the members' images which sector lies where.
func newGround(s Shape) (*ground, error) {
	g := &ground{Shape: s, world: sim.New(1)}
	g.world.Keep(1)
	empty := &image{}
	for i := range s.disks() {
		b := make([]byte, memberSize)
		if i >= s.Members {
			b = bytes.Repeat([]byte{0x5A}, memberSize)
		}
		g.disks = append(g.disks, &disk{number: i, now: make([]byte, memberSize)})
		empty.m = append(empty.m, b)
	}
	var wrong error
	err := g.world.Run(1e6, func() {
		host := g.world.Host("creator")
		spec := md.Spec{
			Level: s.Level, Layout: s.Layout, Chunk: chunk, RaidDevices: s.Members, Version: md.V12, DataOffset: int64(s.dataAt()) * sector, AssumeClean: true, Bitmap: s.Bitmap, PPL: s.PPL,
			Name: "c", Created: time.Unix(1_700_000_000, 0), Rand: &counter{},
		}
		if s.Bitmap {
			spec.BitmapChunk = bitmapChunk
		}
		if s.PPL {
			spec.PPLSize = pplSectors * sector
		}
		if s.Level > 0 {
			spec.Size = s.Chunks * chunk
		}
		if _, wrong = raid.Create(ctx, spec, g.offer(empty, 0, new(tape)), raid.Options{Sched: host}); wrong != nil {
			return
		}
		a, err := raid.Assemble(ctx, g.offer(nil, 0, new(tape)), raid.Options{Sched: host})
		if wrong = err; err != nil {
			return
		}
		g.sectors = int(a.Info().Size / sector)
		g.imprints()
		g.buf = make([]byte, g.sectors*sector)
		if wrong = block.WriteAt(ctx, a, g.content[vBase], 0); wrong == nil {
			wrong = a.Close()
		}
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	g.base = g.snapshot(&image{}, nil)
	for i, m := range g.base.m {
		for at := range 64 {
			g.baseKey[i][at] = keyOf(i, at, m[at*sector:(at+1)*sector])
		}
	}
	if err := g.learn(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return g, nil
}

// offer is the members as an engine gets them, and the disk beside them once it is one, but for those lost. What im says is loaded onto all of them; nil leaves what they hold.
func (g *ground) offer(im *image, lost uint8, t *tape) (list []raid.Member) {
	for i, d := range g.disks {
		if im != nil {
			d.load(im)
		}
		d.tape = t
		if _, ok := superOf(d.now); lost>>i&1 == 0 && (ok || g.base == nil && i < g.Members) {
			list = append(list, raid.Member{Path: memberName(i), Dev: &handle{d: d, name: memberName(i)}})
		}
	}
	return list
}

func memberName(i int) string { return fmt.Sprintf("m%d", i) }

// imprints makes the contents of every version: each sector unlike any other.
func (g *ground) imprints() {
	for v := range versions {
		b := make([]byte, g.sectors*sector)
		if v != vZero {
			x := uint64(v+1) * 0xBF58476D1CE4E5B9
			for i := range b {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
				b[i] = byte(x >> 32)
			}
			for lba := range g.sectors {
				b[lba*sector], b[lba*sector+1] = byte(v), byte(lba)
			}
		}
		g.content[v] = b
	}
}

// version says which version of sector lba b is.
func (g *ground) version(lba int, b []byte) uint8 {
	v := b[0]
	if v < versions && v != vZero && bytes.Equal(b, g.content[v][lba*sector:(lba+1)*sector]) {
		return v
	}
	if bytes.Equal(b, g.content[vZero][:sector]) {
		return vZero
	}
	return vGarbage
}

// counter is bytes for UUIDs.
type counter struct{ n byte }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}
