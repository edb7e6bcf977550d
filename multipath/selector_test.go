package multipath

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/delay"
	"graid/sim"
)

// pipe is a path of a bench on virtual time: a queue in front of nothing.
type pipe struct {
	s *sim.Host
	q *delay.Queue
	n int64
}

func (p *pipe) Info() block.Info {
	return block.Info{Name: "pipe", Size: 1 << 30, Block: 512, Writable: true}
}
func (p *pipe) Close() error { return nil }
func (p *pipe) Do(_ context.Context, r block.Request) error {
	if r.Op == block.Read && r.Len >= 4096 {
		p.n++
	}
	p.s.Sleep(p.q.Take(p.s.Now(), r.Len) - p.s.Now())
	return nil
}

// throughput is how many requests of 128 KiB a second, and which part of them on each path, sixteen readers get through paths of those rates, bytes a second.
func throughput(t *testing.T, selector string, models ...delay.Model) (total float64, share []float64) {
	w := sim.New(7)
	defer w.Close()
	h := w.Host("map")
	require.NoError(t, w.Run(10_000_000, func() {
		var paths []Path
		var pipes []*pipe
		for i, m := range models {
			p := &pipe{s: h, q: delay.NewQueue(m, uint64(i))}
			pipes = append(pipes, p)
			paths = append(paths, Path{Name: fmt.Sprint("p", i), Dev: p, Weight: max(int(m.Rate/(10<<20)), 1)})
		}
		d, err := New(background, "map", paths, Options{Selector: selector, HedgeBudget: -1, SlowRatio: 1e9, IOTimeout: time.Minute, Suspect: 10 * time.Second, Check: Check{Kind: "none"}}, h)
		require.NoError(t, err)
		h.Sleep(time.Second)
		for _, p := range pipes {
			p.n = 0
		}
		const seconds, readers = 3, 16
		done, left := h.NewEvent(), readers
		end := h.Now() + seconds*time.Second
		for range readers {
			h.Go(func() {
				b := make([]byte, 128<<10)
				for h.Now() < end {
					require.NoError(t, block.ReadAt(background, d, b, 0))
				}
				if left--; left == 0 {
					done.Set()
				}
			})
		}
		done.Wait()
		for _, p := range pipes {
			total += float64(p.n) / seconds
		}
		for _, p := range pipes {
			share = append(share, float64(p.n)/seconds/total)
		}
		require.NoError(t, d.Close())
	}))
	return total, share
}

// TestThroughput: what two and three equal links carry, what is left when one of them is thirty times slower, and who gets how much of unequal ones.
func TestThroughput(t *testing.T) {
	link := delay.Model{Latency: 200 * time.Microsecond, Rate: 50 << 20}
	slow := delay.Model{Latency: 30 * link.Latency, Rate: link.Rate / 30}
	one, _ := throughput(t, LeastBytes, link)
	t.Logf("%-12s %8s %8s %8s  %s", "selector", "two", "three", "one slow", "share of 3:2:1")
	for _, name := range Selectors {
		two, share2 := throughput(t, name, link, link)
		three, _ := throughput(t, name, link, link, link)
		lame, _ := throughput(t, name, link, link, slow)
		_, share := throughput(t, name, delay.Model{Rate: 60 << 20}, delay.Model{Rate: 40 << 20}, delay.Model{Rate: 20 << 20})
		t.Logf("%-12s %8.2f %8.2f %8.2f  %.2f", name, two/one, three/one, lame/two, share)
		if name == Failover {
			require.InDelta(t, 1, two/one, 0.01)
			continue
		}
		require.InDelta(t, 0.5, share2[0], 0.05, name)
		require.Greater(t, two/one, 1.9, name)
		require.Greater(t, three/one, 2.8, name)
		switch name {
		case EWMA, LeastBytes, P2C:
			require.Greater(t, lame/two, 0.9, name)
		}
		if name == Weighted || name == LeastBytes {
			require.InDeltaSlice(t, []float64{0.5, 0.33, 0.17}, share, 0.03, name)
		}
	}
}

// TestSelectors: the rules of each selector, by what it chooses.
func TestSelectors(t *testing.T) {
	weights := []int{1, 3, -1}
	choose := func(name string, live []int, lens ...int64) (got []int) {
		s, err := NewSelector(name, func(p int) int { return weights[p] }, rand.New(rand.NewPCG(1, 1)))
		require.NoError(t, err)
		for _, n := range lens {
			r := block.Request{Op: block.Read, Len: n}
			p := s.Select(live, r)
			s.Start(p, r)
			got = append(got, p)
		}
		return got
	}
	require.Equal(t, []int{1, 2, 0, 1}, choose(RoundRobin, []int{0, 1, 2}, 1, 1, 1, 1))
	require.Equal(t, []int{2, 0, 2}, choose(RoundRobin, []int{0, 2}, 1, 1, 1))
	require.Equal(t, []int{1, 0, 1, 1, 1, 0, 1, 1}, choose(Weighted, []int{0, 1, 2}, 1, 1, 1, 1, 1, 1, 1, 1))
	require.Equal(t, []int{2, 2}, choose(Weighted, []int{2}, 1, 1), "what has no weight is used if nothing else is there")
	require.Equal(t, []int{1, 2, 0}, choose(LeastQueue, []int{0, 1, 2}, 9, 1, 5))
	require.Equal(t, []int{1, 1, 1, 0}, choose(LeastBytes, []int{0, 1, 2}, 10, 10, 10, 10), "the heavy one takes three times the bytes; the one without weight none")
	require.Equal(t, []int{2}, choose(LeastBytes, []int{2}, 10))
	require.Equal(t, []int{0, 0, 0}, choose(Failover, []int{0, 1}, 1, 1, 1))
	_, err := NewSelector("fastest", nil, nil)
	require.ErrorContains(t, err, "round-robin")

	// By time: the fast one, until so much is under way there that the slow one would be done first.
	for _, name := range []string{EWMA, P2C} {
		s, _ := NewSelector(name, nil, rand.New(rand.NewPCG(1, 1)))
		r := block.Request{Len: 4096}
		for p, took := range []time.Duration{1 * time.Millisecond, 5 * time.Millisecond} {
			s.Start(p, r)
			s.End(p, r, took)
		}
		n := [2]int{}
		for range 60 {
			p := s.Select([]int{0, 1}, r)
			s.Start(p, r)
			n[p]++
		}
		require.InDelta(t, 50, n[0], 3, name)
	}

	// A slow path that nothing is sent to is tried again at times, and taken back when it has recovered.
	for _, name := range []string{EWMA, P2C} {
		s, _ := NewSelector(name, nil, rand.New(rand.NewPCG(1, 1)))
		r := block.Request{Len: 4096}
		n := 0
		for i := range 10_000 {
			p := s.Select([]int{0, 1}, r)
			s.Start(p, r)
			took := time.Millisecond
			if p == 1 && i < 5000 {
				took *= 30
			}
			if p == 1 {
				n++
			}
			if s.End(p, r, took); i == 4999 {
				require.Less(t, n, 10, name)
				require.Greater(t, n, 3, name)
				n = 0
			}
		}
		require.Greater(t, n, 1000, name)
	}
}
