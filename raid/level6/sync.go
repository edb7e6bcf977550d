package level6

import "graid/raid/plan"

// maxStripes is how many stripes a Sync plan can have: each costs two writes and, as the parities move, two more reads.
const maxStripes = plan.MaxIO / 4

// job is what a Sync plan does in one stripe.
type job struct {
	*turn
	n         int           // equations
	target    [parities]int // the role that gets what each gives; none = the equation is checked
	equations [parities]equation
}

func (j *job) add(target int, e equation) {
	j.target[j.n], j.equations[j.n] = target, e
	j.n++
}

// use is what is done with a role's chunk.
func (j *job) use(role int) (u plan.Use) {
	for k := range j.n {
		if j.target[k] == role {
			return plan.Result
		}
		if j.equations[k].of(j.turn, role) != 0 {
			u = plan.Source
		}
	}
	return u
}

// Sync gives each role one slot for all the rows: what is needed of it is read into it in as few requests as its turns at parity
// allow, and what is made for it is computed and written there.
func (l *level) Sync(p *plan.Plan, span plan.Span, k plan.Kind, v *plan.View) (int64, error) {
	lo := span.Lo
	hi := min(span.Hi, l.Window(lo), (lo/l.Chunk+max(1, int64(plan.MaxIO-l.Roles)/4))*l.Chunk)
	var jobs [maxStripes]job
	n, end, work := 0, lo, false
	for end < hi {
		next := min(hi, (end/l.Chunk+1)*l.Chunk)
		j, ok := l.job(k, end/l.Chunk, next, v)
		if !ok {
			break
		}
		jobs[n], end, work = j, next, work || j.n > 0
		n++
	}
	switch {
	case end == lo:
		return 0, plan.ErrFailed
	case !work:
		return end - lo, nil
	}
	p.Hold(lo, end)
	slots := len(p.Slots)
	for range l.Roles {
		p.Slot(end - lo)
	}
	var scratch [parities]plan.Ref
	if k == plan.Check {
		scratch = [...]plan.Ref{p.Slot(end - lo), p.Slot(end - lo)}
	}
	first := lo / l.Chunk
	for i := range jobs[:n] {
		from, to := max(lo, (first+int64(i))*l.Chunk), min(end, (first+int64(i)+1)*l.Chunk)
		jobs[i].sums(p, slots, scratch, from-lo, to-from)
	}
	use := func(role int, stripe int64) plan.Use { return jobs[stripe-first].use(role) }
	for role := range l.Roles {
		l.Runs(p, role, slots+role, lo, end, use)
	}
	return end - lo, nil
}

// sums plans the equations of j over rows [at, at+n) of the slots, of which that of role 0 is the first.
func (j *job) sums(p *plan.Plan, slots int, scratch [parities]plan.Ref, at, n int64) {
	for k, e := range j.equations[:j.n] {
		if j.target[k] == none {
			p.Expect(scratch[k].At(at, n))
		} else {
			p.Sum(plan.Ref{Slot: slots + j.target[k], Off: at, Len: n})
		}
		for m := range len(j.chunk) {
			role := j.nth(m)
			if c := e.of(j.turn, role); j.use(role) == plan.Source && (c != 0 || j.chunk[role] != none) {
				p.Add(c, plan.Ref{Slot: slots + role, Off: at, Len: n})
			}
		}
	}
}

// job is what work of kind k means for a stripe up to row hi. It says no when there is not enough left to compute from.
func (l *level) job(k plan.Kind, stripe, hi int64, v *plan.View) (j job, ok bool) {
	j.turn = l.turn(stripe)
	lost := l.unreadable(v, hi)
	data := lost.Without(j.p).Without(j.q)
	switch k {
	case plan.Check:
		switch lost.Count() {
		case 0:
			j.add(none, j.without(j.q))
			j.add(none, j.without(j.p))
		case 1: // one equation is left in which it does not occur
			j.add(none, j.without(lost.First()))
		}
		return j, true
	case plan.Resync:
		if v.Writable.Has(j.p) {
			j.add(j.p, j.solve(j.p, j.q))
		}
		if v.Writable.Has(j.q) {
			j.add(j.q, j.solve(j.q, j.p))
		}
		return j, j.n == 0 || data == 0
	}
	if (lost & v.Writable) == 0 {
		return j, true
	}
	if lost.Count() > parities || hi > v.Synced && data != 0 {
		return j, false
	}
	for m := range l.Roles {
		if role := j.nth(m); lost.Has(role) && v.Writable.Has(role) {
			j.add(role, j.solve(role, other(lost, role)))
		}
	}
	return j, true
}
