package raid

import (
	"errors"
	"fmt"

	"graid/raid/plan"
)

// ErrBusy is what Check and Repair say while other background work is under way.
var ErrBusy = errors.New("busy")

// Check starts to compare all copies, or parity with the data, beside other I/O. What cannot be read is rewritten from redundancy; what differs
// is counted, told as an event, and left alone. Wait returns when it is done; Status has the count, and where.
func (a *Array) Check() error { return a.CheckWith(CheckOptions{}) }

// Repair is Check that makes what differs agree, by md's rules: parity is computed anew from the data, and the first copy in md's order is
// copied over the others.
func (a *Array) Repair() error { return a.RepairWith(RepairOptions{}) }

// RepairOptions say how a repair goes about it. The zero value is md's rules.
type RepairOptions struct {
	// Locate rewrites the member that is wrong, where redundancy tells which one that is: with raid6 when it is one, with three copies and more
	// when most agree. Where nothing tells, it leaves what differs alone.
	Locate bool
	// Rest has md's rules for what Locate would leave alone.
	Rest bool
}

// RepairWith is Repair with options.
func (a *Array) RepairWith(opts RepairOptions) error {
	if opts.Locate && !locates(a.geo) {
		return fmt.Errorf("nothing tells which member is wrong: that takes raid6, or three copies")
	}
	return a.ask(job{work: workRepair, located: opts.Locate, byRule: !opts.Locate || opts.Rest})
}

// Idle stops a check or repair that is under way. Resync and recovery go on: without them data is at risk.
func (a *Array) Idle() { a.sync.asked.Store(workIdle) }

func (a *Array) ask(j job) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	switch v := a.view.Load(); {
	case !a.geo.Redundant():
		return fmt.Errorf("nothing to %s: %s has no redundancy", workNames[j.work], a.Status().LevelName)
	case !a.writable:
		return fmt.Errorf("array is read-only: a %s corrects what cannot be read", workNames[j.work])
	case v.broken != nil:
		return v.broken
	case !a.sync.kind.CompareAndSwap(workIdle, j.work):
		return fmt.Errorf("%w: a %s is under way", ErrBusy, workNames[a.sync.kind.Load()])
	}
	a.sync.job.Store(&j)
	a.sync.asked.Store(j.work)
	a.rouse()
	return nil
}

const sectorSize = 512

// compare compares a prefix of the sync space from at on, and returns its length. The rows are held exclusively, so that nothing that differs is
// a write under way.
func (a *Array) compare(at int64, j *job) (int64, error) {
	o := a.getOp()
	defer a.putOp(o)
	o.retry = j.work == workRepair
	span := plan.Span{Lo: at, Hi: a.geo.SyncSize}
	for tries := 0; ; {
		v := a.view.Load()
		if v.broken != nil {
			return 0, v.broken
		}
		n, err := o.plansSync(v, span, plan.Check)
		if err != nil && o.cause != nil && span.Len() > a.info.Block {
			span.Hi = span.Lo + half(min(span.Len(), syncNarrow), a.info.Block)
			o.avoid, o.cause, o.bad = 0, nil, o.bad[:0]
			continue
		}
		if err != nil && o.cause != nil {
			a.uncorrectable(o)
			return span.Len(), nil // the next one may be readable
		}
		if err != nil {
			return 0, err
		}
		if asked, _ := o.lock(true, false); asked && a.view.Load() != v {
			continue // made with an old View
		}
		o.provide()
		var found differences
		if o.perform(o.plan.Reads, 0); !o.failed && o.calc() > 0 {
			found = o.lookAgain()
		}
		if o.failed {
			if err := a.learn(o); err != nil {
				return 0, err
			}
			continue
		}
		again, err := a.mend(o, found.list, j)
		if err != nil {
			return 0, err
		}
		if again {
			if tries++; tries > mendTries {
				return 0, fmt.Errorf("members keep failing while [%d,+%d) is repaired", at, n)
			}
			continue
		}
		a.places.forget(plan.Span{Lo: at, Hi: at + n})
		a.report(&found)
		o.unlock()
		a.correct(o)
		return n, nil
	}
}
