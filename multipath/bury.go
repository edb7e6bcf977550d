package multipath

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// lose is the end of z: it failed for that reason, or was taken out of use (s). The map's mu is held.
//
//	writes under way ──▶ none, or the path is local ────────────────────────────▶ sent again at once
//	                 ──▶ fence: the session is ended through another, or its lease is over ──▶ sent again
//	                 ──▶ quarantine: sent again at once; later writes to the same place wait for the answer, or the bound
func (d *Device) lose(z *session, why string, s sight) {
	if z.dead {
		return
	}
	z.dead, z.died = true, d.s.Now()
	for _, a := range z.attempts {
		if a.o != nil {
			a.o.wake.Set()
		}
	}
	for _, a := range z.writes {
		a.hold.again = true
	}
	if !z.adopted {
		return // its identity was being looked at
	}
	z.path.s = nil
	d.doubt(z)
	danger := len(z.writes) > 0 || d.log.keys[z.key] > 0 && z.fencer != nil
	switch {
	case z.local || !danger:
		z.replay, z.settled = true, true
	case d.o.Stale == StaleTrust:
		d.settle(z, "trusted: a late write may replace a newer one")
	case d.o.Stale == StaleQuarantine:
		z.replay = true
	case d.o.Stale == StaleFence && z.fencer == nil && z.lease == 0:
		z.replay = true
	default:
		z.fencing = true
		if s == sawBroken && d.fencers(z) {
			s = sawFencing
		}
	}
	d.old = append(d.old, z)
	d.saw(z.path, s, why)
	d.tasks.Go(func() { d.bury(z) })
}

// doubt is about what was acknowledged by targets that do not say who they are, when one of their sessions ends or begins: perhaps its target lost
// power, and others with it of whose sessions we have not heard yet. The map's mu is held.
func (d *Device) doubt(z *session) {
	if z.instance == "" && !z.local {
		d.log.orphan(func(key string) bool { return strings.HasPrefix(key, anonymous) })
	}
}

// settle says that nothing of z will land any more. The map's mu is held.
func (d *Device) settle(z *session, how string) {
	if z.settled {
		return
	}
	z.settled, z.replay = true, true
	if n := len(z.writes); n > 0 || z.fencing {
		d.record(Event{Kind: KindSettled, Path: z.name, Reason: fmt.Sprintf("%s; %d writes were not answered", how, n)})
	}
	for len(z.writes) > 0 {
		d.end(z.writes[0])
	}
	d.stir()
}

// fencers says whether there is a session through which z can be ended. The map's mu is held.
func (d *Device) fencers(z *session) bool {
	return z.fencer != nil && z.fencer.Session() != "" && slices.ContainsFunc(d.paths, func(p *path) bool { return p.s != nil && p.s.fencer != nil })
}

// bury sees to it that nothing of z lands any more, and closes it.
func (d *Device) bury(z *session) {
	o := d.getOp()
	o.ahead = true
	d.mu.Lock()
	bound := z.died + d.o.Quarantine
	if d.o.Stale == StaleHook && !z.settled {
		d.hook(z)
	}
	for !d.closing && !z.settled {
		switch now := d.s.Now(); {
		case z.fencing && d.fence(z):
		case z.lease > 0 && now >= z.died+z.lease:
			d.settle(z, "its session has timed out at the target")
		case d.restarted(z):
			d.settle(z, "the target has begun anew")
		case !z.fencing && len(z.writes) == 0:
			d.settle(z, "answered after all")
		case now >= bound:
			d.counters.Unproven += int64(len(z.writes))
			d.settle(z, fmt.Sprintf("not proven: %v have passed", d.o.Quarantine))
		default:
			until := bound
			if z.lease > 0 {
				until = min(until, z.died+z.lease)
			}
			if z.fencing && d.o.Stale != StaleHook {
				until = min(until, now+time.Second)
			}
			_ = d.park(context.Background(), o, until) // the loop looks whether the map is being closed
		}
	}
	d.rested(z)
	for !d.closing && len(z.attempts) > 0 { // they are its witnesses; and its device is theirs
		_ = d.park(context.Background(), o, never)
	}
	d.old = slices.DeleteFunc(d.old, func(x *session) bool { return x == z })
	d.unlock()
	d.putOp(o)
	switch {
	case !z.own:
	case len(z.attempts) > 0:
		d.s.Go(func() { _ = z.dev.Close() }) // the map is being closed, and does not wait for it
	default:
		_ = z.dev.Close() // it failed, and that has been said
	}
}

// rested says that z's path need not wait any longer for what was sent on z. The map's mu is held.
func (d *Device) rested(z *session) {
	d.saw(z.path, sawFenced, "")
}

// hook asks the hook whether the target is dead. If it is not, the writes are quarantined. The map's mu is held, but not meanwhile.
func (d *Device) hook(z *session) {
	d.unlock()
	err := d.o.Hook(z.name)
	d.mu.Lock()
	if err == nil {
		d.settle(z, "the hook has proved that the target is dead")
		return
	}
	d.record(Event{Kind: KindSettled, Path: z.name, Reason: fmt.Sprintf("the hook failed, writes are quarantined: %v", err)})
	z.fencing, z.replay = false, true
	d.stir()
}

// fence ends z through another session, and says whether it did. If all the others cannot, the writes of z are quarantined. If there is no
// other, there is nothing to be sent again on either. The map's mu is held, but not meanwhile.
func (d *Device) fence(z *session) bool {
	var tried []*session
	able := z.fencer != nil && z.fencer.Session() != ""
	for able && !z.settled {
		var y *session
		for _, p := range d.paths {
			if p.s != nil && p.s.fencer != nil && !slices.Contains(tried, p.s) {
				y = p.s
				break
			}
		}
		if y == nil {
			break
		}
		tried = append(tried, y)
		y.inflight++
		d.unlock()
		err := y.fencer.Fence(context.Background(), z.fencer.Session())
		d.mu.Lock()
		y.inflight--
		if err == nil {
			d.counters.Fenced++
			d.settle(z, "fenced through "+y.name)
			return true
		}
		d.record(Event{Kind: KindSettled, Path: z.name, Reason: fmt.Sprintf("could not be fenced through %s: %v", y.name, err)})
	}
	if (len(tried) > 0 || !able) && z.lease == 0 {
		z.fencing, z.replay = false, true
		d.rested(z)
		d.stir()
	}
	return false
}

// restarted says whether the target that z led to is another now: on the same path, so that it is the same place.
func (d *Device) restarted(z *session) bool {
	y := z.path.s
	return y != nil && z.instance != "" && y.instance != "" && y.instance != z.instance
}
