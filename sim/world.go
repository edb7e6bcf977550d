package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// World is one timeline. Make one with New, populate it, Run it, Close it.
type World struct {
	seed    uint64
	pick    *rand.Rand // chooses who goes next, and nothing else
	now     time.Duration
	steps   int64
	ready   []*task // able to run
	timers  timers
	current *task
	tasks   []*task // not over yet, in order of birth
	born    int
	idle    []*coroutine // to be used again
	cuts    []cut
	failure error
	closed  bool
	trace   trace
}

// cut is what happens before a step.
type cut struct {
	step int64
	do   func()
}

// New is the world of seed, at time 0, with nothing in it.
func New(seed uint64) *World {
	w := &World{seed: seed, trace: trace{sum: offset64, lines: make([]line, traceKept)}}
	w.pick = w.Rand("world", "next task")
	return w
}

// Rand is the stream of random numbers of that name for that purpose: a PCG seeded with the FNV-1a sums of both and the world's seed, so
// that streams do not depend on each other, and a world with one subject more leaves the others as they were.
func (w *World) Rand(name, purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed^sum64(name), w.seed*0x9E3779B97F4A7C15^sum64(purpose)))
}

// Now is the time since the world began.
func (w *World) Now() time.Duration { return w.now }

// Steps is how often a task was let run.
func (w *World) Steps() int64 { return w.steps }

// AtStep has do called before the step of that number, when no task is running: it may Kill hosts and cut power. Of several for
// one step the first given is called first.
func (w *World) AtStep(step int64, do func()) {
	w.cuts = append(w.cuts, cut{step, do})
	slices.SortStableFunc(w.cuts, func(a, b cut) int { return int(min(max(a.step-b.step, -1), 1)) })
}

// Errors of Run.
var (
	ErrStuck   = errors.New("nothing can happen any more")
	ErrEndless = errors.New("still going on")
)

// Run runs main in a task of a host of its own, and everything that it starts, until main returns. Its error is one of the world, not of
// main: a panic of a task, nothing that could run any more (who waits where is in the message), or more than maxSteps steps.
func (w *World) Run(maxSteps int64, main func()) error {
	over := false
	w.Host("main").Go(func() {
		main()
		over = true
	})
	for !over && w.failure == nil {
		for len(w.cuts) > 0 && w.cuts[0].step <= w.steps {
			c := w.cuts[0]
			w.cuts = w.cuts[1:]
			c.do()
		}
		t := w.next()
		switch {
		case t == nil:
			return fmt.Errorf("%w at %v, step %d:\n%s", ErrStuck, w.now, w.steps, w.waiting())
		case w.steps == maxSteps:
			return fmt.Errorf("%w at %v, after %d steps:\n%s", ErrEndless, w.now, w.steps, w.waiting())
		}
		w.steps++
		w.mix(uint64(t.id), uint64(w.now))
		w.resume(t)
	}
	return w.failure
}

// next is the task that goes next: one of those that can, as the seed has it, or of those that the next timer wakes.
func (w *World) next() *task {
	for len(w.ready) == 0 {
		if len(w.timers) == 0 {
			return nil
		}
		w.now = max(w.now, w.timers[0].at)
		for len(w.timers) > 0 && w.timers[0].at <= w.now {
			if x := w.timers.pop(); x.task.ticket == x.ticket {
				w.wake(x.task)
			}
		}
	}
	i := 0
	if len(w.ready) > 1 {
		i = w.pick.IntN(len(w.ready))
	}
	t := w.ready[i]
	w.ready = slices.Delete(w.ready, i, i+1)
	t.ready = false
	return t
}

// wake makes t able to run. A timer of the wait that this ends is void.
func (w *World) wake(t *task) {
	t.ticket++
	if !t.ready && !t.over {
		t.ready = true
		w.ready = append(w.ready, t)
	}
}

// resume lets t run until it waits or ends.
func (w *World) resume(t *task) {
	before := w.current
	w.current = t
	t.on.resume()
	w.current = before
}

// waiting says where every task waits. It ends them to find out.
func (w *World) waiting() string {
	var lines []string
	for len(w.tasks) > 0 {
		t := w.tasks[0]
		where := t.why
		w.kill(t)
		lines = append(lines, fmt.Sprintf("  task %d of %s waits for %s in %s", t.id, t.host.name, where, t.where))
	}
	return strings.Join(lines, "\n")
}

// Close ends every task. Nothing may be run in the world afterwards.
func (w *World) Close() {
	w.closed = true
	for len(w.tasks) > 0 {
		w.kill(w.tasks[0])
	}
	for _, c := range w.idle {
		c.stop()
	}
	w.idle = nil
}

// fail records what ended the world: only the first counts.
func (w *World) fail(t *task, what any) {
	if w.failure == nil {
		w.failure = fmt.Errorf("task %d of %s: panic: %v\n%s", t.id, t.host.name, what, debug.Stack())
	}
}
