package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"graid/block/fault"
	"graid/raid"
	"graid/sim"
)

// Step is one thing that the array's owner does. Its text is "5ms fail m1": how long after the step before, what, and to which disk, or,
// for a limit, how fast background work may go, bytes per second.
type Step struct {
	Wait time.Duration
	What string
	Disk int
	Rate int64
}

// What an owner does.
const (
	handFail    = "fail"
	handRemove  = "remove"
	handAdd     = "add" // a disk as a new one, whatever was on it
	handCheck   = "check"
	handRepair  = "repair"
	handLocate  = "locate"   // a repair that rewrites who is wrong
	handReplace = "replace"  // a disk, by any spare
	handReAdd   = "readd"    // a disk, only as the member that it was
	handBitmap  = "bitmap"   // is added
	handPlain   = "nobitmap" // it is removed
	handIdle    = "idle"
	handLimit   = "limit"
	handAwait   = "await" // the end of background work
)

// onDisks are those that are about one disk.
var onDisks = []string{handFail, handRemove, handAdd, handReplace, handReAdd}

// MarshalText writes what UnmarshalText reads.
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Step) String() string {
	text := s.Wait.String() + " " + s.What
	switch {
	case slices.Contains(onDisks, s.What):
		text += " " + name(s.Disk)
	case s.What == handLimit:
		text += fmt.Sprintf(" %d", s.Rate)
	}
	return text
}

// UnmarshalText reads the text of a Step.
func (s *Step) UnmarshalText(b []byte) (err error) {
	words := strings.Fields(string(b))
	bad := fmt.Errorf("%q: give a time, and fail, remove, add, readd or replace with a disk, limit with bytes per second, check, repair, locate, bitmap, nobitmap, idle or await", b)
	if len(words) < 2 {
		return bad
	}
	*s = Step{What: words[1]}
	if s.Wait, err = time.ParseDuration(words[0]); err != nil {
		return err
	}
	rest := strings.Join(words[2:], " ")
	switch {
	case slices.Contains(onDisks, s.What):
		_, err = fmt.Sscanf(rest, "m%d", &s.Disk)
	case s.What == handLimit:
		_, err = fmt.Sscanf(rest, "%d", &s.Rate)
	case !slices.Contains([]string{handCheck, handRepair, handLocate, handIdle, handAwait, handBitmap, handPlain}, s.What) || rest != "":
		err = bad
	}
	return err
}

// administer draws what an owner does in the lives of c: in half of the arrays with redundancy, which then have disks beside their members.
// It has a stream of its own, so that the other half are what they would be without.
func (c *Case) administer(rng *rand.Rand) {
	if c.Level <= 0 || rng.IntN(2) == 0 {
		return
	}
	c.Spares, c.Blanks = max(0, rng.IntN(4)-1), rng.IntN(3)
	large := rng.IntN(6) == 0 // so that recovery takes several turns
	if large {
		for i := range c.Sizes {
			c.Sizes[i] += 640 << 10
		}
	}
	pool := slices.Clone(c.Victims)
	for d := c.Members; d < c.disks(); d++ {
		pool = append(pool, d)
	}
	for i := range c.Lives {
		l := &c.Lives[i]
		if i > 0 && rng.IntN(8) == 0 {
			*l = Life{Twice: -1, Rot: true, Settle: true, End: Stop}
			continue
		}
		if large && c.Spares+c.Blanks > 0 && rng.IntN(2) == 0 {
			c.interrupt(rng, l)
			continue
		}
		if rng.IntN(4) > 0 {
			l.Hand = append(l.Hand, c.plans(rng, pool)...)
		}
		for d := c.Members; d < c.disks(); d++ {
			if rng.IntN(12) == 0 {
				l.Absent = append(l.Absent, d)
			}
			if rng.IntN(8) == 0 {
				l.Faults = append(l.Faults, c.fault(rng, d))
			}
		}
		if rng.IntN(4) == 0 { // in the middle of recovery, more often than not
			l.Finish = false
		}
	}
}

// interrupt makes l a life that ends while a member is filled, slowly.
func (c *Case) interrupt(rng *rand.Rand, l *Life) {
	x := c.Members + rng.IntN(c.Spares+c.Blanks)
	l.Hand = []Step{{What: handLimit, Rate: c.slow() << rng.IntN(3)}, {Wait: c.when(rng), What: handFail, Disk: c.Victims[0]},
		{Wait: c.when(rng), What: handRemove, Disk: x}, {What: handAdd, Disk: x}}
	for range 3 { // superblocks are written for something else, and say how far it is
		l.Hand = append(l.Hand, Step{Wait: c.when(rng), What: handRemove, Disk: c.Victims[0]}, Step{Wait: c.when(rng) / 4, What: handAdd, Disk: c.Victims[0]})
	}
	l.Settle, l.Finish = false, false
	switch rng.IntN(5) {
	case 0, 1:
		l.End, l.Updates = Stop, 0
	case 2:
		l.End, l.Updates, l.Steps = Power, int64(1+rng.IntN(16*c.Members)), 1+rng.Int64N(int64(4)<<rng.IntN(4))
	case 3:
		l.End, l.Updates, l.Steps, l.Partly, l.Keep = Power, 0, 1+rng.Int64N(int64(4)<<rng.IntN(4)), true, sim.Keep(rng.IntN(4))
	}
}

