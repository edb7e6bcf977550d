package targets

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/fault"
)

// FuzzFaults: a rule that is read says the same once written, takes little memory, and is due for the requests that touch its range in its time,
// counted without overflow.
func FuzzFaults(f *testing.F) {
	for _, s := range []string{"m1 read [1M,+4K) media count=1", "* read,write stall=1s..2s p=1/50 seed=3", "m3 write shift=64K at=1s for=2s after=3", "m0 [513,+1) rot",
		"m0 read [4194304T,+4194304T) media", "m0 read gone at=2562047h for=2562047h", "m0 gone; m1 torn # both\n* delay=5ms rate=50M depth=3", `"a b" stuck`} {
		f.Add(s, int64(4096), int64(512), int64(0), uint8(0))
	}
	f.Add("m0 read [4194304T,+4194304T) media", int64(1<<62), int64(512), int64(0), uint8(0))
	f.Add("m0 read gone at=1s for=2562047h", int64(0), int64(512), int64(time.Hour), uint8(0))
	f.Fuzz(func(t *testing.T, text string, off, n, now int64, op uint8) {
		if len(text) > 4096 {
			return
		}
		var list []fault.Rule
		var err error
		Allocates(t, len(text), func() { list, err = fault.Parse(text) })
		if err != nil {
			require.Empty(t, list)
			return
		}
		for _, r := range list {
			again, err := fault.Parse(r.String())
			require.NoError(t, err, r.String())
			require.Equal(t, r.String(), again[0].String())
			for _, now := range []int64{now, int64(r.At) - 1, int64(r.At), int64(r.At+r.For) - 1, int64(r.At + r.For)} {
				for _, off := range []int64{off, r.Off + r.Len, r.Off + r.Len - 1, r.Off - n} {
					requireDue(t, r, block.Request{Op: block.Op(op % 5), Off: max(off, 0), Len: max(n, 1)}, now)
				}
			}
		}
	})
}

// requireDue compares what r says of q with what its text means.
func requireDue(t *testing.T, r fault.Rule, q block.Request, now int64) {
	if now < 0 || q.Off+q.Len < 0 || q.Op == block.Flush {
		return
	}
	if late(r, now) || r.Ops != 0 && !r.Ops.Has(q.Op) || r.Len > 0 && !r.Effect.Lasts() && !touches(r, q) {
		require.False(t, r.Due(time.Duration(now), q), "%s: %v at %v", r, q, time.Duration(now))
	} else if r.Ops.Has(q.Op) {
		require.True(t, r.Due(time.Duration(now), q), "%s: %v at %v", r, q, time.Duration(now))
	}
}

func late(r fault.Rule, now int64) bool {
	end := new(big.Int).Add(big.NewInt(int64(r.At)), big.NewInt(int64(r.For)))
	return now < int64(r.At) || r.For > 0 && big.NewInt(now).Cmp(end) >= 0
}

func touches(r fault.Rule, q block.Request) bool {
	end := new(big.Int).Add(big.NewInt(r.Off), big.NewInt(r.Len))
	return q.End() > r.Off && big.NewInt(q.Off).Cmp(end) < 0
}
