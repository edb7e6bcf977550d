package multipath

import (
	"time"
)

// record is what is known of a path.
type record struct {
	name, host, group string
	priority          int
	standby           bool // by configuration
	removed           bool

	state    State
	since    time.Duration
	reason   string
	instance string        // of the target, if it says
	until    time.Duration // failed, held down: not tried before
	refusals int           // tries in a row that led nowhere
	leaving  bool          // the target said that it is about to stop
	overdue  int           // requests that it keeps waiting
	flaps    int
	flapped  time.Duration
	score    float64 // errors, decaying
	scored   time.Duration
	latency  latency
}

// transition is a path's step from one state to another.
type transition struct {
	path     int
	from, to State
	reason   string
}

// table decides about paths, and does nothing: who is in which state, which group is used, and which paths requests may take. Times
// are given to it. It is guarded by whoever owns it.
type table struct {
	o      *Options
	jitter func(time.Duration) time.Duration
	paths  []record

	lead      string        // the instance of the target that is used, if targets say
	current   string        // the group that is used
	preferred string        // by the administrator
	failback  time.Duration // when; 0: not planned
	revived   string        // the group whose first path just came up
	lost      time.Duration // since when there is no path; never: there is one

	live  []int // paths that a request may take
	out   []transition
	moved string // why the group was left for another, since the last look
}

func newTable(o *Options, jitter func(time.Duration) time.Duration) *table {
	return &table{o: o, jitter: jitter}
}

// move takes a path to a state, and notes that it did.
func (t *table) move(path int, to State, reason string, now time.Duration) {
	r := &t.paths[path]
	if r.state == to {
		r.reason = reason
		return
	}
	t.out = append(t.out, transition{path, r.state, to, reason})
	r.state, r.since, r.reason = to, now, reason
}

// add takes a path in, new, and returns its number.
func (t *table) add(r record, now time.Duration) int {
	r.state, r.since = StateNew, now
	for i := range t.paths {
		if t.paths[i].removed {
			t.paths[i] = r
			return i
		}
	}
	t.paths = append(t.paths, r)
	return len(t.paths) - 1
}

// usable says whether a path of the group counts for it.
func (r *record) usable() bool {
	return !r.removed && (r.state.good() || r.state == StateGhost)
}

// standing is what a group is worth.
type standing struct {
	name     string
	good     int // paths that I/O goes to as a rule
	usable   int
	priority float64 // average of the usable ones
	chosen   bool    // by the administrator
}

func (g standing) better(h standing) bool {
	switch {
	case (g.good > 0) != (h.good > 0):
		return g.good > 0
	case g.chosen != h.chosen:
		return g.chosen
	case g.priority != h.priority:
		return g.priority > h.priority
	}
	return g.usable > h.usable
}

// standings is what the groups are worth, in the order of their first paths.
func (t *table) standings() []standing {
	var all []standing
next:
	for i := range t.paths {
		r := &t.paths[i]
		if r.removed {
			continue
		}
		for _, g := range all {
			if g.name == r.group {
				continue next
			}
		}
		all = append(all, t.standing(r.group))
	}
	return all
}

func (t *table) standing(name string) standing {
	g := standing{name: name, chosen: name == t.preferred}
	sum := 0
	for i := range t.paths {
		r := &t.paths[i]
		if r.group != name || !r.usable() {
			continue
		}
		sum += r.priority
		g.usable++
		if r.state.good() {
			g.good++
		}
	}
	if g.usable > 0 {
		g.priority = float64(sum) / float64(g.usable)
	}
	return g
}

// settle looks at all paths after something has changed: which group is used, and which paths. It may promote ghosts.
func (t *table) settle(now time.Duration) {
	t.promote(now)
	t.chooseGroup(now)
	t.demote(now)
	t.live = t.choose(t.live[:0])
	switch {
	case len(t.live) > 0:
		t.lost = never
	case t.lost == never:
		t.lost = now
	}
	t.revived = ""
}

