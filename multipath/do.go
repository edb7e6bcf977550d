package multipath

import (
	"context"
	"errors"
	"fmt"
	"time"

	"graid/block"
	"graid/sched"
)

// op is a request on its way. Ops are pooled.
type op struct {
	d     *Device
	wake  sched.Event
	sent  []*attempt // on remote paths, not over
	mem   *chunk     // what a write says
	hold  *hold      // of a change
	hedge bool       // may be sent twice
	probe bool       // of the map's own, on a session of its choice
	ahead bool       // goes on while others wait for unflushed writes to be sent again
	kills int64
	since time.Duration // when it began to wait
}

// course is what a request has met so far.
type course struct {
	doubt int   // the path that could not do it, though the target may; -1: none
	cause error // what that said
	avoid int   // the path that is too busy; -1: none
	busy  int
	tries int
	lost  *session // where a copy of it may still land
}

const (
	maxTries = 16 // paths that one request may break: after those it is the request
	maxBusy  = 8
)

// Do performs r on one of the paths, or on as many as it takes.
func (d *Device) Do(ctx context.Context, r block.Request) error {
	if err := d.info.Check(r); err != nil {
		return block.Blame(d.info.Name, r, err)
	}
	if err := ctx.Err(); err != nil {
		return block.Blame(d.info.Name, r, err)
	}
	if !d.gate.Enter() {
		return block.Blame(d.info.Name, r, block.ErrClosed)
	}
	defer d.gate.Leave()
	if r.Len == 0 && r.Op != block.Flush {
		return nil
	}
	o := d.getOp()
	err := d.do(ctx, o, r)
	d.putOp(o)
	if err == nil || err == block.ErrWouldBlock {
		return err
	}
	return block.Blame(d.info.Name, r, err)
}

func (d *Device) do(ctx context.Context, o *op, r block.Request) error {
	switch {
	case !d.guarded:
		_, err := d.carry(ctx, o, r)
		return err
	case r.Flags&block.NoWait != 0:
		return block.ErrWouldBlock
	case r.Op == block.Flush:
		return d.flush(ctx, o)
	case r.Op.Mutates():
		return d.change(ctx, o, r)
	}
	_, err := d.carry(ctx, o, r)
	return err
}

func (d *Device) getOp() *op {
	if o, ok := d.ops.Get().(*op); ok {
		return o
	}
	return &op{d: d, wake: d.s.NewEvent()}
}

func (d *Device) putOp(o *op) {
	o.probe, o.ahead, o.since = false, false, 0
	d.ops.Put(o)
}

// change does a request that changes the medium, alone in its range. What may still land of it keeps the range for itself.
func (d *Device) change(ctx context.Context, o *op, r block.Request) error {
	d.mu.Lock()
	if err := d.queue(ctx, o, func() bool { return o.ahead || !d.resending }); err != nil {
		d.unlock()
		return err
	}
	if err := d.occupy(ctx, o, r.Off, r.End()); err != nil {
		d.unlock()
		return err
	}
	if r.Op == block.Write {
		o.mem = d.chunks.get(r.Len)
		copy(o.mem.b, r.Buf)
	}
	d.unlock()
	if d.o.WriteThrough {
		r.Flags |= block.FUA
	}
	z, err := d.carry(ctx, o, r)
	d.mu.Lock()
	d.remember(o, r, z, err)
	d.vacate(o)
	d.chunks.drop(o.mem)
	o.mem = nil
	full := d.log.bytes > d.o.Unflushed && !o.ahead && err == nil
	d.unlock()
	if full {
		return d.flush(ctx, o)
	}
	return err
}

// remember keeps what z acknowledged until it is flushed. A change that failed and may still have happened is kept too: should what was there before
// have to be sent again, it would undo what somebody may have read. The map's mu is held.
func (d *Device) remember(o *op, r block.Request, z *session, err error) {
	k := kept{off: r.Off, end: r.End(), mem: o.mem, flags: r.Flags &^ block.Fast}
	switch {
	case err != nil && (o.hold.open == 0 || !d.log.covers(r.Off, r.End())):
		return
	case err != nil:
		k.key = nobody
	case r.Flags&block.FUA != 0 || r.Op == block.Discard:
		d.log.cut(r.Off, r.End())
		return
	default:
		k.key = z.key
	}
	if r.Op == block.Discard {
		d.log.cut(r.Off, r.End())
		return
	}
	d.log.put(k)
	d.rehome() // z may have failed since
}

