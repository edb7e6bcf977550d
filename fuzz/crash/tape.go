package crash

import (
	"hash/maphash"
	"math"
)

// entry is a command of a member: a write, or a flush.
type entry struct {
	member  int
	first   int    // sector
	data    []byte // what was written
	fua     bool
	flush   bool
	start   int // on the tape's clock: when it reached the member,
	applied int // when reads saw it,
	over    int // and when it completed; never if it did not
	keys    []key
}

const never = math.MaxInt

func (e *entry) sectors() int { return len(e.data) / sector }

// tape is what members were told, in order.
type tape struct {
	clock   int // ticks at the start and the end of each command, and of each request of a client
	entries []entry
}

func (t *tape) tick() int {
	t.clock++
	return t.clock
}

func (t *tape) begin(e entry) int {
	e.start, e.applied, e.over = t.tick(), never, never
	t.entries = append(t.entries, e)
	return len(t.entries) - 1
}

func (t *tape) apply(i int) { t.entries[i].applied = t.clock }

func (t *tape) end(i int) { t.entries[i].over = t.tick() }

// durable says whether a crash at that time leaves write i for sure.
func (t *tape) durable(i, at int) bool {
	e := &t.entries[i]
	if e.over > at {
		return false
	}
	if e.fua {
		return true
	}
	for k := i + 1; k < len(t.entries) && t.entries[k].start <= at; k++ {
		if f := &t.entries[k]; f.flush && f.member == e.member && f.start > e.over && f.over <= at {
			return true
		}
	}
	return false
}

// moment is a stretch of time in which a crash may leave the same images.
type moment struct {
	from, to int   // on the tape's clock, both included
	fixed    []int // entries that are there for sure, in the order they were applied
	loose    []int // and those that may be there or not
}

// moments is all of a tape.
func (t *tape) moments() (all []moment) {
	order := t.writes()
	for at := 0; at <= t.clock; at++ {
		m := moment{from: at, to: at}
		for _, i := range order {
			switch {
			case t.entries[i].start > at:
			case t.durable(i, at):
				m.fixed = append(m.fixed, i)
			default:
				m.loose = append(m.loose, i)
			}
		}
		if n := len(all); n > 0 && equal(all[n-1].fixed, m.fixed) && equal(all[n-1].loose, m.loose) {
			all[n-1].to = at
			continue
		}
		all = append(all, m)
	}
	return all
}

// writes is the entries that change something, in the order they were applied; those that never were come last.
func (t *tape) writes() (order []int) {
	for i := range t.entries {
		if t.entries[i].flush {
			continue
		}
		k := len(order)
		order = append(order, i)
		for ; k > 0 && t.entries[order[k-1]].applied > t.entries[i].applied; k-- {
			order[k] = order[k-1]
		}
		order[k] = i
	}
	return order
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// key is a sum over sectors of what they hold: images with equal keys are equal, but for one chance in 2^128 or so.
type key [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func keyOf(member, at int, data []byte) key {
	place := uint64(member)<<32 | uint64(at)
	return key{
		maphash.Bytes(seeds[0], data)*(2*place+0x9E3779B97F4A7C15) ^ place*0xBF58476D1CE4E5B9,
		maphash.Bytes(seeds[1], data)*(2*place+0x94D049BB133111EB) ^ place*0xD6E8FEB86659FD93,
	}
}

func (k key) plus(o key) key  { return key{k[0] + o[0], k[1] + o[1]} }
func (k key) minus(o key) key { return key{k[0] - o[0], k[1] - o[1]} }
