package plantest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
)

// TestLaws breaks each law once. A judge that lets something pass judges nothing.
func TestLaws(t *testing.T) {
	g := plan.Geometry{Roles: 3, Size: 64, Rows: 64, SyncSize: 64}
	v := plan.Healthy(3)
	v.Readable, v.Recovered = v.Readable.Without(1), []int64{0, 16, 0}
	v.Writable = v.Writable.Without(2)
	read := block.Request{Op: block.Read, Len: 8, Buf: make([]byte, 8)}
	write := block.Request{Op: block.Write, Len: 8, Buf: make([]byte, 8)}
	user := plan.UserRef(0, 8)
	for _, c := range []struct {
		law  string // "" = a good plan
		r    block.Request
		plan func(p *plan.Plan)
	}{
		{"", read, func(p *plan.Plan) { p.Read(0, 0, user) }},
		{"", read, func(p *plan.Plan) { p.Read(1, 8, user) }},
		{"", read, func(p *plan.Plan) {
			p.Hold(0, 4)
			s := p.Slot(4)
			p.Read(0, 0, plan.UserRef(0, 4))
			p.Read(2, 0, s)
			p.Sum(plan.UserRef(4, 4))
			p.Add(1, s)
			p.Add(1, plan.UserRef(0, 4))
		}},
		{"", write, func(p *plan.Plan) { p.Hold(0, 8); p.Write(0, 0, user); p.Write(1, 0, user) }},
		{"cannot be read", read, func(p *plan.Plan) { p.Read(1, 9, user) }},
		{"no such role", read, func(p *plan.Plan) { p.Read(3, 0, user) }},
		{"outside the member", read, func(p *plan.Plan) { p.Read(0, 57, user) }},
		{"outside the member", read, func(p *plan.Plan) { p.Read(0, -1, user) }},
		{"outside slot", read, func(p *plan.Plan) { p.Read(0, 0, plan.UserRef(1, 8)) }},
		{"outside slot", read, func(p *plan.Plan) { p.Hold(0, 64); p.Read(0, 0, p.Slot(8).At(4, 8)) }},
		{"no slot", read, func(p *plan.Plan) { p.Read(0, 0, plan.Ref{Slot: 5, Len: 8}) }},
		{"filled 0 times", read, func(p *plan.Plan) { p.Read(0, 0, plan.UserRef(0, 7)) }},
		{"filled 2 times", read, func(p *plan.Plan) { p.Read(0, 0, user); p.Read(2, 0, plan.UserRef(7, 1)) }},
		{"without the lock", read, func(p *plan.Plan) { p.Hold(0, 7); p.Read(0, 0, user); p.Read(2, 0, p.Slot(8)) }},
		{"not read under the lock", read, func(p *plan.Plan) {
			p.Hold(8, 12)
			s := p.Slot(4)
			p.Read(0, 0, plan.UserRef(0, 4))
			p.Read(2, 8, s)
			p.Sum(plan.UserRef(4, 4))
			p.Add(1, s)
			p.Add(1, plan.UserRef(0, 4))
		}},
		{"a read writes", read, func(p *plan.Plan) { p.Hold(0, 8); p.Read(0, 0, user); p.Write(0, 0, user) }},
		{"among the reads", read, func(p *plan.Plan) { p.Reads = append(p.Reads, plan.IO{Op: block.Write, Ref: user}) }},
		{"into the caller's buffer", write, func(p *plan.Plan) { p.Read(0, 0, user) }},
		{"into the caller's buffer", write, func(p *plan.Plan) { s := p.Slot(8); p.Sum(user); p.Add(1, s) }},
		{"of nothing", write, func(p *plan.Plan) { p.Sum(p.Slot(8)) }},
		{"lengths differ", write, func(p *plan.Plan) { p.Sum(p.Slot(4)); p.Add(1, user) }},
		{"among its terms", write, func(p *plan.Plan) { s := p.Slot(8); p.Sum(s); p.Add(1, s) }},
		{"takes no writes", write, func(p *plan.Plan) { p.Hold(0, 8); p.Write(2, 0, user) }},
		{"without a lock", write, func(p *plan.Plan) { p.Write(0, 0, user) }},
		{"without a lock", write, func(p *plan.Plan) { p.Hold(0, 64); p.Lock.Lo = 1; p.Clear(block.WriteZeroes, 0, 0, 0, 8) }},
		{"twice", write, func(p *plan.Plan) { p.Hold(0, 64); p.Write(0, 0, user); p.Clear(block.WriteZeroes, 0, 7, 7, 8) }},
		{"outside the sync space", write, func(p *plan.Plan) { p.Hold(0, 99); p.WritePos(0, 0, 60, user) }},
	} {
		var p plan.Plan
		p.Reset()
		c.plan(&p)
		err := Laws(&p, g, c.r, 8, &v)
		if c.law == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.law)
		}
	}
	var p plan.Plan
	p.Reset()
	for _, n := range []int64{-1, 0, 9} {
		require.ErrorContains(t, Laws(&p, g, write, n, &v), "covers", n)
	}
	p.Hold(0, 8)
	require.ErrorContains(t, Laws(&p, plan.Geometry{Roles: 1, Rows: 8}, write, 8, &v), "without redundancy")
}

// TestRun: reads happen before sums and sums before writes, and fresh memory is not zero.
func TestRun(t *testing.T) {
	m := Members{{1, 2, 3, 4}, {5, 6, 7, 8}}
	var p plan.Plan
	p.Reset()
	a, b, fresh := p.Slot(2), p.Slot(2), p.Slot(2)
	p.Read(0, 0, a)
	p.Read(1, 2, b)
	p.Sum(plan.UserRef(0, 2))
	p.Add(2, a)
	p.Add(1, b)
	p.Expect(fresh)
	p.Add(1, a)
	p.Add(1, a)
	p.Expect(fresh)
	p.Add(1, a)
	p.Write(0, 0, b)
	p.Write(1, 2, a)
	p.Clear(block.WriteZeroes, 1, 0, 0, 1)
	p.Write(0, 3, p.Slot(1))
	user := make([]byte, 2)
	require.Equal(t, 1, Run(&p, m, user))
	require.Equal(t, []byte{1*2 ^ 7, 2*2 ^ 8}, user)
	require.Equal(t, Members{{7, 8, 3, scratch}, {0, 6, 1, 2}}, m)
}
