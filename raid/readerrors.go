package raid

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/raid/plan"
)

// How many read errors a member may have, as with md.
const (
	maxReadErrors = 20  // of a mirror: more count at a time, where an hour without one halves what counts
	maxReadStreak = 256 // with parity: more follow each other, and no read succeeds between them
)

// strikes is the read errors that count against a member.
type strikes struct {
	n atomic.Int64 // how many

	mu   sync.Mutex    // guards what follows
	last time.Duration // when the last one was
	rows plan.Span     // and where, unless that was put right since
}

// decayed is what n errors count for when the last of them was so long ago.
func decayed(n int64, since time.Duration) int64 {
	return n >> min(uint64(max(0, since)/time.Hour), 63)
}

// next counts one more of a parity array, and says how many count now.
func (s *strikes) next() int64 { return s.n.Add(1) }

// nextDecayed counts one more of a mirror, in rows. Within the last one it is the same, looked at more closely.
func (s *strikes) nextDecayed(now time.Duration, rows plan.Span) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows.Lo <= rows.Lo && rows.Hi <= s.rows.Hi {
		return s.n.Load()
	}
	n := decayed(s.n.Load(), now-s.last) + 1
	s.last, s.rows = now, rows
	s.n.Store(n)
	return n
}

// mended is for who has put right what could not be read.
func (s *strikes) mended(mirror bool) {
	if !mirror {
		s.forget()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = plan.Span{}
}

// forget is for who has just read something. It is a look at memory that hardly ever changes, and nothing else on the path of every read.
func (s *strikes) forget() {
	if s.n.Load() != 0 {
		s.n.Store(0)
	}
}

// tooMany counts the read error of the i-th I/O of o's batch, and says why the member is to fail if it had too many: then nothing is tried any more to
// read from it or to put it right. Nobody fails whom the array cannot do without, once those in dead and who else fails with this batch are gone:
// what it can still read is worth more.
func (a *Array) tooMany(o *op, i int, dead plan.RoleSet) (why error) {
	io, role, err := &o.ios[i], o.ios[i].Role, o.errs[i]
	if m := o.view.members[role]; a.mirror() {
		if n := m.strikes.nextDecayed(a.sched.Now(), plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}); n > maxReadErrors {
			why = fmt.Errorf("%d read errors within about an hour: %w", n, err)
		}
	} else if n := m.strikes.next(); n > maxReadStreak {
		why = fmt.Errorf("%d read errors and nothing read between them: %w", n, err)
	}
	if why == nil {
		return nil
	}
	if !a.dispensable(o, role, dead) {
		return nil
	}
	return why
}

// dispensable says whether the array can do without role, once those in dead and who else fails with o's batch are gone.
func (a *Array) dispensable(o *op, role int, dead plan.RoleSet) bool {
	for i, err := range o.errs[:len(o.ios)] {
		passes := o.ios[i].Op == block.Read && (block.Classify(err) == block.Media || errors.Is(err, block.ErrSlow))
		if err != nil && !passes && o.ios[i].Role < a.geo.Roles {
			dead = dead.With(o.ios[i].Role)
		}
	}
	return a.level.Enough(a.view.Load().Readable &^ dead.With(role))
}
