package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"graid/block/delay"
)

// Real refuses the rules that no Device can follow, whatever it is over.
func (r Rule) Real() error {
	if r.Effect == Stale {
		return errors.New("stale is for simulated disks: a real one does not remember what it held before; lost leaves the old content in place")
	}
	return nil
}

// Add puts rules on their members, all of them or, after an error, none, and returns them with their numbers. A rule that leaves something
// to chance gets a Seed if it has none.
func (s *Set) Add(rules ...Rule) (added []Entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rules)+len(rules) > MaxRules {
		return nil, fmt.Errorf("%d rules are too many: the most is %d at a time", len(s.rules)+len(rules), MaxRules)
	}
	on := make([][]*Device, len(rules))
	for i, r := range rules {
		if on[i], err = s.find(r.Member); err == nil {
			err = r.fits(on[i])
		}
		if err == nil && s.ended && r.Effect.Waits() {
			err = errors.New("the array is stopping: nothing waits any more")
		}
		if err != nil {
			return nil, fmt.Errorf("%v: %w", r, err)
		}
	}
	for i, r := range rules {
		if r.Seed == 0 && (r.OneIn > 1 || r.Upto > 0 || r.Effect == Torn || r.Effect == Rot) {
			r.Seed = 1 + rand.New(rand.NewPCG(uint64(s.s.Wall().UnixNano()), uint64(s.last))).Int64N(1<<31)
		}
		s.last++
		s.rules = append(s.rules, numbered{s.last, r})
		for _, d := range on[i] {
			d.add(r, s.last)
		}
		added = append(added, Entry{ID: s.last, Rule: r.String()})
	}
	s.changed()
	return added, nil
}

// fits refuses what devices of this kind cannot do.
func (r Rule) fits(devices []*Device) error {
	if err := r.Real(); err != nil {
		return err
	}
	for _, d := range devices {
		switch {
		case r.Effect == Shift && r.By%d.info.Block != 0:
			return fmt.Errorf("%s has sectors of %d bytes: give a multiple of that", d.info.Name, d.info.Block)
		case r.Len > 0 && r.Off >= d.info.Size:
			return fmt.Errorf("%s has %d bytes: the range is beyond its end", d.info.Name, d.info.Size)
		}
	}
	return nil
}

// add makes r live on d. The caller holds the Set's mu.
func (d *Device) add(r Rule, id int) {
	l := &live{Rule: r, id: id, began: d.s.Now(), chance: chance{rand.New(rand.NewPCG(uint64(r.Seed), d.nth))}, waiting: map[*wait]struct{}{}}
	if r.Effect == Delay {
		m := delay.Model{Latency: r.Wait, Jitter: max(r.Upto-r.Wait, 0), Rate: r.Rate, Depth: int(r.Depth)}
		l.queue = delay.NewQueue(m, uint64(r.Seed)^d.nth)
	}
	var list []*live
	if old := d.rules.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = append(list, l)
	d.rules.Store(&list)
}

// remove ends the rules of d that are to go. The caller holds the Set's mu.
func (d *Device) remove(goes func(id int) bool) {
	old := d.rules.Load()
	if old == nil {
		return
	}
	var stay []*live
	for _, l := range *old {
		if goes(l.id) {
			defer d.clear(l)
		} else {
			stay = append(stay, l)
		}
	}
	if d.rules.Store(&stay); len(stay) == 0 {
		d.rules.Store(nil)
	}
}
