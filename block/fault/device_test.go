package fault_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/fault"
	"graid/block/mem"
	"graid/sched"
	"graid/sim"
)

var ctx = context.Background()

// TestConformance: without rules, and with rules that look at every request and do nothing, it is like the device below it.
func TestConformance(t *testing.T) {
	for name, rules := range map[string]string{
		"no rules": "", "a rule": "* media after=1000000000", "rules that wait": "* delay=0s rate=1T; * stuck at=100h", "cleared": "* gone",
	} {
		for _, o := range []mem.Options{{Block: 1}, {Block: 4096, Align: 4096}} {
			if o.Align > 0 && name != "a rule" {
				continue // memory matters only to what looks at it
			}
			open := func(o mem.Options) blocktest.Open {
				return func(t *testing.T, size int64) block.Device {
					s := fault.NewSet(sched.Real)
					d := s.Wrap(mem.New(size/4096*4096, o), name == "rules that wait")
					add(t, s, rules)
					if name == "cleared" {
						require.NoError(t, s.Clear())
					}
					return d
				}
			}
			ro := o
			ro.ReadOnly = true
			t.Run(fmt.Sprintf("%s, block %d", name, o.Block), func(t *testing.T) {
				blocktest.Run(t, open(o), blocktest.ReadOnly(open(ro)))
			})
		}
	}
}

func add(t *testing.T, s *fault.Set, text string) []fault.Entry {
	t.Helper()
	rules, err := fault.Parse(text)
	require.NoError(t, err)
	added, err := s.Add(rules...)
	require.NoError(t, err)
	return added
}

// bench is a disk of 64 KiB that holds 0x11 everywhere, with rules on it, in a world with a timeline of its own.
type bench struct {
	*testing.T
	h     *sim.Host
	set   *fault.Set
	below *blocktest.Faulty // sees what comes through
	dev   *fault.Device
}

const (
	size   = 64 << 10
	sector = 512
)

func on(t *testing.T, rules string, body func(b *bench)) {
	t.Helper()
	w := sim.New(1)
	defer w.Close()
	h := w.Host("h")
	b := &bench{T: t, h: h, set: fault.NewSet(h)}
	b.below = blocktest.NewFaulty(mem.New(size, mem.Options{Name: "d"}), blocktest.FaultyOptions{Sched: h})
	require.NoError(t, block.WriteAt(ctx, b.below, bytes.Repeat([]byte{0x11}, size), 0))
	b.below.Forget()
	b.dev = b.set.Wrap(b.below, true, "/dev/d")
	add(t, b.set, rules)
	require.NoError(t, w.Run(1e6, func() { body(b) }))
}

func (b *bench) write(off int64, n int) error {
	return block.WriteAt(ctx, b.dev, bytes.Repeat([]byte{0x22}, n), off)
}

func (b *bench) read(off int64, n int) ([]byte, error) {
	buf := bytes.Repeat([]byte{0xA5}, n)
	return buf, block.ReadAt(ctx, b.dev, buf, off)
}

func (b *bench) do(op block.Op) error {
	switch op {
	case block.Read:
		_, err := b.read(0, sector)
		return err
	case block.Write:
		return b.write(0, sector)
	case block.Flush:
		return block.Sync(ctx, b.dev)
	}
	return b.dev.Do(ctx, block.Request{Op: op, Len: sector})
}

// held is which sectors of the disk itself hold 0x22; any other byte than that and 0x11 is a mistake.
func (b *bench) held() (list []int64) {
	buf := make([]byte, size)
	require.NoError(b, block.ReadAt(ctx, b.below.Unwrap(), buf, 0))
	for off := int64(0); off < size; off += sector {
		s := buf[off : off+sector]
		switch {
		case bytes.Equal(s, bytes.Repeat([]byte{0x22}, sector)):
			list = append(list, off)
		default:
			require.Equal(b, bytes.Repeat([]byte{0x11}, sector), s)
		}
	}
	return list
}

func (b *bench) hits() (n int64) {
	for _, e := range b.set.List() {
		n += e.Hits
	}
	return n
}

