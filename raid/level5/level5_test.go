package level5

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
	"graid/raid/plan/plantest"
)

// maps is md's layouts of a level by number of members.
func maps(t *testing.T, level int) (list []plantest.ParityMap) {
	m, err := plantest.LoadMaps()
	require.NoError(t, err)
	for _, p := range m.Parity {
		if p.Level == level {
			list = append(list, p)
		}
	}
	require.NotEmpty(t, list)
	return list
}

// TestLayouts compares parity and data roles with md's, stripe by stripe.
func TestLayouts(t *testing.T) {
	seen := map[uint32]bool{}
	for _, m := range maps(t, 5) {
		built, err := New(m.Disks, 4096, m.Algorithm, 1<<20)
		require.NoError(t, err)
		l := built.(*level)
		for _, row := range m.Rows {
			require.Equal(t, row.P, l.parity(row.Stripe), "layout %d on %d, stripe %d", m.Algorithm, m.Disks, row.Stripe)
			for i, role := range row.Data {
				require.Equal(t, role, l.role(row.P, i), "layout %d on %d, stripe %d, chunk %d", m.Algorithm, m.Disks, row.Stripe, i)
			}
		}
		seen[m.Algorithm] = true
	}
	require.Len(t, seen, 6)
}

// model is an array as the map says it is.
func model(m plantest.ParityMap, chunk int64) plantest.Model {
	data := int64(m.Disks - 1)
	return plantest.Model{
		Stripe: data * chunk,
		Parity: func(row int64) int { return m.Rows[row/chunk].P },
		Places: func(off int64) []plantest.Place {
			n := off / chunk
			return []plantest.Place{{Role: m.Rows[n/data].Data[n%data], Row: n/data*chunk + off%chunk}}
		},
	}
}

// TestEveryRequest makes every request on small arrays in every condition of their members.
func TestEveryRequest(t *testing.T) {
	for _, m := range maps(t, 5) {
		chunk, stripes, stride := int64(4), int64(m.Disks), 7
		switch {
		case m.Disks == 4 && m.Algorithm == LeftSymmetric:
			stripes, stride = 2, 31
		case m.Disks == 5 && m.Algorithm == RightAsymmetric:
			chunk, stripes, stride = 2, 2, 31
		case m.Disks != 3:
			continue
		}
		t.Run(fmt.Sprintf("%d of %d", m.Algorithm, m.Disks), func(t *testing.T) {
			l, err := New(m.Disks, chunk, m.Algorithm, stripes*chunk+1)
			require.NoError(t, err)
			plantest.Exhaust(t, l, model(m, chunk), stride)
		})
	}
}

// TestLevel4 has its parity where md has it: on the last role, which layout 0 of a raid5 has not.
func TestLevel4(t *testing.T) {
	for _, m := range maps(t, 4) {
		const chunk = 4
		built, err := New4(m.Disks, chunk, int64(len(m.Rows))*chunk)
		require.NoError(t, err)
		l := built.(*level)
		require.Equal(t, 4, l.Geometry().Level)
		for _, row := range m.Rows {
			require.Equal(t, row.P, l.parity(row.Stripe), "%d members, stripe %d", m.Disks, row.Stripe)
			for i, role := range row.Data {
				require.Equal(t, role, l.role(row.P, i), "%d members, stripe %d, chunk %d", m.Disks, row.Stripe, i)
			}
		}
		built, err = New4(m.Disks, chunk, 2*chunk+1)
		require.NoError(t, err)
		plantest.Exhaust(t, built, model(m, chunk), map[int]int{3: 7, 4: 31, 5: 127}[m.Disks])
	}
	_, err := New4(1, 4096, 1<<20)
	require.ErrorIs(t, err, plan.ErrLayout)
	require.ErrorContains(t, err, "raid4")
}

// TestTwoMembers: a raid5 of two is a mirror, which Linux makes of a raid1 that is to grow.
func TestTwoMembers(t *testing.T) {
	l, err := New(2, 4, LeftSymmetric, 12)
	require.NoError(t, err)
	plantest.Exhaust(t, l, plantest.Model{
		Stripe: 4,
		Parity: func(row int64) int { return 1 - int(row/4%2) },
		Places: func(off int64) []plantest.Place { return []plantest.Place{{Role: int(off / 4 % 2), Row: off}} },
	}, 3)
}

