// Package mem is a Device in memory: the bottom of a test's stack, and of an overlay that need not outlive its process.
//
// It is sparse: a page exists from the first write to it, so a disk of a TiB costs what was written to it. It knows nothing of
// faults or latency; those are wrapped around it.
package mem

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"graid/block"
)

// MaxSize is the largest disk, bytes; its empty page table takes 32 MiB.
const MaxSize = 1 << 50

const (
	pageSize  = 64 << 10             // bytes; the unit of allocation and of locking
	leafPages = 4096                 // pages in a leaf of the page table
	leafSize  = pageSize * leafPages // bytes
)

// Options of a Disk. The zero value is a writable disk of 512-byte blocks that takes any memory.
type Options struct {
	Name     string // "mem" if empty
	Block    int64  // bytes; 0 = 512
	Align    int64  // memory alignment demanded of Buf, bytes; 0 = none
	ReadOnly bool
}

// Disk is a Device in memory. What was never written reads as zeroes and is a hole.
type Disk struct {
	info block.Info
	root []atomic.Pointer[leaf]

	// A request holds gate for reading while it runs, Close for writing. Requests wait for no hardware, so Close does not either.
	gate   sync.RWMutex
	closed bool
}

type leaf [leafPages]atomic.Pointer[page]

// page is the bytes of one page.
type page struct {
	mu   sync.RWMutex // guards what follows
	data [pageSize]byte
}

// New is a Disk of size bytes. A size or an option that no disk can have is a bug of the caller: New panics.
func New(size int64, o Options) *Disk {
	if o.Name == "" {
		o.Name = "mem"
	}
	if o.Block == 0 {
		o.Block = 512
	}
	switch {
	case o.Block < 1 || o.Block > pageSize || o.Block&(o.Block-1) != 0:
		panic(fmt.Sprintf("mem: block of %d bytes", o.Block))
	case o.Align < 0 || o.Align&(o.Align-1) != 0:
		panic(fmt.Sprintf("mem: alignment of %d bytes", o.Align))
	case size < 0 || size > MaxSize || size%o.Block != 0:
		panic(fmt.Sprintf("mem: size of %d bytes with blocks of %d", size, o.Block))
	}
	return &Disk{
		info: block.Info{
			Name: o.Name, Size: size, Block: o.Block, Align: o.Align,
			Inline: true, Writable: !o.ReadOnly, Discard: true, Zeroes: true,
		},
		root: make([]atomic.Pointer[leaf], (size+leafSize-1)/leafSize),
	}
}

// Info describes the disk.
func (d *Disk) Info() block.Info { return d.info }

// Do performs r in place.
func (d *Disk) Do(ctx context.Context, r block.Request) error {
	if err := d.info.Check(r); err != nil {
		return block.Blame(d.info.Name, r, err)
	}
	if err := ctx.Err(); err != nil {
		return block.Blame(d.info.Name, r, err)
	}
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.closed {
		return block.Blame(d.info.Name, r, block.ErrClosed)
	}
	if r.Op == block.Flush {
		return nil
	}
	for off := r.Off; off < r.End(); {
		within := off % pageSize
		n := min(pageSize-within, r.End()-off)
		done := off - r.Off
		switch r.Op {
		case block.Read:
			d.read(off, r.Buf[done:done+n])
		case block.Write:
			d.write(off, r.Buf[done:done+n])
		case block.Discard:
			if n == d.span(off) {
				d.drop(off)
			}
		case block.WriteZeroes:
			if n == d.span(off) && r.Flags&block.NoHole == 0 {
				d.drop(off)
			} else {
				d.zero(off, n, r.Flags&block.NoHole != 0)
			}
		}
		off += n
	}
	return nil
}

// span is the length of the page that starts at off, bytes, which is less than pageSize at the end of the disk;
// it is -1 if no page starts there.
func (d *Disk) span(off int64) int64 {
	if off%pageSize != 0 {
		return -1
	}
	return min(pageSize, d.info.Size-off)
}

// slot is where the page of off is kept; nil if nothing near it was ever written.
func (d *Disk) slot(off int64) *atomic.Pointer[page] {
	l := d.root[off/leafSize].Load()
	if l == nil {
		return nil
	}
	return &l[off%leafSize/pageSize]
}