// TestRefusals: which operations an effect fails, with which error; nothing of them reaches the disk, and the others do.
func TestRefusals(t *testing.T) {
	all := []block.Op{block.Read, block.Write, block.Flush, block.Discard, block.WriteZeroes}
	changes := []block.Op{block.Write, block.Discard, block.WriteZeroes}
	for rule, c := range map[string]struct {
		want error
		ops  []block.Op
	}{
		"d media":            {block.ErrMedia, all},
		"* path":             {block.ErrPath, all},
		"/dev/d gone":        {block.ErrGone, all},
		"d nospace":          {block.ErrNoSpace, append(changes, block.Flush)},
		"d refuse":           {block.ErrReadOnly, changes},
		"d write,read media": {block.ErrMedia, []block.Op{block.Read, block.Write}},
		"d flush path":       {block.ErrPath, []block.Op{block.Flush}},
	} {
		on(t, rule, func(b *bench) {
			for _, op := range all {
				b.below.Forget()
				err := b.do(op)
				refused := false
				for _, o := range c.ops {
					refused = refused || o == op
				}
				if !refused {
					require.NoError(t, err, "%s: %v", rule, op)
					require.Equal(t, 1, b.below.Count(op), "%s: %v", rule, op)
					continue
				}
				require.ErrorIs(t, err, c.want, "%s: %v", rule, op)
				require.ErrorContains(t, err, "d: "+op.String(), rule)
				require.Empty(t, b.below.Log(), "%s: %v", rule, op)
			}
			require.EqualValues(t, len(c.ops), b.hits(), rule)
		})
	}
}

// TestConditions: where, when, how often.
func TestConditions(t *testing.T) {
	on(t, "d write [8K,+4K) media", func(b *bench) {
		require.NoError(t, b.write(8192-sector, sector))
		require.Error(t, b.write(8192-sector, 2*sector))
		require.Error(t, b.write(12288-sector, sector))
		require.NoError(t, b.write(12288, sector))
		require.EqualValues(t, 2, b.hits())
	})
	on(t, "d write media after=2 count=3", func(b *bench) {
		var failed []int
		for i := range 8 {
			if b.write(0, sector) != nil {
				failed = append(failed, i)
			}
		}
		require.Equal(t, []int{2, 3, 4}, failed)
	})
	on(t, "d media at=1s for=2s", func(b *bench) {
		for _, c := range []struct {
			wait time.Duration
			bad  bool
		}{{0, false}, {time.Second, true}, {time.Second, true}, {time.Second, false}} {
			b.h.Sleep(c.wait)
			require.Equal(t, c.bad, b.write(0, sector) != nil, "at %v", b.h.Now())
		}
	})
	pattern := func(seed string) (s string) {
		on(t, "d media p=1/4"+seed, func(b *bench) {
			for range 400 {
				if b.write(0, sector) != nil {
					s += "x"
				} else {
					s += "."
				}
			}
			require.InDelta(t, 100, float64(b.hits()), 40)
		})
		return s
	}
	require.Equal(t, pattern(" seed=5"), pattern(" seed=5"))
	require.NotEqual(t, pattern(" seed=5"), pattern(" seed=6"))
}

// TestFirstCounts: of two rules about a request the first has it, and both have seen it.
func TestFirstCounts(t *testing.T) {
	on(t, "d media count=1; d path count=1", func(b *bench) {
		require.ErrorIs(t, b.write(0, sector), block.ErrMedia)
		require.ErrorIs(t, b.write(0, sector), block.ErrPath)
		require.NoError(t, b.write(0, sector))
	})
	on(t, "d media count=1; d path after=1", func(b *bench) {
		require.ErrorIs(t, b.write(0, sector), block.ErrMedia)
		require.ErrorIs(t, b.write(0, sector), block.ErrPath)
	})
}

// TestCountedOnce: a request that must not wait is not counted, whatever the rule: it comes again, as one that may.
func TestCountedOnce(t *testing.T) {
	on(t, "d media after=1", func(b *bench) {
		r := block.Request{Op: block.Read, Flags: block.NoWait, Len: sector, Buf: make([]byte, sector)}
		for range 3 {
			require.ErrorIs(t, b.dev.Do(ctx, r), block.ErrWouldBlock)
		}
		_, err := b.read(0, sector)
		require.NoError(t, err)
		require.NoError(t, b.set.Clear())
		require.NoError(t, b.dev.Do(ctx, r))
	})
}