// occupy waits until nothing else is sent to [off, end), and nothing old may land there. The map's mu is held.
func (d *Device) occupy(ctx context.Context, o *op, off, end int64) error {
	h := &hold{off: off, end: end}
	if n := len(d.holds); n > 0 {
		h, d.holds = d.holds[n-1], d.holds[:n-1]
		*h = hold{off: off, end: end}
	}
	if !d.spans.ask(h) {
		if err := d.queue(ctx, o, func() bool { return d.spans.retry(h) }); err != nil {
			d.spans.leave(h)
			d.stir()
			return err
		}
	}
	o.hold = h
	return nil
}

// vacate ends what occupy began. The map's mu is held.
func (d *Device) vacate(o *op) {
	h := o.hold
	o.hold = nil
	h.over = true
	if h.open > 0 {
		d.stir() // reads that waited for it
		return
	}
	if d.spans.drop(h) || h.again || d.resending { // who sends again waits for what is under way
		d.stir()
	}
	if len(d.holds) < 256 {
		d.holds = append(d.holds, h)
	}
}

// carry sends r on one path after another until one of them has an answer. It says who gave it.
func (d *Device) carry(ctx context.Context, o *op, r block.Request) (*session, error) {
	c := course{doubt: -1, avoid: -1}
	for {
		z, err := d.pick(ctx, o, r, &c)
		if err != nil {
			return nil, err
		}
		if z.local {
			err = d.inPlace(ctx, z, r)
		} else {
			z, err = d.send(o, z, r)
		}
		if err == nil && c.doubt < 0 {
			return z, nil
		}
		if again, err := d.consider(z, r, err, &c); !again {
			return z, err
		}
	}
}

// consider decides what becomes of r after z's answer err: another try, or that error.
func (d *Device) consider(z *session, r block.Request, err error, c *course) (again bool, _ error) {
	i := z.path.i
	switch judge(err) {
	case fine:
		d.mu.Lock()
		d.saw(d.paths[c.doubt], sawBlame, fmt.Sprintf("could not %s where %s could: %v", r.Op, z.name, c.cause))
		d.unlock()
		return false, nil
	case target:
		return false, err
	case doubtful:
		if c.doubt >= 0 {
			return false, c.cause // two paths say so: it is the medium, and nobody's fault
		}
		c.doubt, c.cause = i, err
		return true, nil
	case busy:
		if c.busy++; c.busy >= maxBusy {
			return false, err
		}
		d.s.Sleep(doubled(5*time.Millisecond, c.busy, time.Second))
		if c.busy > 2 {
			c.avoid = i
		}
		return true, nil
	case leaving:
		d.mu.Lock()
		d.saw(z.path, sawLeaving, "the target is about to stop")
		d.unlock()
	case broken:
		d.mu.Lock()
		d.lose(z, reason(err), sawBroken)
		if r.Op.Mutates() && !z.local {
			c.lost = z
		}
		d.unlock()
	}
	if c.tries++; c.tries >= maxTries {
		return false, fmt.Errorf("%w: it broke %d paths in a row: %w", block.ErrGone, c.tries, err)
	}
	return true, nil
}

// inPlace does r on a local path, here.
func (d *Device) inPlace(ctx context.Context, z *session, r block.Request) error {
	var took time.Duration
	if d.timed { // to ask the time costs 80 ns
		took = -d.s.Now()
	}
	err := z.dev.Do(ctx, r)
	if d.timed {
		took = max(took+d.s.Now(), 1)
	}
	d.mu.Lock()
	d.took(z, r, took, err)
	if z.inflight--; z.inflight == 0 && len(d.parked) > 0 {
		d.stir()
	}
	d.unlock()
	return err
}

// took is the end of r on z, as far as counts go. The map's mu is held.
func (d *Device) took(z *session, r block.Request, took time.Duration, err error) {
	p := z.path
	if err != nil {
		if judge(err) != target {
			p.errors++
		}
		took = 0
	}
	if !z.dead && took > 0 {
		d.noted(d.table.sample(p.i, took, d.s.Now()))
	}
	d.selector.End(p.i, r, took)
}

func (d *Device) count(p *path, r block.Request) {
	p.requests++
	p.bytes += r.Len
}

