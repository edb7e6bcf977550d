package nbd

import (
	"context"
	"errors"
	"fmt"

	"graid/block"
)

// Why a session cannot be fenced.
var (
	// ErrNoSession says that the server is none of graid's, or not the one that was meant. It is a Path error.
	ErrNoSession     = fmt.Errorf("%w: the server has no such sessions", block.ErrPath)
	errOtherInstance = fmt.Errorf("%w: another instance serves the export now", ErrNoSession)
)

// askSession makes the connection a session, where the server knows what that is.
func (l *link) askSession(name string) error {
	b := be.AppendUint16(nil, sessionVersion)
	b = append(b, make([]byte, askLen-2)...)
	err := l.ask(optSession, appendString(b, name), func(kind uint32, b []byte) error {
		if kind != repSession {
			return nil
		}
		return l.session.decode(b)
	})
	if err != nil && optional(err) {
		return nil
	}
	return err
}

// Instance is the server's, as of the last connection; ok is false for servers that are none of graid's.
func (c *Client) Instance() (id [16]byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.instance, c.instance != [16]byte{}
}

// Sessions are the connections that something may still come of: those there are, and those that are lost with doubts. A server that is none of
// graid's has none.
func (c *Client) Sessions() (list []Session) {
	for i := range c.links {
		if l := c.links[i].Load(); l != nil && l.session.ID != 0 {
			list = append(list, l.session)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[Session]bool{}
	for _, s := range list {
		seen[s] = true
	}
	for _, d := range c.doubts {
		if d.Session.ID != 0 && !seen[d.Session] {
			seen[d.Session] = true
			list = append(list, d.Session)
		}
	}
	return list
}

// Fence ends sessions of this or of another client, over a connection of this one: afterwards, what they were sent has been done or never will be. A
// session of another instance of the server is ErrNoSession: that instance may live.
func (c *Client) Fence(ctx context.Context, list ...Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !c.gate.Enter() {
		return c.named(block.ErrClosed)
	}
	defer c.gate.Leave()
	c.enter()
	defer c.busy.Add(-1)
	for _, s := range list {
		if err := c.fence(s, c.clock.Load()+int64(c.opt.Timeout)); err != nil {
			return c.named(err)
		}
	}
	return nil
}

// fence has the server end a session, within the time there is for it.
func (c *Client) fence(s Session, due int64) error {
	k := c.calls.Get().(*call)
	defer c.calls.Put(k)
	c.enter()
	defer c.busy.Add(-1)
	k.begin(order{cmd: cmdFence, off: int64(s.ID)}, nil, due)
	for {
		l, err := c.pick(k)
		switch {
		case err != nil:
			return err
		case l.session.ID == 0, s.ID == 0:
			return ErrNoSession
		case l.session.Instance != s.Instance: // asked of another one, the number would be somebody else's
			return errOtherInstance
		}
		if err = l.carry(k); err == nil {
			c.absolve(s)
			return nil
		}
		if !errors.Is(err, errLost) {
			return fmt.Errorf("fence: %w", err)
		}
	}
}

// absolve takes away the doubts about what a session was sent.
func (c *Client) absolve(s Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.doubts[:0]
	for _, d := range c.doubts {
		if d.Session != s {
			rest = append(rest, d)
		}
	}
	clear(c.doubts[len(rest):])
	c.doubts = rest
}

// Ping asks the server for a sign of life: graid's by a command that does nothing, others by a small read.
func (c *Client) Ping(ctx context.Context) error {
	if _, ok := c.Instance(); !ok {
		return block.ReadAt(ctx, c, block.Alloc(c.info.Block), 0)
	}
	if !c.gate.Enter() {
		return c.named(block.ErrClosed)
	}
	defer c.gate.Leave()
	if err := c.perform(order{cmd: cmdPing}, nil); err != nil {
		return c.named(err)
	}
	return nil
}

// settled has what was sent on a lost connection done, or never: then it can be sent again. It is false if nothing but time could settle it.
func (c *Client) settled(l *link, due int64) bool {
	if l.session.ID == 0 {
		return false
	}
	l.settling.Lock()
	defer l.settling.Unlock()
	if l.over {
		return true
	}
	err := c.fence(l.session, due)
	if errors.Is(err, errOtherInstance) {
		// That instance has ended, and what it was sent ended with it: another one serves the export, which only one can have. Whether something is lost
		// that it had acknowledged is another question; see trusts.
		c.absolve(l.session)
		err = nil
	}
	l.over = err == nil
	return l.over
}
