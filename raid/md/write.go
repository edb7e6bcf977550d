package md

import (
	"context"
	"encoding/binary"
	"fmt"

	"graid/block"
)

// WriteSuperblock writes s at its SuperOffset: its own sectors, rounded up to the device's blocks. It is durable after a flush, or at once
// with block.FUA in flags.
func WriteSuperblock(ctx context.Context, dev block.Device, s *Superblock, flags block.Flags) error {
	if s.Version == V090 {
		return fmt.Errorf("superblock 0.90 is not written: %w", block.ErrUnsupported)
	}
	return write(ctx, dev, s.at(0), s.Encode(), flags)
}

// WriteBitmap writes the whole of m where s says the bitmap is. It is durable after a flush.
func WriteBitmap(ctx context.Context, dev block.Device, s *Superblock, m *Bitmap) error {
	return write(ctx, dev, s.at(int64(s.BitmapOffset)), m.Encode(), 0)
}

// write writes b at off. Where the device's blocks are larger, what is around b stays as it is.
func write(ctx context.Context, dev block.Device, off int64, b []byte, flags block.Flags) error {
	unit := max(1, dev.Info().Block)
	lo, hi := off/unit*unit, (off+int64(len(b))+unit-1)/unit*unit
	if hi-lo != int64(len(b)) {
		around, err := read(ctx, dev, lo, hi-lo)
		if err != nil {
			return err
		}
		copy(around[off-lo:], b)
		b = around
	}
	return dev.Do(ctx, block.Request{Op: block.Write, Flags: flags, Off: lo, Len: hi - lo, Buf: b})
}

// Wipe zeroes every superblock of dev, at all the places where one may be, 0.90 too, and whether or not it is valid: whatever has the
// magic number. Elsewhere it changes nothing, because with other versions these places are data. It does not flush.
func Wipe(ctx context.Context, dev block.Device) error {
	size := dev.Info().Size
	for _, p := range Places(uint64(size) / Sector) {
		at := int64(p.Sector) * Sector
		b, err := read(ctx, dev, at, min(maxSuper, size-at))
		if err != nil {
			return fmt.Errorf("wiping superblock %s: %w", p.Version, err)
		}
		if le.Uint32(b) != Magic && binary.BigEndian.Uint32(b) != Magic {
			continue
		}
		clear(b)
		if err := write(ctx, dev, at, b, 0); err != nil {
			return fmt.Errorf("wiping superblock %s: %w", p.Version, err)
		}
	}
	return nil
}
