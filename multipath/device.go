package multipath

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"graid/block"
	"graid/sched"
)

// Device is a map: one block.Device over the paths to it.
type Device struct {
	name     string
	info     block.Info
	o        Options
	s        sched.Sched
	guarded  bool // some path is not local: what is sent on it may outlive its caller
	timed    bool
	selector Selector

	gate  *sched.Gate
	tasks *sched.Group
	ops   sync.Pool // of *op
	tick  sched.Event

	mu        sync.Mutex // guards what follows, and is never held across anything that can wait
	rng       *rand.Rand
	table     *table
	paths     []*path // as the table numbers them
	choice    []int
	parked    []*op // who wait for something to change
	kills     int64 // how often FailQueued was called
	spans     spans
	holds     []*hold    // to use again
	spare     []*attempt // to use again
	chunks    chunks
	log       unflushed
	resending bool          // unflushed writes of a target that is gone come first
	lost      error         // an acknowledged write that could not be sent again; for the next flush
	budget    float64       // of reads sent twice
	watching  time.Duration // when the clock looks again
	old       []*session    // that failed and may still land something
	nonce     uint64        // sessions made
	mark      []byte        // the nonce that was written last
	closing   bool
	counters  Counters
	chronicle chronicle
	telling   bool
}

// New is a map of that name over paths. The first path that opens, and that Options.Verify has nothing against, says what the medium is like; the others
// have to be like it. New fails if there is none. The map owns the devices of paths from now on.
func New(ctx context.Context, name string, paths []Path, o Options, s sched.Sched) (*Device, error) {
	d := &Device{name: name, o: o.withDefaults(), s: s, gate: sched.NewGate(s), tasks: sched.NewGroup(s), tick: s.NewEvent(), watching: never}
	if err := d.o.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: a map needs a path", name)
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name))
	d.rng = rand.New(rand.NewPCG(o.Seed, sum.Sum64()))
	d.table = newTable(&d.o, d.jitter)
	d.table.lost = s.Now()
	d.log = unflushed{chunks: &d.chunks, regions: map[int64][]kept{}, keys: map[string]int{}}
	var err error
	if d.selector, err = NewSelector(d.o.Selector, d.weight, rand.New(rand.NewPCG(o.Seed, ^sum.Sum64()))); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d.timed = d.selector.Timed()
	for _, p := range paths {
		d.guarded = d.guarded || !p.Local
	}
	for _, p := range paths {
		if err := d.enlist(p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := d.found(ctx); err != nil {
		return nil, err
	}
	for _, p := range d.paths {
		d.tasks.Go(func() { d.keep(p) })
	}
	d.tasks.Go(d.clock)
	return d, nil
}

// enlist takes a path into the table.
func (d *Device) enlist(p Path) error {
	switch {
	case p.Name == "":
		return errors.New("a path without a name")
	case p.Dev == nil && p.Open == nil:
		return fmt.Errorf("path %s: neither a device nor a way to open one", p.Name)
	case d.find(p.Name) != nil:
		return fmt.Errorf("path %s: there is one of that name", p.Name)
	case !p.Local && !d.guarded:
		return fmt.Errorf("path %s: the map was made of local paths alone, and takes no other", p.Name)
	}
	if p.Host == "" {
		p.Host = p.Name
	}
	if p.Group == "" {
		p.Group = fmt.Sprintf("priority %d", p.Priority)
	}
	i := d.table.add(record{name: p.Name, host: p.Host, group: p.Group, priority: p.Priority, standby: p.Standby}, d.s.Now())
	x := &path{Path: p, i: i, poke: d.s.NewEvent(), interval: d.o.Check.Min}
	if i == len(d.paths) {
		d.paths = append(d.paths, x)
	} else {
		d.paths[i] = x
	}
	return nil
}

func (d *Device) find(name string) *path {
	for _, p := range d.paths {
		if p.Name == name && !p.gone {
			return p
		}
	}
	return nil
}

// found opens the paths in turn until one of them says what the medium is like.
func (d *Device) found(ctx context.Context) error {
	var problems error
	for _, p := range d.paths {
		if err := d.open(ctx, p, true); err != nil {
			if problems == nil {
				problems = err
			} else {
				problems = fmt.Errorf("%w; %w", problems, err)
			}
			continue
		}
		if d.table.paths[p.i].state.open() {
			return nil
		}
	}
	for _, p := range d.paths {
		if p.Dev != nil {
			_ = p.Dev.Close() // the map never was
		}
	}
	return fmt.Errorf("%s: no path can be used: %w", d.name, problems)
}

// Info describes the medium. It takes no more than the first path did.
func (d *Device) Info() block.Info { return d.info }

func (d *Device) weight(path int) int {
	if w := d.paths[path].Weight; w != 0 {
		return w
	}
	return 1
}

// jitter is t, give or take a quarter, so that paths do not all come back at one moment.
func (d *Device) jitter(t time.Duration) time.Duration {
	return t - t/4 + time.Duration(d.rng.Int64N(int64(t/2)+1))
}

// Close lets nobody in any more, fails those who wait for a path, and waits for requests that have one. It flushes nothing. It does not wait for
// targets that do not answer.
func (d *Device) Close() error {
	d.mu.Lock()
	if d.closing {
		d.unlock()
		return nil
	}
	d.closing = true
	d.stir()
	d.poke()
	d.tick.Set()
	d.unlock()
	d.gate.Close()
	d.mu.Lock()
	d.stir()
	d.unlock()
	d.tasks.Wait()
	var errs []error
	for _, p := range d.paths {
		switch {
		case p.s != nil && (p.s.own || p.Dev != nil):
			if len(p.s.attempts) > 0 {
				d.s.Go(func() { _ = p.s.dev.Close() }) // it waits for a target that does not answer: nobody else does
				continue
			}
			errs = append(errs, p.s.dev.Close())
		case p.Dev != nil && p.Open == nil:
			d.s.Go(func() { _ = p.Dev.Close() }) // it has failed before, and said so
		}
	}
	return errors.Join(errs...)
}

// poke has the keepers look at their paths. The map's mu is held.
func (d *Device) poke() {
	for _, p := range d.paths {
		p.poke.Set()
	}
}

// clock looks at what time does: requests that wait for long, failback.
func (d *Device) clock() {
	d.mu.Lock()
	for !d.closing {
		now := d.s.Now()
		d.noted(d.table.tick(now))
		due := time.Duration(never)
		if d.table.failback > 0 {
			due = d.table.failback
		}
		for _, p := range d.paths {
			if d.table.paths[p.i].state == StateMarginal {
				due = min(due, now+time.Second)
			}
			if p.s == nil {
				continue
			}
			for _, a := range p.s.attempts {
				if a.o == nil {
					continue
				}
				if a.due <= now {
					a.o.wake.Set()
					a.due = now + d.o.IOTimeout // who waits for it sets it anew
				}
				due = min(due, a.due)
			}
		}
		d.watching = due
		d.unlock()
		if due == never {
			d.tick.Wait()
		} else {
			d.tick.WaitFor(due - now)
		}
		d.mu.Lock()
	}
	d.unlock()
}

// saw is what follows from something seen of a path. The map's mu is held.
func (d *Device) saw(p *path, s sight, why string) {
	if !p.gone { // its number may be another path's by now
		d.noted(d.table.observe(p.i, s, why, d.s.Now()))
	}
}

// noted is what follows from transitions. The map's mu is held.
func (d *Device) noted(ts []transition) {
	for _, t := range ts {
		d.record(Event{Kind: KindPath, Path: d.paths[t.path].Name, From: t.from.String(), To: t.to.String(), Reason: t.reason, Requests: d.paths[t.path].requests})
		switch {
		case t.from.open() && !t.to.open() && t.to != StateDraining:
			d.paths[t.path].failures++
		case t.to.open() && !t.from.open():
			d.paths[t.path].interval, d.paths[t.path].checkAt = d.o.Check.Min, d.s.Now()+d.o.Check.Min
		}
	}
	if d.table.moved != "" {
		d.counters.Switches++
		d.record(Event{Kind: KindGroup, To: d.table.current, Reason: d.table.moved})
		d.table.moved = ""
	}
	if len(ts) == 0 {
		return
	}
	if d.table.failback > 0 && d.table.failback < d.watching {
		d.watching = d.table.failback
		d.tick.Set()
	}
	for i := range d.table.paths { // marginal paths are looked at by the clock
		if d.table.paths[i].state == StateMarginal && d.watching > d.s.Now()+time.Second {
			d.watching = 0
			d.tick.Set()
		}
	}
	d.poke()
	d.stir()
	d.rehome()
}
