package nbd

import (
	"errors"

	"graid/block"
)

// work performs the request in s and sends the reply. It runs on a worker, or on the reader for an Inline device; there with NoWait in
// flags, and then it may say no: the request would have to wait, and s is as it was.
func (c *conn) work(s *slot, flags block.Flags) (done bool) {
	defer c.lose(s)
	done = true                          // after a panic too
	if changes(s.req.cmd) && c.stale() { // it waited for a worker, or for its payload
		c.cut(errPaused)
		s.release()
		return true
	}
	b, ok := c.perform(s, flags)
	if !ok {
		return false
	}
	c.outbox.send(piece{b, s})
	return done
}

// lose is deferred: after a panic only the room of s is given back, as the device may still use its memory.
func (c *conn) lose(s *slot) {
	if v := recover(); v != nil {
		c.bug(v)
		c.budget.give(int64(len(s.mem)))
	}
}

// perform does the request in s on the device, and returns the reply, which is in s. It says no when the request would have to wait and flags
// has NoWait.
func (c *conn) perform(s *slot, flags block.Flags) (reply []byte, ok bool) {
	q := s.req
	r := block.Request{Flags: flags, Off: int64(q.off), Len: int64(q.len)}
	if q.flags&cmdFUA != 0 {
		r.Flags |= block.FUA
	}
	switch q.cmd {
	case cmdFence:
		return s.mem[:c.putReply(s.mem, q, c.srv.fence(c, q.off))], true
	case cmdRead:
		if len := int(q.len); len >= holeBytes && c.isHole(q) {
			return s.mem[:c.putHole(s.mem, q)], true
		}
		r.Op, r.Flags, r.Buf = block.Read, flags, s.payload(int(q.len))
	case cmdWrite:
		r.Op, r.Buf = block.Write, s.payload(int(q.len))
	case cmdFlush:
		r = block.Request{Op: block.Flush}
	case cmdTrim:
		r.Op = block.Discard
	case cmdWriteZeroes:
		r.Op = block.WriteZeroes
		if q.flags&cmdNoHole != 0 {
			r.Flags |= block.NoHole
		}
		if q.flags&cmdFastZero != 0 {
			r.Flags |= block.Fast
		}
	case cmdBlockStatus:
		return c.status(s), true
	}
	if err := c.vol.dev.Do(c.ctx, r); err != nil {
		if flags&block.NoWait != 0 && (len(s.joined) > 1 || errors.Is(err, block.ErrWouldBlock)) {
			return nil, false
		}
		if len(s.joined) > 1 {
			return c.writeEach(s, r), true
		}
		return s.mem[:c.putReply(s.mem, q, faultOf(q, err))], true
	}
	if q.cmd == cmdRead {
		b := s.mem[headroom-c.dataHead() : headroom+int(q.len)]
		c.putData(b, q)
		return b, true
	}
	if len(s.joined) > 1 {
		return c.putReplies(s, nil), true
	}
	return s.mem[:c.putReply(s.mem, q, fault{})], true
}
