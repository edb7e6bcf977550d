// Package sched is the seam between graid and the machine's notion of time and tasks.
//
// Code above it is plain blocking Go that never says go, time.Now or time.Sleep: it asks a Sched. Real does the obvious thing.
// A simulated world supplies another Sched and runs the same code on a virtual timeline, one task at a time.
package sched

import (
	"sync"
	"time"
)

// Sched is time, sleeping, spawning and waiting.
type Sched interface {
	Now() time.Duration  // monotonic, from an arbitrary start
	Wall() time.Time     // what the calendar says; only for what is recorded, never for deciding an order
	Sleep(time.Duration) // at least that long
	Go(task func())      // run task beside the caller
	NewEvent() Event     // a new event, not set
}

// Event is a binary semaphore: it is set or not. Any task may Set; one task waits at a time.
type Event interface {
	Set()                         // makes it set; if it was, nothing changes
	Wait()                        // until set; takes it back to not set
	WaitFor(d time.Duration) bool // as Wait, for at most d; says whether it was set
}

// Real is the machine's own clock and goroutines.
var Real Sched = real{start: time.Now()}

type real struct{ start time.Time }

func (r real) Now() time.Duration    { return time.Since(r.start) }
func (r real) Wall() time.Time       { return time.Now() }
func (r real) Sleep(d time.Duration) { time.Sleep(d) }
func (r real) Go(task func())        { go task() }
func (r real) NewEvent() Event       { return &event{c: make(chan struct{}, 1)} }

// event keeps the timer of its first WaitFor: who waits often with a limit allocates nothing.
type event struct {
	c chan struct{}
	t *time.Timer // of the one task that waits at a time
}

func (e *event) Set() {
	select {
	case e.c <- struct{}{}:
	default:
	}
}

func (e *event) Wait() { <-e.c }

func (e *event) WaitFor(d time.Duration) bool {
	if e.t == nil {
		e.t = time.NewTimer(d)
	} else {
		e.t.Reset(d)
	}
	defer e.t.Stop()
	select {
	case <-e.c:
		return true
	case <-e.t.C:
		return false
	}
}

// Mutex is a lock that may be held across I/O, which a sync.Mutex must not be: its waiters wait in the Sched.
// The zero value is not usable; make one with NewMutex.
type Mutex struct {
	s Sched

	mu    sync.Mutex // guards what follows; never held across a wait
	held  bool
	queue []Event
}

// NewMutex is an unlocked Mutex of s.
func NewMutex(s Sched) *Mutex { return &Mutex{s: s} }

// Lock waits its turn, first come first served.
func (m *Mutex) Lock() {
	m.mu.Lock()
	if !m.held {
		m.held = true
		m.mu.Unlock()
		return
	}
	e := m.s.NewEvent()
	m.queue = append(m.queue, e)
	m.mu.Unlock()
	e.Wait()
}

// TryLock takes the lock if nobody has it, and says whether it did.
func (m *Mutex) TryLock() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held {
		return false
	}
	m.held = true
	return true
}

// Unlock hands the lock to the longest waiter.
func (m *Mutex) Unlock() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.held {
		panic("sched: unlock of an unlocked Mutex")
	}
	if len(m.queue) == 0 {
		m.held = false
		return
	}
	next := m.queue[0]
	m.queue = append(m.queue[:0], m.queue[1:]...)
	next.Set()
}

// Group waits for tasks that it started.
type Group struct {
	s Sched

	mu      sync.Mutex // guards what follows
	running int
	idle    Event
	waiting bool
}

// NewGroup is a Group of s with no tasks.
func NewGroup(s Sched) *Group { return &Group{s: s, idle: s.NewEvent()} }

// Go runs task beside the caller and remembers it until it returns.
func (g *Group) Go(task func()) {
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
	g.s.Go(func() {
		defer g.done()
		task()
	})
}

func (g *Group) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if g.running == 0 && g.waiting {
		g.waiting = false
		g.idle.Set()
	}
}

// Wait returns when no task is left. One task waits at a time.
func (g *Group) Wait() {
	g.mu.Lock()
	if g.running == 0 {
		g.mu.Unlock()
		return
	}
	g.waiting = true
	g.mu.Unlock()
	g.idle.Wait()
}
