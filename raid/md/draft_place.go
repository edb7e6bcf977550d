package md

import "fmt"

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

// logRoom is how many sectors are kept free for what says where members may not agree: a partial parity log, or a bitmap, on a member of n sectors.
func (s shape) logRoom(n uint64) uint64 {
	if s.PPL {
		return s.pplRoom()
	}
	return bitmapRoom(n)
}

// dataOffset is mdadm's choice for 1.1 and 1.2: up to 128 MiB of headroom, at most 0.1 % of the device, at least two chunks.
func dataOffset(devSectors, chunk, logRoom uint64) uint64 {
	room := uint64(headroom)
	for room*1024 > devSectors && (chunk == 0 || room/2 >= 2*chunk) {
		room /= 2
	}
	return roundUp(headerRoom+logRoom+room, offsetUnit)
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

// placeLog puts the bad block log behind the bitmap, or the room for one, or the partial parity log.
func (s *Superblock) placeLog(m *Bitmap) {
	s.BBLogSize = maxBBLog
	if s.Version == V10 {
		s.BBLogOffset = -bbLogRoom
		return
	}
	room := bitmapRoom(s.Size)
	switch {
	case s.HasPPL():
		room = uint64(s.PPLSize)
	case m != nil:
		room = uint64(m.Len()) / Sector
	}
	off := bitmapOff + room
	if s.SuperOffset+off+bbLogRoom > s.DataOffset {
		off = s.DataOffset - bbLogRoom - s.SuperOffset
	}
	s.BBLogOffset = int32(off)
}