func TestTorn(t *testing.T) {
	seen := map[int]bool{}
	for seed := range 40 {
		on(t, fmt.Sprintf("d torn count=1 seed=%d", seed+1), func(b *bench) {
			require.ErrorIs(t, b.write(4096, 8*sector), block.ErrMedia)
			for _, off := range b.held() {
				require.True(t, off >= 4096 && off < 8192)
			}
			seen[len(b.held())] = true
			require.NoError(t, b.write(4096, 8*sector))
			require.Len(t, b.held(), 8)
		})
	}
	require.Greater(t, len(seen), 4, "%v", seen)
	require.True(t, seen[3] || seen[4] || seen[5])
}

func TestLost(t *testing.T) {
	on(t, "d lost count=1", func(b *bench) {
		require.NoError(t, b.write(0, sector))
		require.Empty(t, b.held())
		require.NoError(t, b.write(0, sector))
		require.Len(t, b.held(), 1)
	})
}

func TestShift(t *testing.T) {
	on(t, "d shift=4K", func(b *bench) {
		require.NoError(t, b.write(0, sector))
		require.Equal(t, []int64{4096}, b.held())
		require.NoError(t, b.write(size-2*sector, sector)) // not beyond the end
		require.Equal(t, []int64{4096, size - sector}, b.held())
	})
}

func TestLie(t *testing.T) {
	on(t, "d lie count=1", func(b *bench) {
		require.NoError(t, block.Sync(ctx, b.dev))
		require.Zero(t, b.below.Count(block.Flush))
		require.NoError(t, block.Sync(ctx, b.dev))
		require.Equal(t, 1, b.below.Count(block.Flush))
	})
}

// TestBad: unreadable until it is written, sector by sector, and readable again without the rule. The disk itself is as it was.
func TestBad(t *testing.T) {
	on(t, "d [4K,+1000) bad after=1", func(b *bench) {
		for _, off := range []int64{4096, 0} { // the first request passes, the second brings it about
			_, err := b.read(off, sector)
			require.NoError(t, err)
		}
		for _, off := range []int64{4096, 4096 + sector} {
			_, err := b.read(off, sector)
			require.ErrorIs(t, err, block.ErrMedia)
		}
		_, err := b.read(4096+2*sector, sector)
		require.NoError(t, err)
		require.Empty(t, b.held())
		require.NoError(t, b.write(4096, sector))
		_, err = b.read(0, 4096+sector)
		require.NoError(t, err)
		_, err = b.read(0, 8192)
		require.ErrorIs(t, err, block.ErrMedia)
		require.EqualValues(t, 3, b.hits())
		require.NoError(t, b.set.Clear(1))
		_, err = b.read(0, 8192)
		require.NoError(t, err)
	})
	on(t, "d [0,+4K) bad", func(b *bench) {
		require.NoError(t, b.write(1024, sector)) // amid it
		for off := int64(0); off < 8192; off += sector {
			_, err := b.read(off, sector)
			require.Equal(t, off < 4096 && off != 1024, err != nil, "sector at %d", off)
		}
	})
}

// TestRot: one bit of each sector, always the same one, in what is read and not on the disk, until it is written.
func TestRot(t *testing.T) {
	on(t, "d [4K,+2K) rot seed=3", func(b *bench) {
		whole, err := b.read(0, size)
		require.NoError(t, err)
		for off := 0; off < size; off += sector {
			flipped := 0
			for _, c := range whole[off : off+sector] {
				for x := c ^ 0x11; x != 0; x &= x - 1 {
					flipped++
				}
			}
			want := 0
			if off >= 4096 && off < 4096+2048 {
				want = 1
			}
			require.Equal(t, want, flipped, "sector at %d", off)
		}
		again, err := b.read(4096, 1024)
		require.NoError(t, err)
		require.Equal(t, whole[4096:4096+1024], again)
		require.Empty(t, b.held())
		require.NoError(t, b.write(4096, 2048))
		after, err := b.read(4096, 2048)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{0x22}, 2048), after)
	})
}

