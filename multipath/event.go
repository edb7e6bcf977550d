package multipath

import (
	"fmt"
	"time"
)

// The kinds of Events.
const (
	KindPath    = "path"    // a path went from one state to another
	KindGroup   = "group"   // I/O goes to another group
	KindSettled = "settled" // what became of writes that may have landed late
	KindResent  = "resent"  // unflushed writes were sent again
	KindAdmin   = "admin"   // somebody asked for something
)

// Event is something that happened to a map, or that it decided, and why.
type Event struct {
	At       time.Time     `json:"at"`
	Since    time.Duration `json:"-"` // on the map's clock
	Kind     string        `json:"kind"`
	Path     string        `json:"path,omitempty"`
	From     string        `json:"from,omitempty"`
	To       string        `json:"to,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Requests int64         `json:"requests,omitempty"` // that the path had been given
}

func (e Event) String() string {
	s := e.At.Format("15:04:05.000 ") + e.Kind
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.From != "" {
		s += fmt.Sprintf(": %s → %s", e.From, e.To)
	} else if e.To != "" {
		s += " → " + e.To
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// historyKept is how many events a map remembers.
const historyKept = 1024

// chronicle is the latest events, and those that the listener has not been told yet.
type chronicle struct {
	ring  []Event
	next  int
	queue []Event
}

// record takes e into the history. The map's mu is held.
func (d *Device) record(e Event) {
	e.At, e.Since = d.s.Wall(), d.s.Now()
	c := &d.chronicle
	if len(c.ring) < historyKept {
		c.ring = append(c.ring, e)
	} else {
		c.ring[c.next] = e
	}
	c.next = (c.next + 1) % historyKept
	if d.o.OnEvent != nil {
		c.queue = append(c.queue, e)
	}
}

// unlock gives mu back, and tells what happened meanwhile, in order, one at a time.
func (d *Device) unlock() {
	if len(d.chronicle.queue) == 0 || d.telling {
		d.mu.Unlock()
		return
	}
	d.telling = true
	for len(d.chronicle.queue) > 0 {
		e := d.chronicle.queue[0]
		d.chronicle.queue = d.chronicle.queue[1:]
		d.mu.Unlock()
		d.o.OnEvent(e)
		d.mu.Lock()
	}
	d.chronicle.queue = nil
	d.telling = false
	d.mu.Unlock()
}

// History is the latest events, oldest first.
func (d *Device) History() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &d.chronicle
	if len(c.ring) < historyKept {
		return append([]Event(nil), c.ring...)
	}
	return append(append([]Event(nil), c.ring[c.next:]...), c.ring[:c.next]...)
}
