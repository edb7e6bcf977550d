package sim

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"time"
)

// task is something that runs on a host, in a coroutine.
type task struct {
	w    *World
	host *Host
	id   int
	run  func()
	on   *coroutine

	why    string // what it waits for
	ready  bool
	woken  bool // by an event, not by a timer
	over   bool // ended, or to be ended
	killed bool
	ticket uint64 // of the present wait: a timer with another one is void
	where  string // set when it is ended: what it was doing
}

// coroutine runs one task after another.
type coroutine struct {
	task  *task
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

func newCoroutine(w *World) *coroutine {
	c := &coroutine{}
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		for {
			t := c.task
			c.perform(t)
			if t.killed {
				return
			}
			c.task = nil
			w.idle = append(w.idle, c)
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return c
}

func (c *coroutine) resume() { c.next() }

// ended is what a task panics with that is to end.
type ended struct{}

func (c *coroutine) perform(t *task) {
	defer func() {
		t.end()
		if p := recover(); p != nil {
			if _, ok := p.(ended); !ok {
				t.w.fail(t, p)
			}
		}
	}()
	t.run()
}

func (t *task) end() {
	t.over = true
	if i := slices.Index(t.w.tasks, t); i >= 0 {
		t.w.tasks = slices.Delete(t.w.tasks, i, i+1)
	}
}

// spawn makes a task of h.
func (w *World) spawn(h *Host, run func()) {
	w.born++
	t := &task{w: w, host: h, id: w.born, run: run, why: "its start"}
	w.tasks = append(w.tasks, t)
	w.wake(t)
	if n := len(w.idle); n > 0 {
		t.on, w.idle = w.idle[n-1], w.idle[:n-1]
	} else {
		t.on = newCoroutine(w)
	}
	t.on.task = t
}

// park waits until something wakes t.
func (t *task) park(why string) {
	if t.w.current != t {
		panic("sim: a task waits that is not running: something outside of the world's tasks called into it")
	}
	t.why = why
	if t.over || !t.on.yield(struct{}{}) {
		if t.where == "" {
			t.where = caller()
		}
		panic(ended{})
	}
}

// kill ends a task that waits: what it deferred is done, and nothing else.
func (w *World) kill(t *task) {
	if t == w.current {
		panic("sim: a task cannot end itself")
	}
	t.over, t.killed = true, true
	if i := slices.Index(w.ready, t); i >= 0 {
		w.ready = slices.Delete(w.ready, i, i+1)
	}
	before := w.current
	w.current = t
	t.on.stop()
	w.current = before
	if t.where == "" {
		t.where = "its start"
	}
	t.end()
}

// running is the task that runs now.
func (w *World) running() *task {
	if w.current == nil {
		panic("sim: to wait takes a task: use Host.Go or World.Run")
	}
	return w.current
}

// sleep is Host.Sleep for whoever runs.
func (w *World) sleep(d time.Duration, why string) {
	t := w.running()
	if d <= 0 {
		w.wake(t)
	} else {
		w.timers.push(timer{w.now + d, w.steps, t, t.ticket})
	}
	t.park(why)
}

// caller names the functions above the wait, innermost first.
func caller() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	var names []string
	for {
		f, more := frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
		own := strings.HasPrefix(name, "sim.(*") || name == "sim.caller" || strings.HasPrefix(name, "sim.newCoroutine")
		if !own && !strings.HasPrefix(name, "iter.") && !strings.HasPrefix(name, "runtime.") {
			names = append(names, fmt.Sprintf("%s:%d", name, f.Line))
		}
		if !more || len(names) == 6 {
			return strings.Join(names, " < ")
		}
	}
}