// TestWaits: how long requests take, with everything that makes them wait.
func TestWaits(t *testing.T) {
	for rules, want := range map[string]time.Duration{
		"d stall=5ms":                            5 * time.Millisecond,
		"d stall=5ms; * stall=7ms":               12 * time.Millisecond,
		"d read stall=5ms":                       0,
		"d delay=5ms":                            5 * time.Millisecond,
		"d delay=0s rate=512":                    time.Second,
		"d stall=1s; d delay=2s rate=512":        4 * time.Second,
		"d delay=1s depth=1; d delay=1s depth=1": 2 * time.Second,
	} {
		on(t, rules, func(b *bench) {
			require.NoError(t, b.write(0, sector))
			require.Equal(t, want, b.h.Now(), rules)
		})
	}
	on(t, "d stall=5ms; d media", func(b *bench) {
		require.ErrorIs(t, b.write(0, sector), block.ErrMedia)
		require.Equal(t, 5*time.Millisecond, b.h.Now())
	})
	on(t, "d stall=5ms..9ms", func(b *bench) {
		seen := map[time.Duration]bool{}
		for range 100 {
			before := b.h.Now()
			require.NoError(t, b.write(0, sector))
			took := b.h.Now() - before
			require.True(t, took >= 5*time.Millisecond && took <= 9*time.Millisecond, took)
			seen[took] = true
		}
		require.Greater(t, len(seen), 50)
	})
}

// TestStuck: a request waits until its rule is cleared, and is done then; others pass. Clearing another rule changes nothing.
func TestStuck(t *testing.T) {
	for name, free := range map[string]func(b *bench) error{
		"clear":     func(b *bench) error { return b.set.Clear(1) },
		"clear all": func(b *bench) error { return b.set.Clear() },
		"release":   func(b *bench) error { b.set.Release(); return nil },
		"close":     func(b *bench) error { return b.dev.Close() },
	} {
		on(t, "d write stuck; d stall=1h; * read gone", func(b *bench) {
			require.NoError(t, b.set.Clear(2))
			g := sched.NewGroup(b.h)
			var said error
			over := false
			g.Go(func() { said, over = b.write(0, sector), true })
			b.h.Sleep(time.Hour)
			require.False(t, over)
			require.Equal(t, 1, b.set.List()[0].Waiting)
			require.True(t, b.set.MayWait())
			require.NoError(t, block.Sync(ctx, b.dev))
			require.ErrorIs(t, b.dev.Do(ctx, block.Request{Op: block.Write, Flags: block.NoWait, Len: sector, Buf: make([]byte, sector)}), block.ErrWouldBlock)
			require.NoError(t, b.set.Clear(3))
			b.h.Sleep(time.Hour)
			require.False(t, over)
			before := b.h.Now()
			require.NoError(t, free(b))
			g.Wait()
			require.Equal(t, before, b.h.Now(), name)
			require.Equal(t, name == "close", b.set.MayWait(), name) // a closed device has left the Set, its rules have not
			require.NoError(t, said, name)
			require.Equal(t, 1, b.below.Count(block.Write), name)
		})
	}
}

// TestClearedWhileItWaits: what a rule would have done after the wait does not happen without it.
func TestClearedWhileItWaits(t *testing.T) {
	for _, rule := range []string{"d stall=1h; d media", "d late=1h", "d stall=1h; d lost"} {
		on(t, rule, func(b *bench) {
			g := sched.NewGroup(b.h)
			var said error
			g.Go(func() { said = b.write(0, sector) })
			b.h.Sleep(time.Minute)
			require.NoError(t, b.set.Clear())
			g.Wait()
			require.NoError(t, said, rule)
			require.Equal(t, time.Minute, b.h.Now())
			require.Len(t, b.held(), 1)
		})
	}
}

// TestLate: an error first, and the write half that time later, from memory of its own; not after the rule is cleared or the device closed.
func TestLate(t *testing.T) {
	late := func(b *bench) {
		buf := bytes.Repeat([]byte{0x22}, sector)
		require.ErrorIs(t, block.WriteAt(ctx, b.dev, buf, 0), block.ErrPath)
		copy(buf, bytes.Repeat([]byte{0xEE}, sector)) // ours again
		require.Equal(t, 10*time.Second, b.h.Now())
		b.h.Sleep(5*time.Second - 1)
		require.Empty(t, b.held())
	}
	on(t, "d late=10s count=1", func(b *bench) {
		late(b)
		b.h.Sleep(2)
		require.Len(t, b.held(), 1)
	})
	on(t, "d late=10s", func(b *bench) {
		late(b)
		require.NoError(t, b.set.Clear())
		b.h.Sleep(time.Hour)
		require.Empty(t, b.held())
	})
	on(t, "d late=10s", func(b *bench) {
		late(b)
		require.NoError(t, b.dev.Close())
		b.h.Sleep(time.Hour)
		require.Zero(t, b.below.Count(block.Write))
	})
}
