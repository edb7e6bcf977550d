package sched_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/sched"
)

// TestGate: Close waits for who is inside, and nobody is inside afterwards.
func TestGate(t *testing.T) {
	for range 200 {
		g := sched.NewGate(sched.Real)
		var inside atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for g.Enter() {
					inside.Add(1)
					inside.Add(-1)
					g.Leave()
				}
			})
		}
		require.True(t, g.Close())
		require.Zero(t, inside.Load())
		require.False(t, g.Enter())
		require.False(t, g.Close())
		wg.Wait()
	}
}
