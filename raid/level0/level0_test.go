package level0

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/plan"
	"graid/raid/plan/plantest"
)

// places deals chunks out one at a time, as a reader of the format's description would by hand.
func places(chunk int64, layout uint32, sizes []int64) func(off int64) []plantest.Place {
	var at []plantest.Place
	for row, n := int64(0), int64(0); ; row += chunk {
		var members []int // that have this row
		for role, size := range sizes {
			if size >= row+chunk {
				members = append(members, role)
			}
		}
		if len(members) == 0 {
			break
		}
		// In the original layout a row begins where the array's chunk count says, in the alternate one with the first member.
		turn := make([]int, len(members))
		for i := range members {
			column := i
			if layout == Original {
				column = int(n+int64(i)) % len(members)
			}
			turn[i] = members[column]
		}
		for _, role := range turn {
			for b := range chunk {
				at = append(at, plantest.Place{Role: role, Row: row + b})
			}
			n++
		}
	}
	return func(off int64) []plantest.Place { return at[off : off+1] }
}

// TestEveryRequest makes every request on arrays of one zone and of several, in both layouts, and with chunks that are no power of two.
func TestEveryRequest(t *testing.T) {
	for _, sizes := range [][]int64{{9}, {8, 8, 8}, {4, 9, 12}, {3, 12, 6, 6, 12}} {
		for _, chunk := range []int64{2, 3} {
			for _, layout := range []uint32{Original, Alternate} {
				t.Run(fmt.Sprint(sizes, chunk, layout), func(t *testing.T) {
					l, err := New(chunk, layout, sizes)
					require.NoError(t, err)
					plantest.Exhaust(t, l, plantest.Model{Places: places(chunk, layout, sizes)}, 7)
				})
			}
		}
	}
}

// TestLayoutsDiffer: were both the same in some test array, it would say nothing of which is which.
func TestLayoutsDiffer(t *testing.T) {
	sizes := []int64{4, 12, 12}
	original, alternate := places(4, Original, sizes), places(4, Alternate, sizes)
	require.Equal(t, original(0), alternate(0))
	require.Equal(t, 2, original(12)[0].Role)
	require.Equal(t, 1, alternate(12)[0].Role)
}

// TestSizes: md counts the array's size with a mask that is no rounding when the chunk is no power of two.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		chunk int64
		sizes []int64
		size  int64
	}{
		{64 << 10, []int64{11 << 20, 11<<20 + 60<<10}, 22 << 20},
		{64 << 10, []int64{14336 * 512, 31020 * 512, 31020 * 512, 47104 * 512}, (14336 + 2*30976 + 47104) * 512},
		// 24 sectors, whose mask is 0x17: 22536 = 0x5808 is a multiple that it leaves alone.
		{12 << 10, []int64{22536 * 512}, 22536 * 512},
		// 10224 = 0x27f0, and &^ 0x17 = 0x27e0.
		{12 << 10, []int64{10240 * 512, 22550 * 512}, (0x27e0 + 22536) * 512},
	} {
		l, err := New(c.chunk, Alternate, c.sizes)
		require.NoError(t, err)
		require.Equal(t, c.size, l.Geometry().Size, "%+v", c)
		require.LessOrEqual(t, l.Geometry().Size, l.(*level).zones[len(l.(*level).zones)-1].end)
	}
}

func TestLimits(t *testing.T) {
	l, err := New(4096, Alternate, []int64{4 << 20, 8 << 20, 8 << 20})
	require.NoError(t, err)
	plantest.Limits(t, l)
}

func TestImpossible(t *testing.T) {
	for _, c := range []struct {
		chunk  int64
		layout uint32
		sizes  []int64
	}{
		{4096, 1, nil}, {4096, 1, make([]int64, plan.MaxRoles+1)}, {0, 1, []int64{4096}}, {-1, 1, []int64{4096}},
		{4096, 3, []int64{4096}}, {4096, 1, []int64{8192, 4095}}, {4096, 1, []int64{-1}},
		{4096, 0, []int64{4096, 8192, 8192}}, {1, 1, []int64{math.MaxInt64, 1}},
	} {
		_, err := New(c.chunk, c.layout, c.sizes)
		require.ErrorIs(t, err, plan.ErrLayout, "%+v", c)
	}
	// No layout is needed where layouts do not differ.
	for _, sizes := range [][]int64{{4096, 4096}, {4096, 8191}, {4096, 8192}, {4096, 4096, 8192}} {
		_, err := New(4096, Unspecified, sizes)
		require.NoError(t, err, sizes)
	}
}

func TestGoldenPlans(t *testing.T) {
	plantest.Golden(t, "testdata/plans.txt", func(t *testing.T, a plantest.Args) (plan.Level, error) {
		return New(a.Size(t, "chunk"), uint32(a.Size(t, "layout")), a.Sizes(t, "sizes"))
	})
}

func TestNoAllocations(t *testing.T) {
	l, err := New(64<<10, Alternate, []int64{1 << 20, 2 << 20, 2 << 20})
	require.NoError(t, err)
	plantest.Allocs(t, l)
}

func TestEnough(t *testing.T) {
	l, err := New(4096, Alternate, []int64{4096, 4096})
	require.NoError(t, err)
	require.True(t, l.Enough(0b11))
	require.False(t, l.Enough(0b101))
}
