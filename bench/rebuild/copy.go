//go:build unix

package main

import (
	"errors"
	"sync"
	"time"

	"graid/block"
)

// piece is how much a copy has in hand of each member, bytes: as much as recovery.
const piece = 512 << 10

// copy copies what recovery reads, each member to a device of its own.
func (r *rig) copy() (time.Duration, error) {
	if r.slow {
		return r.overlapped(r.spare[:r.reads])
	}
	return r.piecewise(func(off int64, buf []byte) error {
		for i := range r.reads {
			if err := block.ReadAt(ctx, r.members[i].Dev, buf, off); err != nil {
				return err
			}
			if err := block.WriteAt(ctx, r.spare[i], buf, off); err != nil {
				return err
			}
		}
		return nil
	})
}

// gather reads what recovery reads, and writes as much as it writes.
func (r *rig) gather() (time.Duration, error) {
	if r.slow {
		return r.overlapped(r.spare[:1])
	}
	return r.piecewise(func(off int64, buf []byte) error {
		for i := range r.reads {
			if err := block.ReadAt(ctx, r.members[i].Dev, buf, off); err != nil {
				return err
			}
		}
		return block.WriteAt(ctx, r.spare[0], buf, off)
	})
}

func (r *rig) piecewise(do func(off int64, buf []byte) error) (time.Duration, error) {
	buf := block.Alloc(piece)
	began := time.Now()
	for at := int64(0); at < r.rows; at += piece {
		if err := do(r.off+at, buf[:min(piece, r.rows-at)]); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// overlapped reads all members at once, each a piece ahead of what is written, as anything that copies disks does. The first of them are written to to.
func (r *rig) overlapped(to []block.Device) (time.Duration, error) {
	var all sync.WaitGroup
	errs := make([]error, 2*r.reads)
	began := time.Now()
	for i := range r.reads {
		full, empty := make(chan []byte, 2), make(chan []byte, 2)
		empty <- block.Alloc(piece)
		empty <- block.Alloc(piece)
		all.Go(func() {
			defer close(full)
			for at := int64(0); at < r.rows && errs[2*i] == nil; at += piece {
				buf := (<-empty)[:min(piece, r.rows-at)]
				errs[2*i] = block.ReadAt(ctx, r.members[i].Dev, buf, r.off+at)
				full <- buf
			}
		})
		all.Go(func() {
			at := r.off
			for buf := range full {
				if i < len(to) && errs[2*i+1] == nil {
					errs[2*i+1] = block.WriteAt(ctx, to[i], buf, at)
				}
				at += int64(len(buf))
				empty <- buf
			}
		})
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}
