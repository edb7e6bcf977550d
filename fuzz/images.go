package fuzz

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"graid/raid"
)

// outlook is what the members' images say about an array: read with no help from the engine.
type outlook struct {
	fresh  *super
	supers []*super // by member; nil: not offered
	here   []bool   // by role: in sync
	dirty  bool
	enough bool
	refuse bool // dirty and degraded, with data that only parity knows
}

// look reads the images of the members offered.
func (r *run) look(offered []int) outlook {
	o := outlook{supers: make([]*super, r.Members), here: make([]bool, r.Members)}
	for _, m := range offered {
		s := r.super(m)
		if o.supers[m] = s; s == nil || s.role(s.number) < 0 {
			continue
		}
		if o.fresh == nil || s.events > o.fresh.events || s.events == o.fresh.events && s.resync < o.fresh.resync {
			o.fresh = s
		}
	}
	if o.fresh == nil {
		return o
	}
	missing, data := 0, false
	for m, s := range o.supers {
		o.here[m] = s != nil && s.role(s.number) == m && s.events+1 >= o.fresh.events && o.fresh.role(s.number) == m
		if !o.here[m] {
			missing++
			data = data || r.Level != 4 || m != r.Members-1
		}
	}
	o.dirty = r.Level > 0 && o.fresh.resync != clean
	o.enough = r.lay.enough(o.here)
	if r.Level <= 0 {
		o.enough = missing == 0
	}
	o.refuse = r.lay.parity != nil && o.dirty && missing > 0 && data
	return o
}

// assemble starts the array, or judges why it does not start: then it returns nil, or what force started.
func (r *run) assemble() *raid.Array {
	r.recall()
	var offered []int
	for _, m := range r.shuffled() {
		if !slices.Contains(r.life.Absent, m) {
			offered = append(offered, m)
		}
	}
	o := r.look(offered)
	open := func(force, twice bool) (*raid.Array, error) {
		var members []raid.Member
		r.paths = make([]string, r.Members)
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
		for m, here := range o.here {
			r.lost[m] = !here
		}
		r.torn, r.unsynced = o.dirty, o.dirty
		return raid.Assemble(ctx, members, raid.Options{Sched: r.host, Run: true, Force: force, Quiet: r.Quiet, OnEvent: r.hear})
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
		return a
	case o.refuse && strings.Contains(err.Error(), "--force") && o.enough:
		r.seen["refused, forced"]++
		r.halfMade()
		if a, err = open(true, false); err == nil {
			return a
		}
		r.fail("forced: %w", err)
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
	var all, offered []int
	for m := range r.Members {
		all = append(all, m)
		if !slices.Contains(r.life.Absent, m) {
			offered = append(offered, m)
		}
	}
	newest, o := r.look(all), r.look(offered)
	if o.fresh == nil || newest.fresh != nil && o.fresh.events < newest.fresh.events {
		r.life.Absent = nil
	}
}

// images judges what a closed array left on its members.
func (r *run) images(state raid.Status, closed error) {
	var offered []int
	for m := range r.Members {
		if !slices.Contains(r.life.Absent, m) {
			offered = append(offered, m)
		}
	}
	o := r.look(offered)
	if r.Level > 0 {
		for m, here := range o.here {
			if here == r.lost[m] && !r.Beyond {
				r.fail("closed: %s was lost: %v, and the superblocks say that it is in sync: %v", name(m), r.lost[m], here)
				return
			}
		}
	}
	for m, failed := range r.failed {
		if s := r.super(m); failed && !r.Beyond && o.fresh.role(s.number) >= 0 {
			r.fail("closed: %s has failed, and the superblocks say that it has role %d", name(m), o.fresh.role(s.number))
			return
		}
	}
	for m, here := range o.here {
		if n := r.disks[m].Unflushed(); here && n > 0 && !r.lost[m] && closed == nil {
			r.fail("closed, and %d sectors of %s are not durable", n, name(m))
			return
		}
	}
	for m, d := range r.disks {
		if r.twoBad(m) {
			continue // NB: raid6 reads around two bad sectors of a row, and rewrites neither
		}
		if d.Met() > 0 && o.here[m] && !r.torn && !r.Beyond && r.Level > 0 {
			r.fail("%d sectors of %s could not be read, and were not rewritten", d.Met(), name(m))
			return
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
}

// twoBad says whether a member of a raid6 has a bad sector near one of another member: within what is rewritten together.
func (r *run) twoBad(m int) bool {
	if r.lay.second == nil {
		return false
	}
	for row := int64(0); row < r.lay.rows; row += sector {
		if !r.disks[m].IsBad(r.dataAt() + row) {
			continue
		}
		for other := range r.disks {
			for near := max(0, row-4096); near < row+4096; near += sector {
				if other != m && r.disks[other].IsBad(r.dataAt()+near) {
					return true
				}
			}
		}
	}
	return false
}

// at is a sector of a member's data area, nil if it cannot be read and nobody knows what it held.
func (r *run) at(o outlook, role int, row int64) []byte {
	from := o.supers[role].dataAt + row
	if r.disks[role].IsBad(from) && r.disks[role].Image()[from] == 0xEE {
		return nil
	}
	return r.disks[role].Image()[from : from+sector]
}

// row is the sectors of a row of the members that are in sync, by role.
func (r *run) row(o outlook, row int64) (of [][]byte, missing int) {
	for role, here := range o.here {
		var b []byte
		if here {
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
		if _, tainted := r.tainted[row]; missing > 1 || missing == 1 && (tainted || !r.whole || r.lay.second == nil) {
			continue
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
			if !o.here[p.role] {
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
			if b == nil && o.here[p.role] {
				b = r.at(o, p.role, p.row)
			}
		}
		if b == nil && r.lay.parity != nil && (p[0].row < agrees || !o.here[p[0].role]) { // a bad sector where parity is not said to agree: nobody can tell
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
		maps.DeleteFunc(r.tainted, func(row int64, _ uint64) bool { return row < agrees })
	}
}
