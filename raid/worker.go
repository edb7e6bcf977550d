package raid

import (
	"sync/atomic"
	"time"

	"graid/raid/plan"
)

// Work is what an array does in the background, by md's names.
const (
	workIdle    = -1
	workResync  = int32(plan.Resync)
	workRecover = int32(plan.Recover)
	workCheck   = int32(plan.Check)
	workRepair  = workCheck + 1
	workReplace = workRepair + 1
)

var workNames = [...]string{workResync: "resync", workRecover: "recover", workCheck: "check", workRepair: "repair", workReplace: "recover"}

// syncState is how far background work is. Readers of a Status take it without a lock.
type syncState struct {
	kind     atomic.Int32 // workIdle, …
	done     atomic.Int64 // bytes of the sync space
	speed    atomic.Int64 // bytes per second, lately
	errors   atomic.Int64 // bytes that could not be resynced
	mismatch atomic.Int64 // bytes that differed in the last check or repair
	left     atomic.Int64 // and of those, what a repair left alone
	ran      atomic.Bool  // there is progress to record

	given   atomic.Bool  // resync was given up; see giveUpResync
	reached atomic.Int64 // and this is how far it was

	least, most atomic.Int64 // bytes per second: what work always gets, and what it never exceeds; 0 = no limit
	held        atomic.Bool  // most is why it waited after the last piece

	asked  atomic.Int32 // the scrub that somebody wants: workCheck, workRepair, or workIdle
	job    atomic.Pointer[job]
	before atomic.Int64 // what mismatch was when a patrol last came to the end
	place  atomic.Int64 // where the last check stopped, in the sync space; 0 = it came to the end
	roused atomic.Bool  // there may be something more urgent than what is being done
	halted atomic.Bool  // what is to be done failed; another try needs a change of members

	asks, answered atomic.Int64 // how often the worker was roused, and how often it had been when kind was last said
}

// What background work may cost, as md's sync_speed_min and a share for those who wait for their own I/O.
const (
	syncMin        = 1 << 20 // bytes per second that it always gets, unless Limit says otherwise
	syncShare      = 4       // while the array is busy, it works one part in so many of the time
	syncPauseMax   = 200 * time.Millisecond
	syncCheckpoint = 30 * time.Second // how often progress is written down
)

// worker is the task that does background work, one kind at a time, the most urgent first, until the array closes.
func (a *Array) worker() {
	for !a.closing.Load() {
		asks := a.sync.asks.Load()
		work := a.next()
		a.abandon()
		switch work {
		case workIdle:
			a.sync.kind.Store(workIdle)
			a.sync.answered.Store(asks)
			a.work.Wait()
		case workResync:
			a.sync.kind.Store(work)
			a.resync()
		case workRecover:
			a.sync.kind.Store(work)
			a.rebuild()
		case workReplace:
			a.sync.kind.Store(work)
			a.replace()
		default:
			a.sync.kind.Store(work)
			if a.scrub(a.sync.job.Load()) {
				a.sync.asked.CompareAndSwap(work, workIdle)
			}
		}
	}
	a.abandon()
	a.sync.kind.Store(workIdle)
}

// next is what is most urgent, in md's order: members that are in sync agree first, then those that are not are filled, and only then
// is looked for what nobody knows of.
func (a *Array) next() int32 {
	a.sync.roused.Store(false)
	v := a.view.Load()
	switch {
	case v.broken != nil:
		a.sync.asked.Store(workIdle)
		return workIdle
	case a.sync.halted.Load():
	case v.Synced < a.geo.SyncSize:
		return workResync
	case a.rebuilding(v) != 0 || a.standIn():
		return workRecover
	case v.twins != nil:
		return workReplace
	}
	return a.sync.asked.Load()
}

// rebuilding is the roles whose members are being filled.
func (a *Array) rebuilding(v *view) plan.RoleSet { return v.Writable &^ v.Readable }

