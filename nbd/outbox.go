package nbd

import (
	"errors"
	"os"
	"sync"
)

// errWouldBlock says that the socket took no more for now.
var errWouldBlock = errors.New("socket full")

// piece is a reply on its way: bytes inside a slot that is released once they are sent.
type piece struct {
	b    []byte
	slot *slot
}

// outbox sends replies. Whoever brings one sends it in place if nobody is sending, together with what others bring
// meanwhile; as soon as the socket is full a task of the outbox's own goes on, and nobody else waits.
type outbox struct {
	c    *conn
	sock socket

	// Of whoever is sending.
	gather []byte // small replies that leave together
	taken  []piece
	next   int
	rest   []byte // being sent
	slot   *slot  // that rest is in

	mu      sync.Mutex // guards what follows; never held across a wait
	queue   []piece
	sending bool
	dead    bool
}

// send takes p over, whatever becomes of it.
func (o *outbox) send(p piece) {
	o.mu.Lock()
	if o.dead {
		o.mu.Unlock()
		p.slot.release()
		return
	}
	o.queue = append(o.queue, p)
	if o.sending {
		o.mu.Unlock()
		return
	}
	o.sending = true
	o.mu.Unlock()
	o.run(false)
}

// sendBatch sends the reader's batch b, which is in s. It says whether it took s over, which is when b could not be sent
// whole at once; s then counts in the budget.
func (o *outbox) sendBatch(b []byte, s *slot) bool {
	o.mu.Lock()
	if o.dead {
		o.mu.Unlock()
		return false
	}
	if o.sending {
		o.queue = append(o.queue, piece{b, s})
		o.c.budget.owe(int64(len(s.mem)))
		o.mu.Unlock()
		return true
	}
	o.sending = true
	o.mu.Unlock()

	n, err := o.sock.try(b)
	o.rest = b[n:]
	switch {
	case err != nil && !errors.Is(err, errWouldBlock):
		o.rest = nil
		o.die(err)
		return false
	case len(o.rest) > 0:
		o.slot = s
		o.c.budget.owe(int64(len(s.mem)))
		o.c.tasks.Go(o.drain)
		return true
	}
	o.run(false)
	return false
}

// drain goes on sending, waiting for the client as long as the client takes something now and then.
func (o *outbox) drain() {
	defer o.c.contain()
	o.run(true)
}

// run sends until nothing is left. Unless it may wait, it leaves the rest to drain when the socket is full.
func (o *outbox) run(wait bool) {
	for {
		if len(o.rest) == 0 && !o.load() {
			return
		}
		n, err := o.write(wait)
		o.rest = o.rest[n:]
		if len(o.rest) == 0 && o.slot != nil {
			o.slot.release()
			o.slot = nil
		}
		switch {
		case err == nil:
		case errors.Is(err, errWouldBlock):
			o.c.tasks.Go(o.drain)
			return
		default:
			o.die(err)
			return
		}
	}
}

func (o *outbox) write(wait bool) (int, error) {
	if !wait {
		return o.sock.try(o.rest)
	}
	n, err := o.sock.write(o.rest)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, nil // slow, but alive
	}
	return n, err
}

// load makes rest the next reply, or the next small ones in a row. When nothing is left it ends the sending.
func (o *outbox) load() bool {
	if o.next == len(o.taken) && !o.refill() {
		return false
	}
	p := o.taken[o.next]
	if len(p.b) >= largeBytes || o.next+1 == len(o.taken) {
		o.rest, o.slot = p.b, p.slot
		o.next++
		return true
	}
	o.gather = o.gather[:0]
	for ; o.next < len(o.taken); o.next++ {
		p := o.taken[o.next]
		if len(p.b) >= largeBytes || len(o.gather)+len(p.b) > batchLen {
			break
		}
		o.gather = append(o.gather, p.b...)
		p.slot.release()
	}
	o.rest = o.gather
	return true
}

func (o *outbox) refill() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.taken)
	o.queue, o.taken = o.taken[:0], o.queue
	o.next = 0
	if len(o.taken) > 0 {
		return true
	}
	o.sending = false
	return false
}

// die drops everything that is or will be brought, and the connection with it.
func (o *outbox) die(err error) {
	o.mu.Lock()
	drop := append(o.taken[o.next:], o.queue...)
	o.taken, o.queue, o.next, o.rest = nil, nil, 0, nil
	o.dead, o.sending = true, false
	o.mu.Unlock()
	if o.slot != nil {
		o.slot.release()
		o.slot = nil
	}
	for _, p := range drop {
		p.slot.release()
	}
	o.c.cut(err)
}