// plans is a few steps of an owner's.
func (c *Case) plans(rng *rand.Rand, pool []int) (steps []Step) {
	disk := func() int { return pool[rng.IntN(len(pool))] }
	step := func(what string, disk int) { steps = append(steps, Step{Wait: c.when(rng), What: what, Disk: disk}) }
	if rng.IntN(3) == 0 {
		steps = append(steps, Step{What: handLimit, Rate: c.slow() << rng.IntN(8)})
	}
	for range 1 + rng.IntN(3) {
		switch d := disk(); rng.IntN(9) {
		case 0, 1:
			step(handFail, d)
			step(handRemove, d)
			step(handAdd, d)
		case 2, 3:
			step(handFail, d)
			step(handAdd, disk())
		case 4:
			step(handAdd, d)
		case 5:
			step(handRemove, d)
		case 6, 7:
			step([]string{handCheck, handRepair}[rng.IntN(2)], 0)
			if rng.IntN(3) == 0 {
				step(handIdle, 0)
			}
		case 8:
			step(handAwait, 0)
		}
	}
	return steps
}

// when is how long an owner thinks.
func (c *Case) when(rng *rand.Rand) time.Duration {
	return time.Duration(rng.Int64N(int64(c.Disk.Least)<<rng.IntN(11) + 1)).Round(time.Microsecond)
}

// slow is the lowest rate of recovery that does not have the array look for quiet too many times, bytes per second.
func (c *Case) slow() int64 {
	const piece, looks = 512 << 10, 2000
	return max(8<<10, int64(piece/(c.Quiet.Seconds()*looks)))
}

// hand does what the owner does in this life.
func (r *run) hand(a *raid.Array) {
	for _, s := range r.life.Hand {
		if r.host.Sleep(s.Wait); r.err != nil || r.broken {
			return
		}
		if s.Disk >= len(r.disks) || (s.What == handAdd || s.What == handReAdd) && r.haunted(s.Disk) {
			continue // the first of a case that was made smaller
		}
		r.w.Log("hand", s.String())
		err := r.take(a, s)
		if err == nil {
			r.seen["hand: "+s.What]++
			continue
		}
		r.w.Log("hand", err.Error())
		if !r.excuses(s, err) {
			r.fail("%v: %w", s, err)
		}
	}
}

// haunted says whether a write may land on a disk yet that was given up long ago: nobody can add it again and be safe.
func (r *run) haunted(disk int) bool {
	return slices.ContainsFunc(r.Lives[:r.number+1], func(l Life) bool {
		return slices.ContainsFunc(l.Faults, func(f fault.Rule) bool { return f.Member == name(disk) && f.Effect == fault.Late })
	})
}

// take does one step.
func (r *run) take(a *raid.Array, s Step) error {
	switch s.What {
	case handFail:
		return a.Fail(ctx, r.paths[s.Disk])
	case handRemove:
		return a.Remove(ctx, r.paths[s.Disk])
	case handReplace:
		r.asked[s.Disk] = true
		return a.Replace(ctx, r.paths[s.Disk], "")
	case handBitmap:
		return a.AddBitmap(ctx, 4096)
	case handPlain:
		return a.RemoveBitmap(ctx)
	case handLocate:
		return a.RepairWith(raid.RepairOptions{Locate: true, Rest: s.Wait%2 == 0})
	case handAdd, handReAdd:
		if r.paths[s.Disk] == "" {
			r.paths[s.Disk] = name(s.Disk)
		}
		var before []byte
		if s.What == handReAdd {
			before = bytes.Clone(r.disks[s.Disk].Image())
		}
		d := r.disks[s.Disk].Open()
		err := a.Add(ctx, raid.Member{Path: r.paths[s.Disk], Dev: d}, raid.AddOptions{ReAdd: s.What == handReAdd, Rand: &source{r.w.Rand(name(s.Disk), fmt.Sprintf("uuid of life %d at %v", r.number, r.w.Now()))}})
		if err != nil {
			if s.What == handReAdd && strings.Contains(err.Error(), "cannot be re-added") && !bytes.Equal(before, r.disks[s.Disk].Image()) {
				r.fail("%v was refused, and something was written: %w", s, err)
			}
			return errors.Join(err, d.Close())
		}
		r.failed[s.Disk] = false
		r.life.Absent = slices.DeleteFunc(slices.Clone(r.life.Absent), func(d int) bool { return d == s.Disk })
	case handCheck:
		return a.Check()
	case handRepair:
		return a.Repair()
	case handIdle:
		a.Idle()
	case handLimit:
		a.Limit(min(s.Rate, 1<<10), s.Rate)
	case handAwait:
		return a.Wait(ctx)
	}
	return nil
}

// anySpareFaulty says whether something may be wrong with a disk beside the members, or that is in use for one.
func (r *run) anySpareFaulty() bool {
	for d := range r.disks {
		if r.victim(d) && r.faulty(d) {
			return true
		}
	}
	return false
}

// excuses says whether a step may be refused so.
func (r *run) excuses(s Step, err error) bool {
	says := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch {
	case r.Beyond || r.broken, errors.Is(err, raid.ErrBusy), errors.Is(err, raid.ErrNotMember):
		return true
	case s.What == handRemove:
		return says("in use") || r.faulty(s.Disk)
	case s.What == handReplace:
		return says("only a member that is in sync") || says("is being replaced") || says("to replace it with") || says("not used") && r.anySpareFaulty()
	case s.What == handBitmap:
		return says("has a bitmap already") || says("partial parity log")
	case s.What == handPlain:
		return says("has no bitmap")
	case s.What == handReAdd && says("cannot be re-added"):
		return true
	case s.What == handAdd, s.What == handReAdd:
		return says("is a member of this array already") || says("has blocks of") && r.block(s.Disk) == 4096 || r.faulty(s.Disk)
	}
	return false
}
