package nbd

import (
	"errors"
	"fmt"
	"io"

	"graid/block"
)

// What a server may say in one reply beyond its content.
const (
	maxChunkText = 4096 + 14 // bytes of a chunk that tells of an error
	maxFaults    = 64        // such chunks in one reply
	maxStatus    = 1 << 20   // bytes of a chunk with extents
)

// receive is the task that takes what the server sends, until the connection ends.
func (l *link) receive() {
	var err error
	for err == nil {
		err = l.reply()
	}
	switch {
	case errors.Is(err, errProtocol), errors.Is(err, errLost):
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: the server closed it", errLost)
	default:
		err = fmt.Errorf("%w: %w", errLost, err)
	}
	l.die(err)
}

// reply takes one simple reply or one chunk of a structured one.
func (l *link) reply() error {
	if err := l.fill(simpleLen); err != nil {
		return err
	}
	b := l.in.next(simpleLen)
	magic, cookie := be.Uint32(b), be.Uint64(b[8:])
	s, err := l.find(cookie)
	if err != nil {
		return err
	}
	switch magic {
	case magicSimple:
		return l.simple(s, be.Uint32(b[4:]))
	case magicChunk:
		if !l.structured {
			return fmt.Errorf("%w: a structured reply that was not negotiated", errProtocol)
		}
		flags, kind := be.Uint16(b[4:]), be.Uint16(b[6:])
		if err := l.fill(4); err != nil {
			return err
		}
		n := int64(be.Uint32(l.in.next(4)))
		if err := l.chunk(s, flags, kind, n); err != nil || flags&chunkDone == 0 {
			return err
		}
		return l.done(s)
	}
	return fmt.Errorf("%w: reply magic %#x", errProtocol, magic)
}

