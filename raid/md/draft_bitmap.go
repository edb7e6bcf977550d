package md

import "fmt"

const (
	bitmapMinChunk     = 4 << 10  // bytes of the array per bit
	bitmapDefaultChunk = 64 << 20 // mdadm goes below it only when told
	bitmapDaemonSleep  = 5        // seconds
)

// bitmap adds a bitmap to d, with mdadm's choice of chunk and place. Nothing is known of a new array, so every bit is set, unless its
// redundancy is right already.
func (s shape) bitmap(d *Draft) error {
	var model *Superblock
	for _, sb := range d.Supers {
		if sb != nil && model == nil {
			model = sb
		}
	}
	m := newBitmap(model, uint32(s.BitmapChunk), bitmapRoom(model.Size))
	need := m.sectors()
	for i, sb := range d.Supers {
		if sb == nil {
			continue
		}
		sb.Features |= FeatureBitmap
		sb.BitmapOffset = bitmapOff
		fits := sb.SuperOffset+bitmapOff+need+bbLogRoom <= sb.DataOffset
		if sb.Version == V10 {
			sb.BitmapOffset = -int32(need) - bbLogRoom
			fits = sb.Size+need+bbLogRoom <= sb.SuperOffset
		}
		if !fits || m.total() > maxBits {
			return fmt.Errorf("bitmap of %d bytes has no room on member %d: give a larger bitmap chunk than %d bytes", need*Sector, i, m.ChunkSize)
		}
	}
	m.SetAll()
	if s.AssumeClean {
		m.ClearAll()
		m.EventsCleared = model.Events
	}
	d.Bitmap = m
	return nil
}

// newBitmap is a bitmap for the array that model is a superblock of: with chunk bytes per bit, or mdadm's choice for so many sectors of room.
func newBitmap(model *Superblock, chunk uint32, room uint64) *Bitmap {
	m := &Bitmap{
		Version: 4, UUID: model.SetUUID, SyncSize: model.SyncSize(), ChunkSize: chunk, DaemonSleep: bitmapDaemonSleep, Events: model.Events,
	}
	if m.ChunkSize == 0 {
		for m.ChunkSize = bitmapMinChunk; bitmapHead+(m.total()+7)/8 > room*Sector && m.ChunkSize < maxChunk; {
			m.ChunkSize *= 2
		}
		m.ChunkSize = max(m.ChunkSize, bitmapDefaultChunk)
	}
	return m
}

// sectors is how much room m takes.
func (m *Bitmap) sectors() uint64 { return roundUp(bitmapHead+(m.total()+7)/8, bitmapUnit) / Sector }

// AddBitmap makes superblocks of all members of an array, which has none, say that it has an internal bitmap, and returns the bitmap, all clear, for
// the caller to write before them: where mdadm puts one on an array that exists, with chunk bytes per bit; 0 = mdadm's choice. It fails where
// a member has no room, and then has changed nothing.
func AddBitmap(supers []*Superblock, chunk int64) (*Bitmap, error) {
	room := ^uint64(0)
	for _, sb := range supers {
		room = min(room, sb.bitmapGap())
	}
	if chunk != 0 && (chunk < bitmapMinChunk || chunk&(chunk-1) != 0 || chunk > maxChunk) {
		return nil, fmt.Errorf("bitmap chunk of %d bytes: give a power of two from 4K to 1G", chunk)
	}
	m := newBitmap(supers[0], uint32(chunk), room)
	switch need := m.sectors(); {
	case supers[0].Features&(featurePPLs|FeatureJournal) != 0:
		return nil, fmt.Errorf("the array has a partial parity log or a journal: it has no use for a bitmap")
	case room < bitmapUnit/Sector:
		return nil, fmt.Errorf("there is no room for a bitmap: %d sectors between what is there", room)
	case need > room || m.total() > maxBits:
		return nil, fmt.Errorf("bitmap of %d bytes, and there is room for %d: give a larger bitmap chunk than %d bytes", need*Sector, room*Sector, m.ChunkSize)
	}
	m.ClearAll()
	for _, sb := range supers {
		sb.Features |= FeatureBitmap
		sb.BitmapOffset = bitmapOff
		if sb.Version == V10 {
			sb.BitmapOffset = -int32(m.sectors()) - bbLogRoom
		}
	}
	return m, nil
}

// bitmapGap is how many sectors there are for a bitmap.
func (s *Superblock) bitmapGap() uint64 {
	end, from := s.DataOffset, s.SuperOffset+bitmapOff
	switch {
	case s.Version == V090:
		return 0
	case s.Version == V10:
		end, from = s.SuperOffset-min(s.SuperOffset, bbLogRoom), s.DataOffset+s.Size
	case s.BBLogOffset >= bitmapOff: // right there, on members so small that no room was left
		end = s.SuperOffset + uint64(s.BBLogOffset)
	}
	return end - min(end, from)
}

// SyncSize is how many sectors a resync goes over, which is what a bitmap covers: Size of a member, and the whole array for raid10.
func (s *Superblock) SyncSize() uint64 {
	if s.Level == 10 {
		return s.ArraySize()
	}
	return s.Size
}

// ArraySize is the size of the array, sectors, as far as this superblock alone can tell: 0 for linear and raid0, whose members may differ.
func (s *Superblock) ArraySize() uint64 {
	n, size, chunk := uint64(s.RaidDisks), s.Size, uint64(s.ChunkSize)
	if s.Features&FeatureReshape != 0 && s.DeltaDisks > 0 {
		n = uint64(max(1, s.RaidDisks-s.DeltaDisks)) // as long as it grows it has its old size
	}
	if chunk != 0 {
		size = roundDown(size, chunk)
	}
	switch s.Level {
	case 1:
		return s.Size
	case 4, 5:
		return size * (n - 1)
	case 6:
		if n > 2 {
			return size * (n - 2)
		}
	case 10:
		near, far := uint64(s.Layout&0xff), uint64(s.Layout>>8&0xff)
		if near > 0 && far > 0 && chunk > 0 {
			return size / chunk / far * n / near * chunk
		}
	}
	return 0
}
