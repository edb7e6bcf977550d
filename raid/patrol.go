package raid

import (
	"fmt"
	"time"
)

// CheckOptions say how far a check goes. The zero value is once over everything.
type CheckOptions struct {
	Resume     bool          // go on where the last check stopped, if it did; what it found stays counted
	From       int64         // else begin here: bytes of the sync space, rounded down to a MiB
	For        time.Duration // stop after so long, work that is more urgent not counted; 0 = no limit
	Continuous bool          // begin anew at the end, until the time is over, or Idle
}

// CheckWith is Check with options. A check that was stopped, by Idle, Close or its time, says in Status.CheckedTo how far it was.
func (a *Array) CheckWith(opts CheckOptions) error {
	if opts.From < 0 || opts.From > a.geo.SyncSize {
		return fmt.Errorf("a check cannot begin at %d: there are %d bytes to look at", opts.From, a.geo.SyncSize)
	}
	j := job{work: workCheck, begin: opts.From / syncNarrow * syncNarrow, left: opts.For, limited: opts.For > 0, again: opts.Continuous}
	if opts.Resume {
		j.begin = a.sync.place.Load()
	}
	return a.ask(j)
}

// GoOnAt has the next check that resumes begin at a place that Status.CheckedTo named in another life of the array, rounded down to a MiB. A place that
// cannot be is none.
func (a *Array) GoOnAt(place int64) {
	if place > 0 && place < a.geo.SyncSize {
		a.sync.place.Store(place / syncNarrow * syncNarrow)
	}
}

// job is a check or repair that somebody asked for, and how far it is. It is the worker's from then on.
type job struct {
	work            int32
	located, byRule bool // what a repair does about what differs; both: by rule what nothing is known of

	begin   int64 // where it begins
	again   bool  // and does, whenever it comes to the end
	limited bool
	left    time.Duration // of its time, if that is limited

	begun, over bool
	at          int64 // how far it is, once it has begun
}

func (j *job) name() string { return workNames[j.work] }

// scrub does the job, and says whether it is over: it makes way for what is more urgent, and goes on afterwards.
func (a *Array) scrub(j *job) (over bool) {
	if j.begun {
		a.tell(EventRebuildStart, "", fmt.Sprintf("%s goes on at %d of %d bytes", j.name(), j.at, a.geo.SyncSize))
	} else {
		j.begun, j.at = true, j.begin
		if j.at == 0 {
			a.forgetFound()
		}
		a.tell(EventRebuildStart, "", j.name())
	}
	w := a.newWalk(j.at)
	for began, pieces := a.sched.Now(), 0; ; pieces++ {
		now := a.sched.Now()
		j.left, began = j.left-(now-began), now
		switch {
		case a.closing.Load() || a.sync.asked.Load() != j.work || a.view.Load().broken != nil:
			return a.scrubbed(j, fmt.Sprintf("stopped at %d of %d bytes", j.at, a.geo.SyncSize))
		case a.sync.roused.Load() && a.next() != j.work:
			return false
		case j.at >= a.geo.SyncSize && j.again:
			a.tell(EventRebuildEnd, "", "pass of the "+j.name()+a.counted())
			a.sync.before.Store(a.sync.mismatch.Swap(0))
			j.at = 0
			w = a.newWalk(0)
			a.tell(EventRebuildStart, "", j.name()+" begins anew")
		case j.at >= a.geo.SyncSize:
			j.at = 0
			return a.scrubbed(j, "done"+a.counted())
		case j.limited && j.left <= 0 && pieces > 0: // at least one, or it would never come to the end
			return a.scrubbed(j, fmt.Sprintf("done for now at %d of %d bytes%s", j.at, a.geo.SyncSize, a.counted()))
		}
		at, err := w.step(j.at, func(at int64) (int64, error) { return a.compare(at, j) })
		if err != nil {
			return a.scrubbed(j, fmt.Sprintf("stopped at %d of %d bytes: %v", j.at, a.geo.SyncSize, err))
		}
		j.at = at
	}
}

// scrubbed ends a job: where it is remains known.
func (a *Array) scrubbed(j *job, how string) bool {
	if j.work == workCheck {
		a.sync.place.Store(j.at)
	}
	j.over = true
	a.tell(EventRebuildEnd, "", j.name()+" "+how)
	return true
}

// abandon ends a job that has made way for something, and that nobody wants any more.
func (a *Array) abandon() {
	if j := a.sync.job.Load(); j != nil && j.begun && !j.over && (a.closing.Load() || a.sync.asked.Load() != j.work) {
		a.scrubbed(j, fmt.Sprintf("stopped at %d of %d bytes", j.at, a.geo.SyncSize))
	}
}

// forgetFound begins a count.
func (a *Array) forgetFound() {
	a.sync.mismatch.Store(0)
	a.sync.before.Store(0)
	a.sync.left.Store(0)
	a.places.clear()
}

// counted is what was found in this pass.
func (a *Array) counted() string {
	text := fmt.Sprintf(", mismatches in %d sectors", a.sync.mismatch.Load()/sectorSize)
	if left := a.sync.left.Load(); left > 0 {
		text += fmt.Sprintf("; %d of them left alone", left/sectorSize)
	}
	return text
}

// disturbed says whether a check or repair is to end, or to make way, and should not wait any longer.
func (a *Array) disturbed() bool {
	kind := a.sync.kind.Load()
	return (kind == workCheck || kind == workRepair) && (a.sync.asked.Load() != kind || a.sync.roused.Load())
}