// find is the seat that a cookie belongs to. Only the receiver frees seats, so it stays what it is until then.
func (l *link) find(cookie uint64) (*seat, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := cookie % maxDepth; i < uint64(len(l.seats)) {
		if s := &l.seats[i]; s.taken && s.req.cookie == cookie {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: a reply to a request that was not made, or was answered before", errProtocol)
}

// simple takes the rest of a simple reply.
func (l *link) simple(s *seat, errno uint32) error {
	q := &s.req
	if errno != 0 {
		s.refused = fault{errno: errno}
		return l.done(s)
	}
	switch {
	case q.cmd == cmdRead && l.structured, q.cmd == cmdBlockStatus:
		return fmt.Errorf("%w: a simple reply where a structured one was due", errProtocol)
	case q.cmd == cmdRead:
		if err := l.content(s, int64(q.off), int64(q.len)); err != nil {
			return err
		}
	}
	return l.done(s)
}

// chunk takes the n bytes of one chunk.
func (l *link) chunk(s *seat, flags, kind uint16, n int64) error {
	q := &s.req
	switch {
	case kind == chunkNone && n == 0 && flags&chunkDone != 0:
		return nil
	case kind == chunkOffsetData && q.cmd == cmdRead && n > 8 && n <= int64(q.len)+8:
		if err := l.fill(8); err != nil {
			return err
		}
		return l.content(s, int64(be.Uint64(l.in.next(8))), n-8)
	case kind == chunkOffsetHole && q.cmd == cmdRead && n == 12:
		if err := l.fill(12); err != nil {
			return err
		}
		b := l.in.next(12)
		return l.hole(s, int64(be.Uint64(b)), int64(be.Uint32(b[8:])))
	case kind == chunkBlockStatus && q.cmd == cmdBlockStatus && n >= 12 && n <= maxStatus && n%8 == 4:
		return l.extents(s, n)
	case kind&(1<<15) != 0 && n >= 6 && n <= maxChunkText:
		return l.refusal(s, kind, int(n))
	}
	return fmt.Errorf("%w: a chunk of type %#x with %d bytes in reply to command %d", errProtocol, kind, n, q.cmd)
}

// cover notes that [off, off+n) of a read has come.
func (l *link) cover(s *seat, off, n int64) error {
	lo, hi := int64(s.req.off), int64(s.req.off)+int64(s.req.len)
	if off < lo || n <= 0 || off > hi || n > hi-off || !s.got.add(off, off+n) {
		return fmt.Errorf("%w: content at [%d,+%d) for a read of [%d,+%d), outside of it or twice", errProtocol, off, n, lo, hi-lo)
	}
	return nil
}

// content reads n bytes of a READ, straight into the memory of the call if there still is one that waits.
func (l *link) content(s *seat, off, n int64) error {
	if err := l.cover(s, off, n); err != nil {
		return err
	}
	l.in.lean = n >= largeBytes
	at := off - int64(s.req.off)
	for n > 0 {
		p := l.borrow(s)
		if p == nil {
			return l.skip(n)
		}
		m, err := l.read(p[at : at+n])
		l.giveBack(s)
		at, n = at+int64(m), n-int64(m)
		if err != nil {
			return err
		}
	}
	return nil
}

// hole zeroes n bytes of a READ.
func (l *link) hole(s *seat, off, n int64) error {
	if err := l.cover(s, off, n); err != nil {
		return err
	}
	if p := l.borrow(s); p != nil {
		at := off - int64(s.req.off)
		clear(p[at : at+n])
		l.giveBack(s)
	}
	return nil
}

// borrow takes the memory of the call in s for the receiver; nil if nobody waits for it any more.
func (l *link) borrow(s *seat) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.call == nil {
		return nil
	}
	s.filling = true
	return s.call.buf
}

// giveBack ends a borrow. A call whose time ran out meanwhile, or whose connection was ended, ends now.
func (l *link) giveBack(s *seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.filling = false
	if !s.late {
		return
	}
	err := l.dead
	if err == nil {
		err = fmt.Errorf("%w: %v", errLate, l.c.opt.Timeout)
	}
	k := s.call
	s.call, s.late = nil, false
	l.finish(k, err)
}

// extents takes a chunk of base:allocation.
func (l *link) extents(s *seat, n int64) error {
	if err := l.fill(4); err != nil {
		return err
	}
	id := be.Uint32(l.in.next(4))
	if id != l.contextID || len(s.got.spans) > 0 {
		return fmt.Errorf("%w: block status of a context that was not asked for, or twice", errProtocol)
	}
	at, end := int64(s.req.off), int64(s.req.off)+int64(s.req.len)
	for n -= 4; n > 0; n -= 8 {
		if err := l.fill(8); err != nil {
			return err
		}
		b := l.in.next(8)
		run, bits := int64(be.Uint32(b)), be.Uint32(b[4:])
		if run == 0 {
			return fmt.Errorf("%w: an extent of no bytes", errProtocol)
		}
		run = min(run, end-at) // the last one may say more than was asked
		l.mu.Lock()
		if k := s.call; k != nil && run > 0 {
			*k.list = block.Append(*k.list, block.Extent{Len: run, Hole: bits&stateHole != 0, Zero: bits&stateZero != 0})
		}
		l.mu.Unlock()
		at += run
	}
	s.got.add(int64(s.req.off), at)
	return nil
}

// refusal takes a chunk that tells of an error. The first is what the caller is told.
func (l *link) refusal(s *seat, kind uint16, n int) error {
	if err := l.fill(n); err != nil {
		return err
	}
	b := l.in.next(n)
	errno, text := be.Uint32(b), int(be.Uint16(b[4:]))
	if s.faults++; errno == 0 || 6+text > n || s.faults > maxFaults || kind == chunkErrorOffset && n != 14+text {
		return fmt.Errorf("%w: an error without a number, or whose text is longer than it, or one too many", errProtocol)
	}
	if s.refused.errno == 0 {
		s.refused = fault{errno: errno, text: printable(b[6 : 6+text])}
	}
	return nil
}

// done ends the reply to s.
func (l *link) done(s *seat) error {
	q := &s.req
	var err error
	switch {
	case s.refused.errno != 0:
		err = refusalOf(q.cmd, s.refused)
	case q.cmd == cmdRead && l.structured && !s.got.whole(int64(q.off), int64(q.off)+int64(q.len)):
		return fmt.Errorf("%w: a read was answered in part", errProtocol)
	case q.cmd == cmdBlockStatus && len(s.got.spans) == 0:
		return fmt.Errorf("%w: no block status", errProtocol)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := s.call; k == nil {
		l.c.witness(l, *q)
	} else {
		if err == nil && changes(q.cmd) && q.flags&cmdFUA == 0 {
			l.c.changed.Add(1) // before anybody could learn that it is done
		}
		l.finish(k, err)
	}
	s.call, s.taken = nil, false
	l.free = append(l.free, int(q.cookie%maxDepth))
	if !l.sending && len(l.queue) > 0 && l.dead == nil {
		l.promote()
	}
	return nil
}

// fill makes sure that n bytes are buffered.
func (l *link) fill(n int) error {
	for l.in.buffered() < n {
		if err := l.in.more(n); err != nil && !l.interrupted(err) {
			return err
		}
	}
	return nil
}

// read brings some bytes to p, from the buffer or straight from the connection. None and no error: it was interrupted.
func (l *link) read(p []byte) (int, error) {
	if n := l.in.take(p); n > 0 {
		return n, nil
	}
	if len(p) < largeBytes && !l.in.lean {
		if err := l.in.more(1); err != nil && !l.interrupted(err) {
			return 0, err
		}
		return l.in.take(p), nil
	}
	n, err := l.nc.Read(p)
	if err != nil && l.interrupted(err) {
		err = nil
	}
	return n, err
}

// skip throws n bytes away.
func (l *link) skip(n int64) error {
	for n > 0 {
		if err := l.fill(1); err != nil {
			return err
		}
		m := min(n, int64(l.in.buffered()))
		l.in.next(int(m))
		n -= m
	}
	return nil
}
