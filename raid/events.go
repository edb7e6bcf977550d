package raid

import (
	"sync"

	"graid/sched"
)

func newGroup(s sched.Sched) *sched.Group { return sched.NewGroup(s) }

// news delivers events in order, one at a time, without a lock held while the listener runs.
type news struct {
	listen func(Event)

	mu      sync.Mutex
	queue   []Event
	telling bool
}

// tell queues an event and delivers what is queued. Whoever holds meta notes the event, and unlock tells it.
func (a *Array) tell(kind, path, detail string) {
	a.note(kind, path, detail)
	a.deliver()
}

// note queues an event.
func (a *Array) note(kind, path, detail string) {
	n := &a.news
	if n.listen == nil {
		return
	}
	n.mu.Lock()
	n.queue = append(n.queue, Event{At: a.sched.Wall(), Kind: kind, Member: path, Detail: detail})
	n.mu.Unlock()
}

// unlock gives meta back, and tells what was noted meanwhile: a listener may ask for the array's status.
func (a *Array) unlock() {
	s := a.status()
	a.last.Store(&s)
	a.meta.Unlock()
	a.deliver()
}

// deliver tells what is queued, unless somebody else is at it.
func (a *Array) deliver() {
	n := &a.news
	if n.listen == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.telling {
		return
	}
	n.telling = true
	for len(n.queue) > 0 {
		e := n.queue[0]
		n.queue = n.queue[1:]
		n.mu.Unlock()
		n.listen(e)
		n.mu.Lock()
	}
	n.telling = false
}
