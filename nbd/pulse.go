package nbd

import (
	"errors"
	"sync/atomic"
	"time"
)

// errPaused is why sessions end that are older than a pause of the process.
var errPaused = errors.New("this process stood still for a while: what was asked before is not done any more")

// pulse notices that the process, or the machine under it, stood still: SIGSTOP, a suspended host, a virtual machine that
// was paused and had its clock corrected. A client may have given up meanwhile, written elsewhere and been told that it is
// done: what it had asked here before must not be done late. So the sessions from before a pause are dropped with all that is
// unread, and every change is preceded by a look at the clock.
//
// NB: what a device was asked before the pause may still land, and a virtual machine whose clocks stood still too notices nothing.
type pulse struct {
	now  func() time.Duration
	wall func() time.Time
	most time.Duration // a longer time without a beat is a pause

	beat     atomic.Int64 // now, at the last beat; nanoseconds
	calendar atomic.Int64 // wall, at the last beat; nanoseconds
}

// stood is for how long there was no beat if that is a pause, and else 0. It costs 40 ns.
func (p *pulse) stood() time.Duration {
	if gap := p.now() - time.Duration(p.beat.Load()); gap > p.most {
		return gap
	}
	return 0
}

// slept is stood, by the calendar too: a machine's own clock stands still while the machine does. It costs 110 ns.
func (p *pulse) slept() time.Duration {
	if gap := p.stood(); gap > 0 {
		return gap
	}
	if gap := time.Duration(p.wall().UnixNano() - p.calendar.Load()); gap > p.most {
		return gap
	}
	return 0
}

func (p *pulse) mark() {
	p.beat.Store(int64(p.now()))
	p.calendar.Store(p.wall().UnixNano())
}

// live beats until there are no connections.
func (s *Server) live() {
	for {
		s.alone.WaitFor(s.pulse.most / 8)
		s.mu.Lock()
		old := s.outlived()
		s.pulse.mark()
		if s.beating = len(s.conns) > 0; !s.beating {
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.drop(old)
	}
}

// beats has the pulse beat while there are connections. s.mu is held.
func (s *Server) beats(most time.Duration) {
	if s.beating {
		return
	}
	s.beating = true
	if s.pulse == nil {
		s.alone = s.sched().NewEvent()
		s.pulse = &pulse{now: s.sched().Now, wall: s.sched().Wall, most: most}
	}
	s.pulse.mark()
	s.sched().Go(s.live)
}

// outlived are the connections from before a pause, if there was one since the last beat. They do nothing any more; who asks
// drops them. s.mu is held.
func (s *Server) outlived() (list []*conn) {
	if !s.beating || s.pulse.slept() == 0 {
		return nil
	}
	for c := range s.conns {
		c.paused.Store(true)
		list = append(list, c)
	}
	s.pulse.mark()
	return list
}

// drop closes connections that outlived a pause.
func (s *Server) drop(list []*conn) {
	for _, c := range list {
		c.cut(errPaused)
	}
	if len(list) > 0 {
		s.log().Error("the process stood still: every connection is closed", "connections", len(list))
	}
}

// stale says whether what this connection asks must not be done any more.
func (c *conn) stale() bool {
	if c.paused.Load() {
		return true
	}
	return c.srv.pulse.stood() > 0 && c.resumed()
}

// resumed drops all connections, as there was a pause. If somebody else was faster, this one is dropped already, or came later.
func (c *conn) resumed() bool {
	c.srv.mu.Lock()
	list := c.srv.outlived()
	c.srv.mu.Unlock()
	c.srv.drop(list)
	return c.paused.Load()
}
