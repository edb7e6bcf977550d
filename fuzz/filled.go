package fuzz

import (
	"bytes"
	"slices"
)

// filled judges, after a crash, members that were being filled: below where their superblocks say that they are, they have what they should
// have, wherever nothing was under way.
func (r *run) filled() {
	o := r.look(r.everybody())
	if o.fresh == nil || !r.whole || r.Beyond || r.err != nil {
		return
	}
	for role, d := range o.disk {
		if end := min(o.upTo(role), r.lay.used); d >= 0 && !o.here[role] && end > 0 {
			r.seen["filled in part"]++
			if r.lay.parity != nil {
				r.filledSums(o, role, end)
			} else {
				r.filledCopies(o, role, end)
			}
		}
	}
}

func (r *run) everybody() (list []int) {
	for d := range r.disks {
		list = append(list, d)
	}
	return list
}

func (r *run) filledSums(o outlook, role int, end int64) {
	for row := int64(0); row < min(end, r.lay.rows); row += sector {
		if _, tainted := r.tainted[row]; tainted {
			continue
		}
		of, missing := r.row(o, row)
		if missing > 1 || missing == 1 && r.lay.second == nil {
			continue
		}
		if !r.lay.holds(row, of) {
			r.fail("cut, and %s, which says that it is filled below row %d, does not have what it should have at %d", name(o.disk[role]), end, row)
			return
		}
	}
}

func (r *run) filledCopies(o outlook, role int, end int64) {
	for off := int64(0); off < r.lay.size(); off += sector {
		places := r.lay.places(off)
		at := slices.IndexFunc(places, func(p place) bool { return p.role == role && p.row < end })
		if at < 0 {
			continue
		}
		if r.suspect(off/sector) || off/sector >= int64(len(r.j.sectors)) || r.j.sectors[off/sector].now == unknown {
			continue
		}
		got := r.at(o, role, places[at].row)
		for _, p := range places {
			if !o.here[p.role] {
				continue
			}
			if want := r.at(o, p.role, p.row); want != nil && got != nil && !bytes.Equal(want, got) {
				r.fail("cut, and %s, which says that it is filled below row %d, has %s of sector %d, and %s has %s", name(o.disk[role]), end,
					describe(got, off/sector), off/sector, name(o.disk[p.role]), describe(want, off/sector))
				return
			}
		}
	}
}