// chooseGroup leaves a group that has no path to use, and returns to a better one as Failback has it.
func (t *table) chooseGroup(now time.Duration) {
	all := t.standings()
	if len(all) == 0 {
		t.current = ""
		return
	}
	best := all[0]
	for _, g := range all[1:] {
		if g.better(best) {
			best = g
		}
	}
	have := t.standing(t.current)
	switch {
	case best.good == 0 || best.name == t.current:
		t.failback = 0
		return
	case have.good == 0:
		t.enter(best.name, "it has no path that can be used")
		return
	case !best.better(have):
		t.failback = 0
		return
	}
	switch t.o.Failback {
	case FailbackImmediate:
		t.enter(best.name, "failback: a better group is there")
	case FailbackFollowover:
		if t.revived == best.name {
			t.enter(best.name, "failback: the first path of a better group came up")
		}
	case FailbackDeferred:
		switch {
		case t.failback == 0:
			t.failback = now + t.o.FailbackAfter
		case now >= t.failback:
			t.enter(best.name, "failback: a better group has been there for "+t.o.FailbackAfter.String())
		}
	}
}

func (t *table) enter(group, why string) {
	if t.current != "" {
		t.moved = why
	}
	t.current, t.failback = group, 0
}

// promote makes ghosts of paths to use when no other path is there. Ghosts of the same instance of the target come before marginal and suspect
// paths; those of another instance only when nothing of the present one is left, as what it has not flushed would be missed.
func (t *table) promote(now time.Duration) {
	here := false // something of the present instance is left
	for i := range t.paths {
		r := &t.paths[i]
		switch {
		case r.removed:
		case r.state.good():
			return
		case r.state == StateMarginal || r.state == StateSuspect:
			here = true
		}
	}
	best := -1
	for i := range t.paths {
		r := &t.paths[i]
		if r.removed || r.state != StateGhost || r.leaving || here && r.instance != t.lead {
			continue
		}
		if best < 0 || r.priority > t.paths[best].priority {
			best = i
		}
	}
	if best < 0 {
		return
	}
	t.lead = t.paths[best].instance
	for i := range t.paths {
		r := &t.paths[i]
		if !r.removed && r.state == StateGhost && !r.leaving && r.instance == t.lead && (i == best || !r.standby) {
			t.move(i, StateUp, "activated: no other path is there", now)
		}
	}
}

// demote makes ghosts again of standby paths that had to be used, once the group in use has another.
func (t *table) demote(now time.Duration) {
	regular := false
	for i := range t.paths {
		r := &t.paths[i]
		regular = regular || !r.removed && !r.standby && r.group == t.current && r.state.good()
	}
	for i := range t.paths {
		if r := &t.paths[i]; regular && !r.removed && r.standby && r.state.good() {
			t.move(i, StateGhost, "standby: another path is there again", now)
		}
	}
}

// choose appends the paths that requests may take: those of the group that are up, or slow if none is; if the group has neither, whatever is left.
func (t *table) choose(list []int) []int {
	in := func(s State, group bool) bool {
		for i := range t.paths {
			if r := &t.paths[i]; !r.removed && r.state == s && (!group || r.group == t.current) {
				list = append(list, i)
			}
		}
		return len(list) > 0
	}
	_ = in(StateUp, true) || in(StateSlow, true) || in(StateMarginal, false) || in(StateSuspect, false)
	return list
}

// another is a path to confirm through what path said: of another host if there is one, in the present group if there is one; -1: none.
func (t *table) another(path int) int {
	best, rank := -1, -1
	for i := range t.paths {
		r := &t.paths[i]
		if i == path || r.removed || !(r.state.good() || r.state == StateMarginal) {
			continue
		}
		n := 0
		if r.host != t.paths[path].host {
			n += 4
		}
		if r.state == StateUp {
			n += 2
		}
		if r.group == t.current {
			n++
		}
		if n > rank {
			best, rank = i, n
		}
	}
	return best
}
