package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"graid/block"
	"graid/sched"
)

// MaxRules is how many rules a Set holds at a time: every request to a member looks at each of them.
const MaxRules = 64

// Set is the rules of some devices, which are added, listed and cleared together, at run time and by any number of goroutines.
type Set struct {
	s     sched.Sched
	waits atomic.Bool // some rule makes requests wait

	mu      sync.Mutex // guards what follows; taken before a Device's
	devices []*Device
	rules   []numbered
	wrapped uint64
	last    int  // number of the latest rule
	ended   bool // Release: nothing waits any more
}

type numbered struct {
	id   int
	rule Rule
}

// Entry is one rule of a Set.
type Entry struct {
	ID      int    `json:"id"`
	Rule    string `json:"rule"`    // as Parse reads it, with the seed that it has
	Hits    int64  `json:"hits"`    // requests that it did something to
	Waiting int    `json:"waiting"` // requests that it keeps waiting now
}

// NewSet is a Set without rules. Times are of s.
func NewSet(s sched.Sched) *Set { return &Set{s: s} }

// Wrap puts next under the rules of the Set that are added from now on. Names are what a Rule may call it besides Info().Name, best first.
// With waits the Device is not Inline: rules that make requests wait then do not make the caller wait for one member after the other.
func (s *Set) Wrap(next block.Device, waits bool, names ...string) *Device {
	d := &Device{next: next, info: next.Info(), s: s.s, set: s, gate: sched.NewGate(s.s)}
	d.unit = max(Sector, d.info.Block)
	d.info.Inline = d.info.Inline && !waits
	d.names = append(slices.Clone(names), d.info.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrapped++
	d.nth = s.wrapped * 0x9e3779b97f4a7c15
	s.devices = append(s.devices, d)
	return d
}

// Name gives d further names, which count less than those it was wrapped with, in place of what Name gave it before. Rules that are on
// d stay there.
func (s *Set) Name(d *Device, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.more = names
}

// calls says how good a name for d that is: 0 is the best one, less means that it is none.
func (d *Device) calls(name string) int {
	if i := slices.Index(d.names, name); i >= 0 {
		return i
	}
	if i := slices.Index(d.more, name); i >= 0 {
		return len(d.names) + i
	}
	return -1
}

// ErrUnknown is a rule about a member that a Set does not have.
var ErrUnknown = errors.New("no such member")

// find is the devices that name means: those whose best name it is.
func (s *Set) find(name string) ([]*Device, error) {
	if name == "*" {
		return s.devices, nil
	}
	best := -1
	var found []*Device
	for _, d := range s.devices {
		i := d.calls(name)
		if i < 0 || best >= 0 && i > best {
			continue
		}
		if i < best {
			found = nil
		}
		best, found = i, append(found, d)
	}
	switch len(found) {
	case 0:
		var all []string
		for _, d := range s.devices {
			all = append(all, d.info.Name)
		}
		return nil, fmt.Errorf("%w as %s: they are %s", ErrUnknown, name, strings.Join(all, ", "))
	case 1:
		return found, nil
	}
	return nil, fmt.Errorf("%s could be any of %d members: write the whole path", name, len(found))
}

// changed brings what depends on the rules up to date. The caller holds mu.
func (s *Set) changed() {
	s.waits.Store(slices.ContainsFunc(s.rules, func(n numbered) bool { return n.rule.Effect.Waits() }))
}

// MayWait says whether some rule makes requests wait: then who must not wait should not ask. It costs one atomic load.
func (s *Set) MayWait() bool { return s.waits.Load() }

// List is the rules, in the order they were added.
func (s *Set) List() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Entry, 0, len(s.rules))
	for _, n := range s.rules {
		e := Entry{ID: n.id, Rule: n.rule.String()}
		for _, d := range s.devices {
			hits, waiting := d.count(n.id)
			e.Hits, e.Waiting = e.Hits+hits, e.Waiting+waiting
		}
		list = append(list, e)
	}
	return list
}

func (d *Device) count(id int) (hits int64, waiting int) {
	rules := d.rules.Load()
	if rules == nil {
		return 0, 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range *rules {
		if l.id == id {
			hits, waiting = hits+l.hit, waiting+len(l.waiting)
		}
	}
	return hits, waiting
}

// Rules is how many rules are on d.
func (d *Device) Rules() int {
	if rules := d.rules.Load(); rules != nil {
		return len(*rules)
	}
	return 0
}

// Clear takes the rules of these numbers away, or all if none is given. Requests that they kept waiting go on and are done as they are.
func (s *Set) Clear(ids ...int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if !slices.ContainsFunc(s.rules, func(n numbered) bool { return n.id == id }) {
			return fmt.Errorf("no rule %d", id)
		}
	}
	s.drop(func(n numbered) bool { return len(ids) == 0 || slices.Contains(ids, n.id) })
	return nil
}

// Release clears the rules that make requests wait, and lets no more in: for who is about to end.
func (s *Set) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.drop(func(n numbered) bool { return n.rule.Effect.Waits() })
}

// drop ends the rules that are to go. The caller holds mu.
func (s *Set) drop(goes func(n numbered) bool) {
	gone := map[int]bool{}
	s.rules = slices.DeleteFunc(s.rules, func(n numbered) bool {
		gone[n.id] = goes(n)
		return gone[n.id]
	})
	for _, d := range s.devices {
		d.remove(func(id int) bool { return gone[id] })
	}
	s.changed()
}

// forget takes d out of the Set.
func (s *Set) forget(d *Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.remove(func(int) bool { return true })
	s.devices = slices.DeleteFunc(s.devices, func(o *Device) bool { return o == d })
}
