package linear

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/plan"
	"graid/raid/plan/plantest"
)

// TestEveryRequest makes every request on members of different sizes, whole or rounded.
func TestEveryRequest(t *testing.T) {
	l, err := New(4, []int64{7, 12, 9})
	require.NoError(t, err)
	plantest.Exhaust(t, l, plantest.Model{Places: func(off int64) []plantest.Place {
		for role, size := range []int64{4, 12, 8} {
			if off < size {
				return []plantest.Place{{Role: role, Row: off}}
			}
			off -= size
		}
		return nil
	}}, 1)
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		round      int64
		sizes      []int64
		size, rows int64
	}{
		{0, []int64{7, 12, 9}, 28, 12},
		{1, []int64{7, 12, 9}, 28, 12},
		{4, []int64{7, 12, 9}, 24, 12},
		{64 << 10, []int64{1<<20 + 512}, 1 << 20, 1 << 20},
	} {
		l, err := New(c.round, c.sizes)
		require.NoError(t, err)
		g := l.Geometry()
		require.Equal(t, c.size, g.Size)
		require.Equal(t, c.rows, g.Rows)
		require.Equal(t, -1, g.Level)
		require.False(t, g.Redundant())
	}
}

func TestLimits(t *testing.T) {
	l, err := New(0, []int64{1 << 20, 2 << 20})
	require.NoError(t, err)
	plantest.Limits(t, l)
}

func TestImpossible(t *testing.T) {
	for _, c := range []struct {
		round int64
		sizes []int64
	}{
		{0, nil}, {0, make([]int64, plan.MaxRoles+1)}, {0, []int64{4096, 0}}, {0, []int64{-1}}, {8, []int64{16, 7}}, {-8, []int64{16}},
		{0, []int64{math.MaxInt64, 1}},
	} {
		_, err := New(c.round, c.sizes)
		require.ErrorIs(t, err, plan.ErrLayout, "%+v", c)
	}
}

func TestGoldenPlans(t *testing.T) {
	plantest.Golden(t, "testdata/plans.txt", func(t *testing.T, a plantest.Args) (plan.Level, error) {
		return New(a.Size(t, "round"), a.Sizes(t, "sizes"))
	})
}

func TestNoAllocations(t *testing.T) {
	l, err := New(0, []int64{1 << 20, 2 << 20})
	require.NoError(t, err)
	plantest.Allocs(t, l)
}

func TestEnough(t *testing.T) {
	l, err := New(0, []int64{4096, 4096})
	require.NoError(t, err)
	require.True(t, l.Enough(0b11))
	require.False(t, l.Enough(0b101))
}
