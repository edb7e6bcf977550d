package fuzz

import (
	"fmt"
	"slices"

	"graid/block"
	"graid/raid"
	"graid/sched"
	"graid/sim"
)

// live is one life, from assembly to its end.
func (r *run) live() {
	l := r.life
	r.host, r.lost, r.unsynced, r.cut, r.h = r.w.Host(fmt.Sprintf("life%d", r.number)), make([]bool, r.Members), false, false, newHistory()
	r.failed, r.asked, r.forced = make([]bool, len(r.disks)), make([]bool, len(r.disks)), false
	over, ended := r.host.NewEvent(), false
	end := func(cut bool) {
		if !ended {
			ended, r.cut = true, cut
			over.Set()
		}
	}
	if l.End != Stop {
		r.doom(func() {
			if ended {
				return
			}
			r.w.Log("world", l.End.String())
			r.host.Kill()
			for _, d := range r.disks {
				if l.End == Power {
					r.powerCut(d)
				} else {
					d.Abandon()
				}
			}
			end(true)
		})
	}
	r.host.Go(func() {
		r.body()
		end(false)
	})
	over.Wait()
	r.registers()
	for _, d := range r.disks {
		d.ForgetMet()
		r.spoilt = r.spoilt || d.BadSectors() > 0
		d.Heal()
		d.Watch(nil)
	}
	if r.cut && r.err == nil {
		r.seen[l.End.String()]++
		r.crashed()
		r.filled()
		if o := r.look(r.everybody()); o.fresh != nil && r.err == nil {
			r.copied(o, "cut")
			r.bitmaps(o, "cut")
		}
	}
	if r.w.Steps() > maxSteps {
		r.fail("too long")
	}
}

// registers judges the history of this life. Where copies may differ and members go, a sector need not be a register: what was read from
// the one that went is not what the other has, until resync or the write that was under way is over.
func (r *run) registers() {
	if r.err != nil || r.unsure() || r.lay != nil && r.lay.parity == nil && r.anyAiling() {
		return
	}
	checked, err := r.h.check(int64(len(r.j.sectors)))
	r.seen["registers"] += checked
	if err != nil {
		r.fail("%w", err)
	}
}

// doom has end called when the life is to end before its time.
func (r *run) doom(end func()) {
	l := r.life
	if l.Updates == 0 && !l.Partly {
		r.w.AtStep(r.w.Steps()+l.Steps, end)
		return
	}
	updates := int64(0)
	for m, d := range r.disks {
		at := r.superAt(m)
		d.Watch(func(q block.Request) {
			if q.Op != block.Write || q.Off > at || q.End() <= at {
				return
			}
			if l.Partly && !partly(q, at) {
				return
			}
			if updates++; updates == max(l.Updates, 1) {
				r.w.AtStep(r.w.Steps()+l.Steps, end)
			}
		})
	}
}

// partly says whether q writes a superblock, at that place, that says that its member is filled in part.
func partly(q block.Request, at int64) bool {
	if int64(len(q.Buf)) < q.Len || q.End() < at+sector {
		return false
	}
	s := readSuper(q.Buf, at-q.Off)
	return s != nil && s.filling && s.filled > 0
}

// body is what the computer does in this life.
func (r *run) body() {
	a := r.assemble()
	if a == nil {
		return
	}
	if got := a.Info().Size; got != r.size() {
		r.fail("the array has %d bytes, and the layout %d", got, r.size())
		return
	}
	for _, d := range r.disks {
		d.ForgetMet() // to look for superblocks is not to read data
	}
	start := r.w.Now()
	for _, f := range r.life.Faults {
		f.At += start
		for _, d := range r.disks {
			d.Inject(f)
		}
	}
	r.aim()
	if !r.life.Blind {
		r.verify(a)
	}
	if r.life.Settle {
		_ = a.Wait(ctx)
	}
	if r.life.Rot && r.err == nil {
		r.scrub(a)
	} else if r.err == nil {
		r.traffic(a)
	}
	if r.life.Finish {
		_ = a.Wait(ctx)
		r.replaced(a)
	}
	if r.err == nil {
		r.verify(a)
	}
	state := a.Status()
	err := a.Close()
	if err != nil && !r.Beyond && !r.mayFail() {
		r.fail("close: %w", err)
	}
	if r.err == nil && !r.broken {
		r.images(state, err)
	}
}

// traffic is those who glance, clients side by side, and the owner.
func (r *run) traffic(a *raid.Array) {
	g := sched.NewGroup(r.host)
	for i := range r.life.Glances {
		rng := r.w.Rand(fmt.Sprintf("glance %d of life %d", i, r.number), "reads")
		g.Go(func() { r.glance(a, rng) })
	}
	for i := range r.Clients {
		ops := r.script(r.w.Rand(clientName(i, r.number), "requests"), &r.life, i, r.size()/sector)
		g.Go(func() {
			c := client{r, a}
			for n := 0; n < len(ops) && r.err == nil && !r.broken; n++ {
				c.perform(ops[n])
			}
		})
	}
	g.Go(func() { r.hand(a) })
	g.Wait()
}

// aim spoils sectors of victims in rows that the last crash left open.
func (r *run) aim() {
	if !r.life.Aim || len(r.j.suspects) == 0 || len(r.Victims) == 0 {
		return
	}
	rng := r.w.Rand(fmt.Sprintf("aim of life %d", r.number), "sectors")
	for range 4 {
		p := r.lay.places(r.j.suspects[rng.IntN(len(r.j.suspects))] * sector)[0]
		victim := r.Victims[rng.IntN(len(r.Victims))]
		if at, d := r.dataAt()+p.row, r.seats[victim]; d >= 0 && p.row < r.lay.used {
			r.disks[d].Spoil(at)
			r.seen["sector spoilt"]++
		}
	}
	r.stain()
}

// clientName is what seeds a client's requests.
func clientName(id, life int) string { return fmt.Sprintf("client %d of life %d", id, life) }

// powerCut cuts a member's power.
func (r *run) powerCut(d *sim.Disk) {
	var torn []int64
	if r.life.Destroy && r.victim(slices.Index(r.disks, d)) {
		torn = d.Underway()
	}
	d.Cut(r.life.Keep)
	rng := r.w.Rand(d.Name(), fmt.Sprintf("sectors destroyed in life %d", r.number))
	for _, off := range torn {
		if off >= r.dataAt() && off < r.dataAt()+r.lay.used && rng.IntN(2) == 0 {
			r.seen["sector destroyed"]++
			d.Destroy(off)
		}
	}
}
