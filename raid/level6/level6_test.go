package level6

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/plan"
	"graid/raid/plan/plantest"
)

// layouts are all that md has.
var layouts = []uint32{0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 18, 19, 20}

// maps is md's layouts of raid6 by number of members.
func maps(t *testing.T) (list []plantest.ParityMap) {
	m, err := plantest.LoadMaps()
	require.NoError(t, err)
	for _, p := range m.Parity {
		if p.Level == 6 {
			list = append(list, p)
		}
	}
	require.Len(t, list, 3*len(layouts))
	return list
}

// power is 2^e with the polynomial 0x11d, by the definition.
func power(e int) byte {
	x := 1
	for range e {
		if x <<= 1; x&0x100 != 0 {
			x ^= 0x11d
		}
	}
	return byte(x)
}

// TestLayouts compares where P, Q and data are, and the data's exponents in Q, with md's, stripe by stripe.
func TestLayouts(t *testing.T) {
	seen := map[uint32]int{}
	for _, m := range maps(t) {
		built, err := New(m.Disks, 4096, m.Algorithm, 1<<20)
		require.NoError(t, err)
		l := built.(*level)
		for _, row := range m.Rows {
			at := fmt.Sprintf("layout %d on %d, stripe %d", m.Algorithm, m.Disks, row.Stripe)
			turn := l.turn(row.Stripe)
			require.Equal(t, row.P, turn.p, at)
			require.Equal(t, *row.Q, turn.q, at)
			require.Equal(t, row.Data, turn.role, at)
			last := -1
			for _, i := range turn.order {
				require.Less(t, last, row.Exponents[i], "%s: sums are in the order of exponents", at)
				last = row.Exponents[i]
			}
			for i, e := range row.Exponents {
				require.Equal(t, power(e), turn.coef[i], "%s, chunk %d", at, i)
			}
		}
		seen[m.Algorithm]++
	}
	for _, layout := range layouts {
		require.Equal(t, 3, seen[layout], "layout %d", layout)
	}
}

// TestTurns: whatever the layout and the number of members, each role has one chunk of a stripe and each data chunk an exponent of its own.
func TestTurns(t *testing.T) {
	for _, layout := range layouts {
		for roles := 4; roles <= plan.MaxRoles; roles++ {
			built, err := New(roles, 4096, layout, 1<<20)
			require.NoError(t, err)
			for _, turn := range built.(*level).turns {
				all, coefs := plan.RoleSet(0).With(turn.p).With(turn.q), map[byte]bool{}
				for i, role := range turn.role {
					all, coefs[turn.coef[i]] = all.With(role), true
				}
				if all != plan.Roles(roles) || len(coefs) != roles-2 || len(turn.order) != roles-2 {
					require.Fail(t, "not one chunk a role", "layout %d on %d: %+v", layout, roles, turn)
				}
			}
		}
	}
}

// model is an array as the map says it is.
func model(m plantest.ParityMap, chunk int64) plantest.Model {
	data := int64(m.Disks - 2)
	return plantest.Model{
		Stripe: data * chunk,
		Parity: func(row int64) int { return m.Rows[row/chunk].P },
		Second: func(row int64) int { return *m.Rows[row/chunk].Q },
		Coef: func(row int64, role int) byte {
			r := m.Rows[row/chunk]
			return power(r.Exponents[slices.Index(r.Data, role)])
		},
		Places: func(off int64) []plantest.Place {
			n := off / chunk
			return []plantest.Place{{Role: m.Rows[n/data].Data[n%data], Row: n/data*chunk + off%chunk}}
		},
	}
}

// TestEveryRequest makes every request on small arrays in every condition of their members: each one and each two of them missing,
// recovering or not to be read.
func TestEveryRequest(t *testing.T) {
	for _, m := range maps(t) {
		// Every turn of each layout on four members; on five, one of each kind; on six, the default.
		chunk, stripes, stride := int64(2), int64(m.Disks), map[int]int{4: 61, 5: 499}[m.Disks]
		switch {
		case m.Disks == 4 && m.Algorithm == LeftSymmetric:
			chunk, stripes, stride = 4, 2, 7
		case m.Disks == 6 && m.Algorithm == LeftSymmetric:
			stripes, stride = 2, 499
		case m.Disks == 6 || m.Disks == 5 && !slices.Contains([]uint32{LeftAsymmetric, DDFNContinue, RightAsymmetric6}, m.Algorithm):
			continue
		}
		t.Run(fmt.Sprintf("%d of %d", m.Algorithm, m.Disks), func(t *testing.T) {
			t.Parallel()
			l, err := New(m.Disks, chunk, m.Algorithm, stripes*chunk+1)
			require.NoError(t, err)
			plantest.Exhaust(t, l, model(m, chunk), stride)
		})
	}
}
