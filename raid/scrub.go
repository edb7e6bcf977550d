package raid

import (
	"errors"
	"fmt"
	"slices"

	"graid/raid/plan"
)

// ErrBusy is what Check and Repair say while other background work is under way.
var ErrBusy = errors.New("busy")

// Check starts to compare all copies, or parity with the data, beside other I/O. What cannot be read is rewritten from redundancy; what differs
// is counted, told as an event, and left alone. Wait returns when it is done; Status has the count.
func (a *Array) Check() error { return a.ask(workCheck) }

// Repair is Check that makes what differs agree, by md's rules: parity is computed anew from the data, and the first copy in md's order is
// copied over the others.
func (a *Array) Repair() error { return a.ask(workRepair) }

// Idle stops a check or repair that is under way. Resync and recovery go on: without them data is at risk.
func (a *Array) Idle() { a.sync.asked.Store(workIdle) }

func (a *Array) ask(work int32) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	switch v := a.view.Load(); {
	case !a.geo.Redundant():
		return fmt.Errorf("nothing to %s: %s has no redundancy", workNames[work], a.Status().LevelName)
	case !a.writable:
		return fmt.Errorf("array is read-only: a %s corrects what cannot be read", workNames[work])
	case v.broken != nil:
		return v.broken
	case !a.sync.kind.CompareAndSwap(workIdle, work):
		return fmt.Errorf("%w: a %s is under way", ErrBusy, workNames[a.sync.kind.Load()])
	}
	a.sync.asked.Store(work)
	a.rouse()
	return nil
}

// scrub is a check, or a repair.
func (a *Array) scrub(repair bool) {
	work := a.sync.kind.Load()
	a.sync.mismatch.Store(0)
	a.tell(EventRebuildStart, "", workNames[work])
	w := a.newWalk(0)
	for at := int64(0); at < a.geo.SyncSize; {
		if a.closing.Load() || a.sync.asked.Load() != work || a.view.Load().broken != nil {
			a.tell(EventRebuildEnd, "", fmt.Sprintf("%s stopped at %d of %d bytes", workNames[work], at, a.geo.SyncSize))
			return
		}
		var err error
		if at, err = w.step(at, func(at int64) (int64, error) { return a.compare(at, repair) }); err != nil {
			a.tell(EventRebuildEnd, "", fmt.Sprintf("%s stopped at %d of %d bytes: %v", workNames[work], at, a.geo.SyncSize, err))
			return
		}
	}
	a.tell(EventRebuildEnd, "", fmt.Sprintf("%s done, mismatches in %d sectors", workNames[work], a.sync.mismatch.Load()/sectorSize))
}

const sectorSize = 512

// compare compares a prefix of the sync space from at on, and returns its length. The rows are held exclusively, so that nothing that differs is
// a write under way.
func (a *Array) compare(at int64, repair bool) (int64, error) {
	o := a.getOp()
	defer a.putOp(o)
	span := plan.Span{Lo: at, Hi: a.geo.SyncSize}
	kind := plan.Check
	for {
		v := a.view.Load()
		if v.broken != nil {
			return 0, v.broken
		}
		n, err := o.plansSync(v, span, kind)
		if err != nil && o.cause != nil && span.Len() > a.info.Block {
			span.Hi = span.Lo + half(min(span.Len(), syncNarrow), a.info.Block)
			o.avoid, o.cause, o.bad, kind = 0, nil, o.bad[:0], plan.Check
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
		if o.perform(o.plan.Reads, 0); o.failed {
			if err := a.learn(o); err != nil {
				return 0, err
			}
			continue
		}
		differ := o.calc()
		if kind == plan.Check && differ > 0 {
			a.mismatched(o)
			if repair {
				kind = plan.Resync
				continue
			}
		}
		if kind == plan.Resync {
			if o.write(0); o.failed {
				if err := a.learn(o); err != nil {
					return 0, err
				}
				continue
			}
			a.forgiveWritten(o)
		}
		o.unlock()
		a.correct(o)
		return n, nil
	}
}

// mismatched counts what o, which compared, found to differ, and tells where it is. The count is md's: for parity every 4 KiB of a stripe that
// has an error; for copies every differing one by pieces of 64 KiB, or of a chunk where that is less.
func (a *Array) mismatched(o *op) {
	mirror := a.geo.Level == 1 || a.geo.Level == 10
	grain := int64(4096)
	if mirror {
		grain = 64 << 10
		if a.geo.Chunk > 0 {
			grain = min(grain, a.geo.Chunk)
		}
	}
	var where []plan.Span
	seen := map[[2]int64]bool{}
	for _, d := range o.diffs {
		where = append(where, d.pos)
		piece := [2]int64{d.pos.Lo / grain}
		if mirror {
			piece[1] = int64(d.sum) // every copy counts by itself
		}
		if !seen[piece] {
			seen[piece] = true
			a.sync.mismatch.Add(grain)
		}
	}
	slices.SortFunc(where, func(a, b plan.Span) int { return int(min(max(a.Lo-b.Lo, -1), 1)) })
	for i := 0; i < len(where); {
		s := where[i]
		for i++; i < len(where) && where[i].Lo <= s.Hi; i++ {
			s.Hi = max(s.Hi, where[i].Hi)
		}
		a.tell(EventMismatch, "", a.describe(s))
	}
}

// describe says what of the array a span of the sync space is about.
func (a *Array) describe(s plan.Span) string {
	if a.geo.Level == 1 || a.geo.Level == 10 {
		return fmt.Sprintf("copies of %d bytes at %d differ", s.Len(), s.Lo)
	}
	data := a.geo.Stripe / a.geo.Chunk // chunks of a stripe
	first, last := s.Lo/a.geo.Chunk, (s.Hi-1)/a.geo.Chunk
	return fmt.Sprintf("parity of %d bytes at %d of the members differs: array bytes [%d,%d)", s.Len(), s.Lo,
		first*data*a.geo.Chunk, (last+1)*data*a.geo.Chunk)
}
