package nbd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"graid/block"
)

// Waits between attempts to connect.
const (
	retryFirst = 20 * time.Millisecond
	retryMost  = 2 * time.Second
)

// pick is a connection for k: the next in turn that there is, or one that comes about while k waits.
func (c *Client) pick(k *call) (*link, error) {
	if l := c.next(); l != nil {
		return l, nil
	}
	until := k.due
	if c.opt.Reconnect > 0 {
		until = min(until, c.clock.Load()+int64(c.opt.Reconnect))
	}
	due := k.due
	defer func() { k.due = due }()
	for {
		c.mu.Lock()
		k.done, k.due, k.err = false, until, nil
		err := c.gone
		if err == nil && c.opt.Reconnect < 0 {
			err = c.without()
		}
		if err != nil {
			c.mu.Unlock()
			return nil, err
		}
		c.waiting = append(c.waiting, k)
		c.redial()
		c.mu.Unlock()
		for !c.answered(k) {
			k.wake.Wait()
		}
		if k.err != nil {
			return nil, k.err
		}
		if l := c.next(); l != nil {
			return l, nil
		}
	}
}

func (c *Client) answered(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return k.done
}

// without is the error of who cannot wait for a connection any longer.
func (c *Client) without() error {
	if c.lastErr == nil {
		return errLost
	}
	return fmt.Errorf("%w: %w", errLost, c.lastErr)
}

// next is the next connection in turn; nil if there is none. Where one is missing beside others it is made in the background.
func (c *Client) next() *link {
	n := uint32(c.width)
	turn := uint32(0)
	if n > 1 {
		turn = c.turn.Add(1)
	}
	for i := range n {
		if l := c.links[(turn+i)%n].Load(); l != nil {
			if i > 0 && !c.dirty() {
				c.mu.Lock()
				c.redial()
				c.mu.Unlock()
			}
			return l
		}
	}
	return nil
}

// redial has the task of dialling run. The caller holds mu.
func (c *Client) redial() {
	if !c.dialing && !c.closed && (len(c.waiting) > 0 || c.clock.Load() >= c.retryAt) {
		c.dialing = true
		c.tasks.Go(c.reconnect)
	}
}

// lose takes a connection that has ended out of use.
func (c *Client) lose(l *link, err error) {
	c.mu.Lock()
	if c.lastErr = err; errors.Is(err, errLost) {
		c.lastErr = errors.Unwrap(err)
		if m, ok := err.(interface{ Unwrap() []error }); ok {
			c.lastErr = m.Unwrap()[1]
		}
	}
	c.mu.Unlock()
	c.links[l.index].CompareAndSwap(l, nil)
}

