package delay_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/delay"
	"graid/block/mem"
	"graid/sched"
	"graid/sim"
)

const ms = time.Millisecond

// TestQueue: requests that come at these times and move so many bytes are done when the model says.
func TestQueue(t *testing.T) {
	type come struct {
		at   time.Duration
		n    int64
		done time.Duration
	}
	for name, c := range map[string]struct {
		m    delay.Model
		list []come
	}{
		"nothing":            {delay.Model{}, []come{{3 * ms, 1 << 20, 3 * ms}}},
		"latency overlaps":   {delay.Model{Latency: 5 * ms}, []come{{0, 512, 5 * ms}, {0, 512, 5 * ms}, {ms, 0, 6 * ms}}},
		"one at a time":      {delay.Model{Latency: 5 * ms, Depth: 1}, []come{{0, 0, 5 * ms}, {ms, 0, 10 * ms}, {20 * ms, 0, 25 * ms}}},
		"two at a time":      {delay.Model{Latency: 5 * ms, Depth: 2}, []come{{0, 0, 5 * ms}, {ms, 0, 6 * ms}, {2 * ms, 0, 10 * ms}, {2 * ms, 0, 11 * ms}}},
		"one wire":           {delay.Model{Latency: ms, Rate: 1 << 20}, []come{{0, 1 << 20, 1001 * ms}, {0, 1 << 19, 1501 * ms}, {0, 0, ms}}},
		"an idle wire":       {delay.Model{Rate: 1000}, []come{{0, 10, 10 * ms}, {time.Second, 10, 1010 * ms}}},
		"a wire and a queue": {delay.Model{Latency: ms, Rate: 1000, Depth: 1}, []come{{0, 10, 11 * ms}, {0, 10, 22 * ms}}},
		"longest":            {delay.Model{Rate: 1}, []come{{0, math.MaxInt64, 1 << 50}, {0, math.MaxInt64, 1 << 51}}},
		"fastest":            {delay.Model{Rate: math.MaxInt64}, []come{{0, 1 << 40, 119}}},
	} {
		q := delay.NewQueue(c.m, 1)
		for i, r := range c.list {
			require.Equal(t, r.done, q.Take(r.at, r.n), "%s: request %d", name, i)
		}
	}
}

// TestJitter: within its bounds, both of them reached, and the same again from the same seed.
func TestJitter(t *testing.T) {
	m := delay.Model{Latency: 10, Jitter: 3}
	q, same := delay.NewQueue(m, 7), delay.NewQueue(m, 7)
	seen := map[time.Duration]bool{}
	for range 200 {
		d := q.Take(0, 0)
		require.Equal(t, d, same.Take(0, 0))
		seen[d] = true
	}
	require.Equal(t, map[time.Duration]bool{10: true, 11: true, 12: true, 13: true}, seen)
}

func TestConformance(t *testing.T) {
	blocktest.Run(t, func(t *testing.T, size int64) block.Device {
		return delay.Wrap(mem.New(size, mem.Options{}), delay.Model{Rate: 1 << 40, Depth: 8}, 1, sched.Real)
	}, blocktest.ReadOnly(func(t *testing.T, size int64) block.Device {
		return delay.Wrap(mem.New(size, mem.Options{ReadOnly: true}), delay.Model{Latency: 1}, 1, sched.Real)
	}))
}

// TestWaits: on a virtual timeline requests take exactly what the queue says, and those that must not wait are told so.
func TestWaits(t *testing.T) {
	ctx := context.Background()
	w := sim.New(1)
	defer w.Close()
	h := w.Host("h")
	d := delay.Wrap(mem.New(1<<20, mem.Options{}), delay.Model{Latency: 5 * ms, Rate: 1 << 20, Depth: 1}, 1, h)
	require.False(t, d.Info().Inline)
	var said []string
	require.NoError(t, w.Run(1e5, func() {
		g := sched.NewGroup(h)
		for range 2 {
			g.Go(func() {
				require.NoError(t, block.WriteAt(ctx, d, make([]byte, 1<<18), 0))
				said = append(said, fmt.Sprint(h.Now()))
			})
		}
		g.Wait()
		require.NoError(t, block.Sync(ctx, d))
		require.NoError(t, d.Do(ctx, block.Request{Op: block.WriteZeroes, Len: 1 << 20}))
		said = append(said, fmt.Sprint(h.Now()))
		require.ErrorIs(t, d.Do(ctx, block.Request{Op: block.Read, Flags: block.NoWait, Len: 512, Buf: make([]byte, 512)}), block.ErrWouldBlock)
	}))
	require.Equal(t, []string{"255ms", "510ms", "520ms"}, said)
}
