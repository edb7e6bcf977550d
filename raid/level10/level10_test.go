package level10

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
	"graid/raid/plan/plantest"
)

// TestMaps compares sizes, places, and which layouts are refused, with md's.
func TestMaps(t *testing.T) {
	maps, err := plantest.LoadMaps()
	require.NoError(t, err)
	require.NotEmpty(t, maps.Mirrors)
	refused := 0
	const chunk = 4096
	for _, v := range maps.Mirrors {
		layout, err := strconv.ParseUint(v.Layout, 0, 32)
		require.NoError(t, err)
		name := fmt.Sprintf("%s on %d", v.Layout, v.Disks)
		m, err := NewMap(v.Disks, chunk, uint32(layout), v.DevChunks*chunk+chunk-1)
		require.NoError(t, err, name)
		require.Equal(t, v.ArrayChunks, m.Chunks, name)
		require.Equal(t, v.UsedChunks, m.Used, name)
		require.Equal(t, v.Stride*chunk, m.Stride, name)
		for i, first := range v.First {
			var want []Copy
			for _, at := range first {
				want = append(want, Copy{int(at[0]), at[1] * chunk})
			}
			require.Equal(t, want, m.Copies(nil, int64(i)), "%s, chunk %d", name, i)
		}
		for _, rows := range []int64{v.DevChunks, 1e9} {
			_, err = New(v.Disks, chunk, uint32(layout), rows*chunk)
			if v.Safe {
				require.NoError(t, err, name)
			} else {
				require.ErrorIs(t, err, plan.ErrLayout, name)
			}
		}
		if !v.Safe {
			refused++
		}
	}
	require.NotZero(t, refused)
}

// TestAliasRules compares what is refused with the rules that an exhaustive search of md's map came to.
func TestAliasRules(t *testing.T) {
	for d := 2; d <= 16; d++ {
		for nc := 1; nc <= 3; nc++ {
			for fc := 1; fc <= 4 && nc*fc <= d; fc++ {
				for _, offset := range []bool{false, true} {
					for sets := range 3 {
						layout := uint32(nc | fc<<8 | sets<<setsShift)
						if offset {
							layout |= offsetBit
						}
						good, known := rule(d, nc, fc, sets, offset)
						if !known {
							continue
						}
						_, err := New(d, 4096, layout, 1<<20)
						require.Equal(t, good, err == nil, "%#x on %d: %v", layout, d, err)
					}
				}
			}
		}
	}
}

func rule(d, nc, fc, sets int, offset bool) (good, known bool) {
	switch {
	case fc == 1 && sets == setsNone, nc == 1 && sets != setsEarly:
		return true, true
	case fc == 1:
		return true, sets == setsImproved
	case sets == setsNone:
		return !offset || d%nc == 0, true
	case sets == setsImproved:
		return !(d >= 2*nc*fc && d%(nc*fc) != 0) && (!offset || d%nc == 0), true
	case nc == 1:
		return d/fc >= fc, true
	}
	return false, false
}

// TestEveryRequest makes every request on small arrays of every kind, in every condition of their members.
func TestEveryRequest(t *testing.T) {
	const chunk = 2
	for _, c := range []struct {
		roles  int
		layout uint32
		rows   int64
		stride int
	}{
		{2, 0x102, 9, 3}, {3, 0x102, 8, 7}, {4, 0x102, 6, 31}, {3, 0x103, 7, 7},
		{2, 0x201, 9, 3}, {3, 0x201, 8, 7}, {4, 0x201, 8, 31}, {3, 0x301, 12, 7},
		{2, 0x10201, 8, 3}, {3, 0x10201, 8, 7}, {4, 0x40201, 8, 31}, {4, 0x202, 8, 31}, {5, 0x40201, 4, 31},
	} {
		t.Run(fmt.Sprintf("%#x on %d", c.layout, c.roles), func(t *testing.T) {
			l, err := New(c.roles, chunk, c.layout, c.rows)
			require.NoError(t, err)
			m := l.(*level).m
			l.(*level).region = 3
			plantest.Exhaust(t, l, plantest.Model{Places: func(off int64) (places []plantest.Place) {
				for _, at := range m.Copies(nil, off/chunk) {
					places = append(places, plantest.Place{Role: at.Role, Row: at.Row + off%chunk})
				}
				return places
			}}, c.stride)
		})
	}
}

