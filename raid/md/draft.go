package md

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"graid/block"
)

// Draft is what Create writes: decided, not written yet.
type Draft struct {
	Supers   []*Superblock // per member given; nil for a missing one
	Bitmap   *Bitmap       // the same on every member; nil = none
	Warnings []string
}

// Room that mdadm leaves, sectors.
const (
	headerRoom  = 24     // of 1.1 and 1.2: superblock and bad block log
	headroom    = 262144 // before the data, so that a reshape can move it
	offsetUnit  = 2048   // data offsets are whole MiB
	bbLogRoom   = 8
	bitmapOff   = 8 // bitmap of 1.1 and 1.2, from the superblock
	bitmapRoom0 = 8
	bitmapRoom1 = 128
	bitmapRoom2 = 256

	gib = 1 << 30 / Sector
)

// bitmapRoom is how many sectors mdadm keeps free for a bitmap on a member of n sectors.
func bitmapRoom(n uint64) uint64 {
	switch {
	case n < 128:
		return 0
	case n-128 >= 200*gib:
		return bitmapRoom2
	case n-8 > 8*gib:
		return bitmapRoom1
	}
	return bitmapRoom0
}

// dataOffset is mdadm's choice for 1.1 and 1.2: up to 128 MiB of headroom, at most 0.1 % of the device, at least two chunks.
func dataOffset(devSectors, chunk uint64) uint64 {
	room := uint64(headroom)
	for room*1024 > devSectors && (chunk == 0 || room/2 >= 2*chunk) {
		room /= 2
	}
	return roundUp(headerRoom+bitmapRoom(devSectors)+room, offsetUnit)
}

// Draft decides superblocks and bitmap for these members, with mdadm's defaults. All members are active from the start, so that an array
// with redundancy begins with a resync, as after mdadm --create --force; with AssumeClean, or where there is nothing to resync, without.
func (s Spec) Draft(members []NewMember) (*Draft, error) {
	sh, err := s.shape(members)
	if err != nil {
		return nil, err
	}
	d := &Draft{Supers: make([]*Superblock, len(members))}
	if s.Level == 1 && s.Chunk != 0 {
		d.Warnings = append(d.Warnings, "raid1 has no chunks: the chunk size is ignored")
	}
	model, err := sh.model()
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		if m.Missing {
			continue
		}
		if d.Supers[i], err = sh.place(model, i, m); err != nil {
			return nil, err
		}
	}
	if err := sh.size(d); err != nil {
		return nil, err
	}
	if s.Bitmap {
		if err := sh.bitmap(d); err != nil {
			return nil, err
		}
	}
	for _, sb := range d.Supers {
		if sb != nil {
			sb.placeLog(d.Bitmap)
		}
	}
	sh.roles(d)
	return d, sh.identities(d)
}

// model is what all the superblocks have in common.
func (s shape) model() (*Superblock, error) {
	sb := &Superblock{
		Version: s.version, SetUUID: s.UUID, Name: s.Name, CTimeRaw: rawTime(s.Created), UTimeRaw: rawTime(s.Created),
		Level: s.Level, Layout: s.layout, ChunkSize: uint32(s.chunk), RaidDisks: s.RaidDevices,
		Events: 1, // not mdadm's 0: with 0 Linux 6.19 adds a field that older kernels refuse
		MaxDev: 128,
	}
	if s.Homehost != "" && !bytes.ContainsRune([]byte(s.Name), ':') && len(s.Homehost)+1+len(s.Name) < nameSize {
		sb.Name = s.Homehost + ":" + s.Name
	}
	if len(sb.Name) > nameSize {
		return nil, fmt.Errorf("name %q is too long: a superblock has room for %d bytes", sb.Name, nameSize)
	}
	if bytes.IndexByte([]byte(sb.Name), 0) >= 0 {
		return nil, fmt.Errorf("name %q has a NUL in it", sb.Name)
	}
	for sb.MaxDev < s.RaidDevices+s.Spares {
		sb.MaxDev += Sector / 2
	}
	sb.MaxDev = min(sb.MaxDev, maxDevs)
	if s.Level == 0 {
		sb.Features |= FeatureRaid0Layout
	}
	return sb, nil
}

// place is member i's superblock with its places filled in, except for the log's.
func (s *shape) place(model *Superblock, i int, m NewMember) (*Superblock, error) {
	sb := model.Clone()
	sectors := uint64(m.Size) / Sector
	at, ok := sb.Version.place(sectors)
	if !ok || m.Size < 0 {
		return nil, fmt.Errorf("member %d has %d bytes: too small for a superblock", i, m.Size)
	}
	sb.SuperOffset = at
	small := fmt.Errorf("member %d has %d bytes: too small for an array", i, m.Size)
	if sb.Version == V10 {
		reserved := bitmapRoom(sectors) + bbLogRoom
		if at < reserved+minData {
			return nil, small
		}
		sb.DataSize = at - reserved
	} else {
		sb.DataOffset = s.dataOffset(sectors)
		if sectors < sb.DataOffset+minData {
			return nil, small
		}
		sb.DataSize = sectors - sb.DataOffset
	}
	if m.WriteMostly {
		sb.DevFlags |= WriteMostly
	}
	return sb, nil
}

// dataOffset is the same for all members. Draft calls place for the first one first.
func (s *shape) dataOffset(devSectors uint64) uint64 {
	if s.DataOffset == 0 {
		s.DataOffset = int64(dataOffset(devSectors, s.chunk)) * Sector
	}
	return uint64(s.DataOffset) / Sector
}

