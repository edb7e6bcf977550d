package nbd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"graid/sched"
)

// The private extension between graid's own ends: an option that makes a connection a session, and commands that only sessions have. Servers that
// do not know it refuse the option, as the protocol has it, and the connection is an ordinary one.
//
// A session has a number, and its server an instance: who finds the same instance again knows that nothing was lost that was acknowledged. Who lost a
// session, and wants to write elsewhere or again, has it fenced over another: then what the session was sent has been done or never will be.
const (
	optSession uint32 = 0x47524944 // "GRID"
	repSession uint32 = 0x47524944

	cmdPing  uint16 = 0x4750 // answered, nothing else
	cmdFence uint16 = 0x4746 // end the session whose number is the offset, and answer when nothing of it is under way any more

	sessionVersion = 1
	askLen         = 2 + 2 + 16 + 16 + 8 // version, reserved, host, path, epoch; then the export's name
	grantLen       = 2 + 2 + 2 + 2 + 16 + 8 + 8 + 4 + 4
)

// errFenced is why a session ends that another one fenced.
var errFenced = errors.New("fenced: another session of this client took over")

// Session is one connection to a graid server, as both ends know it.
type Session struct {
	Instance [16]byte      // of the server: another one at each start
	ID       uint64        // never used twice by an instance
	State    uint16        // how good this way to the export is: StateOptimized and so on
	Priority uint16        // among ways of the same state; more is better
	Kato     time.Duration // after which the server ends a session that is silent; 0 = never
}

// grant is what the server answers to the option.
func (s *Session) encode() []byte {
	b := be.AppendUint16(nil, sessionVersion)
	b = be.AppendUint16(b, s.State)
	b = be.AppendUint16(b, s.Priority)
	b = be.AppendUint16(b, 0)
	b = append(b, s.Instance[:]...)
	b = be.AppendUint64(b, s.ID)
	b = be.AppendUint64(b, 0) // epoch
	b = be.AppendUint32(b, uint32(s.Kato.Milliseconds()))
	return be.AppendUint32(b, 0) // reserved
}

func (s *Session) decode(b []byte) error {
	if len(b) < grantLen || be.Uint16(b) == 0 {
		return fmt.Errorf("%w: a session of %d bytes", errProtocol, len(b))
	}
	s.State, s.Priority = be.Uint16(b[2:]), be.Uint16(b[4:])
	copy(s.Instance[:], b[8:])
	s.ID = be.Uint64(b[24:])
	s.Kato = time.Duration(be.Uint32(b[40:])) * time.Millisecond
	if s.ID == 0 || s.Instance == [16]byte{} {
		return fmt.Errorf("%w: a session without a number", errProtocol)
	}
	return nil
}

// sessions are those of a server. All is guarded by the server's mutex.
type sessions struct {
	instance [16]byte
	last     uint64
	open     map[uint64]*conn
	ends     map[*conn][]sched.Event // who waits for the end of a session
}

// session answers the option. The first one there is counts: a client has no reason to ask twice.
func (c *conn) session(o option) {
	if len(o.data) < askLen+4 || be.Uint16(o.data) == 0 {
		c.refuse(o.code, repErrInvalid, "not a session of a version that is known")
		return
	}
	if _, rest, ok := cutString(o.data[askLen:]); !ok || len(rest) > 0 && be.Uint16(o.data) == sessionVersion {
		c.refuse(o.code, repErrInvalid, "lengths inside the option do not add up")
		return
	}
	s := c.srv.enlist(c)
	c.reply(o.code, repSession, s.encode())
	c.reply(o.code, repAck, nil)
}

// enlist makes c a session.
func (s *Server) enlist(c *conn) Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions.open == nil {
		s.sessions.open, s.sessions.ends = map[uint64]*conn{}, map[*conn][]sched.Event{}
		rand.Read(s.sessions.instance[:])
	}
	if c.sessionID == 0 {
		s.sessions.last++
		c.sessionID = s.sessions.last
		s.sessions.open[c.sessionID] = c
	}
	return Session{Instance: s.sessions.instance, ID: c.sessionID, State: StateOptimized}
}

// discharge is called when nothing that c was sent is under way any more. The server's mutex is held.
func (s *sessions) discharge(c *conn) {
	delete(s.open, c.sessionID)
	for _, e := range s.ends[c] {
		e.Set()
	}
	delete(s.ends, c)
}

// fence ends a session and returns when all that it was sent has been done or never will be. One that is not there has ended before.
func (s *Server) fence(by *conn, id uint64) fault {
	s.mu.Lock()
	c := s.sessions.open[id]
	switch {
	case id == 0 || id > s.sessions.last:
		s.mu.Unlock()
		return invalid("there never was such a session")
	case c == by:
		s.mu.Unlock()
		return invalid("a session cannot fence itself")
	case c == nil:
		s.mu.Unlock()
		return fault{}
	}
	e := s.sched().NewEvent()
	s.sessions.ends[c] = append(s.sessions.ends[c], e)
	by.fencing = append(by.fencing, e)
	c.paused.Store(true)
	for _, waits := range c.fencing { // or two that fence each other would wait for ever
		waits.Set()
	}
	s.mu.Unlock()
	c.cut(errFenced)
	for {
		e.Wait()
		s.mu.Lock()
		ended, fenced := s.sessions.open[id] == nil, by.paused.Load()
		if ended || fenced {
			by.fencing = slices.DeleteFunc(by.fencing, func(w sched.Event) bool { return w == e })
		}
		s.mu.Unlock()
		switch {
		case ended:
			return fault{}
		case fenced:
			return fault{errnoShutdown, "this session was fenced itself"}
		}
	}
}

// private answers the commands that only sessions have.
func (c *conn) private(q request) {
	switch {
	case q.flags != 0 || q.len != 0 || q.cmd == cmdPing && q.off != 0:
		c.tell(q, invalid("no flags and no length here"))
	case q.cmd == cmdPing:
		c.tell(q, fault{})
	default:
		c.hand(q, 0)
	}
}

// isPrivate says whether a command is one of those.
func isPrivate(cmd uint16) bool { return cmd == cmdPing || cmd == cmdFence }

// How good a way to an export is, as a server says of itself.
const (
	StateOptimized    uint16 = 1 // use it
	StateNonOptimized uint16 = 2 // works, but others are better
	StateStandby      uint16 = 3 // keeps up, and does no I/O
	StateUnavailable  uint16 = 4
)
