package nbd

import (
	"errors"
	"fmt"

	"graid/block"
)

// serve reads requests until the connection ends, and returns why.
func (c *conn) serve() error {
	c.rules = rules{
		size:       c.vol.size,
		payload:    c.lim.Payload,
		readOnly:   c.vol.ReadOnly,
		structured: c.structured,
		allocation: c.allocation,
	}
	for {
		if err := c.fill(requestLen); err != nil {
			return err
		}
		q, ok := decodeRequest(c.in.next(requestLen))
		if c.paused.Load() || changes(q.cmd) && c.stale() {
			return errPaused
		}
		if !ok {
			return fmt.Errorf("%w: request magic", errProtocol)
		}
		if c.sessionID != 0 && isPrivate(q.cmd) {
			c.private(q)
			continue
		}
		f := c.rules.check(q)
		if f.errno == 0 && c.draining.Load() && q.cmd != cmdDisconnect {
			f = shuttingDown
		}
		var err error
		switch {
		case f.errno != 0:
			err = c.deny(q, f)
		case q.cmd == cmdDisconnect:
			return errDisconnect
		case q.len == 0 && q.cmd != cmdFlush, q.cmd == cmdCache:
			c.tell(q, fault{}) // nothing to do; CACHE is a hint that there is no cache here for
		case q.cmd == cmdRead:
			c.read(q)
		case q.cmd == cmdWrite:
			err = c.write(q)
		default:
			c.hand(q, statusLen(q))
		}
		if err != nil {
			return err
		}
	}
}

// deny refuses q and reads past its payload, so that the connection stays in step.
func (c *conn) deny(q request, f fault) error {
	if q.cmd == cmdWrite && q.len > 0 {
		if q.len > max(c.lim.Skip, c.lim.Payload) {
			return fmt.Errorf("%w: write of %d bytes", errProtocol, q.len)
		}
		if err := c.skip(int64(q.len)); err != nil {
			return err
		}
	}
	c.tell(q, f)
	return nil
}

// tell replies without content, in the batch.
func (c *conn) tell(q request, f fault) {
	c.out += c.putReply(c.room(replyLen), q, f)
}

// read answers in the batch what an Inline device has at hand; the rest goes through a slot.
func (c *conn) read(q request) {
	c.in.lean = false
	n, head := int(q.len), c.dataHead()
	inline := c.vol.info.Inline
	if !inline || n >= batchLen/2 || c.vol.info.Align > 1 {
		// Large ones in place too: handed to workers they cost 10 to 25 % more CPU and moved less on two busy cores.
		c.start(c.slot(q, n), inline)
		return
	}
	if n >= holeBytes && c.isHole(q) {
		c.out += c.putHole(c.room(replyLen), q)
		return
	}
	b := c.room(head + n)
	err := c.vol.dev.Do(c.ctx, block.Request{Op: block.Read, Flags: block.NoWait, Off: int64(q.off), Len: int64(n), Buf: b[head:]})
	switch {
	case err == nil:
		c.putData(b, q)
		c.out += len(b)
	case errors.Is(err, block.ErrWouldBlock):
		c.hand(q, n)
	default:
		c.tell(q, faultOf(q, err))
	}
}

// start has the request in s performed: in place where nothing has to be waited for, and else by a worker.
func (c *conn) start(s *slot, inline bool) {
	if !inline || !c.work(s, block.NoWait) {
		c.workers.do(s)
	}
}

// write stores a payload, together with those of writes that continue it, from where it was received if the device is Inline, and hands it to a
// worker otherwise.
func (c *conn) write(q request) error {
	n := int(q.len)
	c.in.lean = n >= largeBytes
	if !c.in.lean {
		if err := c.fill(n); err != nil {
			return err
		}
	}
	inline := c.vol.info.Inline && q.flags&cmdFUA == 0
	if c.in.buffered() >= n {
		b := c.gather(q)
		if inline && c.vol.info.Align <= 1 {
			c.store(b)
		} else {
			c.start(c.together(b), inline)
		}
		return nil
	}
	s := c.slot(q, n)
	if err := c.full(s.payload(n)); err != nil {
		s.release() // nothing of a payload that did not arrive is written
		return err
	}
	c.start(s, inline)
	return nil
}

// hand gives q to a worker, with room for n bytes of reply.
func (c *conn) hand(q request, n int) { c.workers.do(c.slot(q, n)) }

// slot is q in flight, once the budget has room for it.
func (c *conn) slot(q request, n int) *slot {
	c.budget.take(slotCost(n), c.flushFunc)
	s := newSlot(c, n)
	s.req = q
	return s
}
