package fuzz

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"graid/raid"
)

// assemble starts the array, or judges why it does not start: then it returns nil, or what force started.
func (r *run) assemble() *raid.Array {
	r.record()
	r.recall()
	offered := r.offered()
	o := r.look(offered)
	open := func(force, twice bool) (*raid.Array, error) {
		var members []raid.Member
		r.paths = make([]string, len(r.disks))
		for i, m := range offered {
			r.paths[m] = name(m)
			if r.life.Shuffle {
				r.paths[m] = "d" + name(i)
			}
			members = append(members, raid.Member{Path: r.paths[m], Dev: r.disks[m].Open()})
		}
		if twice {
			members = append(members, raid.Member{Path: "copy", Dev: r.disks[r.life.Twice].Open()})
		}
		r.seats = slices.Repeat([]int{-1}, r.Members)
		r.replacing = slices.Clone(o.twin)
		for role, here := range o.here {
			if r.lost[role] = !here; here {
				r.seats[role] = o.disk[role]
			}
		}
		r.torn, r.unsynced = o.dirty, o.dirty
		return raid.Assemble(ctx, members, raid.Options{Sched: r.host, Run: true, Force: force, Quiet: r.Quiet, ReadDeadline: r.Prompt, OnEvent: r.hear})
	}
	if m := r.life.Twice; m >= 0 && !slices.Contains(r.life.Absent, m) {
		if _, err := open(false, true); err == nil {
			r.fail("%s was offered twice: started", name(m))
			return nil
		}
		r.seen["offered twice"]++
	}
	a, err := open(false, false)
	r.stain()
	switch {
	case err == nil && o.refuse:
		r.fail("dirty, and members missing (here: %v): started without force", o.here)
	case err == nil && !o.enough:
		r.fail("too few members (here: %v): started", o.here)
	case err == nil:
		s := a.Status()
		r.believes(o, s)
		r.logged(o, s)
		return a
	case o.refuse && strings.Contains(err.Error(), "--force") && o.enough:
		r.seen["refused, forced"]++
		r.halfMade()
		if a, err = open(true, false); err == nil {
			r.forced, r.forcedOnce = true, true
			r.believes(o, a.Status())
			return a
		}
		r.fail("forced: %w", err)
	case strings.Contains(err.Error(), "have each run without the other") && len(r.strangers(o)) > 0:
		r.seen["refused, strangers left out"]++
		r.life.Absent = append(slices.Clone(r.life.Absent), r.strangers(o)...)
		return r.assemble()
	case !o.enough && r.Beyond:
		r.broken = true // honest
		r.seen["refused"]++
	default:
		r.fail("not started, with %v here, dirty %v: %w", o.here, o.dirty, err)
	}
	return nil
}

// recall has members come back that alone know what the array is at: to start it without them (--run) is to ask for what it was.
func (r *run) recall() {
	newest, o := r.look(r.everybody()), r.look(r.offered())
	if o.fresh == nil || newest.fresh != nil && o.fresh.events < newest.fresh.events {
		r.life.Absent = nil
	}
}

// images judges what a closed array left on its members.
func (r *run) images(state raid.Status, closed error) {
	o := r.look(r.offered())
	if r.Level > 0 {
		for m, here := range o.here {
			if here == r.lost[m] && !r.Beyond {
				r.fail("closed: %s was lost: %v, and the superblocks say that it is in sync: %v", name(m), r.lost[m], here)
				return
			}
		}
	}
	for d, failed := range r.failed {
		if role := max(slices.Index(o.disk, d), slices.Index(o.twin, d)); failed && !r.Beyond && role >= 0 {
			r.fail("closed: %s has failed, and the superblocks say that it has role %d", name(d), role)
			return
		}
	}
	for role, d := range o.disk {
		if d < 0 {
			continue
		}
		if n := r.disks[d].Unflushed(); n > 0 && !r.lost[role] && closed == nil {
			r.fail("closed, and %d sectors of %s are not durable", n, name(d))
			return
		}
		if r.twoBad(o, role) {
			continue // NB: raid6 reads around two bad sectors of a row, and rewrites neither
		}
		if r.disks[d].Met() == 0 || !o.here[role] || r.torn || r.Beyond || r.Level <= 0 {
			continue
		}
		for row := int64(0); row < r.lay.used; row += sector {
			_, tainted := r.tainted[row]                                                            // where parities contradict each other nobody knows what to write
			if r.disks[d].IsMet(r.dataAt()+row) && !tainted && !o.supers[d].isBad(r.dataAt()+row) { // a disk that refuses the write has it in its log
				r.fail("row %d of %s could not be read, and was not rewritten", row, name(d))
				return
			}
		}
	}
	agrees := r.lay.size() // array offsets below that have redundancy
	if r.lay.parity != nil {
		agrees = r.lay.rows
	}
	if o.dirty {
		agrees = min(agrees, int64(min(o.fresh.resync, 1<<40))*sector)
		r.seen["closed unclean"]++
	}
	if o.dirty && !r.unsynced && !r.Beyond {
		r.fail("closed after its resync was done (%v), and says dirty from sector %d on", state.State, o.fresh.resync)
		return
	}
	if r.lay.parity != nil {
		r.parities(o, agrees)
	} else if r.Level > 0 {
		r.copies(o, agrees)
	}
	r.content(o, agrees, closed == nil)
	r.copied(o, "closed")
	r.bitmaps(o, "closed")
}

