package md

import (
	"bytes"
	"context"
	"fmt"

	"graid/block"
)

// Join is the superblock of a new spare on a device of so many sectors, for the array that s is a superblock of: what the array's members
// have in common, its places at the same distances. It fails where the device is too small.
func (s *Superblock) Join(devNumber int, id UUID, devSectors uint64, flags uint8) (*Superblock, error) {
	sb := s.Clone()
	at, ok := sb.Version.place(devSectors)
	if !ok {
		return nil, fmt.Errorf("%d bytes are too small for a superblock", devSectors*Sector)
	}
	sb.SuperOffset, sb.DevNumber, sb.DeviceUUID, sb.DevFlags, sb.CorrectedReads = at, devNumber, id, flags, 0
	sb.Features &^= FeatureRecovery | FeatureRecoveryBitmap | FeatureReplacement | FeatureBadBlocks
	sb.RecoveryOffset = 0
	need := sb.DataOffset + sb.Size
	if sb.Version == V10 {
		reserved := bitmapRoom(devSectors) + bbLogRoom
		if sb.HasPPL() {
			reserved = uint64(sb.PPLSize) + bbLogRoom
		}
		if need += reserved; at < need {
			return nil, fmt.Errorf("%d bytes are too few: %d are needed", devSectors*Sector, (need+devSectors-at)*Sector)
		}
		sb.DataSize = at - reserved
	} else {
		if devSectors < need {
			return nil, fmt.Errorf("%d bytes are too few: %d are needed", devSectors*Sector, need*Sector)
		}
		sb.DataSize = devSectors - sb.DataOffset
	}
	return sb, sb.checkPlaces(devSectors, func(field string, off int, got, want any) error {
		return fmt.Errorf("its %s would be %v, not %v", field, got, want)
	})
}

// WriteMember writes everything that a new member needs, onto dev: what was there of superblocks goes first, an empty bad block log, the bitmap if
// there is one, an empty partial parity log if there is to be one; the superblock comes last, and only when what it points at is durable.
func WriteMember(ctx context.Context, dev block.Device, sb *Superblock, bitmap *Bitmap) error {
	if at, ok := sb.Version.place(uint64(dev.Info().Size) / Sector); !ok || at != sb.SuperOffset {
		return fmt.Errorf("%s has %d bytes now: not the size that its superblock was made for", dev.Info().Name, dev.Info().Size)
	}
	if err := Wipe(ctx, dev); err != nil {
		return err
	}
	if sb.BBLogOffset != 0 {
		log := bytes.Repeat([]byte{0xff}, bbLogBytes)
		if err := write(ctx, dev, sb.at(int64(sb.BBLogOffset)), log, 0); err != nil {
			return fmt.Errorf("bad block log: %w", err)
		}
	}
	if bitmap != nil {
		if err := WriteBitmap(ctx, dev, sb, bitmap); err != nil {
			return fmt.Errorf("bitmap: %w", err)
		}
	}
	if sb.HasPPL() {
		if err := WriteEmptyPPL(ctx, dev, sb, !sb.Clean()); err != nil {
			return err
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

// SameShape says whether o is of the same array as s, and the array had the shape then that it has in s: all that superblocks of its members have
// in common but what comes and goes.
func (s *Superblock) SameShape(o *Superblock) bool {
	x, y := s.shape(), o.shape()
	return s.SetUUID == o.SetUUID && x == y
}
