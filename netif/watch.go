package netif

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"graid/sched"
)

// every is how often it is looked where nobody says when there is something to see.
const every = time.Second

// Watcher tells of changes until it is closed.
type Watcher struct {
	closed atomic.Bool
	tasks  *sched.Group
	wake   sched.Event
	source source // nil = none: it is looked every second
}

// source returns from wait when something may have changed. Close ends a wait with net.ErrClosed or os.ErrClosed.
type source interface {
	wait() error
	Close() error
}

// Watch calls changed with what there is, and again, from a task of its own, whenever that is not the same any more: at once on Linux, where the kernel
// says so by netlink, within a second elsewhere. changed is not called concurrently.
func Watch(s sched.Sched, changed func([]Interface)) (*Watcher, error) {
	list, err := List()
	if err != nil {
		return nil, err
	}
	w := &Watcher{tasks: sched.NewGroup(s), wake: s.NewEvent()}
	if w.source, err = listen(); err != nil {
		return nil, err
	}
	if now, err := List(); err == nil {
		list = now // what happened before the source was there
	}
	changed(list)
	w.tasks.Go(func() {
		for {
			if !w.wait() {
				return
			}
			now, err := List()
			if err != nil || Equal(now, list) {
				continue
			}
			list = now
			changed(list)
		}
	})
	return w, nil
}

// wait returns true when it is time to look again, false when there is nobody to look for.
func (w *Watcher) wait() bool {
	if w.source != nil {
		err := w.source.wait()
		if err == nil {
			return !w.closed.Load()
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) || w.closed.Load() {
			return false
		}
	}
	w.wake.WaitFor(every)
	return !w.closed.Load()
}

// Close ends the watching. changed is not called any more when it returns; it must not be called from within changed.
func (w *Watcher) Close() error {
	if w.closed.Swap(true) {
		return nil
	}
	var err error
	if w.source != nil {
		err = w.source.Close()
	}
	w.wake.Set()
	w.tasks.Wait()
	return err
}
