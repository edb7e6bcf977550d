package sim

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/sched"
)

// party is tasks that meet in every way that sched has: who did what when is the result.
func party(seed uint64) (said []string, hash uint64, err error) {
	w := New(seed)
	defer w.Close()
	err = w.Run(1e6, func() {
		h := w.Host("h")
		mu, group, gate := sched.NewMutex(h), sched.NewGroup(h), sched.NewGate(h)
		rng := w.Rand("party", "naps")
		bell := h.NewEvent()
		for i := range 6 {
			group.Go(func() {
				for range 5 {
					if !gate.Enter() {
						return
					}
					h.Sleep(time.Duration(rng.Int64N(3)) * time.Millisecond)
					mu.Lock()
					said = append(said, fmt.Sprintf("%d at %v", i, h.Now()))
					h.Sleep(time.Duration(rng.Int64N(2)) * time.Millisecond)
					mu.Unlock()
					gate.Leave()
					if i == 0 {
						bell.Set()
					}
				}
			})
		}
		for range 3 {
			said = append(said, fmt.Sprint("bell ", bell.WaitFor(2*time.Millisecond), h.Now()))
		}
		gate.Close()
		group.Wait()
	})
	return said, w.Hash(), err
}

// TestSameSeedSameWorld: a seed is a world, however many processors there are, and another seed is another one.
func TestSameSeedSameWorld(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	hashes := map[uint64]bool{}
	for seed := range uint64(20) {
		var first []string
		var sum uint64
		for i, procs := range []int{1, 2, 1, 4} {
			runtime.GOMAXPROCS(procs)
			said, hash, err := party(seed)
			require.NoError(t, err)
			if i == 0 {
				first, sum = said, hash
			}
			require.Equal(t, first, said, "seed %d on %d processors", seed, procs)
			require.Equal(t, sum, hash, "seed %d on %d processors", seed, procs)
		}
		hashes[sum] = true
	}
	require.Len(t, hashes, 20)
}

// TestStuck: a world in which nothing can happen says who waits where.
func TestStuck(t *testing.T) {
	w := New(1)
	defer w.Close()
	err := w.Run(1e6, func() {
		h := w.Host("h")
		mu := sched.NewMutex(h)
		mu.Lock()
		h.Go(func() { mu.Lock() })
		waitForNobody(h)
	})
	require.ErrorIs(t, err, ErrStuck)
	require.ErrorContains(t, err, "task 1 of main waits for an event in sim")
	require.ErrorContains(t, err, "sched.(*Mutex).Lock")
}

func waitForNobody(h *Host) { h.NewEvent().Wait() }

// TestEndless: a world that does not come to an end is ended.
func TestEndless(t *testing.T) {
	w := New(1)
	defer w.Close()
	err := w.Run(1000, func() {
		for {
			w.Host("h").Sleep(time.Second)
		}
	})
	require.ErrorIs(t, err, ErrEndless)
	require.EqualValues(t, 1000, w.Steps())
}

// TestPanic: what a task panics with is the world's failure, with the place.
func TestPanic(t *testing.T) {
	w := New(1)
	defer w.Close()
	err := w.Run(1000, func() {
		h := w.Host("h")
		h.Go(func() { panic("oh no") })
		h.Sleep(time.Second)
	})
	require.ErrorContains(t, err, "oh no")
	require.ErrorContains(t, err, "TestPanic")
}

// TestKill: a host that is killed does nothing more but what its tasks deferred, and others go on.
func TestKill(t *testing.T) {
	w := New(3)
	defer w.Close()
	var beats, deferred, late int
	h := w.Host("victim")
	w.AtStep(50, h.Kill)
	err := w.Run(1e6, func() {
		lock := sched.NewMutex(h)
		for range 4 {
			h.Go(func() {
				defer func() {
					deferred++
					lock.Lock() // waits in vain: it is unwound like everything else
					late++
				}()
				for {
					lock.Lock()
					h.Sleep(time.Millisecond)
					beats++
					lock.Unlock()
				}
			})
		}
		other := w.Host("other")
		other.Sleep(time.Second)
		before := beats
		require.Positive(t, before)
		h.Go(func() { t.Error("a dead host runs") })
		other.Sleep(time.Second)
		require.Equal(t, before, beats)
	})
	require.NoError(t, err)
	require.Equal(t, 4, deferred)
	require.LessOrEqual(t, late, 1)
}

// TestTimers: tasks wake in the order of time, and an event in time makes the timer void.
func TestTimers(t *testing.T) {
	w := New(1)
	defer w.Close()
	rng := w.Rand("timers", "test")
	var woken []time.Duration
	err := w.Run(1e6, func() {
		h := w.Host("h")
		g := sched.NewGroup(h)
		for range 200 {
			d := time.Duration(rng.Int64N(1000))
			g.Go(func() {
				h.Sleep(d)
				require.Equal(t, d, h.Now())
				woken = append(woken, h.Now())
			})
		}
		g.Wait()
		e := h.NewEvent()
		h.Go(func() {
			h.Sleep(time.Second)
			e.Set()
			e.Set()
			e.Set()
		})
		start := h.Now()
		require.False(t, e.WaitFor(time.Second/2))
		require.True(t, e.WaitFor(time.Minute))
		require.Equal(t, start+time.Second, h.Now())
		require.True(t, e.WaitFor(time.Second), "the first woke whoever waited, the second and third are one for who comes next")
		require.Equal(t, start+time.Second, h.Now())
		require.False(t, e.WaitFor(time.Second))
		require.Equal(t, start+2*time.Second, h.Now(), "the timers of earlier waits are void")
		require.Equal(t, epoch.Add(h.Now()), h.Wall())
	})
	require.NoError(t, err)
	require.IsNonDecreasing(t, woken)
	require.Len(t, woken, 200)
}

// TestTwoWait: an event is for one task at a time, as its contract says.
func TestTwoWait(t *testing.T) {
	w := New(1)
	defer w.Close()
	err := w.Run(1e6, func() {
		h := w.Host("h")
		e := h.NewEvent()
		h.Go(func() { e.Wait() })
		e.Wait()
	})
	require.ErrorContains(t, err, "two tasks wait for one event")
}

// BenchmarkSwitch is what a step costs.
func BenchmarkSwitch(b *testing.B) {
	w := New(1)
	defer w.Close()
	_ = w.Run(1<<62, func() {
		h := w.Host("h")
		for b.Loop() {
			h.Sleep(1)
		}
	})
}
