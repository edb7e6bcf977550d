package sim

import (
	"fmt"

	"graid/block"
	"graid/block/fault"
)

// rule is a fault.Rule and how far it is. Here its times count from when the world began, and its Seed counts for nothing: chance is
// the disk's own stream.
type rule struct {
	fault.Rule
	seen, hit int64
	over      bool
}

// Inject adds those of rules that are about this disk. An effect that a world does not have is a bug of the caller.
func (d *Disk) Inject(rules ...fault.Rule) {
	for _, r := range rules {
		if r.Effect > fault.Rot || r.Upto > 0 {
			panic(fmt.Sprintf("sim: %v: a world does not have that", r))
		}
		if r.Member == d.name || r.Member == "*" {
			d.rules = append(d.rules, &rule{Rule: r})
		}
	}
}

// Heal takes all faults away. Sectors that cannot be read stay so.
func (d *Disk) Heal() { d.rules = nil }

// afflict is the rule that r meets, if any. Rules that change the disk are obeyed on the way.
func (d *Disk) afflict(r block.Request) *rule {
	var first *rule
	for _, f := range d.rules {
		if f.over || !f.Due(d.w.now, r) {
			continue
		}
		if f.seen++; f.seen <= f.After || f.Count > 0 && f.hit >= f.Count || f.OneIn > 1 && d.chance.Int64N(f.OneIn) != 0 {
			continue
		}
		switch {
		case f.Effect.Lasts():
			f.over = true
			d.spoil(f)
		case first == nil:
			f.hit++
			first = f
		}
	}
	return first
}

// spoil does what f does to the disk itself.
func (d *Disk) spoil(f *rule) {
	for off := f.Off / Sector * Sector; off < min(f.Off+f.Len, d.o.Size); off += Sector {
		if f.Effect == fault.Bad {
			d.c.bad[off] = false
			continue
		}
		at, bit := d.chance.IntN(Sector), byte(1)<<d.chance.IntN(8)
		d.c.now[off+int64(at)] ^= bit
		for _, v := range d.c.versions[off] {
			if v.data != nil {
				v.data[at] ^= bit
			}
		}
	}
}
