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
	m := &Bitmap{
		Version: 4, SyncSize: model.SyncSize(), ChunkSize: uint32(s.BitmapChunk), DaemonSleep: bitmapDaemonSleep, Events: model.Events,
	}
	room := bitmapRoom(model.Size)
	if m.ChunkSize == 0 {
		for m.ChunkSize = bitmapMinChunk; bitmapHead+(m.total()+7)/8 > room*Sector && m.ChunkSize < maxChunk; {
			m.ChunkSize *= 2
		}
		m.ChunkSize = max(m.ChunkSize, bitmapDefaultChunk)
	}
	need := roundUp(bitmapHead+(m.total()+7)/8, bitmapUnit) / Sector
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
