package nbd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"graid/block"
	"graid/sched"
)

// Why a call fails, or a connection ends, that is not the server's verdict. All are Path errors.
var (
	errLost     = fmt.Errorf("%w: connection lost", block.ErrPath)
	errLate     = fmt.Errorf("%w: no answer in time", block.ErrPath)
	errReplaced = fmt.Errorf("%w: not the export that it was", block.ErrPath)
)

// link is one connection to the server. Callers send, one of them for all that have something to send; a task of the link's own receives.
type link struct {
	c      *Client
	index  int
	serial uint64 // of all that the client had
	nc     net.Conn
	in     inbox // the receiver's
	export export

	structured bool
	contextID  uint32 // of base:allocation, if export.allocation
	session    Session

	settling *sched.Mutex
	over     bool // what was sent has been done, or never will be; guarded by settling

	// Of whoever is sending.
	batch  []*call
	gather []byte
	iov    [][]byte
	bufs   net.Buffers

	mu      sync.Mutex // guards what follows; never held across a wait
	seats   []seat     // what is in flight, by the low bits of its cookie
	free    []int
	queue   []*call
	sending bool
	dead    error
}

// seat is a request that the server has, or is being sent. It stays taken until the server has answered, whoever waits.
type seat struct {
	call    *call // nil = nobody waits any more: what comes is thrown away
	req     request
	turn    uint64 // how often the seat was taken: the high bits of the cookie
	taken   bool
	filling bool // the receiver uses the call's memory
	late    bool // the call is to end when it does not
	got     coverage
	refused fault
	faults  int
}

// gatherLen is how many bytes of headers and small payloads leave in one call.
const gatherLen = 64 << 10

func newLink(c *Client, i int, nc net.Conn) *link {
	return &link{c: c, index: i, serial: c.serial.Add(1), settling: sched.NewMutex(c.s), nc: nc, in: inbox{nc: nc, buf: make([]byte, 4096)}}
}

// open begins the transmission phase.
func (l *link) open() {
	l.in.nc = l.nc
	l.in.grow(inboxLen)
	l.gather = make([]byte, 0, gatherLen)
	l.seats = make([]seat, l.c.opt.Depth)
	for i := range l.seats {
		l.free = append(l.free, len(l.seats)-1-i)
	}
	l.c.tasks.Go(l.receive)
}

// carry has k carried out and returns how that ended. It is errLost if another connection may do better.
func (l *link) carry(k *call) error {
	if l.submit(k) {
		l.pump(k)
	}
	for {
		l.mu.Lock()
		lead, done, err := k.lead, k.done, k.err
		k.lead = false
		l.mu.Unlock()
		switch {
		case lead:
			l.pump(k)
		case done:
			return err
		default:
			k.wake.Wait()
		}
	}
}

// submit queues k, and says whether its caller is to send it.
func (l *link) submit(k *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.done, k.finished, k.err = false, false, nil
	if l.dead != nil {
		k.done, k.err = true, errLost // nothing was sent: another connection may take it
		return false
	}
	l.queue = append(l.queue, k)
	if l.sending || len(l.free) == 0 {
		return false
	}
	l.sending = true
	return true
}

// pump sends what is queued, for all callers, until nothing is left that could be sent, or k is done and another caller can go on.
func (l *link) pump(k *call) {
	runtime.Gosched() // let others who run join: their requests leave in the same call
	for l.load(k) {
		l.compose()
		err := l.write()
		l.mu.Lock()
		for i, sent := range l.batch {
			l.batch[i] = nil
			if sent.sending = false; sent.finished {
				l.wake(sent)
			}
		}
		l.mu.Unlock()
		if err != nil {
			l.die(fmt.Errorf("%w: %w", errLost, err))
		}
	}
}

// load takes from the queue what leaves in the next call. When it is empty, or nobody has a seat left, the sending ends; when k is done, the
// next in the queue goes on with it.
func (l *link) load(k *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.queue) == 0, len(l.free) == 0, l.dead != nil:
		l.sending = false
		return false
	case k.done:
		l.promote()
		return false
	}
	l.take()
	return true
}

