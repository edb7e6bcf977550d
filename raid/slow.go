package raid

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/block/deadline"
	"graid/raid/plan"
)

// A member that does not answer a read in time has said nothing, neither that the read failed nor that anything is wrong with what it holds: disks for
// consumers try again for a minute. So the read is planned again without that member, as after a media error, but nothing is rewritten, no read
// error is counted, and nobody fails for it. Where nothing else can answer, or where something else could answer otherwise, the read is waited for.
//
//	timely ──▶ a read is late ──▶ planned again without the member ──▶ answered
//	                          └─▶ nobody else can, or what others say may differ ──▶ patient: what was late is waited for
//
// Reads of users, recovery and replacement are timely; checks and resync have all the time that members take. What becomes of a late read is
// watched: a media error in the end is one, and is corrected as any.
//
// A member fails, where redundancy is left without it, once a read is overdue for slowTooLong, as a request that was lost is; and when it has not
// answered a single read in time for as long, and slowTooMany were late.
const (
	slowTooLong = 5 * time.Minute
	slowTooMany = 10
)

// SetReadDeadline has reads that begin from now on answered from redundancy when their member takes longer than d; 0: never.
func (a *Array) SetReadDeadline(d time.Duration) error {
	if d > 0 && !a.geo.Redundant() {
		return fmt.Errorf("%s has no redundancy that could answer in place of a slow member", a.Status().LevelName)
	}
	a.patience.Set(d)
	return nil
}

// lateness is how late a member was.
type lateness struct {
	count   int64         // reads that were late, since the array was assembled
	longest time.Duration // that one of them took, or 0: none has ended
	first   time.Duration // when the first of those was late that no read in time has followed
	row     int64         // how many those are
}

// slowness is a member's lateness, kept so that a read in time costs a look at a word that hardly ever changes.
type slowness struct {
	mu sync.Mutex // guards lateness
	lateness

	streak atomic.Bool // no read in time has followed the last that was late
}

// late counts a read that is late now, and says whether there were too many for too long.
func (s *slowness) late(now time.Duration) (tooMany bool, run lateness) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.row == 0 || !s.streak.Load() {
		s.first, s.row = now, 0
	}
	s.streak.Store(true)
	s.count, s.row = s.count+1, s.row+1
	return s.row >= slowTooMany && now-s.first >= slowTooLong, s.lateness
}

// ended takes note of how long a late read took in the end.
func (s *slowness) ended(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest = max(s.longest, took)
}

func (s *slowness) now() lateness {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lateness
}

// answered is for whoever has just read something in time.
func (s *slowness) answered() {
	if s.streak.Load() {
		s.streak.Store(false)
	}
}

// overdue is a read of an op's that was late.
type overdue struct {
	*deadline.Late
	m     *member
	row   plan.Span
	taken *atomic.Bool // the op has waited for it after all, and what came of it is the op's
}

// beTimely has o's reads given up when they are late.
func (o *op) beTimely() { o.timely, o.slow = o.a.patience.Get() > 0, 0 }

// bePatient has o wait for everybody from now on, also for those who were late.
func (o *op) bePatient() {
	o.timely, o.avoid, o.slow = false, o.avoid&^o.slow, 0
}

// see has o plan with v, without those that it avoids.
func (o *op) see(v *view) {
	if o.view = *v; o.slow != 0 && o.strained() {
		o.bePatient()
	}
	o.view.Avoid |= o.avoid
}

// strained says whether an answer without those who were late would be computed from P and Q together. Nothing tells whether these agree: a raid6
// that lost a member before its first resync was done goes on with what P says, and Q is made to agree by a repair at last. The member that is late is right.
func (o *op) strained() bool {
	out := o.a.geo.Roles - (o.view.Readable &^ o.avoid).Count()
	return o.a.geo.Level == 6 && out > 1
}

// await is what the read of those rows of m came to that was late, if o has given one up and holds its rows since.
func (o *op) await(m *member, row plan.Span, buf []byte) (waited bool, err error) {
	for _, l := range o.late {
		if l.m == m && l.row.Lo <= row.Lo && row.Hi <= l.row.Hi {
			l.taken.Store(true)
			if err = l.Wait(); err == nil {
				copy(buf, l.Bytes()[row.Lo-l.row.Lo:])
			}
			return true, err
		}
	}
	return false, nil
}

