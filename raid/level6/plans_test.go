package level6

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
	"graid/raid/plan/plantest"
)

func TestGoldenPlans(t *testing.T) {
	plantest.Golden(t, "testdata/plans.txt", func(t *testing.T, a plantest.Args) (plan.Level, error) {
		return New(int(a.Size(t, "roles")), a.Size(t, "chunk"), uint32(a.Size(t, "layout")), a.Size(t, "rows"))
	})
}

// TestTwins: P and Q of the same rows are two sums in a row with the same terms in the same order, but for the old parity that an rmw
// starts with: what computes both in one pass relies on it.
func TestTwins(t *testing.T) {
	l, err := New(7, 4096, LeftAsymmetric, 4<<20)
	require.NoError(t, err)
	for _, c := range []struct {
		name         string
		off, len     int64
		down, noread plan.RoleSet
	}{
		{"rmw", 0, 4096, 0, 0},
		{"rcw", 0, 4 * 4096, 0, 0},
		{"whole stripes", 0, 40 * 4096, 0, 0},
		{"three rectangles", 1024, 3 * 4096, 0, 0},
		{"two chunks down", 1024, 9 * 4096, 0b1010, 0},
		{"chunk down, another not to be read", 0, 4096, 0b10, 0b100},
		{"chunk and parity not to be read", 0, 4096, 0, 0b1000100},
	} {
		v := plan.Healthy(7)
		v.Readable, v.Writable, v.Avoid = v.Readable&^c.down, v.Writable&^c.down, c.noread
		var p plan.Plan
		p.Reset()
		_, err := l.Plan(&p, block.Request{Op: block.Write, Off: c.off, Len: c.len, Buf: make([]byte, c.len)}, &v)
		require.NoError(t, err, c.name)
		twins(t, &p, c.name)
	}
	for _, kind := range []plan.Kind{plan.Resync, plan.Check} {
		v := plan.Healthy(7)
		var p plan.Plan
		p.Reset()
		_, err := l.Sync(&p, plan.Span{Lo: 512, Hi: 4 << 20}, kind, &v)
		require.NoError(t, err)
		twins(t, &p, kind.String())
	}
	for _, down := range []plan.RoleSet{0b11, 0b110, 0b1001000} {
		v := plan.Healthy(7)
		v.Avoid = down
		var p plan.Plan
		p.Reset()
		_, err := l.Sync(&p, plan.Span{Lo: 0, Hi: 4 << 20}, plan.Recover, &v)
		require.NoError(t, err)
		twins(t, &p, "recover "+down.String())
	}
}

func twins(t *testing.T, p *plan.Plan, name string) {
	pairs := 0
	for i := 0; i+1 < len(p.Calcs); i++ {
		a, b := p.Calcs[i], p.Calcs[i+1]
		if a.Dst.Off != b.Dst.Off || a.Dst.Len != b.Dst.Len || a.Hi-a.Lo != b.Hi-b.Lo {
			continue
		}
		same, begin := true, 0
		if p.Terms[a.Lo].Ref != p.Terms[b.Lo].Ref {
			begin = 1
		}
		for k := begin; k < a.Hi-a.Lo; k++ {
			same = same && p.Terms[a.Lo+k].Ref == p.Terms[b.Lo+k].Ref
		}
		if same {
			pairs++
			i++
		}
	}
	require.Equal(t, len(p.Calcs), 2*pairs, "%s: sums that are no pairs\n%s", name, p)
	require.NotZero(t, pairs, name)
}

func TestNoAllocations(t *testing.T) {
	for _, layout := range []uint32{LeftSymmetric, DDFNRestart, RightAsymmetric6} {
		l, err := New(6, 64<<10, layout, 8<<20)
		require.NoError(t, err)
		plantest.Allocs(t, l)
	}
}

func TestLimits(t *testing.T) {
	l, err := New(6, 4096, LeftSymmetric, 4<<20)
	require.NoError(t, err)
	plantest.Limits(t, l)
}

// TestCutRectangles has chunks too large for one plan: they are cut, and the pieces come out right.
func TestCutRectangles(t *testing.T) {
	m := maps(t)[0]
	for _, cut := range []int64{2, 4} {
		built, err := New(m.Disks, 8, m.Algorithm, 16)
		require.NoError(t, err)
		built.(*level).Cut = cut
		plantest.Exhaust(t, built, model(m, 8), 509)
	}
}

func TestImpossible(t *testing.T) {
	for _, g := range []struct {
		roles       int
		chunk, rows int64
		layout      uint32
	}{
		{3, 4096, 1 << 20, 2}, {65, 4096, 1 << 20, 2}, {0, 4096, 1 << 20, 2}, {-1, 4096, 1 << 20, 2},
		{4, 0, 1 << 20, 2}, {4, -4096, 1 << 20, 2}, {4, 12288, 1 << 20, 2},
		{4, 4096, 4095, 2}, {4, 4096, 0, 2}, {4, 4096, -1, 2},
		{4, 4096, 1 << 20, 6}, {4, 4096, 1 << 20, 7}, {4, 4096, 1 << 20, 11}, {4, 4096, 1 << 20, 15}, {4, 4096, 1 << 20, 21},
	} {
		_, err := New(g.roles, g.chunk, g.layout, g.rows)
		require.ErrorIs(t, err, plan.ErrLayout, "%+v", g)
	}
}

func TestEnough(t *testing.T) {
	l, err := New(5, 4096, LeftSymmetric, 1<<20)
	require.NoError(t, err)
	for present := range plan.Roles(5) + 1 {
		require.Equal(t, present.Count() >= 3, l.Enough(present), present)
	}
	require.False(t, l.Enough(0b11100011), "roles that the array does not have")
}

// TestWindows: a Sync plan never asks for more than it may, however many members or however small the chunks.
func TestWindows(t *testing.T) {
	for _, roles := range []int{4, 5, 16, 64} {
		for _, chunk := range []int64{4096, 64 << 10, 16 << 20} {
			l, err := New(roles, chunk, LeftSymmetric, 64<<20)
			require.NoError(t, err)
			for _, avoid := range []plan.RoleSet{0, 0b1, 0b101} {
				for kind := plan.Resync; kind <= plan.Check; kind++ {
					v := plan.Healthy(roles)
					v.Avoid = avoid
					var p plan.Plan
					p.Reset()
					n, err := l.Sync(&p, plan.Span{Lo: 4096 + 512, Hi: 64 << 20}, kind, &v)
					if kind == plan.Resync && avoid != 0 {
						continue
					}
					require.NoError(t, err)
					var bytes int64
					for _, s := range p.Slots {
						bytes += s
					}
					at := []any{"%d roles, chunks of %d, %v, avoiding %v", roles, chunk, kind, avoid}
					require.LessOrEqual(t, bytes, int64(plan.MaxBytes)+2*n, at...)
					require.LessOrEqual(t, len(p.Reads)+len(p.Writes), max(plan.MaxIO, 3*roles), at...)
					require.LessOrEqual(t, n, int64(512<<10), at...)
				}
			}
		}
	}
}

// BenchmarkPlan is the cost of deciding what a 4 KiB write does.
func BenchmarkPlan(b *testing.B) {
	l, err := New(6, 64<<10, LeftSymmetric, 1<<30)
	require.NoError(b, err)
	v := plan.Healthy(6)
	var p plan.Plan
	r := block.Request{Op: block.Write, Off: 8192, Len: 4096, Buf: make([]byte, 4096)}
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		l.Plan(&p, r, &v)
	}
}