// makeSlot is slot, made if it is not there.
func (d *Disk) makeSlot(off int64) *atomic.Pointer[page] {
	at := &d.root[off/leafSize]
	if at.Load() == nil {
		at.CompareAndSwap(nil, new(leaf))
	}
	return &at.Load()[off%leafSize/pageSize]
}

// read fills b, which lies within one page, from off.
func (d *Disk) read(off int64, b []byte) {
	slot := d.slot(off)
	if slot == nil {
		clear(b)
		return
	}
	p := slot.Load()
	if p == nil {
		clear(b)
		return
	}
	// A page dropped meanwhile still holds what was there when this read began, which is as good an order as the other.
	p.mu.RLock()
	copy(b, p.data[off%pageSize:])
	p.mu.RUnlock()
}

// write stores b, which lies within one page, at off.
func (d *Disk) write(off int64, b []byte) {
	p := d.lockPage(off)
	copy(p.data[off%pageSize:], b)
	p.mu.Unlock()
}

// zero makes n bytes at off, within one page, zeroes; an absent page is made only if it must be.
func (d *Disk) zero(off, n int64, allocate bool) {
	if !allocate {
		if slot := d.slot(off); slot == nil || slot.Load() == nil {
			return
		}
	}
	p := d.lockPage(off)
	clear(p.data[off%pageSize:][:n])
	p.mu.Unlock()
}

// lockPage is the page of off, made if it is absent, locked for writing. If it is dropped before it is locked, what is written
// to it is lost, as if it had been written just before the drop: both were in flight, and the drop was of all of the page.
func (d *Disk) lockPage(off int64) *page {
	slot := d.makeSlot(off)
	for {
		if p := slot.Load(); p != nil {
			p.mu.Lock()
			return p
		}
		slot.CompareAndSwap(nil, new(page))
	}
}

// drop takes the page of off out of the table.
func (d *Disk) drop(off int64) {
	if slot := d.slot(off); slot != nil {
		slot.Store(nil)
	}
}

// Extents says which pages exist.
func (d *Disk) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	if err := d.info.CheckRange(off, n); err != nil {
		return list, fmt.Errorf("%s: extents: %w", d.info.Name, err)
	}
	d.gate.RLock()
	defer d.gate.RUnlock()
	if d.closed {
		return list, fmt.Errorf("%s: extents: %w", d.info.Name, block.ErrClosed)
	}
	for end := off + n; off < end; {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		step := leafSize - off%leafSize
		absent := true
		if slot := d.slot(off); slot != nil {
			step = pageSize - off%pageSize
			absent = slot.Load() == nil
		}
		step = min(step, end-off)
		list = block.Append(list, block.Extent{Len: step, Hole: absent, Zero: absent})
		off += step
	}
	return list, nil
}

// Allocated is the memory that the content takes, bytes.
func (d *Disk) Allocated() int64 {
	var n int64
	d.each(func(int64, *page) { n += pageSize })
	return n
}

// Clone is a writable copy of the disk as it is now, even if it is closed. Writes meanwhile are in it or not, per page.
func (d *Disk) Clone() *Disk {
	c := New(d.info.Size, Options{Name: d.info.Name, Block: d.info.Block, Align: d.info.Align})
	d.each(func(off int64, p *page) {
		fresh := new(page)
		p.mu.RLock()
		fresh.data = p.data
		p.mu.RUnlock()
		c.makeSlot(off).Store(fresh)
	})
	return c
}

// each calls f for every page there is, in order.
func (d *Disk) each(f func(off int64, p *page)) {
	for i := range d.root {
		l := d.root[i].Load()
		if l == nil {
			continue
		}
		for j := range l {
			if p := l[j].Load(); p != nil {
				f(int64(i)*leafSize+int64(j)*pageSize, p)
			}
		}
	}
}

// Close waits for requests in flight. The content stays with whoever Clones the disk.
func (d *Disk) Close() error {
	d.gate.Lock()
	defer d.gate.Unlock()
	d.closed = true
	return nil
}