// pick is the session that r goes to. It waits for one, for as long as NoPath has it, and for what must come first.
func (d *Device) pick(ctx context.Context, o *op, r block.Request, c *course) (*session, error) {
	d.mu.Lock() // and no defer: a world may end who waits
	for {
		z, err := d.choose(o, r, c)
		if z == nil && err == nil {
			err = d.park(ctx, o, d.bound())
		}
		if z != nil || err != nil {
			d.unlock()
			return z, err
		}
	}
}

// choose is the session that r goes to now, or none if it has to wait. The map's mu is held.
func (d *Device) choose(o *op, r block.Request, c *course) (*session, error) {
	i := -1
	switch {
	case c.lost != nil && !c.lost.replay:
	case d.resending && !o.ahead && o.hold == nil:
	case o.hold == nil && d.guarded && r.Op == block.Read && d.spans.torn(r.Off, r.End()):
	case c.doubt >= 0:
		if i = d.table.another(c.doubt); i < 0 {
			return nil, c.cause
		}
	case len(d.table.live) > 0:
		i = d.among(r, c.avoid)
	}
	if i >= 0 {
		p := d.paths[i]
		d.count(p, r)
		if p.s.local {
			p.s.inflight++
			d.selector.Start(i, r)
		}
		return p.s, nil
	}
	if r.Flags&block.NoWait != 0 {
		return nil, block.ErrWouldBlock
	}
	return nil, d.patience()
}

// among has the selector choose, without the path that is too busy unless there is no other.
func (d *Device) among(r block.Request, avoid int) int {
	live := d.table.live
	if avoid >= 0 && len(live) > 1 {
		d.choice = d.choice[:0]
		for _, i := range live {
			if i != avoid {
				d.choice = append(d.choice, i)
			}
		}
		live = d.choice
	}
	if len(live) == 1 {
		return live[0]
	}
	return d.selector.Select(live, r)
}

// bound is until when a request may wait for a path: for ever as long as there is one. The map's mu is held.
func (d *Device) bound() time.Duration {
	if d.table.lost == never || d.o.NoPath == NoPathQueue {
		return never
	}
	return d.table.lost + d.o.NoPath
}

// patience is the error of a request that has waited for a path for too long. The map's mu is held.
func (d *Device) patience() error {
	if d.table.lost == never || d.o.NoPath == NoPathQueue {
		return nil
	}
	if d.o.NoPath == NoPathFail {
		return fmt.Errorf("%w: %w", block.ErrGone, ErrNoPath)
	}
	if d.s.Now() >= d.table.lost+d.o.NoPath {
		return fmt.Errorf("%w: %w for %v", block.ErrGone, ErrNoPath, d.o.NoPath)
	}
	return nil
}

// queue waits until ready says so. It gives up when there is no path, for as long as NoPath has it. The map's mu is held.
func (d *Device) queue(ctx context.Context, o *op, ready func() bool) error {
	for !ready() {
		if err := d.patience(); err != nil {
			return err
		}
		if err := d.park(ctx, o, d.bound()); err != nil {
			return err
		}
	}
	return nil
}

// park waits for something to change, until then at most. It fails if o is not to wait any more. The map's mu is held, but not while it waits.
func (d *Device) park(ctx context.Context, o *op, until time.Duration) error {
	o.kills = d.kills
	if d.closing {
		return block.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	now := d.s.Now()
	if o.since == 0 {
		o.since = now
	}
	d.parked = append(d.parked, o)
	wait := until - now
	d.unlock()
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, o.wake.Set)
	}
	if until == never {
		o.wake.Wait()
	} else {
		o.wake.WaitFor(wait)
	}
	stop()
	d.mu.Lock()
	for i, x := range d.parked {
		if x == o {
			d.parked = append(d.parked[:i], d.parked[i+1:]...)
			break
		}
	}
	switch {
	case d.closing:
		return block.ErrClosed
	case o.kills != d.kills:
		return fmt.Errorf("%w: %w", block.ErrGone, ErrKilled)
	}
	return ctx.Err()
}

// stir has everybody who waits look again. The map's mu is held.
func (d *Device) stir() {
	for _, o := range d.parked {
		o.wake.Set()
	}
}

// reason is why a path failed, for people: what the device says, without the request.
func reason(err error) string {
	var e *block.Error
	for errors.As(err, &e) {
		err = e.Err
	}
	return err.Error()
}
