package raid

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Close stops background work, waits for requests in flight, flushes, marks the array clean if it is, and closes the members.
// Its error says what could not be made durable. A second Close does nothing.
func (a *Array) Close() error {
	if a.closing.Swap(true) {
		return nil
	}
	a.wake.Set()
	a.work.Set()
	a.end() // the one that stands for being open
	a.drained.Wait()
	a.tasks.Wait()

	var err error
	if a.writable {
		a.inflight.Add(1)
		err = a.flush(context.Background())
		a.tidy(true)
		a.settle(true)
		a.saveLogs()
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
	a.lates.Wait()
	a.tell(EventStopped, "", "")
	return err
}

// waitStep is how often Wait looks.
const waitStep = 20 * time.Millisecond

// Wait returns when no background work is left, or ctx is done.
func (a *Array) Wait(ctx context.Context) error {
	for a.busy() {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.sched.Sleep(waitStep)
	}
	return nil
}
