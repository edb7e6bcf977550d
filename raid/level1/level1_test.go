package level1

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/plan"
	"graid/raid/plan/plantest"
)

// TestEveryRequest makes every request on small mirrors in every condition of their members.
func TestEveryRequest(t *testing.T) {
	for _, roles := range []int{1, 2, 3} {
		l, err := New(roles, 11)
		require.NoError(t, err)
		l.(*level).region = 3
		plantest.Exhaust(t, l, plantest.Model{Places: func(off int64) (places []plantest.Place) {
			for role := range roles {
				places = append(places, plantest.Place{Role: role, Row: off})
			}
			return places
		}}, 3)
	}
}

func TestGoldenPlans(t *testing.T) {
	plantest.Golden(t, "testdata/plans.txt", func(t *testing.T, a plantest.Args) (plan.Level, error) {
		return New(int(a.Size(t, "roles")), a.Size(t, "rows"))
	})
}

func TestNoAllocations(t *testing.T) {
	l, err := New(3, 8<<20)
	require.NoError(t, err)
	plantest.Allocs(t, l)
}

func TestLimits(t *testing.T) {
	l, err := New(3, 8<<20)
	require.NoError(t, err)
	plantest.Limits(t, l)
}

func TestImpossible(t *testing.T) {
	for _, roles := range []int{-1, 0, plan.MaxRoles + 1} {
		_, err := New(roles, 1<<20)
		require.ErrorIs(t, err, plan.ErrLayout)
	}
	_, err := New(2, 0)
	require.ErrorIs(t, err, plan.ErrLayout)
	_, err = New(plan.MaxRoles, 1<<20)
	require.NoError(t, err)
}

func TestEnough(t *testing.T) {
	l, err := New(3, 1<<20)
	require.NoError(t, err)
	require.True(t, l.Enough(0b100))
	require.False(t, l.Enough(0b1000), "a role that the array does not have")
	require.False(t, l.Enough(0))
}