// TestCutRectangles has chunks too large for one plan: they are cut, and the pieces come out right.
func TestCutRectangles(t *testing.T) {
	m := maps(t, 5)[0]
	for _, cut := range []int64{2, 4} {
		built, err := New(m.Disks, 8, m.Algorithm, 16)
		require.NoError(t, err)
		built.(*level).Cut = cut
		plantest.Exhaust(t, built, model(m, 8), 211)
	}
	built, err := New(64, 16<<20, LeftSymmetric, 1<<30)
	require.NoError(t, err)
	require.EqualValues(t, 512<<10, built.(*level).Cut)
}

func TestGoldenPlans(t *testing.T) {
	plantest.Golden(t, "testdata/plans.txt", func(t *testing.T, a plantest.Args) (plan.Level, error) {
		if a.Size(t, "level") == 4 {
			return New4(int(a.Size(t, "roles")), a.Size(t, "chunk"), a.Size(t, "rows"))
		}
		return New(int(a.Size(t, "roles")), a.Size(t, "chunk"), uint32(a.Size(t, "layout")), a.Size(t, "rows"))
	})
}

func TestNoAllocations(t *testing.T) {
	l, err := New(5, 64<<10, LeftSymmetric, 8<<20)
	require.NoError(t, err)
	plantest.Allocs(t, l)
}

func TestLimits(t *testing.T) {
	l, err := New(5, 4096, LeftSymmetric, 4<<20)
	require.NoError(t, err)
	plantest.Limits(t, l)
	// A chunk may be larger than what is cleared at once: one is cleared then.
	l, err = New(3, 256<<20, LeftSymmetric, 1<<30)
	require.NoError(t, err)
	v := plan.Healthy(3)
	var p plan.Plan
	p.Reset()
	n, err := l.Plan(&p, block.Request{Op: block.WriteZeroes, Len: 1 << 30}, &v)
	require.NoError(t, err)
	require.EqualValues(t, 512<<20, n)
}

func TestImpossible(t *testing.T) {
	for _, g := range []struct {
		roles       int
		chunk, rows int64
		layout      uint32
	}{
		{1, 4096, 1 << 20, 2}, {65, 4096, 1 << 20, 2}, {0, 4096, 1 << 20, 2}, {-1, 4096, 1 << 20, 2},
		{3, 0, 1 << 20, 2}, {3, -4096, 1 << 20, 2}, {3, 12288, 1 << 20, 2},
		{3, 4096, 4095, 2}, {3, 4096, 0, 2}, {3, 4096, -1, 2}, {3, 4096, 1 << 20, 6}, {3, 4096, 1 << 20, 16},
	} {
		_, err := New(g.roles, g.chunk, g.layout, g.rows)
		require.ErrorIs(t, err, plan.ErrLayout, "%+v", g)
	}
}

func TestEnough(t *testing.T) {
	l, err := New(4, 4096, LeftSymmetric, 1<<20)
	require.NoError(t, err)
	require.True(t, l.Enough(0b1111))
	require.True(t, l.Enough(0b1011))
	require.False(t, l.Enough(0b0011))
	require.False(t, l.Enough(0b110011), "roles that the array does not have")
}

// TestWindows: a Sync plan never asks for more than it may, however many members or however small the chunks.
func TestWindows(t *testing.T) {
	for _, roles := range []int{2, 3, 16, 64} {
		for _, chunk := range []int64{4096, 64 << 10, 16 << 20} {
			l, err := New(roles, chunk, LeftSymmetric, 64<<20)
			require.NoError(t, err)
			v := plan.Healthy(roles)
			for kind := plan.Resync; kind <= plan.Check; kind++ {
				var p plan.Plan
				p.Reset()
				n, err := l.Sync(&p, plan.Span{Lo: 4096 + 512, Hi: 64 << 20}, kind, &v)
				require.NoError(t, err)
				var bytes int64
				for _, s := range p.Slots {
					bytes += s
				}
				require.LessOrEqual(t, bytes, int64(plan.MaxBytes)+2*n, "%d roles, chunks of %d, %v", roles, chunk, kind)
				require.LessOrEqual(t, len(p.Reads)+len(p.Writes), max(plan.MaxIO, 3*roles), "%d roles, chunks of %d, %v", roles, chunk, kind)
				require.LessOrEqual(t, n, int64(512<<10))
			}
		}
	}
}

// BenchmarkPlan is the cost of deciding what a 4 KiB write does.
func BenchmarkPlan(b *testing.B) {
	l, err := New(4, 64<<10, LeftSymmetric, 1<<30)
	require.NoError(b, err)
	v := plan.Healthy(4)
	var p plan.Plan
	r := block.Request{Op: block.Write, Off: 8192, Len: 4096, Buf: make([]byte, 4096)}
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		l.Plan(&p, r, &v)
	}
}