func TestGoldenPlans(t *testing.T) {
	plantest.Golden(t, "testdata/plans.txt", func(t *testing.T, a plantest.Args) (plan.Level, error) {
		return New(int(a.Size(t, "roles")), a.Size(t, "chunk"), uint32(a.Size(t, "layout")), a.Size(t, "rows"))
	})
}

func TestNoAllocations(t *testing.T) {
	for _, layout := range []uint32{0x102, 0x201, 0x10201} {
		l, err := New(5, 64<<10, layout, 8<<20)
		require.NoError(t, err)
		plantest.Allocs(t, l)
	}
}

// TestLimits: a plan ends when it has as many requests as it may, and the next goes on from there.
func TestLimits(t *testing.T) {
	l, err := New(4, 4096, 0x102, 1<<30)
	require.NoError(t, err)
	v := plan.Healthy(4)
	var p plan.Plan
	for op, want := range map[block.Op]int64{block.Read: plan.MaxIO * 4096, block.Write: plan.MaxIO / 2 * 4096, block.WriteZeroes: plan.MaxIO / 2 * 4096} {
		p.Reset()
		n, err := l.Plan(&p, block.Request{Op: op, Off: 4096, Len: 16 << 20}, &v)
		require.NoError(t, err)
		require.Equal(t, want, n, op.String())
	}
}

func TestMoreLimits(t *testing.T) {
	l, err := New(5, 4096, 0x201, 4<<20)
	require.NoError(t, err)
	plantest.Limits(t, l)
}

func TestImpossible(t *testing.T) {
	for _, c := range []struct {
		roles       int
		chunk, rows int64
		layout      uint32
	}{
		{0, 4096, 1 << 20, 0x102}, {-1, 4096, 1 << 20, 0x102}, {65, 4096, 1 << 20, 0x102}, {1, 4096, 1 << 20, 0x102},
		{4, 0, 1 << 20, 0x102}, {4, -1, 1 << 20, 0x102}, {4, 12288, 1 << 20, 0x102},
		{4, 4096, 0, 0x102}, {4, 4096, -1, 0x102}, {4, 4096, 4095, 0x102}, {4, 4096, 4096, 0x201},
		{4, 4096, 1 << 20, 0}, {4, 4096, 1 << 20, 0x100}, {4, 4096, 1 << 20, 2}, {4, 4096, 1 << 20, 0x80102}, {4, 4096, 1 << 20, 0x60102},
		{3, 4096, 1 << 20, 0x202}, {5, 4096, 1 << 20, 0x10202}, {7, 4096, 1 << 20, 0x10203}, {9, 4096, 1 << 20, 0x40202}, {3, 4096, 1 << 20, 0x20201},
	} {
		_, err := New(c.roles, c.chunk, c.layout, c.rows)
		require.ErrorIs(t, err, plan.ErrLayout, "%+v", c)
	}
}

// TestEnough tries every set of members that could be left, against the copies of every chunk.
func TestEnough(t *testing.T) {
	for _, layout := range []uint32{0x102, 0x103, 0x201, 0x10201, 0x40201, 0x202} {
		for roles := 4; roles <= 6; roles++ {
			l, err := New(roles, 4096, layout, 64*4096)
			if err != nil {
				continue
			}
			m := l.(*level).m
			for present := range plan.Roles(roles) + 1 {
				want := true
				for chunk := range m.Chunks {
					kept := false
					for _, at := range m.Copies(nil, chunk) {
						kept = kept || present.Has(at.Role)
					}
					want = want && kept
				}
				require.Equal(t, want, l.Enough(present), "%#x on %d with %v", layout, roles, present)
			}
		}
	}
}
