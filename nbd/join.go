package nbd

import (
	"errors"

	"graid/block"
)

// maxJoined is how many writes are carried out as one, at most: their replies fit the headroom of a slot.
const maxJoined = headroom / simpleLen / 2

// gather takes the payload of q, which is whole in the inbox, and those of the writes behind it that go on where it ends, if they are there whole
// too: one write of all of them costs the device less, most of all an array that makes whole stripes of them. The payloads are moved together
// where they are. c.joined is the writes, q first.
func (c *conn) gather(q request) []byte {
	in := &c.in
	c.joined = append(c.joined[:0], q)
	end := in.r + int(q.len) // of the payloads
	at, next := end, q.off+uint64(q.len)
	for len(c.joined) < maxJoined && in.w-at >= requestLen && !c.draining.Load() {
		r, ok := decodeRequest(in.buf[at:])
		from := at + requestLen
		if !ok || r.cmd != cmdWrite || r.flags != q.flags || r.off != next || r.len == 0 || uint64(r.len) > uint64(in.w-from) || c.rules.check(r).errno != 0 {
			break
		}
		c.joined = append(c.joined, r)
		n := int(r.len)
		copy(in.buf[end:end+n], in.buf[from:])
		end, at, next = end+n, from+n, next+uint64(n)
	}
	b := in.buf[in.r:end:end]
	in.r = at
	return b
}

// store writes the payload of c.joined in place, and answers. If all of it at once is an error every write gets an answer of its own.
func (c *conn) store(b []byte) {
	r := block.Request{Op: block.Write, Flags: block.NoWait, Off: int64(c.joined[0].off), Len: int64(len(b)), Buf: b}
	err := c.vol.dev.Do(c.ctx, r)
	switch {
	case err == nil:
		for _, q := range c.joined {
			c.tell(q, fault{})
		}
	case len(c.joined) > 1 || errors.Is(err, block.ErrWouldBlock):
		c.workers.do(c.together(b)) // there is time to try all of them once more, and then each alone
	default:
		c.tell(c.joined[0], faultOf(c.joined[0], err))
	}
}

// together is a slot with the payload of c.joined.
func (c *conn) together(b []byte) *slot {
	q := c.joined[0]
	q.len = uint32(len(b))
	s := c.slot(q, len(b))
	copy(s.payload(len(b)), b)
	s.joined = append(s.joined, c.joined...)
	return s
}

// writeEach does the writes that s is made of one by one, as all of them together were an error, and returns their replies.
func (c *conn) writeEach(s *slot, r block.Request) []byte {
	faults := make([]fault, len(s.joined))
	rest := r.Buf
	for i, q := range s.joined {
		b := s.payload(int(q.len))
		copy(b, rest) // to where it is aligned
		rest = rest[q.len:]
		one := block.Request{Op: block.Write, Flags: r.Flags, Off: int64(q.off), Len: int64(q.len), Buf: b}
		if err := c.vol.dev.Do(c.ctx, one); err != nil {
			faults[i] = faultOf(q, err)
		}
	}
	return c.putReplies(s, faults) // only now: they go where the payloads are
}

// putReplies answers the writes that s is made of. Where there is no room for what else there is to say, errors are just numbers.
func (c *conn) putReplies(s *slot, faults []fault) []byte {
	n := 0
	for i, q := range s.joined {
		switch {
		case faults == nil:
			n += c.putReply(s.mem[n:], q, fault{})
		case len(s.joined)*replyLen <= len(s.mem):
			n += c.putReply(s.mem[n:], q, faults[i])
		default:
			putSimple(s.mem[n:], faults[i].errno, q.cookie)
			n += simpleLen
		}
	}
	return s.mem[:n]
}
