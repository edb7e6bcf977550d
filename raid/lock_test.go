package raid

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/raid/plan"
	"graid/sched"
)

func claim(lo, hi int64, shared bool) *hold {
	return &hold{span: plan.Span{Lo: lo, Hi: hi}, shared: shared, ready: sched.Real.NewEvent()}
}

// TestSpansExclude has many tasks claim random spans; whoever is inside checks that nobody is who must not be.
func TestSpansExclude(t *testing.T) {
	var l spanLock
	var mu sync.Mutex
	inside := map[*hold]bool{}
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(c)))
			h := claim(0, 0, false)
			for range 2000 {
				h.span.Lo = rng.Int64N(64)
				h.span.Hi = h.span.Lo + 1 + rng.Int64N(16)
				h.shared = rng.IntN(3) == 0
				l.lock(h, false)
				mu.Lock()
				for o := range inside {
					if o.excludes(h) {
						t.Errorf("%v and %v are both inside", o.span, h.span)
					}
				}
				inside[h] = true
				mu.Unlock()
				mu.Lock()
				delete(inside, h)
				mu.Unlock()
				l.unlock(h)
			}
		})
	}
	wg.Wait()
	require.Empty(t, l.held)
	require.Empty(t, l.queue)
}

// TestSpansAreFair: a wide claim that waits is not overtaken by narrow ones that come later, and those that do not overlap do not wait.
func TestSpansAreFair(t *testing.T) {
	var l spanLock
	a, wide, late, aside := claim(0, 10, true), claim(0, 100, false), claim(5, 6, true), claim(200, 201, false)
	l.lock(a, false)
	order := make(chan string, 2)
	wait := func(h *hold, name string, queued int) {
		go func() {
			l.lock(h, false)
			order <- name
			l.unlock(h)
		}()
		require.Eventually(t, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.queue) == queued
		}, 5*time.Second, time.Millisecond)
	}
	wait(wide, "wide", 1)
	wait(late, "late", 2) // shared with a, but behind wide
	require.False(t, l.lock(late, true), "not without waiting")
	require.True(t, l.lock(aside, true))
	l.unlock(aside)
	l.unlock(a)
	require.Equal(t, "wide", <-order)
	require.Equal(t, "late", <-order)
}
