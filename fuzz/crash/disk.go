package crash

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"time"

	"graid/block"
	"graid/sched"
)

// Members are tiny: 64 sectors, so that a set of them is one word.
const (
	sector     = 512
	memberSize = 64 * sector
	superAt    = 8 // the sector of a 1.2 superblock
	chunk      = 4 << 10
	perChunk   = chunk / sector
)

// image is what the members of an array hold.
type image struct {
	m    [][]byte
	diff [][64]key // by member and sector: the key of what is there less that of the shape's first image
	key  []key     // by member: the sum of these
}

// disk is a member under a running engine.
type disk struct {
	number int
	now    []byte
	from   *image // what it was loaded from
	dirty  uint64 // sectors that may differ from it
	bad    uint64 // sectors that cannot be read until they are written
	tape   *tape

	// While a history runs, a command takes a time that its stream says. Nil: none.
	latency *rand.Rand
	sched   sched.Sched
	uneven  bool // some take much longer

	gone bool // every request fails
	lies bool // flushes are acknowledged, and make nothing durable
}

// load makes d hold what im says.
func (d *disk) load(im *image) {
	src := im.m[d.number]
	if d.from != im {
		copy(d.now, src)
	} else {
		for left := d.dirty; left != 0; left &= left - 1 {
			at := bits.TrailingZeros64(left) * sector
			copy(d.now[at:at+sector], src[at:at+sector])
		}
	}
	d.from, d.dirty, d.bad, d.gone, d.tape, d.latency, d.sched = im, 0, 0, false, nil, nil, nil
}

// put makes those sectors of a write that only has part of what d holds.
func (d *disk) put(first int, data []byte, only uint64) {
	for i := 0; i*sector < len(data); i++ {
		if only>>i&1 != 0 {
			copy(d.now[(first+i)*sector:], data[i*sector:(i+1)*sector])
			d.dirty |= 1 << (first + i)
			d.bad &^= 1 << (first + i)
		}
	}
}

func (d *disk) wait() {
	if d.latency == nil {
		return
	}
	most := int64(100)
	if d.uneven && d.latency.IntN(4) == 0 {
		most = 2000
	}
	d.sched.Sleep(time.Duration(1+d.latency.Int64N(most)) * time.Microsecond)
}

// handle is a disk as long as it is open.
type handle struct {
	d      *disk
	name   string
	closed bool
}

func (h *handle) Info() block.Info {
	return block.Info{Name: h.name, Size: memberSize, Block: sector, Inline: h.d.latency == nil, Writable: true, Discard: true, Zeroes: true}
}

func (h *handle) Close() error {
	h.closed = true
	return nil
}

func (h *handle) Do(_ context.Context, r block.Request) error {
	info := h.Info()
	err := info.Check(r)
	switch {
	case h.closed:
		err = block.ErrClosed
	case h.d.gone:
		err = block.ErrGone
	}
	if err != nil {
		return block.Blame(h.name, r, err)
	}
	d, first := h.d, int(r.Off/sector)
	switch {
	case r.Op == block.Read:
		d.wait()
		if d.bad&span(first, int(r.Len/sector)) != 0 {
			return block.Blame(h.name, r, block.ErrMedia)
		}
		copy(r.Buf, d.now[r.Off:])
		d.wait()
	case r.Op == block.Flush:
		if d.lies {
			d.wait()
			return nil
		}
		e := d.tape.begin(entry{member: d.number, flush: true})
		d.wait()
		d.tape.end(e)
	case r.Len > 0:
		data := make([]byte, r.Len)
		copy(data, r.Buf) // nil: zeroes
		e := d.tape.begin(entry{member: d.number, first: first, data: data, fua: r.Flags&block.FUA != 0})
		d.wait()
		d.put(first, data, ^uint64(0))
		d.tape.apply(e)
		d.wait()
		d.tape.end(e)
	}
	return nil
}

// span is the set of n sectors from first on.
func span(first, n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return (1<<n - 1) << first
}
