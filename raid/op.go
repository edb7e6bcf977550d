package raid

import (
	"context"
	"sync/atomic"

	"graid/block"
	"graid/raid/plan"
	"graid/sched"
)

// op is one plan being carried out, with all the memory that takes. Ops are pooled, so that a request allocates nothing.
type op struct {
	a    *Array
	view view // what the plan was made with
	plan plan.Plan

	hold   hold
	locked bool

	arena []byte  // scratch slots, one after another
	at    []int64 // where each slot starts in arena
	user  []byte  // the caller's buffer, for as long as Do runs
	sums  sums
	diffs []diff // what the sums that should have been zero say is wrong

	ios     []plan.IO // the batch under way
	both    []plan.IO // memory for a batch that is not the plan's
	flags   block.Flags
	errs    []error // of the batch, by index
	failed  bool    // one of errs is not nil
	pending atomic.Int32
	done    sched.Event
	tasks   []func() // tasks[i] performs ios[i]: made once, so that handing out an I/O allocates nothing

	logged logged // of an array with a partial parity log

	avoid plan.RoleSet // could not read what was asked of them; learnt while serving this request
	bad   []badRows    // what they could not read
	cause error        // the first such error

	timely bool         // reads that are late are given up; see slow.go
	slow   plan.RoleSet // of avoid, those who were late, and nothing else is known of them
	late   []overdue    // reads that were given up and whose rows are held since

	retry  bool         // what is read from elsewhere is written again even where that was refused before
	barred plan.RoleSet // did not take what was written to correct it, and have recorded that
}

// badRows is what a member could not read.
type badRows struct {
	m    *member
	role int
	row  plan.Span // on the member's data area
	pos  plan.Span // in the sync space

	recorded bool // by its bad block log: it was not asked
}

// slotAlign keeps every scratch slot aligned for direct I/O.
const slotAlign = block.PageAlign

// arenaKeep is how much scratch memory a pooled op keeps: what the largest plan but a lone huge rectangle needs. Bytes.
const arenaKeep = plan.MaxBytes + 1<<20

func (a *Array) getOp() *op {
	if o, ok := a.ops.Get().(*op); ok {
		return o
	}
	return &op{a: a, done: a.sched.NewEvent(), hold: hold{ready: a.sched.NewEvent()}}
}

func (a *Array) putOp(o *op) {
	o.unlock()
	o.user, o.ios, o.cause, o.avoid, o.bad = nil, nil, nil, 0, o.bad[:0]
	o.barred, o.retry = 0, false
	clear(o.late)
	o.timely, o.slow, o.late = false, 0, o.late[:0]
	clear(o.errs)
	if len(o.arena) > arenaKeep {
		o.arena = nil
	}
	a.ops.Put(o)
}

// lock makes sure that what the plan needs is held. It says whether it had to ask for it, after which the View the plan was made with
// must be looked at again. With noWait it fails rather than wait.
func (o *op) lock(exclusive, noWait bool) (asked bool, err error) {
	if o.plan.Lock.Len() == 0 {
		return false, nil
	}
	shared := len(o.plan.Writes) == 0 && !exclusive
	if o.locked && o.hold.covers(o.plan.Lock, shared) {
		return false, nil
	}
	o.unlock()
	o.hold.span, o.hold.shared = o.plan.Lock, shared
	if !o.a.locks.lock(&o.hold, noWait) {
		return false, block.ErrWouldBlock
	}
	o.locked = true
	return true, nil
}

func (o *op) unlock() {
	if len(o.logged.records) > 0 {
		o.a.ppl.release(o, o.a.view.Load().broken)
	}
	if o.locked {
		o.a.locks.unlock(&o.hold)
		o.locked, o.late = false, o.late[:0] // what was being read may be written from now on
	}
}

// provide lays the plan's slots out in the arena.
func (o *op) provide() {
	o.at = o.at[:0]
	var n int64
	for _, size := range o.plan.Slots {
		o.at = append(o.at, n)
		n += (size + slotAlign - 1) &^ (slotAlign - 1)
	}
	if int64(len(o.arena)) < n {
		o.arena = block.Alloc(n)
	}
}

// mem is the memory that r means.
func (o *op) mem(r plan.Ref) []byte {
	if r.Slot == plan.User {
		return o.user[r.Off : r.Off+r.Len]
	}
	lo := o.at[r.Slot] + r.Off
	return o.arena[lo : lo+r.Len : lo+r.Len]
}

// perform does all of ios together and returns when all are done; their errors are in o.errs. Members that are Inline are called
// in place: a task costs 770 ns, a memory member 100.
func (o *op) perform(ios []plan.IO, flags block.Flags) {
	o.ios, o.flags, o.failed = ios, flags, false
	for len(o.errs) < len(ios) {
		i := len(o.errs)
		o.errs = append(o.errs, nil)
		o.tasks = append(o.tasks, func() {
			o.one(i)
			if o.pending.Add(-1) == 0 {
				o.done.Set()
			}
		})
	}
	// Those that wait for hardware go first, each in a task, so that they overlap with each other and with the rest; the last
	// of them is done here when there is nothing else to do meanwhile.
	last, inline := -1, false
	for i := range ios {
		if o.inline(&ios[i]) {
			inline = true
		} else {
			last = i
		}
	}
	here := -1
	if last >= 0 && !inline {
		here = last
	}
	o.pending.Store(1)
	for i := range ios {
		if i != here && !o.inline(&ios[i]) {
			o.pending.Add(1)
			o.a.sched.Go(o.tasks[i])
		}
	}
	for i := range ios {
		if i == here || o.inline(&ios[i]) {
			o.one(i)
		}
	}
	if o.pending.Add(-1) != 0 {
		o.done.Wait()
	}
	for _, err := range o.errs[:len(ios)] {
		o.failed = o.failed || err != nil
	}
}

func (o *op) inline(io *plan.IO) bool {
	return o.member(io.Role).inline && (io.Op == block.Read || io.Op == block.Write && o.flags&block.FUA == 0)
}

// one performs the i-th I/O of the batch under the array's lifetime: half of a stripe update is worse than none or all.
func (o *op) one(i int) {
	io := &o.ios[i]
	m := o.member(io.Role)
	r := block.Request{Op: io.Op, Off: m.offset + io.Row, Len: io.Ref.Len}
	switch io.Op {
	case block.Flush:
		r = block.Request{Op: block.Flush}
	case block.Read:
		if m.isBad(plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}) {
			o.errs[i] = errRecordedBad
			return
		}
		r.Flags, r.Buf = o.flags&block.NoWait, o.mem(io.Ref)
		o.errs[i] = o.read(m, io.Row, r)
		return
	case block.Write:
		r.Flags, r.Buf = o.flags&block.FUA, o.mem(io.Ref)
	default:
		r.Flags = o.flags &^ block.NoWait // past the point where all or none of the batch could be put off
	}
	o.errs[i] = m.dev.Do(context.Background(), r)
}

// read does r, which is for those rows of m.
func (o *op) read(m *member, row int64, r block.Request) (err error) {
	waited := false
	if !o.timely && len(o.late) > 0 {
		waited, err = o.await(m, plan.Span{Lo: row, Hi: row + r.Len}, r.Buf)
	}
	switch {
	case waited:
	case o.timely:
		if err = m.timed.Do(context.Background(), r); err == nil {
			m.slow.answered()
		}
	default:
		err = m.dev.Do(context.Background(), r)
	}
	if err == nil && !o.a.mirror() {
		m.strikes.forget()
	}
	return err
}
