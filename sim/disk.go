package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"graid/block"
)

// DiskOptions of a Disk. The zero value is a disk of no size.
type DiskOptions struct {
	Size      int64         // bytes
	Block     int64         // bytes; 0 = 512
	Least     time.Duration // what a request takes at least
	Spread    time.Duration // and at most so much more, as the disk's stream has it
	FlushCost time.Duration // what a flush takes in addition
	Inline    bool          // requests take no time at all; stalls are still obeyed
	NoZeroes  bool          // WriteZeroes is no faster than writing, and Discard does nothing
}

// Disk is a member: what it holds outlives hosts. Open gives a Device on it.
type Disk struct {
	w     *World
	name  string
	sum   uint64
	o     DiskOptions
	c     *cache
	rules []*rule

	latency, chance, power *rand.Rand

	requests int64 // that arrived
	watch    func(block.Request)
}

// Disk is a new disk of that name, all zeroes. The name is part of what seeds its streams.
func (w *World) Disk(name string, o DiskOptions) *Disk {
	if o.Block == 0 {
		o.Block = Sector
	}
	return &Disk{
		w: w, name: name, sum: sum64(name), o: o, c: newCache(o.Size),
		latency: w.Rand(name, "latency"), chance: w.Rand(name, "faults"), power: w.Rand(name, "power"),
	}
}

// Name is the disk's name.
func (d *Disk) Name() string { return d.name }

// Watch has see called with every request that arrives, before it is done. Nil ends it. It must not wait.
func (d *Disk) Watch(see func(r block.Request)) { d.watch = see }

// Cut is a power cut: what was not flushed is kept or lost as how says and the disk's stream has it. No request may be under way: the
// host that sent them has been killed.
func (d *Disk) Cut(how Keep) { d.c.cut(d.power, how%keeps) }

// Abandon decides what becomes of the requests under way of a process that was killed: each write is done as a whole or not at all.
func (d *Disk) Abandon() {
	for len(d.c.inflight) > 0 {
		w := d.c.inflight[0]
		if d.power.IntN(2) == 0 {
			d.c.apply(w, nil)
			d.c.complete(w)
			continue
		}
		d.c.inflight = d.c.inflight[1:]
	}
	for _, list := range d.c.versions { // applied, and nobody is left to be told
		for _, v := range list {
			if v.by != nil && v.by.done == 0 {
				v.by.done, v.by.data = d.c.order, nil
			}
		}
	}
}

// Requests is how many requests the disk has met.
func (d *Disk) Requests() int64 { return d.requests }

// Image is what reads would return, were every sector readable. It is the disk's own memory: to be looked at, not kept.
func (d *Disk) Image() []byte { return d.c.now }

// Unflushed is how many sectors a cut may leave with something else than what a read returns.
func (d *Disk) Unflushed() int { return len(d.c.versions) }

// BadSectors is how many sectors cannot be read.
func (d *Disk) BadSectors() int { return len(d.c.bad) }

// IsBad says whether the sector at off cannot be read.
func (d *Disk) IsBad(off int64) bool {
	_, bad := d.c.bad[off/Sector*Sector]
	return bad
}

// Met is how many sectors cannot be read although a read has met them.
func (d *Disk) Met() (n int) {
	for _, met := range d.c.bad {
		if met {
			n++
		}
	}
	return n
}

// IsMet says whether the sector at off cannot be read, and a read has met it.
func (d *Disk) IsMet(off int64) bool { return d.c.bad[off/Sector*Sector] }

// ForgetMet is as if no read had met them.
func (d *Disk) ForgetMet() {
	for off := range d.c.bad {
		d.c.bad[off] = false
	}
}

// Underway is the sectors that writes under way are about to change, bytes.
func (d *Disk) Underway() (list []int64) {
	for _, w := range d.c.inflight {
		for off := w.off; off < w.off+w.n; off += Sector {
			list = append(list, off)
		}
	}
	return list
}

// Spoil makes the sector at off unreadable until it is written.
func (d *Disk) Spoil(off int64) { d.c.bad[off] = false }

// Destroy is Spoil, and what the sector held is lost: its Image is not what it was.
func (d *Disk) Destroy(off int64) {
	d.Spoil(off)
	for i := range int64(Sector) {
		d.c.now[off+i] = 0xEE
	}
	delete(d.c.versions, off)
}

// Flip flips every bit of the sector at off, durably, and nobody is told.
func (d *Disk) Flip(off int64) {
	for i := range int64(Sector) {
		d.c.now[off+i] ^= 0xFF
		for _, v := range d.c.versions[off] {
			if v.data != nil {
				v.data[i] ^= 0xFF
			}
		}
	}
}

// Saved is what a disk held at some time.
type Saved struct {
	now []byte
	bad map[int64]bool
}

// Save is the newest content of the disk as it is now, as if it were all durable.
func (d *Disk) Save() Saved {
	s := Saved{append([]byte(nil), d.c.now...), map[int64]bool{}}
	for off := range d.c.bad {
		s.bad[off] = false
	}
	return s
}

// Restore brings the disk back to what it held then, durably.
func (d *Disk) Restore(s Saved) {
	c := newCache(int64(len(s.now)))
	copy(c.now, s.now)
	for off := range s.bad {
		c.bad[off] = false
	}
	d.c = c
}

// Open is a Device on the disk.
func (d *Disk) Open() block.Device { return &handle{d: d} }

// handle is a Disk as long as it is open.
type handle struct {
	d      *Disk
	closed bool
	inside int
	empty  *event
}

func (h *handle) Info() block.Info {
	o := &h.d.o
	return block.Info{
		Name: h.d.name, Size: o.Size, Block: o.Block, Inline: o.Inline, Writable: true, Discard: !o.NoZeroes, Zeroes: !o.NoZeroes,
	}
}

func (h *handle) Do(_ context.Context, r block.Request) error {
	if h.closed {
		return block.Blame(h.d.name, r, block.ErrClosed)
	}
	info := h.Info()
	if err := info.Check(r); err != nil {
		return block.Blame(h.d.name, r, err)
	}
	h.inside++
	defer func() {
		if h.inside--; h.inside == 0 && h.empty != nil {
			h.empty.Set()
		}
	}()
	err := h.d.do(r)
	h.d.w.note(h.d.name, h.d.sum, r, err)
	return block.Blame(h.d.name, r, err)
}

func (h *handle) Close() error {
	h.closed = true
	for h.inside > 0 {
		h.empty = &event{w: h.d.w}
		h.empty.Wait()
	}
	return nil
}
