package main

import (
	"errors"
	"slices"
	"sync"

	"graid/block"
)

const (
	page     = 4096
	dirtyMax = 8 << 20 // bytes that may wait in memory, being written not counted
	writers  = 8       // of the array at a time, from a batch
)

// behind keeps writes in memory, as a disk's volatile cache does, and logs and writes them many at a time. A flush waits for the log, not for the array.
type behind struct {
	r    *rig
	log  *log
	kick chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	pages   map[int64][]byte // what waits
	leaving map[int64][]byte // what is being written
	free    [][]byte
	err     error
	ends    bool
	ended   chan struct{}
}

func newBehind(r *rig) *behind {
	b := &behind{r: r, log: newLog(r), kick: make(chan struct{}, 1), pages: map[int64][]byte{}, leaving: map[int64][]byte{}, ended: make(chan struct{})}
	b.changed = sync.NewCond(&b.mu)
	go b.drain()
	return b
}

func (b *behind) write(w write) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pages)*page > dirtyMax && b.err == nil {
		b.changed.Wait()
	}
	if b.err != nil {
		return b.err
	}
	if w.whole() && len(b.pages) == 0 && len(b.leaving) == 0 {
		b.mu.Unlock()
		err := block.WriteAt(ctx, b.r.Array, w.buf, w.off)
		b.mu.Lock()
		return err
	}
	for at := 0; at < len(w.buf); at += page {
		p := b.pages[w.off+int64(at)]
		if p == nil {
			if n := len(b.free); n > 0 {
				p, b.free = b.free[n-1], b.free[:n-1]
			} else {
				p = block.Alloc(page)
			}
			b.pages[w.off+int64(at)] = p
		}
		copy(p, w.buf[at:])
	}
	b.wake()
	return nil
}

func (b *behind) wake() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// flush returns when all that was written before it is in the log, or in the array and durable.
func (b *behind) flush() error {
	b.mu.Lock()
	b.ends = true
	b.mu.Unlock()
	b.wake()
	<-b.ended
	if b.err != nil {
		return b.err
	}
	return b.r.Do(ctx, block.Request{Op: block.Flush})
}

// drain takes what waits, all of it, logs it, writes it in the array's order, and does so again.
func (b *behind) drain() {
	defer close(b.ended)
	run := block.Alloc(dirtyMax + 4<<20)
	for range b.kick {
		for {
			b.mu.Lock()
			if len(b.pages) == 0 || b.err != nil {
				ends := b.ends
				b.mu.Unlock()
				if ends {
					return
				}
				break
			}
			b.pages, b.leaving = b.leaving, b.pages
			b.changed.Broadcast()
			b.mu.Unlock()

			list := b.gather(run)
			err := b.log.append(list)
			if err == nil {
				err = b.store(list)
			}

			b.mu.Lock()
			for at, p := range b.leaving {
				b.free = append(b.free, p)
				delete(b.leaving, at)
			}
			b.err = errors.Join(b.err, err)
			b.mu.Unlock()
		}
	}
}

// gather joins neighbours among what is leaving into writes, none longer than a stripe, none across two.
func (b *behind) gather(run []byte) (list []write) {
	offs := make([]int64, 0, len(b.leaving))
	for off := range b.leaving {
		offs = append(offs, off)
	}
	slices.Sort(offs)
	used := 0
	for _, off := range offs {
		if last := len(list) - 1; last < 0 || off%stripe == 0 || list[last].off+int64(len(list[last].buf)) != off {
			list = append(list, write{off, run[used:used]})
		}
		w := &list[len(list)-1]
		copy(run[used:], b.leaving[off])
		used += page
		w.buf = w.buf[:len(w.buf)+page]
	}
	return list
}

// store writes a batch to the array.
func (b *behind) store(list []write) error {
	var all sync.WaitGroup
	var errs [writers]error
	for i := range writers {
		all.Go(func() {
			for n := i; n < len(list) && errs[i] == nil; n += writers {
				errs[i] = block.WriteAt(ctx, b.r.Array, list[n].buf, list[n].off)
			}
		})
	}
	all.Wait()
	return errors.Join(errs[:]...)
}
