package fuzz

import (
	"bytes"
	"fmt"
	"slices"

	"graid/raid"
)

// differs judges a mismatch that a check or repair found.
func (r *run) differs(what string) {
	if r.rotten || r.Beyond || r.unsynced || r.forced || r.spoilt || !r.whole && r.lay.parity != nil || len(r.tainted) > 0 {
		return
	}
	for d := range r.disks {
		if r.torn && r.faulty(d) {
			return
		}
	}
	r.fail("everything agreed, and a check found %s", what)
}

// scrub is a life in which nobody reads or writes: some redundancy is spoilt unnoticed, a check finds it and changes nothing, and a repair
// brings back what was there.
func (r *run) scrub(a *raid.Array) {
	s := a.Status()
	if s.Degraded > 0 || r.torn || r.broken || !r.whole || len(r.tainted) > 0 || r.anyAiling() || r.Mostly >= 0 {
		return
	}
	if slices.ContainsFunc(s.Members, func(m raid.MemberStatus) bool { return m.BadBlocks > 0 }) {
		return // a check rewrites what bad block logs say
	}
	_ = a.Wait(ctx)
	before := r.areas()
	located := r.life.Located && r.locates()
	pieces := r.rot(located)
	repair := a.Repair
	if located {
		repair = func() error { return a.RepairWith(raid.RepairOptions{Locate: true}) }
		r.seen["located"]++
	}
	after := r.areas()
	r.rotten = true
	defer func() { r.rotten = false }()
	for i, work := range []func() error{a.Check, a.Check, repair, a.Check} {
		if err := work(); err != nil {
			r.fail("scrub: %w", err)
			return
		}
		_ = a.Wait(ctx)
		want, what := after, "a check changed something"
		if i >= 2 {
			want, what = before, "a repair did not bring back what was there"
		}
		for d, b := range r.areas() {
			if !bytes.Equal(b, want[d]) {
				r.fail("%s, on %s", what, name(d))
				return
			}
		}
		if got := a.Status().MismatchSectors; got > 0 != (i < 3) || r.lay.parity != nil && i < 3 && got != 8*pieces {
			r.fail("%d pieces of redundancy were spoilt, and scrub %d of 4 counts %d sectors", pieces, i, got)
			return
		}
	}
	r.seen["scrubbed"]++
}

// areas is the data areas of all members.
func (r *run) areas() (list [][]byte) {
	for _, d := range r.seats {
		at := r.dataAt()
		list = append(list, bytes.Clone(r.disks[d].Image()[at:at+r.lay.used]))
	}
	return list
}

// locates says whether redundancy can tell who is wrong: one unknown more than it can compute.
func (r *run) locates() bool {
	return r.lay.second != nil || r.lay.parity == nil && len(r.lay.places(0)) >= 3
}

// rot spoils parity, or copies that are not the first, or anything, and says in how many different pieces of 4 KiB.
func (r *run) rot(anywhere bool) int64 {
	rng := r.w.Rand(fmt.Sprintf("rot of life %d", r.number), "sectors")
	pieces := map[int64]bool{}
	for range 1 + rng.IntN(3) {
		var p place
		if r.lay.parity != nil {
			p.row = rng.Int64N(r.lay.rows/sector) * sector
			stripe := p.row / r.lay.chunk
			if p.role = r.lay.parity[stripe]; r.lay.second != nil && rng.IntN(2) == 0 {
				p.role = r.lay.second[stripe]
			}
		} else {
			copies := r.lay.places(rng.Int64N(r.lay.size()/sector) * sector)
			p = copies[1+rng.IntN(len(copies)-1)]
			if anywhere {
				p = copies[rng.IntN(len(copies))]
			}
		}
		if r.lay.parity != nil && anywhere {
			p.role = rng.IntN(r.Members)
		}
		if pieces[p.row/4096] {
			continue // spoilt twice it might be right again
		}
		pieces[p.row/4096] = true
		r.disks[r.seats[p.role]].Flip(r.dataAt() + p.row)
	}
	return int64(len(pieces))
}
