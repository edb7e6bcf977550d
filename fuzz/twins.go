package fuzz

import "bytes"

// copied judges members that are being filled to replace others, in images: below where their superblocks say that they are, they have what the others have,
// wherever nothing was under way.
func (r *run) copied(o outlook, when string) {
	if r.err != nil || r.Beyond {
		return
	}
	var moving map[int64]bool // rows that something was under way in
	for role, d := range o.twin {
		if d < 0 || o.supers[d].filled == 0 {
			continue
		}
		if r.seen["replaced in part"]++; moving == nil {
			moving = r.moving()
		}
		for row := int64(0); row < min(o.supers[d].filled, r.lay.used); row += sector {
			if r.cut && (moving[row] || r.torn || !r.whole) {
				continue
			}
			old, now := r.at(o, role, row), r.on(o, d, row)
			if old != nil && now != nil && !bytes.Equal(old, now) {
				r.fail("%s, and %s, which says that it is filled below row %d to replace %s, has something else at %d", when, name(d), o.supers[d].filled, name(o.disk[role]), row)
				return
			}
		}
	}
}

// moving is the rows that something was under way in when the array went down last.
func (r *run) moving() map[int64]bool {
	rows := map[int64]bool{}
	for _, lba := range r.j.suspects {
		for _, p := range r.lay.places(lba * sector) {
			rows[p.row] = true
		}
	}
	return rows
}
