package plantest

import (
	"errors"
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// syncs does each kind of background work over a whole world, in spans that begin and end anywhere.
func (x *exam) syncs(w *world) {
	if x.g.SyncSize == 0 {
		return
	}
	for range 3 {
		done, found := x.walk(w, plan.Check)
		if w.Synced >= x.g.SyncSize && found != 0 {
			x.failed(w, "check", errors.New("finds a mismatch where there is none"))
		}
		if len(done) != int(x.g.SyncSize) {
			x.failed(w, "check", errors.New("did not get through"))
		}
		done, _ = x.walk(w, plan.Recover)
		x.judge(w, "recover", done, true, func(at Place) bool { return !w.valid(at) || w.Avoid.Has(at.Role) })
		done, _ = x.walk(w, plan.Resync)
		x.judge(w, "resync", done, false, func(at Place) bool { return x.model.Parity == nil || x.model.isParity(at) })
	}
}

// walk syncs all of w.members, in x.work. It says which positions were covered, and how many mismatches there were.
func (x *exam) walk(w *world, k plan.Kind) (done map[int64]bool, found int) {
	x.work.copyFrom(w.members)
	done = map[int64]bool{}
	op := block.Write
	if k == plan.Check {
		op = block.Read
	}
	for at := int64(0); at < x.g.SyncSize; {
		span := plan.Span{Lo: at, Hi: min(x.g.SyncSize, at+1+x.rand.Int64N(x.g.SyncSize))}
		x.plan.Reset()
		n, err := x.level.Sync(&x.plan, span, k, &w.View)
		if err != nil {
			// Parity is made from all the data or not at all.
			mayFail := w.mayFail || k == plan.Resync && x.model.Parity != nil && w.faults > 0
			if !errors.Is(err, plan.ErrFailed) || !mayFail {
				x.failed(w, fmt.Sprint(k, span), err)
			}
			at++
			continue
		}
		if err := Laws(&x.plan, x.g, block.Request{Op: op, Off: span.Lo, Len: span.Len()}, n, &w.View); err != nil {
			x.failed(w, fmt.Sprint(k, span), err)
		}
		found += Run(&x.plan, x.work, nil)
		for end := at + n; at < end; at++ {
			done[at] = true
		}
	}
	return done, found
}

// judge wants everything that the work was to make right at the positions done to be right, and nothing else to have changed to
// anything but what is right; with only, not even that for members that are in sync.
func (x *exam) judge(w *world, what string, done map[int64]bool, only bool, makes func(Place) bool) {
	for role := range x.g.Roles {
		for row := range x.g.Rows {
			at := Place{role, row}
			got, was, right := x.work[role][row], w.members[role][row], x.clean[role][row]
			pos, used := x.pos(at)
			switch {
			case !used, !w.Writable.Has(role), only && w.Readable.Has(role) && !w.Avoid.Has(role):
				right = was
			case done[pos] && makes(at):
				was = right
			}
			if got != was && got != right {
				x.failed(w, what, fmt.Errorf("m%d row %d holds %#x, must be %#x", role, row, got, right))
			}
		}
	}
}

// pos is the position of a member's byte in the sync space.
func (x *exam) pos(at Place) (int64, bool) {
	if x.model.Parity != nil {
		return at.Row, true
	}
	if x.positions == nil {
		x.positions = map[Place]int64{}
		for off := range x.g.SyncSize {
			for _, at := range x.places[off] {
				x.positions[at] = off
			}
		}
	}
	pos, used := x.positions[at]
	return pos, used
}

// flips changes each byte of each member in turn, with every single member missing: Check must say so wherever there is anything
// left to compare it with.
func (x *exam) flips() {
	if x.g.SyncSize == 0 {
		return
	}
	for down := -1; down < x.g.Roles; down++ {
		w := x.world(1<<63-1, 0)
		if down >= 0 {
			w = x.world(1<<63-1, 0, fault{down, 'd', 0})
		}
		for role := range x.g.Roles {
			for row := range x.g.Rows {
				pos, used := x.pos(Place{role, row})
				if !used || role == down {
					continue
				}
				left := x.g.Roles
				if x.model.Parity == nil {
					left = len(x.places[pos])
				}
				if down >= 0 && (x.model.Parity != nil || x.has(pos, down)) {
					left--
				}
				enough := left > 1
				if x.model.Parity != nil { // more is there than data
					enough = left > x.g.Roles-x.model.parities()
				}
				w.members[role][row] ^= 0x10
				_, found := x.walk(w, plan.Check)
				w.members[role][row] ^= 0x10
				if (found > 0) != enough {
					x.failed(w, "check", fmt.Errorf("m%d row %d flipped: %d mismatches found, %d members to compare", role, row, found, left))
				}
			}
		}
	}
}

func (x *exam) has(pos int64, role int) bool {
	for _, at := range x.places[pos] {
		if at.Role == role {
			return true
		}
	}
	return false
}
