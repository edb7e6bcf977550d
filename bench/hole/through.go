package main

import (
	"sync"

	"graid/block"
)

// target is what the loads write to.
type target interface {
	write(w write) error
	flush() error
}

// plain is the array as it is.
type plain struct{ block.Device }

func (p plain) write(w write) error { return block.WriteAt(ctx, p.Device, w.buf, w.off) }

func (p plain) flush() error { return p.Do(ctx, block.Request{Op: block.Flush}) }

// through logs each write before it begins, as PPL does; those that come while the log is written share the next batch.
type through struct {
	plain
	log *log

	mu      sync.Mutex
	waiting []write
	batch   *batch // that waits
	busy    bool
}

// batch is writes that are logged together.
type batch struct {
	done chan struct{}
	err  error
}

func newThrough(r *rig) *through { return &through{plain: plain{r.Array}, log: newLog(r)} }

func (t *through) write(w write) error {
	if !w.whole() {
		if err := t.logged(w); err != nil {
			return err
		}
	}
	return t.plain.write(w)
}

// logged returns when w is in the log. Who finds nobody writing to it writes, for all who wait, until nobody does.
func (t *through) logged(w write) error {
	t.mu.Lock()
	if t.batch == nil {
		t.batch = &batch{done: make(chan struct{})}
	}
	mine := t.batch
	t.waiting = append(t.waiting, w)
	if t.busy {
		t.mu.Unlock()
		<-mine.done
		return mine.err
	}
	t.busy = true
	for t.batch != nil {
		list, b := t.waiting, t.batch
		t.waiting, t.batch = nil, nil
		t.mu.Unlock()
		b.err = t.log.append(list)
		close(b.done)
		t.mu.Lock()
	}
	t.busy = false
	t.mu.Unlock()
	return mine.err
}
