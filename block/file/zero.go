package file

import (
	"sync"

	"graid/block"
)

// discard gives the range back to the system; where it cannot, nothing happens.
func (d *Device) discard(off, n int64) error {
	if d.noPunch.Load() {
		return nil
	}
	err := discardRange(d.fd, d.disk, off, n)
	if isUnsupported(err) {
		d.noPunch.Store(true)
		return nil
	}
	return err
}

// zero makes the range read as zeroes: as a hole, or zeroed by the system, or by writing zeroes.
func (d *Device) zero(off, n int64, flags block.Flags) error {
	if flags&block.NoHole == 0 && !d.noPunch.Load() {
		err := punch(d.fd, off, n)
		if !isUnsupported(err) {
			return err
		}
		if !d.disk { // a disk that cannot zero by unmapping may still discard
			d.noPunch.Store(true)
		}
	}
	if flags&block.Fast != 0 && d.disk {
		return block.ErrUnsupported // zeroRange of a disk may be the kernel writing zeroes
	}
	if !d.noZeroRange.Load() {
		err := zeroRange(d.fd, d.disk, off, n)
		if !isUnsupported(err) {
			return err
		}
		d.noZeroRange.Store(true)
	}
	if flags&block.Fast != 0 {
		return block.ErrUnsupported
	}
	for n > 0 {
		step := min(n, int64(len(zeroes())))
		if err := d.writeAll(zeroes()[:step], off, false); err != nil {
			return err
		}
		off, n = off+step, n-step
	}
	return nil
}

// zeroes is aligned memory that nobody writes to.
var zeroes = sync.OnceValue(func() []byte { return block.Alloc(256 << 10) })
