package multipath

import (
	"fmt"
	"slices"
	"strings"
)

// with calls do for the path of that name, and records what was asked.
func (d *Device) with(name, what string, do func(p *path)) error {
	d.mu.Lock()
	defer d.unlock()
	p := d.find(name)
	if p == nil {
		var names []string
		for _, p := range d.paths {
			if !p.gone {
				names = append(names, p.Name)
			}
		}
		return fmt.Errorf("%s: no path %q: there are %s", d.name, name, strings.Join(names, ", "))
	}
	d.record(Event{Kind: KindAdmin, Path: name, Reason: what})
	do(p)
	return nil
}

// Fail takes a path out of use at once, until it is reinstated.
func (d *Device) Fail(name string) error {
	return d.with(name, "fail", func(p *path) {
		if p.s != nil {
			d.lose(p.s, "failed by the administrator", askFail)
			return
		}
		d.saw(p, askFail, "failed by the administrator")
	})
}

// Drain takes a path out of use once the requests under way have ended.
func (d *Device) Drain(name string) error {
	return d.with(name, "drain", func(p *path) { d.saw(p, askDrain, "drained by the administrator") })
}

// Reinstate takes a path into use again that was failed, refused, or held down, as if it had never failed.
func (d *Device) Reinstate(name string) error {
	return d.with(name, "reinstate", func(p *path) { d.saw(p, askBack, "reinstated by the administrator") })
}

// SwitchGroup has I/O go to the group of that name now, if it has a path.
func (d *Device) SwitchGroup(group string) error {
	d.mu.Lock()
	defer d.unlock()
	for _, g := range d.table.standings() {
		if g.name != group {
			continue
		}
		if g.good == 0 {
			return fmt.Errorf("%s: group %q has no path that can be used", d.name, group)
		}
		d.record(Event{Kind: KindAdmin, Reason: "switch to group " + group})
		d.table.out = d.table.out[:0]
		d.table.moved = ""
		if d.table.current != group {
			d.table.enter(group, "asked for by the administrator")
		}
		d.table.live = d.table.choose(d.table.live[:0])
		d.noted(nil)
		d.stir()
		return nil
	}
	return fmt.Errorf("%s: no group %q", d.name, group)
}

// Prefer makes a path's group the best as long as it has a path to use; empty: none is preferred.
func (d *Device) Prefer(name string) error {
	if name == "" {
		d.mu.Lock()
		defer d.unlock()
		d.table.preferred = ""
		d.noted(d.table.tick(d.s.Now()))
		return nil
	}
	return d.with(name, "prefer", func(p *path) {
		d.table.preferred = p.Group
		d.noted(d.table.tick(d.s.Now()))
		if d.table.failback > 0 { // asked for: it need not have proved itself
			d.table.out = d.table.out[:0]
			d.table.enter(p.Group, "preferred by the administrator")
			d.table.live = d.table.choose(d.table.live[:0])
			d.noted(nil)
			d.stir()
		}
	})
}

// Add takes another path into the map. It is used once it was found to lead to the same medium.
func (d *Device) Add(p Path) error {
	d.mu.Lock()
	defer d.unlock()
	if d.closing {
		return fmt.Errorf("%s: the map is closed", d.name)
	}
	if err := d.enlist(p); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	x := d.find(p.Name)
	d.record(Event{Kind: KindAdmin, Path: p.Name, Reason: "added"})
	d.tasks.Go(func() { d.keep(x) })
	return nil
}

// Remove takes a path out of the map, and closes it. The last that can be used stays, unless force.
func (d *Device) Remove(name string, force bool) error {
	var refused error
	err := d.with(name, "remove", func(p *path) {
		if !force && slices.Equal(d.table.live, []int{p.i}) {
			refused = fmt.Errorf("%s: %s is the only path that can be used", d.name, name)
			return
		}
		if p.s != nil {
			d.lose(p.s, "removed", askFail)
		} else {
			d.saw(p, askFail, "removed")
		}
		p.gone, d.table.paths[p.i].removed = true, true
		d.noted(d.table.tick(d.s.Now()))
		p.poke.Set()
	})
	if err == nil {
		err = refused
	}
	return err
}

// FailQueued fails every request that waits for a path, or for a stale write to settle.
func (d *Device) FailQueued() int {
	d.mu.Lock()
	defer d.unlock()
	d.kills++
	d.record(Event{Kind: KindAdmin, Reason: "fail queued requests"})
	d.stir()
	return len(d.parked)
}

// Release ends the quarantine of a path's old sessions, on the administrator's word that nothing of them will land any more.
func (d *Device) Release(name string) error {
	return d.with(name, "release quarantine", func(p *path) {
		for _, z := range slices.Clone(d.old) {
			if z.path == p {
				d.settle(z, "released by the administrator")
			}
		}
	})
}