// reconnect makes the connections that are missing, as long as somebody waits for one, or there are others and nothing speaks against more.
func (c *Client) reconnect() {
	for {
		c.mu.Lock()
		i := c.missing()
		wanted := len(c.waiting) > 0 || c.up() && !c.dirty()
		if i < 0 || !wanted || c.gone != nil || c.closed {
			c.dialing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		err := c.restore(c.life, i)
		c.mu.Lock()
		if err == nil {
			c.attempts = 0
		} else {
			c.attempts++
			c.lastErr = err
		}
		pause := c.backoff()
		c.retryAt = c.clock.Load() + int64(pause)
		up := c.up()
		if up || c.gone != nil {
			c.release(nil)
		}
		if up && err != nil { // those that are left do the work; who uses them tries again later
			c.dialing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if err != nil {
			c.wakeDial.WaitFor(pause)
		}
	}
}

// up says whether there is a connection.
func (c *Client) up() bool {
	for i := range c.links {
		if c.links[i].Load() != nil {
			return true
		}
	}
	return false
}

// missing is the first connection that there is not; negative if all are there.
func (c *Client) missing() int {
	for i := range c.width {
		if c.links[i].Load() == nil {
			return i
		}
	}
	return -1
}

// backoff is how long to wait after failing so often, give or take half: a hundred clients of a server that comes back must not all come at once.
// The caller holds mu.
func (c *Client) backoff() time.Duration {
	d := min(retryFirst<<min(c.attempts, 10), retryMost)
	if c.opt.Reconnect > 0 {
		d = min(d, max(c.opt.Reconnect/8, time.Millisecond)) // who waits has a chance or two
	}
	return d/2 + time.Duration(c.rng.Int64N(int64(d)))
}

// release lets those go on who wait for a connection; with an error, those whose time is over. The caller holds mu.
func (c *Client) release(late func(k *call) error) {
	c.waiting = slices.DeleteFunc(c.waiting, func(k *call) bool {
		if late != nil {
			if k.err = late(k); k.err == nil {
				return false
			}
		}
		k.done = true
		k.wake.Set()
		return true
	})
}

// restore makes connection i again. The server must be the one that was lost, as far as that matters.
func (c *Client) restore(ctx context.Context, i int) error {
	l, err := c.dial(ctx, i)
	if err != nil {
		return err
	}
	if err := c.trusts(l); err != nil {
		l.leave()
		return err
	}
	c.install(l)
	return nil
}

// install puts a connection to use.
func (c *Client) install(l *link) {
	c.mu.Lock()
	c.instance = l.session.Instance
	c.mu.Unlock()
	c.links[l.index].Store(l)
	if l.lost() { // already, and then nobody saw it there
		c.links[l.index].CompareAndSwap(l, nil)
	}
}

// trusts refuses a server that may have lost what was acknowledged: for ever, as nobody can say what.
func (c *Client) trusts(l *link) error {
	if before, ok := c.Instance(); c.opt.Trust || !c.dirty() || ok && l.session.Instance == before {
		return nil
	}
	err := c.named(fmt.Errorf("%w: the connection was lost, and the server may have lost with it what it acknowledged and did not flush", block.ErrGone))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = err
	return err
}

// watch ends what has waited too long. It rests while nothing is under way.
func (c *Client) watch() {
	tick := max(min(c.opt.Timeout/32, 250*time.Millisecond), 5*time.Millisecond)
	if c.opt.Reconnect > 0 {
		tick = max(min(tick, c.opt.Reconnect/8), 5*time.Millisecond)
	}
	for {
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		if c.busy.Load() == 0 {
			c.resting.Store(true)
			if c.busy.Load() == 0 || !c.resting.CompareAndSwap(true, false) {
				c.rouse.Wait()
				continue
			}
		}
		c.rouse.WaitFor(tick)
		now := int64(c.s.Now())
		c.clock.Store(now)
		for i := range c.links {
			if l := c.links[i].Load(); l != nil {
				l.look(now)
			}
		}
		if l := c.probing.Load(); l != nil {
			l.look(now)
		}
		c.mu.Lock()
		c.release(func(k *call) error {
			if k.due > now {
				return nil
			}
			return c.without()
		})
		c.mu.Unlock()
	}
}

// probe is one connection as a device, for who verifies what is behind it.
type probe struct{ l *link }

func (p *probe) Info() block.Info { return p.l.c.info }
func (p *probe) Close() error     { return nil }

func (p *probe) Do(ctx context.Context, r block.Request) error {
	c := p.l.c
	if err := c.info.Check(r); err != nil {
		return block.Blame(c.info.Name, r, err)
	}
	if r.Op != block.Read {
		return block.Blame(c.info.Name, r, block.ErrReadOnly)
	}
	for done := int64(0); done < r.Len; done += int64(c.caps.most) {
		part := r.Slice(done, min(done+int64(c.caps.most), r.Len))
		if err := c.through(p.l, order{cmd: cmdRead, off: part.Off, len: part.Len, buf: part.Buf}); err != nil {
			return block.Blame(c.info.Name, r, err)
		}
	}
	return nil
}

// through has an order carried out on a connection that is not in use yet.
func (c *Client) through(l *link, o order) error {
	k := c.calls.Get().(*call)
	defer c.calls.Put(k)
	c.enter()
	defer c.busy.Add(-1)
	k.begin(o, nil, c.clock.Load()+int64(c.opt.Handshake))
	return l.carry(k)
}
