package multipath

import (
	"math"
	"time"
)

// sight is something seen of a path, or asked of it.
type sight uint8

const (
	sawOpening  sight = iota // it is being opened
	sawOpen                  // it is open
	sawVerified              // it leads to the right medium
	sawOther                 // it leads to another medium
	sawBroken                // an error of the way, or no answer within the deadline
	sawFencing               // as sawBroken; what it was sent is being ended
	sawFenced                // that is over
	sawOverdue               // a request has waited for long
	sawLate                  // one of those has been answered, or given up
	sawLeaving               // the target is about to stop
	sawBlame                 // it could not do what another path could
	askFail                  // the administrator: out of use
	askDrain                 // the same, once the last request has ended
	sawIdle                  // that has happened
	askBack                  // into use again
)

// observe is what happens to a path that something was seen of. The result is valid until the next call.
func (t *table) observe(path int, s sight, why string, now time.Duration) []transition {
	t.out, t.moved = t.out[:0], ""
	r := &t.paths[path]
	if r.removed {
		return nil
	}
	switch s {
	case sawOpening:
		t.move(path, StateConnecting, why, now)
	case sawOpen:
		if r.state == StateConnecting {
			t.move(path, StateVerifying, why, now)
		}
	case sawVerified:
		if r.state == StateVerifying {
			t.arrive(path, now)
		}
	case sawOther:
		t.move(path, StateRefused, why, now)
	case sawBroken, sawFencing:
		t.broken(path, s == sawFencing, why, now)
	case sawFenced:
		if r.state == StateFencing {
			t.rest(path, r.reason, now)
		}
	case sawOverdue:
		r.overdue++
		if r.state.good() || r.state == StateMarginal {
			t.move(path, StateSuspect, why, now)
		}
	case sawLate:
		if r.overdue--; r.overdue <= 0 && r.state == StateSuspect {
			r.overdue = 0
			t.move(path, StateUp, "answers again", now)
		}
	case sawLeaving:
		if r.state.open() {
			r.leaving = true
			t.move(path, StateGhost, why, now)
		}
	case sawBlame:
		t.blame(path, why, now)
	case askFail:
		t.move(path, StateAdminDown, why, now)
	case askDrain:
		if r.state.open() {
			t.move(path, StateDraining, why, now)
		} else {
			t.move(path, StateAdminDown, why, now)
		}
	case sawIdle:
		if r.state == StateDraining {
			t.move(path, StateAdminDown, why, now)
		}
	case askBack:
		t.back(path, why, now)
	}
	t.settle(now)
	return t.out
}

// arrive takes a path into use.
func (t *table) arrive(path int, now time.Duration) {
	r := &t.paths[path]
	r.refusals, r.leaving, r.overdue, r.latency = 0, false, 0, latency{}
	foreign := r.instance != t.lead && t.leads()
	if t.standing(r.group).good == 0 {
		t.revived = r.group
	}
	if t.failback > 0 { // another path of the better group: wait for it to have settled, too
		t.failback = 0
	}
	switch {
	case foreign:
		t.move(path, StateGhost, "another instance of the target is in use", now)
	case r.standby:
		t.move(path, StateGhost, "standby", now)
	default:
		if !t.leads() {
			t.lead = r.instance
		}
		t.move(path, StateUp, "verified", now)
	}
}

// leads says whether something of the present instance is in use.
func (t *table) leads() bool {
	for i := range t.paths {
		r := &t.paths[i]
		if !r.removed && r.instance == t.lead && (r.state.good() || r.state == StateMarginal || r.state == StateSuspect) {
			return true
		}
	}
	return false
}

// broken takes a path out of use, until it is tried again.
func (t *table) broken(path int, fencing bool, why string, now time.Duration) {
	r := &t.paths[path]
	r.overdue = 0
	switch {
	case r.state == StateConnecting || r.state == StateVerifying:
		r.refusals++
		t.rest(path, why, now)
		return
	case r.state == StateDraining:
		t.move(path, StateAdminDown, why, now)
		return
	case !r.state.open():
		return
	}
	t.failback = 0
	if r.state != StateGhost || !r.leaving {
		if now-r.flapped < t.o.FlapWindow && r.flaps > 0 || r.flaps > 1 && now-r.flapped < t.o.HoldMax {
			r.flaps++
		} else {
			r.flaps = 1
		}
		r.flapped = now
	}
	if fencing {
		t.move(path, StateFencing, why, now)
		return
	}
	t.rest(path, why, now)
}

