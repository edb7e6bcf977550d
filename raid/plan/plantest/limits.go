package plantest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
)

// Limits makes requests as large as the array, healthy and with a member that cannot be read, and wants plans that end at the limits
// of one, give or take what the last rectangle adds. The level should have small chunks.
func Limits(t *testing.T, level plan.Level) {
	t.Helper()
	g := level.Geometry()
	healthy := plan.Healthy(g.Roles)
	avoid := healthy
	avoid.Avoid = avoid.Avoid.With(g.Roles - 1)
	var p plan.Plan
	within := func(what string) {
		require.LessOrEqual(t, len(p.Reads)+len(p.Writes), plan.MaxIO+3*g.Roles, what)
		var bytes int64
		for _, s := range p.Slots {
			bytes += s
		}
		require.LessOrEqual(t, bytes, plan.MaxBytes+int64(g.Roles)*max(g.Chunk, 512<<10), what)
	}
	for _, v := range []*plan.View{&healthy, &avoid} {
		for _, op := range []block.Op{block.Read, block.Write, block.WriteZeroes, block.Discard} {
			r := block.Request{Op: op, Off: 512, Len: g.Size - 512}
			if op == block.Read || op == block.Write {
				r.Buf = make([]byte, r.Len)
			}
			p.Reset()
			n, err := level.Plan(&p, r, v)
			if err != nil {
				require.False(t, g.Redundant())
				continue
			}
			require.NoError(t, Laws(&p, g, r, n, v), r.String())
			within(r.String())
		}
		for kind := plan.Resync; kind <= plan.Check && g.Redundant(); kind++ {
			p.Reset()
			n, err := level.Sync(&p, plan.Span{Lo: 512, Hi: g.SyncSize}, kind, v)
			if err != nil {
				require.Equal(t, plan.Resync, kind)
				continue
			}
			require.LessOrEqual(t, n, max(g.SyncSize-512, 0))
			within(kind.String())
		}
	}
}
