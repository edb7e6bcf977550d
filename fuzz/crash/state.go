package crash

import (
	"math/bits"
)

// keys computes what each sector of each write adds to the key of an image, as a difference to the shape's first one.
func (t *tape) keys(g *ground) {
	for i := range t.entries {
		e := &t.entries[i]
		for k := range e.sectors() {
			at := e.first + k
			now := keyOf(e.member, at, e.data[k*sector:(k+1)*sector])
			e.keys = append(e.keys, now.minus(g.baseKey[e.member][at]))
		}
	}
}

// snapshot makes im a copy of what the members hold, which were loaded from an image; nil says that it is the shape's first.
func (g *ground) snapshot(im, from *image) *image {
	if im.m == nil {
		*im = image{m: make([][]byte, len(g.disks)), diff: make([][64]key, len(g.disks)), key: make([]key, len(g.disks))}
	}
	for i, d := range g.disks {
		im.m[i] = append(im.m[i][:0], d.now...)
		if from != nil {
			im.diff[i] = from.diff[i]
			im.key[i] = g.keyNow(from, i, &im.diff[i])
		}
	}
	for _, d := range g.disks {
		d.from, d.dirty = im, 0
	}
	return im
}

// keyNow is the key of what member i holds, which was loaded from an image. What differs by sector goes to diff, unless that is nil.
func (g *ground) keyNow(from *image, i int, diff *[64]key) key {
	k, d := from.key[i], g.disks[i]
	for left := d.dirty; left != 0; left &= left - 1 {
		at := bits.TrailingZeros64(left)
		now := keyOf(i, at, d.now[at*sector:(at+1)*sector]).minus(g.baseKey[i][at])
		k = k.plus(now).minus(from.diff[i][at])
		if diff != nil {
			diff[at] = now
		}
	}
	return k
}

// A state is an image that a crash may leave: of moment m of a tape that began on image from, with those sectors of each loose write that
// keep says.

// materialize has the members hold a state.
func (g *ground) materialize(from *image, t *tape, m moment, keep []uint64) {
	for _, d := range g.disks {
		d.load(from)
	}
	merge(t, m, keep, func(e *entry, only uint64) { g.disks[e.member].put(e.first, e.data, only) })
}

// merge calls do with all writes of a state in the order they were applied.
func merge(t *tape, m moment, keep []uint64, do func(e *entry, only uint64)) {
	i, k := 0, 0
	before := func() bool { // is the next fixed one before the next loose one?
		if i == len(m.fixed) || k == len(m.loose) {
			return k == len(m.loose)
		}
		f, l := m.fixed[i], m.loose[k]
		a, b := t.entries[f].applied, t.entries[l].applied
		return a < b || a == b && f < l
	}
	for i < len(m.fixed) || k < len(m.loose) {
		if before() {
			do(&t.entries[m.fixed[i]], ^uint64(0))
			i++
			continue
		}
		if keep[k] != 0 {
			do(&t.entries[m.loose[k]], keep[k])
		}
		k++
	}
}

// hasher computes the keys of states by member.
type hasher struct {
	at   [8][64]key // what differs from the image before, by member and sector
	used [8]uint64
}

// of is the keys of a state, by member.
func (s *hasher) of(from *image, t *tape, m moment, keep []uint64, out []key) {
	merge(t, m, keep, func(e *entry, only uint64) {
		for i, k := range e.keys {
			if only>>i&1 != 0 {
				s.at[e.member][e.first+i] = k
				s.used[e.member] |= 1 << (e.first + i)
			}
		}
	})
	for i := range out {
		k := from.key[i]
		for left := s.used[i]; left != 0; left &= left - 1 {
			at := bits.TrailingZeros64(left)
			k = k.plus(s.at[i][at]).minus(from.diff[i][at])
		}
		s.used[i] = 0
		out[i] = k
	}
}
