package md

import (
	"context"
	"errors"
	"fmt"

	"graid/block"
)

// Examined is what was found on one device.
type Examined struct {
	Path string
	Size int64 // bytes

	SB     *Superblock   // nil when there is none that can be read
	Others []*Superblock // valid ones at other places: left over from earlier arrays, as a rule

	Bitmap    *Bitmap
	BitmapErr error // why there is no Bitmap, or why the one there is cannot be used
	BadBlocks []BadBlock
	PPL       *PPLHeader // the newest record of the log; nil when there is none, or it is damaged or cannot be read

	// Err says why SB is nil, or must not be trusted. ErrNoSuperblock when there is nothing at all.
	Err error
}

const (
	readUnit      = 4096
	maxBitmapRead = maxBits/8 + readUnit
)

// Examine reads what md keeps on dev, and writes nothing. The error is one of reading only: what is wrong with what was read is in
// Examined. Of several valid superblocks it takes the one of the latest creation, as mdadm does. A place that cannot be read matters only
// if no other has one: with the other versions it is data.
func Examine(ctx context.Context, path string, dev block.Device) (*Examined, error) {
	e := &Examined{Path: path, Size: dev.Info().Size}
	var damaged, unreadable error
	for _, p := range Places(uint64(e.Size) / Sector) {
		s, err := readAt(ctx, dev, p)
		var format *FormatError
		switch {
		case err == nil:
			e.offer(s)
		case errors.As(err, &format):
			if damaged == nil {
				damaged = err
			}
		case errors.Is(err, ErrNoSuperblock):
		case block.Classify(err) != block.Media:
			return nil, err
		case unreadable == nil:
			unreadable = err
		}
	}
	if e.SB == nil && unreadable != nil {
		return nil, unreadable
	}
	if e.SB == nil {
		e.Err = ErrNoSuperblock
		if damaged != nil {
			e.Err = damaged
		}
		return e, nil
	}
	return e, e.rest(ctx, dev)
}

// offer takes s where it is of a later creation than what was found so far.
func (e *Examined) offer(s *Superblock) {
	switch {
	case e.SB == nil:
		e.SB = s
	case s.CTimeRaw&secondsMask > e.SB.CTimeRaw&secondsMask:
		e.Others = append(e.Others, e.SB)
		e.SB = s
	default:
		e.Others = append(e.Others, s)
	}
}

// rest reads what the superblock points at.
func (e *Examined) rest(ctx context.Context, dev block.Device) error {
	s := e.SB
	if s.Features&FeatureBitmap != 0 {
		if err := e.bitmap(ctx, dev); err != nil {
			return err
		}
	}
	if s.Features&FeatureBadBlocks != 0 {
		b, err := read(ctx, dev, s.at(int64(s.BBLogOffset)), int64(s.BBLogSize)*Sector)
		switch {
		case block.Classify(err) == block.Media:
			e.Err = fmt.Errorf("bad block log: %w", err) // nobody knows what not to read
			return nil
		case err != nil:
			return err
		}
		if e.BadBlocks, err = DecodeBadBlocks(b, s.BBLogShift); err != nil {
			e.Err = err
		}
	}
	if s.HasPPL() {
		var err error
		if e.PPL, _, err = ReadPPL(ctx, dev, s); err != nil && block.Classify(err) != block.Media { // who recovers by it reads it again, and makes the best of it
			return err
		}
	}
	return nil
}

func (e *Examined) bitmap(ctx context.Context, dev block.Device) error {
	at := e.SB.at(int64(e.SB.BitmapOffset))
	head, err := read(ctx, dev, at, bitmapHead)
	switch {
	case block.Classify(err) == block.Media:
		e.BitmapErr = err // others have it too
		return nil
	case err != nil:
		return err
	}
	m, err := DecodeBitmap(head)
	if err != nil {
		e.BitmapErr = err
		return nil
	}
	e.Bitmap, e.BitmapErr = m, m.Check(e.SB)
	if e.BitmapErr != nil {
		return nil
	}
	n := min(bitmapHead+int64(m.total()+7)/8, maxBitmapRead, e.Size-at)
	whole, err := read(ctx, dev, at, n)
	switch {
	case block.Classify(err) == block.Media:
		e.Bitmap, e.BitmapErr = nil, err
		return nil
	case err != nil:
		return err
	}
	e.Bitmap, e.BitmapErr = DecodeBitmap(whole)
	if e.BitmapErr != nil { // changed under us
		e.Bitmap = nil
	}
	return nil
}

// at is the byte of the device that lies off sectors from the superblock.
func (s *Superblock) at(off int64) int64 { return (int64(s.SuperOffset) + off) * Sector }

// ReadSuperblock reads the superblock of version v of dev, and checks it as Decode does.
func ReadSuperblock(ctx context.Context, dev block.Device, v Version) (*Superblock, error) {
	if v == VDefault {
		v = V12
	}
	sector, ok := v.place(uint64(dev.Info().Size) / Sector)
	if !ok {
		return nil, ErrNoSuperblock
	}
	return readAt(ctx, dev, Place{v, sector})
}

func readAt(ctx context.Context, dev block.Device, p Place) (*Superblock, error) {
	size := dev.Info().Size
	at := int64(p.Sector) * Sector
	b, err := read(ctx, dev, at, min(maxSuper, size-at))
	if err != nil {
		return nil, fmt.Errorf("superblock %s: %w", p.Version, err)
	}
	return Decode(b, p.Sector, uint64(size)/Sector)
}

// read reads [off, off+n), in whole 4 KiB where the device is that long: what is unreadable on a disk is 4 KiB as often as 512.
func read(ctx context.Context, dev block.Device, off, n int64) ([]byte, error) {
	i := dev.Info()
	unit := max(readUnit, i.Block)
	lo, hi := off/unit*unit, (off+n+unit-1)/unit*unit
	whole := i.Size
	if i.Block > 1 {
		whole = i.Size / i.Block * i.Block
	}
	hi = min(hi, whole)
	if off < lo || off+n > hi {
		return nil, fmt.Errorf("%w: [%d,+%d) is beyond the last whole block of %d bytes", block.ErrRange, off, n, whole)
	}
	b := make([]byte, hi-lo)
	if err := block.ReadAt(ctx, dev, b, lo); err != nil {
		return nil, err
	}
	return b[off-lo : off-lo+n], nil
}
