package plantest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
)

// Allocs wants no allocation for any kind of plan, once p has grown, on a healthy array and with one or two members missing or not to be read.
func Allocs(t *testing.T, level plan.Level) {
	t.Helper()
	g := level.Geometry()
	var p plan.Plan
	buf := make([]byte, min(g.Size, 1<<20))
	healthy := plan.Healthy(g.Roles)
	avoid := healthy
	avoid.Avoid = 1
	down := healthy
	down.Readable, down.Writable = down.Readable.Without(0), down.Writable.Without(0)
	two := down
	two.Avoid = two.Avoid.With(g.Roles - 1)
	for _, v := range []*plan.View{&healthy, &avoid, &down, &two} {
		for op := range block.WriteZeroes + 1 {
			for _, n := range []int64{1, int64(len(buf)) / 3, int64(len(buf))} {
				if op == block.Flush || n == 0 {
					continue
				}
				r := block.Request{Op: op, Off: (g.Size - n) / 2, Len: n}
				if op == block.Read || op == block.Write {
					r.Buf = buf[:n]
				}
				require.Zero(t, testing.AllocsPerRun(20, func() {
					p.Reset()
					level.Plan(&p, r, v)
				}), r.String())
			}
		}
		for kind := plan.Resync; kind <= plan.Check; kind++ {
			require.Zero(t, testing.AllocsPerRun(20, func() {
				p.Reset()
				level.Sync(&p, plan.Span{Lo: 0, Hi: g.SyncSize}, kind, v)
			}), kind.String())
		}
	}
}
