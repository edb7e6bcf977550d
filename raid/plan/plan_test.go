package plan

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// TestText has one step of every kind.
func TestText(t *testing.T) {
	var p Plan
	p.Reset()
	p.Hold(4096, 8192)
	p.Hold(0, 512)
	a, b := p.Slot(4096), p.Slot(512)
	p.Read(2, 4096, a)
	p.ReadPos(3, 1<<20, 4096, a.At(512, 512))
	p.Sum(b)
	p.Add(1, a.At(0, 512))
	p.Add(29, UserRef(1, 512))
	p.Expect(a)
	p.Add(1, a)
	p.Write(0, 0, b)
	p.WritePos(1, 512, 0, UserRef(0, 7))
	p.Clear(block.WriteZeroes, 2, 0, 0, 3<<20)
	p.Clear(block.Discard, 63, 1, 1, 1)
	require.Equal(t, `lock  [0,+8K)
read  m2 [4K,+4K) -> s1
read  m3 [1M,+512) -> s1[512,+512)
sum   s2 = s1[0,+512) 29*user[1,+512)
check 0 = s1
write m0 [0,+512) <- s2
write m1 [512,+7) <- user[0,+7)
zero  m2 [0,+3M)
discard m63 [1,+1)
`, p.String())
	require.Equal(t, []int64{0, 4096, 512}, p.Slots)
	require.Equal(t, Calc{Dst: b, Lo: 0, Hi: 2}, p.Calcs[0])
	require.Equal(t, Calc{Dst: a, Lo: 2, Hi: 3, Expect: true}, p.Calcs[1])
	require.EqualValues(t, 4096, p.Reads[1].Pos)
	p.Reset()
	require.Empty(t, p.String())
	require.Equal(t, []int64{0}, p.Slots)
}

func TestFull(t *testing.T) {
	var p Plan
	p.Reset()
	for range MaxIO - 1 {
		require.False(t, p.Full())
		p.Write(0, 0, UserRef(0, 1<<30))
	}
	require.False(t, p.Full())
	p.Read(0, 0, UserRef(0, 1))
	require.True(t, p.Full())
	p.Reset()
	p.Slot(MaxBytes - 1)
	require.False(t, p.Full())
	p.Slot(1)
	require.True(t, p.Full())
}

func TestSlotOfAnEmptyPlan(t *testing.T) {
	var p Plan
	require.Equal(t, Ref{1, 0, 8}, p.Slot(8), "slot 0 is the caller's")
}

func TestRoleSet(t *testing.T) {
	require.Equal(t, "0,2,63", RoleSet(0).With(2).With(63).With(0).String())
	require.Equal(t, "", RoleSet(0).String())
	require.Equal(t, RoleSet(0b101), Roles(3).Without(1))
	require.Equal(t, MaxRoles, Roles(MaxRoles).Count())
	require.Equal(t, 0, Roles(0).Count())
	require.Equal(t, -1, RoleSet(0).First())
	require.Equal(t, 63, RoleSet(0).With(63).First())
	require.False(t, Roles(3).Has(3))
}

// TestView says for every state of a member what may be asked of it below, at and above its mark.
func TestView(t *testing.T) {
	for _, c := range []struct {
		name                string
		view                View
		hi                  int64
		read, fill, keepsIt bool
	}{
		{"in sync", View{Readable: 1, Writable: 1}, 1 << 40, true, false, true},
		{"missing", View{}, 1, false, false, false},
		{"missing, others recover", View{Recovered: []int64{0}}, 1, false, false, false},
		{"recovering, below", View{Writable: 1, Recovered: []int64{4096}}, 4096, true, false, true},
		{"recovering, above", View{Writable: 1, Recovered: []int64{4096}}, 4097, false, true, false},
		{"recovering from the start", View{Writable: 1}, 1, false, true, false},
		{"just failed to be read", View{Readable: 1, Writable: 1, Avoid: 1}, 1, false, true, true},
		{"just failed to be read, recovering, below", View{Writable: 1, Avoid: 1, Recovered: []int64{4096}}, 4096, false, true, true},
		{"just failed to be read, recovering, above", View{Writable: 1, Avoid: 1, Recovered: []int64{4096}}, 4097, false, true, false},
	} {
		require.Equal(t, c.read, c.view.CanRead(0, c.hi), c.name)
		require.Equal(t, c.fill, c.view.MustFill(0, c.hi), c.name)
		require.Equal(t, c.keepsIt, c.view.Keeps(0, c.hi), c.name)
	}
	v := Healthy(3)
	require.True(t, v.CanRead(2, 1<<62))
	require.False(t, v.CanRead(3, 1))
	require.Greater(t, v.Synced, int64(1)<<62)
}

func TestSingle(t *testing.T) {
	v := Healthy(2)
	v.Avoid = 1
	var p Plan
	p.Reset()
	require.False(t, p.Single(block.Read, 0, 0, UserRef(0, 8), &v))
	require.False(t, p.Single(block.Write, 2, 0, UserRef(0, 8), &v))
	require.Empty(t, p.String())
	require.True(t, p.Single(block.Read, 1, 8, UserRef(0, 8), &v))
	require.True(t, p.Single(block.Write, 0, 8, UserRef(0, 8), &v))
	require.True(t, p.Single(block.Discard, 0, 16, UserRef(8, 8), &v))
	require.Equal(t, "read  m1 [8,+8) -> user[0,+8)\nwrite m0 [8,+8) <- user[0,+8)\ndiscard m0 [16,+8)\n", p.String())
	require.Zero(t, p.Lock.Len(), "there is nothing to keep together")
}