// rest leaves a path alone for a while: the longer, the oftener it failed.
func (t *table) rest(path int, why string, now time.Duration) {
	r := &t.paths[path]
	if r.flaps >= 2 && r.refusals == 0 {
		r.until = now + doubled(t.o.HoldMin, r.flaps-2, t.o.HoldMax)
		t.move(path, StateHoldDown, why, now)
		return
	}
	until := now + t.jitter(doubled(t.o.ReconnectMin, max(r.refusals-1, 0), t.o.ReconnectMax))
	if r.state == StateHoldDown && r.until > until {
		return
	}
	r.until = until
	t.move(path, StateFailed, why, now)
}

// doubled is least, doubled n times, and most at most.
func doubled(least time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 0 && least < most; n-- {
		least *= 2
	}
	return min(least, most)
}

// blame counts an error that was the path's own, and makes it marginal if there are too many.
func (t *table) blame(path int, why string, now time.Duration) {
	r := &t.paths[path]
	r.score = r.decayed(now) + 1
	r.scored = now
	if r.score >= t.o.MarginalScore && (r.state.good() || r.state == StateSuspect) {
		t.move(path, StateMarginal, why, now)
	}
}

// decayed is the score now: half of it is gone after a minute.
func (r *record) decayed(now time.Duration) float64 {
	return r.score * math.Exp2(-float64(now-r.scored)/float64(time.Minute))
}

// back is what a reinstated path is: as if it had never failed.
func (t *table) back(path int, why string, now time.Duration) {
	r := &t.paths[path]
	r.flaps, r.refusals, r.score = 0, 0, 0
	switch r.state {
	case StateAdminDown, StateRefused, StateHoldDown, StateFailed:
		r.until = now
		t.move(path, StateFailed, why, now)
	case StateDraining:
		t.move(path, StateUp, why, now)
	case StateMarginal, StateSuspect, StateSlow:
		t.move(path, StateUp, why, now)
	}
}

// tick is what the time does: failback, and the end of being marginal.
func (t *table) tick(now time.Duration) []transition {
	t.out, t.moved = t.out[:0], ""
	for i := range t.paths {
		r := &t.paths[i]
		if r.state == StateMarginal && !r.removed && r.decayed(now) < t.o.MarginalScore/3 {
			t.move(i, StateUp, "few errors lately", now)
		}
	}
	t.settle(now)
	return t.out
}

// sample takes in how long a request took that a path answered, and decides whether it is slow.
func (t *table) sample(path int, took, now time.Duration) []transition {
	t.out, t.moved = t.out[:0], ""
	r := &t.paths[path]
	r.latency.take(took)
	if r.latency.n < 16 || r.state != StateUp && r.state != StateSlow {
		return nil
	}
	best := math.MaxFloat64
	for i := range t.paths {
		p := &t.paths[i]
		if i != path && !p.removed && p.group == r.group && p.state == StateUp && p.latency.n >= 16 {
			best = min(best, p.latency.mean)
		}
	}
	switch mine := r.latency.mean; {
	case r.state == StateUp && best < math.MaxFloat64 && mine > best*t.o.SlowRatio && mine-best > float64(time.Millisecond):
		t.move(path, StateSlow, "takes "+short(mine)+" where a peer takes "+short(best), now)
	case r.state == StateSlow && (best == math.MaxFloat64 || mine < best*t.o.SlowRatio/2 || mine-best < float64(time.Millisecond)/2):
		t.move(path, StateUp, "as fast as its peers again", now)
	default:
		return nil
	}
	t.settle(now)
	return t.out
}

// latency is how long requests take, as TCP keeps it: a mean and a mean deviation, of the last few.
type latency struct {
	mean, dev float64 // ns
	n         int64
}

func (l *latency) take(took time.Duration) {
	x := float64(took)
	l.n++
	if l.n == 1 {
		l.mean, l.dev = x, x/2
		return
	}
	diff := x - l.mean
	l.mean += diff / 8
	l.dev += (math.Abs(diff) - l.dev) / 4
}

// long is what hardly any request takes.
func (l *latency) long() time.Duration { return time.Duration(2 * (l.mean + 4*l.dev)) }

func short(ns float64) string { return time.Duration(ns).Round(10 * time.Microsecond).String() }

// errand is what a path's keeper is to do.
type errand uint8

const (
	stay errand = iota
	connect
	check
)

// next is what the keeper of a path is to do, and when.
func (t *table) next(path int, checkAt, now time.Duration) (errand, time.Duration) {
	r := &t.paths[path]
	switch {
	case r.removed:
		return stay, never
	case r.state == StateNew:
		return connect, now
	case r.state == StateFailed:
		return connect, r.until
	case r.state == StateHoldDown && len(t.live) == 0: // alone: better a poor path than none
		return connect, min(r.until, r.since+t.o.ReconnectMin)
	case r.state == StateHoldDown:
		return connect, r.until
	case r.state.open() && t.o.Check.Kind != "none":
		return check, checkAt
	}
	return stay, never
}