// take moves what leaves next from the queue to the batch.
func (l *link) take() {
	l.batch = l.batch[:0]
	room, taken := gatherLen, 0
	for _, k := range l.queue {
		need := requestLen
		if k.cmd == cmdWrite && k.len < largeBytes {
			need += int(k.len)
		}
		if len(l.free) == 0 || need > room {
			break
		}
		room -= need
		taken++
		l.seat(k)
		l.batch = append(l.batch, k)
	}
	rest := copy(l.queue, l.queue[taken:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
}

// seat gives k a cookie.
func (l *link) seat(k *call) {
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	s := &l.seats[i]
	s.turn++
	spans := s.got.spans[:0]
	*s = seat{call: k, turn: s.turn, taken: true, got: coverage{spans}}
	k.req = request{flags: k.flags, cmd: k.cmd, cookie: s.turn*maxDepth + uint64(i), off: uint64(k.off), len: uint32(k.len)}
	s.req = k.req
	k.sending, k.sent = true, true
}

// promote has the first in the queue go on with the sending.
func (l *link) promote() {
	l.sending = true
	next := l.queue[0]
	next.lead = true
	next.wake.Set()
}

// compose lays out the batch: headers and small payloads in one piece of memory, large payloads where they are.
func (l *link) compose() {
	l.gather, l.iov = l.gather[:0], l.iov[:0]
	from := 0
	for _, k := range l.batch {
		l.gather = putRequest(l.gather, k.req)
		if k.cmd != cmdWrite {
			continue
		}
		if k.len < largeBytes {
			l.gather = append(l.gather, k.buf...)
			continue
		}
		l.iov = append(l.iov, l.gather[from:], k.buf)
		from = len(l.gather)
	}
	if from < len(l.gather) {
		l.iov = append(l.iov, l.gather[from:])
	}
}

// write sends what compose laid out.
func (l *link) write() error {
	if len(l.iov) == 1 {
		_, err := l.nc.Write(l.iov[0])
		return err
	}
	l.bufs = l.iov
	_, err := l.bufs.WriteTo(l.nc)
	clear(l.iov)
	return err
}

// wake lets the caller of k go on: it is done.
func (l *link) wake(k *call) {
	k.done = true
	k.wake.Set()
}

// finish ends a call whose memory the receiver does not use; while the sender may read it, it waits for that.
func (l *link) finish(k *call, err error) {
	if k.done || k.finished {
		return
	}
	k.err = err
	if k.sending {
		k.finished = true
		return
	}
	l.wake(k)
}

// die ends the connection. Nobody is left waiting, but the sender and the receiver give back what they use first. The first reason is told.
func (l *link) die(err error) {
	l.mu.Lock()
	if l.dead != nil {
		l.mu.Unlock()
		return
	}
	l.dead = err
	l.mu.Unlock()
	l.c.lose(l, err) // first, so that who is told that it is lost finds another one
	l.nc.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.queue {
		l.finish(k, err)
	}
	clear(l.queue)
	l.queue = l.queue[:0]
	for i := range l.seats {
		s := &l.seats[i]
		switch k := s.call; {
		case !s.taken:
		case k == nil: // its doubt was told of when its time was over
		case s.filling:
			s.late = true // the receiver ends it
		default:
			l.doubt(s)
			s.call = nil
			l.finish(k, err)
		}
	}
}

// doubt tells the client of a change that was sent and may land or not.
func (l *link) doubt(s *seat) {
	if changes(s.req.cmd) {
		l.c.doubt(l, s.req)
	}
}

func (l *link) lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead != nil
}

// look ends calls whose time is over. The connection stays: what comes late tells what became of them. It ends when a request cannot even be
// sent, or when every seat is taken by what nobody waits for.
func (l *link) look(now int64) {
	l.mu.Lock()
	if l.dead != nil {
		l.mu.Unlock()
		return
	}
	var stuck error
	rest := l.queue[:0]
	for _, k := range l.queue {
		if k.due > now {
			rest = append(rest, k)
			continue
		}
		l.finish(k, fmt.Errorf("%w: it could not be sent for %v", errLate, l.c.opt.Timeout))
	}
	clear(l.queue[len(rest):])
	l.queue = rest
	ghosts := 0
	for i := range l.seats {
		s := &l.seats[i]
		k := s.call
		if k == nil && s.taken {
			ghosts++
		}
		if k == nil || k.due > now {
			continue
		}
		switch {
		case k.sending:
			stuck = fmt.Errorf("%w: the server takes nothing", errLate)
		case s.filling:
			s.late = true
			l.nc.SetReadDeadline(past) // wakes the receiver, which uses the memory now
		default:
			s.call = nil
			l.doubt(s)
			l.finish(k, fmt.Errorf("%w: %v", errLate, l.c.opt.Timeout))
		}
	}
	if ghosts == len(l.seats) {
		stuck = fmt.Errorf("%w: the server has not answered %d requests", errLate, ghosts)
	}
	l.mu.Unlock()
	if stuck != nil {
		l.die(stuck)
	}
}

// leave tells the server that nothing more comes and closes the connection. No call is in flight.
func (l *link) leave() {
	if !l.lost() {
		l.nc.SetWriteDeadline(l.c.s.Wall().Add(time.Second))
		_, _ = l.nc.Write(putRequest(nil, request{cmd: cmdDisconnect})) // it is told, or finds out
	}
	l.die(block.ErrClosed)
}

// interrupted says whether a failed read was only look's way to wake the receiver.
func (l *link) interrupted(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil || l.seats == nil {
		return false // in the handshake the deadline is the handshake's
	}
	return l.nc.SetReadDeadline(time.Time{}) == nil
}
