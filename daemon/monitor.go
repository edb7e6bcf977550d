package daemon

import (
	"fmt"
	"sync"
	"time"

	"graid/raid"
)

// Names that mdadm --monitor has for events that the engine calls otherwise, or does not tell.
const (
	EventNewArray    = "NewArray"
	EventDisappeared = "DeviceDisappeared"
	EventFailSpare   = "FailSpare" // a spare failed, or a member that was being filled
	eventRebuildNN   = "Rebuild%02d"
)

// rebuildStep is after how many percent of background work another event says so, as with mdadm.
const rebuildStep = 20

// monitor makes of what the engine tells what mdadm --monitor would.
type monitor struct {
	array string
	tell  func(Event) // in order, never concurrently; must not wait

	mu     sync.Mutex      // guards what follows; tell is called with it held
	unsure map[string]bool // paths of members that are not in sync: if one fails, redundancy is what it was
	under  bool            // background work is under way
	steps  int             // how many steps of it were seen; -1: it was not looked at yet
}

func newMonitor(array string, tell func(Event)) *monitor {
	return &monitor{array: array, tell: tell, unsure: map[string]bool{}}
}

// meet takes note of how members are as the array starts.
func (m *monitor) meet(status func() raid.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range status().Members {
		if s.State == raid.MemberSpare || s.State == raid.MemberRebuilding || s.State == raid.MemberReplacement {
			m.unsure[s.Path] = true
		}
	}
}

// take tells of an event of the engine's.
func (m *monitor) take(e raid.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := e.Kind
	switch e.Kind {
	case raid.EventStarted:
		name = EventNewArray
	case raid.EventStopped:
		name, m.under = EventDisappeared, false
	case raid.EventFail:
		if m.unsure[e.Member] {
			name = EventFailSpare
		}
		delete(m.unsure, e.Member)
	case raid.EventSpareAdded, raid.EventReAdded:
		m.unsure[e.Member] = true
	case raid.EventSpareActive, raid.EventRemoved:
		delete(m.unsure, e.Member)
	case raid.EventRebuildStart:
		m.under, m.steps = true, -1
	case raid.EventRebuildEnd:
		m.under = false
	}
	m.tell(Event{At: e.At.UTC(), Event: name, Array: m.array, Member: e.Member, Detail: e.Detail})
}

// look tells how far background work is, once for every step, and says whether any is under way. As with mdadm, work is not told of that was
// never seen before the step.
func (m *monitor) look(now time.Time, s raid.SyncStatus) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.under || s.Action == "idle" || s.Total <= 0 {
		return false
	}
	percent := int(100 * float64(s.Done) / float64(s.Total))
	steps := percent / rebuildStep
	if m.steps >= 0 && steps > m.steps && percent < 100 {
		m.tell(Event{At: now.UTC(), Event: fmt.Sprintf(eventRebuildNN, steps*rebuildStep), Array: m.array, Detail: s.Action})
	}
	m.steps = steps
	return true
}
