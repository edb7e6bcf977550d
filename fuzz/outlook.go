package fuzz

import (
	"fmt"
	"slices"

	"graid/raid"
)

// outlook is what the disks' images say about an array: read with no help from the engine.
type outlook struct {
	fresh  *super
	supers []*super // by disk; nil: not offered
	disk   []int    // by role: who has it, in sync or being filled; -1: nobody
	here   []bool   // by role: in sync
	twin   []int    // by role: who is being filled to replace who has it; -1: nobody
	spares []int    // disks
	dirty  bool
	enough bool
	refuse bool // dirty and degraded, with data that only parity knows
}

// look reads the images of the disks offered.
func (r *run) look(offered []int) outlook {
	o := outlook{supers: make([]*super, len(r.disks)), disk: slices.Repeat([]int{-1}, r.Members), here: make([]bool, r.Members), twin: slices.Repeat([]int{-1}, r.Members)}
	for _, d := range offered {
		s := r.super(d)
		if o.supers[d] = s; s == nil || s.role(s.number) < 0 {
			continue
		}
		if o.fresh == nil || s.events > o.fresh.events || s.events == o.fresh.events && s.resync < o.fresh.resync {
			o.fresh = s
		}
	}
	if o.fresh == nil {
		return o
	}
	o.seat()
	missing, data := 0, false
	for role, here := range o.here {
		if !here {
			missing++
			data = data || r.Level != 4 || role != r.Members-1
		}
	}
	o.dirty = r.Level > 0 && o.fresh.resync != clean
	o.enough = r.lay.enough(o.here)
	if r.Level <= 0 {
		o.enough = missing == 0
	}
	o.refuse = r.lay.parity != nil && o.dirty && missing > 0 && data && (r.PPL == 0 || r.unloggable(&o))
	return o
}

// seat finds who has which role. The freshest alone says who is whom: of one that is two events behind nothing is believed, nor of one that
// has no role by its own account, but that it is a spare. Of spares nobody else keeps a record: the freshest of a number is that.
func (o *outlook) seat() {
	var twins []int
	for d, s := range o.supers {
		if s == nil {
			continue
		}
		own, role := s.role(s.number), o.fresh.role(s.number)
		switch {
		case own >= 0 && role >= 0 && s.events+1 >= o.fresh.events && s.replaces:
			twins = append(twins, d)
		case own >= 0 && role >= 0 && s.events+1 >= o.fresh.events:
			o.disk[role], o.here[role] = d, !s.filling
		case own == spare && role == spare:
			same := slices.IndexFunc(o.spares, func(x int) bool { return o.supers[x].number == s.number })
			switch {
			case same < 0:
				o.spares = append(o.spares, d)
			case o.supers[o.spares[same]].events < s.events:
				o.spares[same] = d
			}
		}
	}
	for _, d := range twins { // who was to be replaced may be gone
		switch role := o.fresh.role(o.supers[d].number); {
		case o.disk[role] < 0:
			o.disk[role], o.here[role] = d, !o.supers[d].filling
		case o.here[role]:
			o.twin[role] = d
		}
	}
}

// upTo is below which row a role has what it should have, as far as superblocks say; bytes.
func (o *outlook) upTo(role int) int64 {
	switch d := o.disk[role]; {
	case d < 0:
		return 0
	case o.here[role]:
		return 1 << 62
	default:
		return o.supers[d].filled
	}
}

// offered is the disks that are there in this life and have a superblock.
func (r *run) offered() (list []int) {
	for _, d := range r.shuffled() {
		if !slices.Contains(r.life.Absent, d) && r.super(d) != nil {
			list = append(list, d)
		}
	}
	return list
}

// believes judges whom an array that has just started believes.
func (r *run) believes(o outlook, s raid.Status) {
	if r.Level <= 0 || r.Beyond {
		return
	}
	var want, got []string
	for role, d := range o.disk {
		switch {
		case d < 0:
			want = append(want, fmt.Sprintf("%d: missing", role))
		case o.here[role]:
			want = append(want, fmt.Sprintf("%d: %s in sync", role, r.paths[d]))
		default:
			want = append(want, fmt.Sprintf("%d: %s recovering", role, r.paths[d]))
			r.seen["started in mid-recovery"]++
			if o.upTo(role) > 0 {
				r.seen["recovery goes on"]++
			}
		}
	}
	for role, d := range o.twin {
		if d >= 0 {
			want = append(want, fmt.Sprintf("%d: %s to replace it", role, r.paths[d]))
			r.seen["started in mid-replacement"]++
		}
	}
	for _, d := range o.spares {
		want = append(want, "spare "+r.paths[d])
	}
	for _, m := range s.Members {
		switch {
		case m.State == raid.MemberSpare:
			got = append(got, "spare "+m.Path)
		case m.State == raid.MemberMissing:
			got = append(got, fmt.Sprintf("%d: missing", m.Role))
		case m.State == raid.MemberReplacement:
			got = append(got, fmt.Sprintf("%d: %s to replace it", m.Role, m.Path))
		case m.State == raid.MemberRebuilding:
			got = append(got, fmt.Sprintf("%d: %s recovering", m.Role, m.Path))
		case m.State == raid.MemberInSync:
			got = append(got, fmt.Sprintf("%d: %s in sync", m.Role, m.Path))
		default:
			got = append(got, fmt.Sprintf("%d: %s %s", m.Role, m.Path, m.State))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		r.fail("started and believes %q, and superblocks say %q", got, want)
	}
}

// strangers is the disks whose superblocks name as active, beside themselves, nobody whom the freshest does: whether the array went on without
// them, or they without it, cannot be told from that, and the owner has to say.
func (r *run) strangers(o outlook) (list []int) {
	for d, s := range o.supers {
		if s == nil || slices.Contains(o.disk, d) || slices.Contains(o.twin, d) || s.role(s.number) < 0 {
			continue
		}
		common := false
		for number := range s.roles {
			common = common || number != s.number && s.role(number) >= 0 && o.fresh.role(number) >= 0
		}
		if !common {
			list = append(list, d)
		}
	}
	return list
}

// replaced judges an array that had time: where something is missing, no spare is left that could be it.
func (r *run) replaced(a *raid.Array) {
	s := a.Status()
	idle := slices.ContainsFunc(s.Members, func(m raid.MemberStatus) bool { return m.State == raid.MemberSpare || m.State == raid.MemberRebuilding })
	for d := range r.disks {
		if r.faulty(d) {
			return
		}
	}
	if s.Degraded > 0 && idle && !r.broken && !r.Beyond && r.err == nil {
		r.fail("%d members are missing, and nobody stands in for them: %v", s.Degraded, s.Members)
	}
	if slices.ContainsFunc(s.Members, func(m raid.MemberStatus) bool { return m.State == raid.MemberReplacement }) && !r.broken && !r.Beyond && r.err == nil {
		r.fail("somebody is to be replaced still: %v", s.Members)
	}
}