// tardy learns from the i-th I/O of o's batch, a read that was late. If its member is to fail for that, it says why; else o avoids it, or is patient.
func (a *Array) tardy(o *op, i int, dead plan.RoleSet) (why error) {
	io, m := o.ios[i], o.view.members[o.ios[i].Role]
	var late *deadline.Late
	if errors.As(o.errs[i], &late) { // and was not refused because of another one
		tooMany, run := m.slow.late(a.sched.Now())
		l := overdue{late, m, plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}, new(atomic.Bool)}
		o.late = append(o.late, l)
		if m.timed.Overdue() == 1 || run.row == 1 { // once for all that were under way together
			a.tell(EventSlow, m.path, fmt.Sprintf("%d bytes at %d: no answer within %v", io.Ref.Len, io.Row, a.patience.Get()))
		}
		a.lates.Go(func() { a.watch(l, io) })
		if tooMany && a.dispensable(o, io.Role, dead) {
			return fmt.Errorf("%d reads in a row were late, for %v: %w", run.row, (a.sched.Now() - run.first).Round(time.Second), o.errs[i])
		}
	}
	if o.undecided() || a.sync.given.Load() {
		o.bePatient() // whose copy is read matters, and so does parity that was never made true
		return nil
	}
	o.slow, o.avoid = o.slow.With(io.Role), o.avoid.With(io.Role)
	return nil
}

// sluggish says whether some read of o's batch was late, and learns from those that were what tardy does, but for members that are to fail. It is for
// who plans by itself.
func (a *Array) sluggish(o *op) (late bool) {
	timely := o.timely
	for i := range o.ios {
		if timely && errors.Is(o.errs[i], block.ErrSlow) {
			late = true
			_ = a.tardy(o, i, 0)
		}
	}
	return late
}

// watch sees a late read to its end, as a task beside everything else.
func (a *Array) watch(l overdue, io plan.IO) {
	if !l.WaitFor(slowTooLong) && a.begin() {
		a.giveUp(l)
		a.end()
	}
	err := l.Wait()
	l.m.slow.ended(l.Took())
	if !a.begin() {
		return
	}
	defer a.end()
	text := fmt.Sprintf("%d bytes at %d: answered after %v", io.Ref.Len, io.Row, l.Took().Round(time.Millisecond))
	if err != nil {
		text += ": " + err.Error()
	}
	a.tell(EventSlow, l.m.path, text)
	if block.Classify(err) != block.Media || l.taken.Load() {
		return
	}
	l.m.readErrors.Add(1)
	o := a.getOp()
	defer a.putOp(o)
	o.view = *a.view.Load()
	o.bad = append(o.bad, badRows{l.m, io.Role, l.row, plan.Span{Lo: io.Pos, Hi: io.Pos + io.Ref.Len}, false})
	a.correct(o)
}

// giveUp fails the member of a read that is overdue for too long, where redundancy is left without it.
func (a *Array) giveUp(l overdue) {
	a.meta.Lock()
	defer a.unlock()
	m, v := l.m, a.view.Load()
	if m.role < 0 || a.members[m.role] != m || m.state == MemberFaulty || v.broken != nil || !v.Readable.Has(m.role) || !a.level.Enough(v.Readable.Without(m.role)) {
		return
	}
	if err := a.loseLocked(plan.RoleSet(0).With(m.role), fmt.Errorf("a read is overdue for %v: %w", slowTooLong, l.Late), true); err != nil {
		a.note(EventUncorrectable, m.path, err.Error())
	}
}

// letGo closes the device of a member that has left. One with reads that are overdue is closed once they have ended.
func (a *Array) letGo(m *member) error {
	if m.timed.Overdue() == 0 {
		return m.dev.Close()
	}
	a.lates.Go(func() {
		if err := m.dev.Close(); err != nil {
			a.tell(EventUncorrectable, m.path, err.Error())
		}
	})
	return nil
}
