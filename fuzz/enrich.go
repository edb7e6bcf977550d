package fuzz

import (
	"math/rand/v2"
	"slices"

	"graid/block/fault"
	"graid/raid/md"
	"graid/sim"
)

// enrich draws what came into worlds last, from a stream of its own: worlds that get none of it are what they were. Each draws its own mix.
func (c *Case) enrich(rng *rand.Rand) {
	c.drawPPL(rng)
	if c.Level <= 0 {
		return
	}
	var kinds []func(*rand.Rand, *Life)
	for _, k := range []func(*rand.Rand, *Life){c.replacement, c.back, c.bits, c.location, c.recorded, c.notes} {
		if rng.IntN(3) == 0 {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 || len(c.Victims) == 0 {
		return
	}
	if c.Spares+c.Blanks == 0 && rng.IntN(2) == 0 {
		c.Blanks++
	}
	if c.Spares+c.Blanks > 0 && rng.IntN(8) == 0 {
		c.halfway(rng)
		return
	}
	for i := range c.Lives {
		if rng.IntN(2) == 0 {
			kinds[rng.IntN(len(kinds))](rng, &c.Lives[i])
		}
	}
}

// beside has an owner take these steps too, all of them one after another, somewhere among the others.
func (l *Life) beside(rng *rand.Rand, steps ...Step) {
	if !l.Rot {
		l.Hand = slices.Insert(slices.Clone(l.Hand), rng.IntN(len(l.Hand)+1), steps...)
	}
}

// halfway has lives end as soon as a superblock says that a member is filled in part, and nobody flushes but for the array itself.
func (c *Case) halfway(rng *rand.Rand) {
	for i := range c.Sizes {
		c.Sizes[i] = max(c.Sizes[i], 1<<20)
	}
	c.Mix.Flush, c.Mix.FUA, c.Assumed = 0, 0, true
	for i := range c.Lives {
		l := &c.Lives[i]
		if rng.IntN(2) == 0 || l.Rot {
			continue
		}
		c.interrupt(rng, l)
		l.End, l.Updates, l.Steps, l.Partly, l.Keep = Power, 0, 1+rng.Int64N(int64(2)<<rng.IntN(5)), true, sim.KeepAny
		l.Faults, l.Absent, l.Blind, l.Glances = nil, nil, true, 0
	}
}

// replacement has a victim replaced while it serves, and something happen meanwhile.
func (c *Case) replacement(rng *rand.Rand, l *Life) {
	if c.Spares+c.Blanks == 0 {
		return
	}
	x, v := c.Members+rng.IntN(c.Spares+c.Blanks), c.Victims[rng.IntN(len(c.Victims))]
	if rng.IntN(4) == 0 {
		x, v = v, x
	}
	var steps []Step
	step := func(what string, disk int) { steps = append(steps, Step{Wait: c.when(rng), What: what, Disk: disk}) }
	if rng.IntN(2) == 0 {
		steps = append(steps, Step{What: handLimit, Rate: c.slow() << rng.IntN(8)})
	}
	step(handRemove, x)
	step(handAdd, x)
	step(handReplace, v)
	switch rng.IntN(8) {
	case 0:
		step(handFail, v)
	case 1:
		step(handFail, x)
	case 2:
		step(handAwait, 0)
		step(handRemove, v)
		step(handAdd, v)
		step(handReplace, x)
	case 3:
		step([]string{handCheck, handRepair}[rng.IntN(2)], 0)
	case 4:
		step(handRemove, v)
		step(handFail, v)
		step(handRemove, v)
		step(handAdd, v)
	}
	if l.beside(rng, steps...); l.Rot {
		return
	}
	switch rng.IntN(4) {
	case 0:
		l.Finish = false
	case 1:
		l.Settle, l.Finish, l.End, l.Updates, l.Steps, l.Partly = false, false, Power, 0, 1+rng.Int64N(int64(4)<<rng.IntN(6)), true
	case 2:
		l.Finish = true
	}
}

// back has a victim go and come back as what it was.
func (c *Case) back(rng *rand.Rand, l *Life) {
	v := c.Victims[rng.IntN(len(c.Victims))]
	steps := []Step{{Wait: c.when(rng), What: handFail, Disk: v}, {Wait: c.when(rng) * 4, What: handRemove, Disk: v}, {Wait: c.when(rng), What: handReAdd, Disk: v}}
	if rng.IntN(4) == 0 {
		steps = steps[2:]
	}
	l.beside(rng, steps...)
}

// bits has a bitmap come, or go, or both.
func (c *Case) bits(rng *rand.Rand, l *Life) {
	for range 1 + rng.IntN(2) {
		l.beside(rng, Step{Wait: c.when(rng), What: []string{handBitmap, handBitmap, handPlain}[rng.IntN(3)]})
	}
}

// location has a repair find out who is wrong.
func (c *Case) location(rng *rand.Rand, l *Life) {
	switch {
	case c.Level != 6 && (c.Level != 1 || c.Members < 3) && c.Layout != 0x103:
	case l.Rot || rng.IntN(2) == 0:
		*l = Life{Twice: -1, Rot: true, Located: true, Settle: true, End: Stop}
	default:
		l.beside(rng, Step{Wait: c.when(rng), What: handLocate})
	}
}

// recorded has bad block logs say something.
func (c *Case) recorded(_ *rand.Rand, l *Life) { l.Record = true }

// notes has a bitmap, or a partial parity log, that cannot be read everywhere.
func (c *Case) notes(rng *rand.Rand, l *Life) {
	v := c.Victims[rng.IntN(len(c.Victims))]
	at := int64(4096)
	switch {
	case c.Version == md.V12:
		at = 8192
	case c.Version == md.V10 && c.PPL > 0:
		at = (c.diskSize(v)/sector-16)/8*8*sector - 4096 - c.PPL
	case c.Version == md.V10:
		return
	}
	l.Faults = append(slices.Clone(l.Faults), fault.Rule{Member: name(v), Effect: fault.Bad, Off: at + 512*rng.Int64N(max(c.PPL/sector, 4)), Len: 512 * (1 + rng.Int64N(4)), After: rng.Int64N(200)})
}
