package md

import (
	"context"
	"fmt"

	"graid/block"
)

const (
	pplRoom = 2048              // sectors that mdadm gives the log
	pplRing = 2 * (4 + 128) * 2 // sectors from which on Linux uses it as a ring
	pplOff  = 8                 // of 1.1 and 1.2, from the superblock
)

// PPLPlace is where the partial parity log lies on the device that has s, bytes.
func (s *Superblock) PPLPlace() (off, size int64) {
	return s.at(int64(s.PPLOffset)), int64(s.PPLSize) * Sector
}

// PPLRing says whether the log is large enough to be a ring of records rather than the place of one.
func (s *Superblock) PPLRing() bool { return s.PPLSize >= pplRing }

// SetPPLRing notes that the log is written as a ring, if it is large enough, as Linux does when it starts the array.
func (s *Superblock) SetPPLRing() {
	if s.HasPPL() && s.PPLRing() {
		s.Features = s.Features&^FeaturePPL | FeatureMultiPPL
	}
}

// SetPPL makes s say the same of what kind the log is as o.
func (s *Superblock) SetPPL(o *Superblock) {
	s.Features = s.Features&^featurePPLs | o.Features&featurePPLs
}

// ReadPPL finds the newest record in the log of the member dev, as Linux does: records follow each other from the start of the area for as long as they
// are whole and do not get older. h is nil when there is none at all. pp is where the partial parity of h begins on dev, bytes.
func ReadPPL(ctx context.Context, dev block.Device, s *Superblock) (h *PPLHeader, pp int64, err error) {
	off, size := s.PPLPlace()
	for at := int64(0); at+PPLHeaderSize <= size; {
		b, err := read(ctx, dev, off+at, PPLHeaderSize)
		if err != nil {
			return nil, 0, err
		}
		next := s.decodePPL(b)
		if next == nil || h != nil && next.Generation < h.Generation || at+next.Len() > size {
			break
		}
		h, pp = next, off+at+PPLHeaderSize
		at += next.Len()
	}
	return h, pp, nil
}

// WriteEmptyPPL makes the log on dev one without a record of a write: zeroes, and a header without entries, or, where the array's parity is not known to be true
// everywhere, with PPLUnsynced. It is durable after a flush.
func WriteEmptyPPL(ctx context.Context, dev block.Device, s *Superblock, unsynced bool) error {
	off, size := s.PPLPlace()
	if err := zero(ctx, dev, off, size); err != nil {
		return fmt.Errorf("partial parity log: %w", err)
	}
	h := PPLHeader{Signature: SignaturePPL(s.SetUUID)}
	if unsynced {
		h.Entries = append(h.Entries, PPLUnsynced)
	}
	b := block.Alloc(PPLHeaderSize)
	h.EncodeTo(b)
	if err := write(ctx, dev, off, b, 0); err != nil {
		return fmt.Errorf("partial parity log: %w", err)
	}
	return nil
}

// zero makes [off, off+n) of dev zeroes. Where the device's blocks are larger, what is around stays as it is.
func zero(ctx context.Context, dev block.Device, off, n int64) error {
	if unit := max(1, dev.Info().Block); off%unit == 0 && n%unit == 0 {
		return dev.Do(ctx, block.Request{Op: block.WriteZeroes, Off: off, Len: n})
	}
	return write(ctx, dev, off, block.Alloc(n), 0)
}

// ppl gives every member its log.
func (s shape) ppl(d *Draft) error {
	for i, sb := range d.Supers {
		if sb == nil {
			continue
		}
		sb.Features |= FeaturePPL
		room := s.pplRoom()
		sb.PPLOffset, sb.PPLSize = pplOff, uint16(room)
		if sb.Version == V10 {
			sb.PPLOffset = -int16(room + bbLogRoom)
		}
		fits := sb.SuperOffset+pplOff+room+bbLogRoom <= sb.DataOffset
		if sb.Version == V10 {
			fits = sb.Size+room+bbLogRoom <= sb.SuperOffset
		}
		if !fits {
			return fmt.Errorf("a partial parity log of %d bytes has no room on member %d: give a larger data offset", room*Sector, i)
		}
	}
	return nil
}

// pplRoom is how large the log of each member is, sectors.
func (s shape) pplRoom() uint64 {
	if s.PPLSize > 0 {
		return uint64(s.PPLSize) / Sector
	}
	return pplRoom
}

// checkPPL refuses what a partial parity log does not go with.
func (s shape) checkPPL() error {
	switch {
	case !s.PPL:
	case s.PPLSize != 0 && (s.PPLSize < PPLLeast || s.PPLSize > pplMost || s.PPLSize%4096 != 0):
		return fmt.Errorf("partial parity log of %d bytes: give a multiple of 4096 from %d to %d", s.PPLSize, PPLLeast, pplMost)
	case s.Level != 5:
		return fmt.Errorf("%s has no partial parity log: only raid5 has", LevelName(s.Level))
	case s.Bitmap:
		return fmt.Errorf("a partial parity log or a bitmap, not both")
	case s.chunk*uint64(s.RaidDevices) >= pplStripe:
		return fmt.Errorf("chunks of %d bytes on %d members: too large for a partial parity log", s.chunk*Sector, s.RaidDevices)
	case s.RaidDevices > pplMembers:
		return fmt.Errorf("%d members: a partial parity log goes with %d at most", s.RaidDevices, pplMembers)
	}
	return nil
}

const (
	pplMost    = 8 << 20 // bytes: a superblock of version 1.0 has 16 bits, one of them a sign, for how many sectors before it the log begins
	pplMembers = 64
	pplStripe  = 1 << 32 / Sector // sectors: an entry has 32 bits for how many bytes were modified
)

// PPLLeast is the smallest log that graid writes: a header, and the partial parity of two pieces of 4 KiB.
const PPLLeast = PPLHeaderSize + 2*4096