// twoBad says whether who has a role of a raid6 has a bad sector near one of another member: within what is rewritten together.
func (r *run) twoBad(o outlook, role int) bool {
	if r.lay.second == nil {
		return false
	}
	for row := int64(0); row < r.lay.rows; row += sector {
		if !r.disks[o.disk[role]].IsBad(r.dataAt() + row) {
			continue
		}
		for other, d := range o.disk {
			for near := max(0, row-4096); near < row+4096 && d >= 0; near += sector {
				if other != role && r.disks[d].IsBad(r.dataAt()+near) {
					return true
				}
			}
		}
	}
	return false
}

// at is a sector of a role's data area, nil if it cannot be read and nobody knows what it held.
func (r *run) at(o outlook, role int, row int64) []byte { return r.on(o, o.disk[role], row) }

// on is at for a disk.
func (r *run) on(o outlook, d int, row int64) []byte {
	from := o.supers[d].dataAt + row
	if o.supers[d].isBad(from) || r.disks[d].IsBad(from) && r.disks[d].Image()[from] == 0xEE {
		return nil
	}
	return r.disks[d].Image()[from : from+sector]
}

// row is the sectors of a row of the members that have what they should have there, by role.
func (r *run) row(o outlook, row int64) (of [][]byte, missing int) {
	for role := range o.disk {
		var b []byte
		if row < o.upTo(role) {
			b = r.at(o, role, row)
		}
		if of = append(of, b); b == nil {
			missing++
		}
	}
	return of, missing
}

// parities judges every row that is said to agree and has more parity than members are missing.
func (r *run) parities(o outlook, agrees int64) {
	for row := int64(0); row < agrees; row += sector {
		of, missing := r.row(o, row)
		roles, tainted := r.tainted[row]
		if missing > 1 || missing == 1 && (tainted || !r.whole || r.lay.second == nil) {
			continue
		}
		if roles != 0 && r.lay.second != nil {
			continue // filled from one of two parities that did not agree
		}
		if !r.lay.holds(row, of) {
			r.fail("closed, and the parity of row %d is not the sum (rows agree below %d, it says)", row, agrees)
			return
		}
	}
}

// copies judges every sector that is said to agree.
func (r *run) copies(o outlook, agrees int64) {
	for off := int64(0); off < agrees; off += sector {
		var first []byte
		for _, p := range r.lay.places(off) {
			if p.row >= o.upTo(p.role) {
				continue
			}
			b := r.at(o, p.role, p.row)
			if first == nil {
				first = b
			}
			if b != nil && !bytes.Equal(first, b) {
				r.fail("closed, and the copies of sector %d differ: %s has %s, another %s (they agree below %d, it says)", off/sector, name(p.role),
					describe(b, off/sector), describe(first, off/sector), agrees)
				return
			}
		}
	}
}

// content judges every sector, read from the images, and takes it for durable if it was said to be.
func (r *run) content(o outlook, agrees int64, durable bool) {
	began := r.j.begin()
	for lba := range int64(len(r.j.sectors)) {
		var b []byte
		p := r.lay.places(lba * sector)
		for _, p := range p {
			if b == nil && p.row < o.upTo(p.role) {
				b = r.at(o, p.role, p.row)
			}
		}
		if b == nil && r.lay.parity != nil && (p[0].row < agrees || p[0].row >= o.upTo(p[0].role)) { // a bad sector where parity is not said to agree: nobody can tell
			of, _ := r.row(o, p[0].row)
			b = r.lay.solve(p[0].row, p[0].role, of)
		}
		switch {
		case b == nil:
			continue // nobody can tell
		case r.lay.parity == nil && r.Level > 0 && lba*sector >= agrees:
			continue // copies may differ
		}
		if _, err := r.j.readOne(lba, b, began); err != nil {
			r.fail("closed, and on the members %w", err)
			return
		}
		if durable {
			r.j.collapse(lba)
		}
	}
	if !slices.Contains(o.here, false) {
		r.whole = r.whole || durable && agrees == r.lay.rows
		maps.DeleteFunc(r.tainted, func(row int64, _ uint64) bool {
			of, missing := r.row(o, row)
			return row < agrees && missing == 0 && r.lay.holds(row, of)
		})
	}
}