// size decides how much of each member is used: as much as the smallest has, in whole chunks, unless told otherwise.
func (s shape) size(d *Draft) error {
	least, most, smallest := MaxSector, uint64(0), -1
	for i, sb := range d.Supers {
		if sb == nil {
			continue
		}
		if sb.DataSize < least {
			least, smallest = sb.DataSize, i
		}
		most = max(most, sb.DataSize)
		if sb.DataSize < s.chunk {
			return fmt.Errorf("member %d has room for %d bytes of data: not even one chunk of %d", i, sb.DataSize*Sector, s.chunk*Sector)
		}
	}
	if smallest < 0 {
		return fmt.Errorf("all members are missing")
	}
	if s.Level < 1 {
		if s.Size != 0 {
			return fmt.Errorf("%s uses all of each member: leave the size out", LevelName(s.Level))
		}
		return nil
	}
	size, unit := roundDown(least, 2), max(2, s.chunk)
	if s.Size != 0 {
		size = uint64(s.Size) / Sector
	} else if s.Level == 1 {
		unit = raid1Unit / Sector
	}
	size = roundDown(size, unit)
	switch {
	case size > least:
		return fmt.Errorf("size of %d bytes: member %d has room for %d", s.Size, smallest, least*Sector)
	case size == 0:
		return fmt.Errorf("member %d has room for %d bytes of data: too little", smallest, least*Sector)
	}
	if s.Size == 0 && most > least+least/100 {
		d.Warnings = append(d.Warnings, fmt.Sprintf("the largest member exceeds the size used, %d bytes, by more than 1%%", size*Sector))
	}
	for _, sb := range d.Supers {
		if sb != nil {
			sb.Size = size
			sb.Size = sb.used10()
		}
	}
	return nil
}

// used10 is how much of Size a raid10 really uses, which is what Linux stores once it has run the array; Size for other levels.
func (s *Superblock) used10() uint64 {
	if s.Level != 10 {
		return s.Size
	}
	copies, n, chunk := uint64(s.Layout&0xff)*uint64(s.Layout>>8&0xff), uint64(s.RaidDisks), uint64(s.ChunkSize)
	return (s.ArraySize()/chunk*copies + n - 1) / n * chunk
}

// placeLog puts the bad block log behind the bitmap, or the room for one.
func (s *Superblock) placeLog(m *Bitmap) {
	s.BBLogSize = maxBBLog
	if s.Version == V10 {
		s.BBLogOffset = -bbLogRoom
		return
	}
	room := bitmapRoom(s.Size)
	if m != nil {
		room = uint64(m.Len()) / Sector
	}
	off := bitmapOff + room
	if s.SuperOffset+off+bbLogRoom > s.DataOffset {
		off = s.DataOffset - bbLogRoom - s.SuperOffset
	}
	s.BBLogOffset = int32(off)
}

// roles numbers the members: a member's number is its role, and spares follow.
func (s shape) roles(d *Draft) {
	for i, sb := range d.Supers {
		if sb == nil {
			continue
		}
		sb.DevNumber = i
		sb.Roles = make([]uint16, sb.MaxDev)
		for n := range sb.Roles {
			sb.Roles[n] = EntrySpare
			if n < s.RaidDevices && d.Supers[n] != nil {
				sb.Roles[n] = uint16(n)
			}
		}
		if s.clean(d) {
			sb.ResyncOffset = MaxSector
		}
	}
}

// clean says whether the array needs no resync: parity that a missing member leaves nothing to compare with needs none.
func (s shape) clean(d *Draft) bool {
	missing := 0
	for _, sb := range d.Supers[:s.RaidDevices] {
		if sb == nil {
			missing++
		}
	}
	return s.Level < 1 || s.AssumeClean || missing > 0 && (s.Level == 4 || s.Level == 5) || missing > 1 && s.Level == 6
}

// identities draws the UUIDs.
func (s shape) identities(d *Draft) error {
	source := s.Rand
	if source == nil {
		source = rand.Reader
	}
	set := s.UUID
	if set == (UUID{}) {
		if _, err := io.ReadFull(source, set[:]); err != nil {
			return fmt.Errorf("drawing a UUID: %w", err)
		}
	}
	for _, sb := range d.Supers {
		if sb == nil {
			continue
		}
		sb.SetUUID = set
		if _, err := io.ReadFull(source, sb.DeviceUUID[:]); err != nil {
			return fmt.Errorf("drawing a UUID: %w", err)
		}
	}
	if d.Bitmap != nil {
		d.Bitmap.UUID = set
	}
	return nil
}

// Write writes everything that member i needs, onto dev: what was there of superblocks goes first, the new one comes last and only when
// what it points at is durable. Members are written one after the other or at the same time, as the caller likes.
func (d *Draft) Write(ctx context.Context, i int, dev block.Device) error {
	sb := d.Supers[i]
	if at, ok := sb.Version.place(uint64(dev.Info().Size) / Sector); !ok || at != sb.SuperOffset {
		return fmt.Errorf("%s has %d bytes now: not the size that its superblock was made for", dev.Info().Name, dev.Info().Size)
	}
	if err := Wipe(ctx, dev); err != nil {
		return err
	}
	log := bytes.Repeat([]byte{0xff}, bbLogBytes)
	if err := write(ctx, dev, sb.at(int64(sb.BBLogOffset)), log, 0); err != nil {
		return fmt.Errorf("bad block log: %w", err)
	}
	if d.Bitmap != nil {
		if err := WriteBitmap(ctx, dev, sb, d.Bitmap); err != nil {
			return fmt.Errorf("bitmap: %w", err)
		}
	}
	if err := block.Sync(ctx, dev); err != nil {
		return err
	}
	if err := WriteSuperblock(ctx, dev, sb, 0); err != nil {
		return fmt.Errorf("superblock: %w", err)
	}
	return block.Sync(ctx, dev)
}