// busy says whether the worker has something to do, or is about to.
func (a *Array) busy() bool {
	if a.closing.Load() || !a.writable || !a.geo.Redundant() {
		return false
	}
	answered := a.sync.answered.Load() // first: what it says of kind may be old otherwise
	return a.sync.kind.Load() != workIdle || answered != a.sync.asks.Load()
}

// rouse has the worker look again at what is to be done. It counts as busy from now on.
func (a *Array) rouse() {
	a.sync.halted.Store(false)
	a.sync.roused.Store(true)
	a.sync.asks.Add(1)
	a.work.Set()
}

// Limit sets how fast background work goes, in bytes per second: least is what it gets however busy the array is, most what it does not exceed
// however idle. 0 is the default of each: 1 MiB, and no limit. It holds from the next piece of work on.
func (a *Array) Limit(least, most int64) {
	a.sync.least.Store(max(0, least))
	a.sync.most.Store(max(0, most))
}

// pace keeps background work out of the way of others: after n bytes that took so long, it waits when the array is busy, or it is too fast.
func (a *Array) pace(n int64, took time.Duration) {
	least := a.sync.least.Load()
	if least == 0 {
		least = syncMin
	}
	var pause time.Duration
	if target := a.latency.target.Load(); target > 0 {
		pause = min(a.backOff(took, target), stretch(n, least)-took)
	} else if a.inflight.Load() > 1 || a.wrote.Load() {
		pause = min(took*(syncShare-1), syncPauseMax, stretch(n, least)-took)
	}
	held := false
	if most := a.sync.most.Load(); most > 0 {
		if wait := stretch(n, most) - took; wait > max(pause, 0) {
			pause, held = wait, true
		}
	}
	a.sync.held.Store(held)
	for ; pause > 0 && !a.closing.Load() && !a.disturbed(); pause -= syncPauseMax {
		a.sched.Sleep(min(pause, syncPauseMax))
	}
}

// stretch is how long n bytes take at so many bytes per second.
func stretch(n, rate int64) time.Duration {
	return time.Duration(float64(n) / float64(rate) * float64(time.Second))
}

// gauge measures speed over stretches of time that mean something.
type gauge struct {
	at    time.Duration
	done  int64
	speed int64
}

// gaugeStretch is how long is measured before a speed is believed.
const gaugeStretch = 250 * time.Millisecond

// read is the speed in bytes per second when so much is done at time now; 0 = not known yet.
func (g *gauge) read(now time.Duration, done int64) int64 {
	if took := now - g.at; took >= gaugeStretch {
		speed := int64(float64(done-g.done) / took.Seconds())
		if g.speed > 0 {
			speed = (g.speed*3 + speed) / 4
		}
		*g = gauge{now, done, speed}
	}
	return g.speed
}

// walk is background work that goes through the sync space: it paces itself, and keeps Status true.
type walk struct {
	a     *Array
	gauge gauge
	saved time.Duration // when progress was last written down
}

func (a *Array) newWalk(at int64) *walk {
	now := a.sched.Now()
	a.sync.done.Store(at)
	a.sync.speed.Store(0)
	return &walk{a, gauge{at: now, done: at}, now}
}

// step does one piece of work, which says how long it was, at position at, and returns where the next one begins.
func (w *walk) step(at int64, piece func(at int64) (int64, error)) (int64, error) {
	a := w.a
	began := a.sched.Now()
	n, err := piece(at)
	if err != nil {
		return at, err
	}
	at += n
	a.sync.done.Store(at)
	a.pace(n, a.sched.Now()-began)
	a.sync.speed.Store(w.gauge.read(a.sched.Now(), at))
	return at, nil
}

// due says whether it is time to write progress down.
func (w *walk) due() bool {
	now := w.a.sched.Now()
	if now-w.saved < syncCheckpoint {
		return false
	}
	w.saved = now
	return true
}
