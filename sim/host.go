package sim

import (
	"time"

	"graid/sched"
)

// Host is a computer that runs tasks: what a crash ends. It is a sched.Sched.
type Host struct {
	w    *World
	name string
	dead bool
}

// Host is a new host.
func (w *World) Host(name string) *Host { return &Host{w: w, name: name} }

// epoch is what the calendar says when a world begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Now is the time since the world began.
func (h *Host) Now() time.Duration { return h.w.now }

// Wall is a calendar that began with the world.
func (h *Host) Wall() time.Time { return epoch.Add(h.w.now) }

// Sleep lets others run for at least d of the world's time.
func (h *Host) Sleep(d time.Duration) { h.w.sleep(d, "a sleep of "+d.String()) }

// Go runs task beside the caller, unless the host has ended.
func (h *Host) Go(run func()) {
	if !h.dead && !h.w.closed {
		h.w.spawn(h, run)
	}
}

// NewEvent is an event, not set.
func (h *Host) NewEvent() sched.Event { return &event{w: h.w} }

// Kill ends every task of h where it waits, as the end of a process does. The caller is not one of them.
func (h *Host) Kill() {
	h.dead = true
	for i := 0; i < len(h.w.tasks); {
		if t := h.w.tasks[i]; t.host == h {
			h.w.kill(t)
			i = 0 // ending it may have ended nothing else, but the list is shorter
			continue
		}
		i++
	}
}

// event is a sched.Event. That a second task waits for it is a bug of who does.
type event struct {
	w      *World
	set    bool
	waiter *task
}

func (e *event) Set() {
	if t := e.waiter; t != nil && !t.over {
		e.waiter, t.woken = nil, true
		e.w.wake(t)
		return
	}
	e.set = true
}

func (e *event) Wait() { e.wait(-1) }

func (e *event) WaitFor(d time.Duration) bool { return e.wait(max(d, 0)) }

// wait waits for at most d, or for ever if that is negative.
func (e *event) wait(d time.Duration) bool {
	if e.set {
		e.set = false
		return true
	}
	if e.waiter != nil && !e.waiter.over {
		panic("sim: two tasks wait for one event")
	}
	t := e.w.running()
	e.waiter, t.woken = t, false
	if d >= 0 {
		e.w.timers.push(timer{e.w.now + d, e.w.steps, t, t.ticket})
	}
	t.park("an event")
	if !t.woken {
		e.waiter = nil
	}
	return t.woken
}
