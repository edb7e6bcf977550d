package raid

import (
	"context"
	"errors"
	"fmt"
	"time"

	"graid/block"
	"graid/raid/plan"
)

// Close stops background work, waits for requests in flight, flushes, marks the array clean if it is, and closes the members.
// Its error says what could not be made durable. A second Close does nothing.
func (a *Array) Close() error {
	if a.closing.Swap(true) {
		return nil
	}
	a.wake.Set()
	a.end() // the one that stands for being open
	a.drained.Wait()
	a.tasks.Wait()

	var err error
	if a.writable {
		a.inflight.Add(1)
		err = a.flush(context.Background())
		a.settle(true)
		if a.sync.ran.Load() {
			a.checkpoint()
		}
		if err == nil && a.mark.Load() == markDirty && a.geo.Redundant() {
			err = errors.New("not marked clean: the next start will resync")
		}
	}
	for _, m := range a.all() {
		if m != nil {
			if e := m.dev.Close(); e != nil && m.live() {
				err = errors.Join(err, fmt.Errorf("%s: %w", m.path, e))
			}
		}
	}
	a.tell(EventStopped, "", "")
	return err
}

// ErrNotMember is what Fail says of a path that is no member.
var ErrNotMember = errors.New("not a member of this array")

// Fail marks the member with this path faulty, as mdadm --fail does. It is refused where the array would not survive it.
func (a *Array) Fail(_ context.Context, path string) error {
	if !a.begin() {
		return block.ErrClosed
	}
	defer a.end()
	for role, m := range a.members {
		if m == nil || m.path != path {
			continue
		}
		a.meta.Lock()
		defer a.unlock()
		v := a.view.Load()
		switch {
		case !(v.Readable | v.Writable).Has(role):
			return nil // it is already
		case !a.writable:
			return fmt.Errorf("%s: array is read-only: its superblocks cannot say that a member failed", path)
		case !a.geo.Redundant() || v.Readable.Has(role) && !a.level.Enough(v.Readable.Without(role)):
			return fmt.Errorf("%s: the array does not survive without it", path)
		}
		return a.loseLocked(plan.RoleSet(0).With(role), errByUser, false)
	}
	return fmt.Errorf("%s: %w", path, ErrNotMember)
}

var errByUser = errors.New("marked faulty by the user")

// waitStep is how often Wait looks.
const waitStep = 20 * time.Millisecond

// Wait returns when no background work is left, or ctx is done.
func (a *Array) Wait(ctx context.Context) error {
	for a.sync.kind.Load() >= 0 && !a.closing.Load() {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.sched.Sleep(waitStep)
	}
	return nil
}
