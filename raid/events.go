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

// tell queues an event and, unless somebody else is at it, delivers what is queued.
func (a *Array) tell(kind, path, detail string) {
	n := &a.news
	if n.listen == nil {
		return
	}
	n.mu.Lock()
	n.queue = append(n.queue, Event{At: a.sched.Wall(), Kind: kind, Member: path, Detail: detail})
	if n.telling {
		n.mu.Unlock()
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
	n.mu.Unlock()
}
