package sim

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// Sector is what a member writes whole or not at all, bytes.
const Sector = 512

// cache is what a member holds, and what a power cut may leave of it.
type cache struct {
	now      []byte // what reads return
	versions map[int64][]version
	bad      map[int64]bool // sectors that cannot be read; true: some read has met it
	inflight []*writing     // not applied yet
	order    int64          // counts completions
	spare    [][]byte       // memory of contents to use again
	lists    [][]version    // and of lists
}

// version is a content that a sector may have after a cut. The first of a sector is the durable one, the last is what reads return.
type version struct {
	data []byte   // nil in the last one: it is in cache.now
	by   *writing // nil: the durable one
}

// writing is a write from its start until nobody asks for it any more.
type writing struct {
	off     int64
	data    []byte // nil: zeroes. Belongs to the caller until the write is over
	n       int64
	done    int64 // when it completed, in the cache's order; 0: it has not
	applied bool
}

func newCache(size int64) *cache {
	return &cache{now: make([]byte, size), versions: map[int64][]version{}, bad: map[int64]bool{}}
}

func (c *cache) copyOf(b []byte) []byte {
	if n := len(c.spare); n > 0 {
		s := c.spare[n-1]
		c.spare = c.spare[:n-1]
		copy(s, b)
		return s
	}
	return bytes.Clone(b)
}

func (c *cache) list() []version {
	if n := len(c.lists); n > 0 {
		l := c.lists[n-1]
		c.lists = c.lists[:n-1]
		return l
	}
	return make([]version, 0, 4)
}

// content is what w writes to the sector at off.
func (w *writing) content(off int64) []byte {
	if w.data == nil {
		return zeroes[:]
	}
	return w.data[off-w.off : off-w.off+Sector]
}

var zeroes [Sector]byte

// apply makes reads see w, in those sectors that only has; nil is all.
func (c *cache) apply(w *writing, only func(off int64) bool) {
	w.applied = true
	if i := slices.Index(c.inflight, w); i >= 0 {
		c.inflight = slices.Delete(c.inflight, i, i+1)
	}
	for off := w.off; off < w.off+w.n; off += Sector {
		if only != nil && !only(off) {
			continue
		}
		now := c.now[off : off+Sector]
		list := c.versions[off]
		if len(list) == 0 {
			list = append(c.list(), version{})
		}
		list[len(list)-1].data = c.copyOf(now)
		copy(now, w.content(off))
		c.versions[off] = append(list, version{by: w})
		delete(c.bad, off)
	}
}

// complete says that w is over.
func (c *cache) complete(w *writing) {
	c.order++
	w.done, w.data = c.order, nil
}

// flush makes durable what was complete at that moment in the order.
func (c *cache) flush(before int64) {
	for off, list := range c.versions {
		last := 0
		for i, v := range list {
			if v.by == nil || v.by.done != 0 && v.by.done <= before {
				last = i
			}
		}
		c.forget(off, list, last)
	}
}

// forget drops the versions of a sector before the one of that number, which is durable now.
func (c *cache) forget(off int64, list []version, last int) {
	for _, v := range list[:last] {
		c.spare = append(c.spare, v.data)
	}
	list = append(list[:0], list[last:]...)
	list[0].by = nil
	if len(list) == 1 {
		c.lists = append(c.lists, list[:0])
		delete(c.versions, off)
		return
	}
	c.versions[off] = list
}

// settle makes w durable, alone.
func (c *cache) settle(w *writing) {
	for off := w.off; off < w.off+w.n; off += Sector {
		list := c.versions[off]
		for i, v := range list {
			if v.by == w {
				c.forget(off, list, i)
				break
			}
		}
	}
}

// unflushed is the sectors that a cut may leave with something else than what a read returns, lowest first.
func (c *cache) unflushed() []int64 { return slices.Sorted(maps.Keys(c.versions)) }

// Keep is how a power cut chooses what is kept of a member's unflushed sectors.
type Keep uint8

// The ways.
const (
	KeepAny    Keep = iota // any content that the sector may have, each for itself
	KeepNone               // the durable one
	KeepAll                // the newest
	KeepPrefix             // of all contents in the order they were applied, those before some moment
	keeps
)

// cut leaves of each sector one of the contents it may have.
func (c *cache) cut(rng *rand.Rand, how Keep) {
	for _, w := range c.inflight {
		if how == KeepNone {
			break
		}
		half := &writing{off: w.off, n: w.n, data: w.data}
		c.apply(half, func(int64) bool { return rng.IntN(2) == 0 })
	}
	c.inflight = nil
	limit := rng.Int64N(c.order + 1)
	for _, off := range c.unflushed() {
		list := c.versions[off]
		i := 0
		switch how {
		case KeepAny:
			i = rng.IntN(len(list))
		case KeepAll:
			i = len(list) - 1
		case KeepPrefix:
			for j, v := range list {
				if v.by == nil || v.by.done != 0 && v.by.done <= limit {
					i = j
				}
			}
		}
		if data := list[i].data; data != nil {
			copy(c.now[off:], data)
		}
	}
	clear(c.versions)
}
