package raid

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

func TestGovernor(t *testing.T) {
	const target = 5_000_000
	g, now := governor{}, time.Duration(0)
	step := func(sum, n int64) float64 {
		now += governStretch
		yield, decided := g.decide(now, sum, n, target)
		require.True(t, decided)
		return yield
	}
	require.EqualValues(t, 0, step(5*target, 5), "as it is to be")
	require.EqualValues(t, 1, step(5*target+5, 5))
	require.EqualValues(t, 2, step(50*target, 5))
	require.EqualValues(t, 4, step(target+1, 1))
	require.EqualValues(t, 3, step(0, 1), "it comes back slowly")
	yield, decided := g.decide(now+governStretch-1, 100*target, 1, target)
	require.False(t, decided)
	require.EqualValues(t, 3, yield, "not yet")
	require.EqualValues(t, 6, step(0, 1), "what was measured before counts")
	require.EqualValues(t, 0, step(0, 0), "nobody is there")
	for range 100 {
		step(2*target, 1)
	}
	require.EqualValues(t, governMost, g.yield)
	for range 100 {
		step(target, 1)
	}
	require.Zero(t, g.yield)
}

// TestBacksOff: background work waits longer and longer while requests take longer than they should, down to its minimum rate and no further; and
// not at all, however busy the array is, while they do not.
func TestBacksOff(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	clock := newClock()
	var slept time.Duration
	g.opts.Sched = sleeper{clock, func(d time.Duration) { slept += d }}
	a := g.open()
	g.faulty[0].Before(func(r block.Request) error {
		if r.Op == block.Read {
			clock.pass(10 * time.Millisecond)
		}
		return nil
	})
	pause := func(requests int) time.Duration {
		for range requests {
			require.NoError(t, block.ReadAt(ctx, a, make([]byte, 512), 0))
		}
		clock.pass(time.Second)
		slept = 0
		a.pace(512<<10, 20*time.Millisecond)
		return slept
	}
	a.wrote.Store(true) // busy
	require.Zero(t, a.latency.n.Load())
	require.Equal(t, 60*time.Millisecond, pause(10), "a part of the time, without a target")
	require.Zero(t, a.latency.n.Load(), "nor is anything measured")

	a.LimitLatency(15 * time.Millisecond)
	require.Zero(t, pause(10))
	a.LimitLatency(5 * time.Millisecond)
	for _, want := range []time.Duration{20, 40, 80, 160, 320, 480, 480} {
		require.Equal(t, want*time.Millisecond, pause(3))
	}
	require.GreaterOrEqual(t, a.latency.lately.Load(), int64(10*time.Millisecond))
	a.Limit(5<<20, 0)
	require.Equal(t, 80*time.Millisecond, pause(1), "never below the minimum")
	require.Zero(t, pause(0))
	require.NoError(t, a.Close())
}

// TestOnlyWhatSucceedsIsMeasured: a request that failed says nothing of how long one takes.
func TestOnlyWhatSucceedsIsMeasured(t *testing.T) {
	a := newRig(t, md.Spec{Level: 1}, 2).open()
	a.LimitLatency(time.Second)
	require.Error(t, block.ReadAt(ctx, a, make([]byte, 512), 1<<40))
	require.Zero(t, a.latency.n.Load())
	require.NoError(t, block.ReadAt(ctx, a, make([]byte, 512), 0))
	require.EqualValues(t, 1, a.latency.n.Load())
	require.Equal(t, time.Second, a.Status().Sync.LatencyTarget)
	require.NoError(t, a.Close())
}
