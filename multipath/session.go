package multipath

import (
	"context"
	"time"

	"graid/block"
)

// Fencer is offered by a path's device that can end other sessions of this map at the target.
type Fencer interface {
	// Session is what the target knows this session as; empty: it has no name.
	Session() string
	// Fence ends the session of that name, which may be another path's or an older one of this path. Once it returns nil, nothing that was sent
	// through that session will change the medium any more, and what it acknowledged is what all sessions see.
	Fence(ctx context.Context, session string) error
}

// Instancer is offered by a path's device that knows which run of the target it talks to: a new one has forgotten what was not flushed.
// Sessions of one instance see each other's writes, and a flush of one covers them all.
type Instancer interface {
	Instance() string // empty: not known
}

// Leaser is offered by a path's device whose target drops a session that was silent for that long, and then executes nothing of it any more.
type Leaser interface {
	Lease() time.Duration // 0: none
}

// settled is an error of a request that will not land any more, though the way failed: it was never sent, or the target has said that it ended.
type settled interface{ Settled() bool }

// session is one opening of a path's device.
type session struct {
	path     *path
	dev      block.Device
	local    bool
	own      bool // closed when it is over
	name     string
	fencer   Fencer
	instance string
	key      string // of what holds the writes it acknowledged
	lease    time.Duration

	// Guarded by the map's mu.
	adopted  bool // it is, or was, the path's
	dead     bool
	died     time.Duration
	replay   bool // what failed on it may be sent again
	settled  bool // nothing sent on it will land any more
	fencing  bool
	inflight int        // requests and probes
	attempts []*attempt // under way
	writes   []*attempt // that may still land
	heard    time.Duration
}

// path is a Path and what serves it.
type path struct {
	Path
	i    int
	s    *session // nil: none
	poke poker
	// Guarded by the map's mu.
	checkAt  time.Duration
	interval time.Duration
	gone     bool // removed

	requests, bytes, errors, failures, hedges int64
}

type poker interface {
	Set()
	Wait()
	WaitFor(time.Duration) bool
}

// remove takes a out of list, which is in no order.
func remove(list []*attempt, a *attempt) []*attempt {
	for i, x := range list {
		if x == a {
			last := len(list) - 1
			list[i] = list[last]
			list[last] = nil
			return list[:last]
		}
	}
	return list
}
