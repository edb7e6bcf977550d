// Package plantest says what a plan means and tries levels against it: an executor over byte slices that refuses whatever a level
// must not ask for, a model test that makes every request on small arrays, golden plans, and layout maps taken from Linux md.
package plantest

import (
	"graid/block"
	"graid/parity"
	"graid/raid/plan"
)

// Members is the data area of every role.
type Members [][]byte

// Clone is a copy of m.
func (m Members) Clone() Members {
	c := make(Members, len(m))
	for i := range m {
		c[i] = append([]byte(nil), m[i]...)
	}
	return c
}

// copyFrom makes m what from is, in m's memory.
func (m Members) copyFrom(from Members) {
	for i := range m {
		copy(m[i], from[i])
	}
}

// scratch is what fresh slots hold: nothing may come out right because memory happened to be zero.
const scratch = 0xA5

// discarded is what discarded bytes hold: what they read as is undefined.
const discarded = 0xDD

// Run carries p out on m: reads all together, calcs in sequence, writes all together. This is what a plan means. user is the
// caller's buffer. It returns how many Expects found a sum that is not zero.
func Run(p *plan.Plan, m Members, user []byte) (mismatches int) {
	slots := make([][]byte, len(p.Slots))
	for i := range slots {
		slots[i] = fill(make([]byte, p.Slots[i]), scratch)
	}
	if len(slots) == 0 {
		slots = make([][]byte, 1)
	}
	slots[plan.User] = user
	at := func(r plan.Ref) []byte { return slots[r.Slot][r.Off : r.Off+r.Len] }
	for _, io := range p.Reads {
		copy(at(io.Ref), m[io.Role][io.Row:io.Row+io.Ref.Len])
	}
	for _, c := range p.Calcs {
		dst := fill(at(c.Dst), scratch)
		for i, t := range p.Terms[c.Lo:c.Hi] {
			for j, x := range at(t.Ref) {
				if i == 0 {
					dst[j] = 0
				}
				dst[j] ^= parity.Mul(t.Coef, x)
			}
		}
		if c.Expect && !parity.IsZero(dst) {
			mismatches++
		}
	}
	for _, io := range p.Writes {
		switch to := m[io.Role][io.Row : io.Row+io.Ref.Len]; io.Op {
		case block.Write:
			copy(to, at(io.Ref))
		case block.WriteZeroes:
			fill(to, 0)
		case block.Discard:
			fill(to, discarded)
		}
	}
	return mismatches
}

func fill(b []byte, x byte) []byte {
	for i := range b {
		b[i] = x
	}
	return b
}
