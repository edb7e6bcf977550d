package multipath

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/sched"
)

// shared is a device that several paths lead to: closing a path does not close it.
type shared struct {
	block.Device
	closed bool
}

func (s *shared) Close() error { s.closed = true; return nil }
func (s *shared) Do(ctx context.Context, r block.Request) error {
	if s.closed {
		return block.ErrClosed
	}
	return s.Device.Do(ctx, r)
}

func twoPaths(disk block.Device, local bool) []Path {
	return []Path{{Name: "a", Dev: &shared{Device: disk}, Local: local}, {Name: "b", Dev: &shared{Device: disk}, Local: local}}
}

// TestDevice holds maps to the contract of a block.Device.
func TestDevice(t *testing.T) {
	for _, local := range []bool{true, false} {
		t.Run(fmt.Sprintf("local=%v", local), func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T, size int64) block.Device {
				d, err := New(background, "map", twoPaths(mem.New(size, mem.Options{}), local), Options{}, sched.Real)
				require.NoError(t, err)
				return d
			}, blocktest.Size(1<<20), blocktest.ReadOnly(func(t *testing.T, size int64) block.Device {
				d, err := New(background, "map", twoPaths(mem.New(size, mem.Options{ReadOnly: true}), local), Options{}, sched.Real)
				require.NoError(t, err)
				return d
			}))
		})
	}
}

// in runs body in a world with a map over its links.
func in(t *testing.T, build func(x *world), o Options, body func(x *world, d *Device)) {
	t.Helper()
	x := newWorld(1, 64)
	defer x.close()
	build(x)
	require.NoError(t, x.w.Run(20_000_000, func() {
		d, err := New(background, "mp", x.paths(o.Failback == FailbackImmediate), o, x.h)
		require.NoError(t, err)
		x.h.Sleep(time.Second) // all paths are there
		body(x, d)
		require.NoError(t, d.Close())
	}))
}

func pair(tells bool) func(x *world) {
	return func(x *world) {
		x.link(x.server(tells, tells))
		x.link(x.server(tells, tells))
	}
}

func twoLinks(tells bool) func(x *world) {
	return func(x *world) {
		s := x.server(tells, tells)
		x.link(s)
		x.link(s)
	}
}

func buf(v byte) []byte {
	b := make([]byte, unit)
	for i := range b {
		b[i] = v
	}
	return b
}

func (d *Device) state(name string) string {
	for _, g := range d.Status().Groups {
		for _, p := range g.Paths {
			if p.Name == name {
				return p.State
			}
		}
	}
	return "none"
}

func get(t *testing.T, d *Device, off int64) byte {
	t.Helper()
	b := buf(0xA5)
	require.NoError(t, block.ReadAt(background, d, b, off))
	require.Equal(t, buf(b[0]), b)
	return b[0]
}

// TestStaleWrite: a write hangs on a server that is stopped, is sent again through another, a newer one follows, and the server goes on. Whatever
// is there in the end is the newer one, unless the map was told to trust.
func TestStaleWrite(t *testing.T) {
	for _, c := range []struct {
		stale Stale
		tells bool
		hook  error
		want  byte
	}{
		{StaleFence, true, nil, 2},
		{StaleFence, false, nil, 2},
		{StaleQuarantine, false, nil, 2},
		{StaleHook, false, nil, 2},
		{StaleHook, false, errors.New("no answer from the power switch"), 2},
		{StaleTrust, false, nil, 1},
	} {
		t.Run(fmt.Sprintf("%v graid=%v hook=%v", c.stale, c.tells, c.hook), func(t *testing.T) {
			var x *world
			o := Options{Stale: c.stale, Selector: Failover, Hook: func(string) error {
				if c.hook == nil {
					x.servers[0].kill()
				}
				return c.hook
			}}
			in(t, func(w *world) { x = w; pair(c.tells)(w) }, o, func(x *world, d *Device) {
				x.servers[0].pause()
				began := x.h.Now()
				require.NoError(t, block.WriteAt(background, d, buf(1), 0))
				require.Less(t, x.h.Now()-began, 6*time.Second, "the write did not wait for the pause to end")
				require.EqualValues(t, 1, get(t, d, 0))
				began = x.h.Now()
				require.NoError(t, block.WriteAt(background, d, buf(3), 4096))
				require.Less(t, x.h.Now()-began, 100*time.Millisecond, "other places are not held")
				newer, done := x.h.Now(), x.h.NewEvent()
				x.h.Go(func() {
					require.NoError(t, block.WriteAt(background, d, buf(2), 0))
					newer = x.h.Now() - newer
					require.NoError(t, block.Sync(background, d))
					done.Set()
				})
				x.h.Sleep(10 * time.Second)
				if c.hook != nil || c.stale == StaleQuarantine || c.stale == StaleFence && !c.tells {
					require.EqualValues(t, 1, d.Status().Waiting)
					require.EqualValues(t, unit, d.Status().QuarantinedBytes)
				}
				if c.stale == StaleHook && c.hook == nil || c.tells {
					require.Zero(t, d.Status().Waiting, "it is proven")
					require.EqualValues(t, 2, get(t, d, 0))
				}
				x.servers[0].resume()
				done.Wait()
				x.h.Sleep(time.Minute)
				require.EqualValues(t, c.want, get(t, d, 0))
				require.Zero(t, d.Status().QuarantinedBytes)
				if c.stale != StaleTrust {
					require.Zero(t, d.Status().Counters.Unproven)
				}
			})
		})
	}
}

// TestQuarantineEnds: after the bound, or on the administrator's word, what was held goes on though nothing is proven.
func TestQuarantineEnds(t *testing.T) {
	for _, release := range []bool{false, true} {
		in(t, pair(false), Options{Selector: Failover}, func(x *world, d *Device) {
			x.links[0].down = true
			require.NoError(t, block.WriteAt(background, d, buf(1), 0))
			began := x.h.Now()
			if release {
				x.h.Go(func() {
					x.h.Sleep(3 * time.Second)
					require.NoError(t, d.Release("p0"))
				})
			}
			require.NoError(t, block.WriteAt(background, d, buf(2), 0))
			if release {
				require.InDelta(t, 3, (x.h.Now() - began).Seconds(), 0.1)
				return
			}
			require.InDelta(t, 60, (x.h.Now() - began).Seconds(), 1)
			require.EqualValues(t, 1, d.Status().Counters.Unproven)
		})
	}
}

// TestLease: what a session that has timed out at its target was sent is sent again after that, and not before.
func TestLease(t *testing.T) {
	in(t, func(x *world) {
		pair(false)(x)
		x.lease = 8 * time.Second
	}, Options{Selector: Failover}, func(x *world, d *Device) {
		x.links[0].down = true
		began := x.h.Now()
		require.NoError(t, block.WriteAt(background, d, buf(1), 0))
		require.InDelta(t, 13, (x.h.Now() - began).Seconds(), 0.5, "5 s until the path fails, 8 until its session has ended")
		began = x.h.Now()
		require.NoError(t, block.WriteAt(background, d, buf(2), 0))
		require.Less(t, x.h.Now()-began, time.Second)
	})
}

// TestBadBlock: what no path can read is the medium's: the error is passed up, and no path is the worse for it, however often that happens.
func TestBadBlock(t *testing.T) {
	in(t, twoLinks(false), Options{}, func(x *world, d *Device) {
		x.m.bad[1024] = true
		for range 20 {
			err := block.ReadAt(background, d, buf(0), 1024)
			require.ErrorIs(t, err, block.ErrMedia)
			require.Equal(t, block.Media, block.Classify(err))
			get(t, d, 512)
			get(t, d, 1536)
		}
		require.Equal(t, "up up", d.state("p0")+" "+d.state("p1"))
		require.Equal(t, "active", d.Status().State)
		require.NoError(t, block.WriteAt(background, d, buf(7), 1024))
		require.EqualValues(t, 7, get(t, d, 1024))
	})
}

// answers is a device that answers some requests with an error of the test's.
type answers struct {
	block.Device
	say func(r block.Request) error
}

func (a *answers) Do(ctx context.Context, r block.Request) error {
	if err := a.say(r); err != nil {
		return err
	}
	return a.Device.Do(ctx, r)
}

// odd is a map over two paths, of which the first answers as say has it once it is in use.
func odd(t *testing.T, local bool, o Options, say func(r block.Request) error) (d *Device, go_ func()) {
	disk := mem.New(1<<20, mem.Options{})
	on := false
	paths := twoPaths(disk, local)
	paths[0].Dev = &answers{paths[0].Dev, func(r block.Request) error {
		if !on {
			return nil
		}
		return say(r)
	}}
	o.Selector = Failover
	o.Check.Kind = "none"
	d, err := New(background, "map", paths, o, sched.Real)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.Eventually(t, func() bool { return d.Status().State == "active" }, 20*time.Second, time.Millisecond)
	return d, func() { on = true }
}

// TestBlame: an error that another path does not have is the path's own: it is not passed up, and three of them make the path marginal.
func TestBlame(t *testing.T) {
	for _, local := range []bool{true, false} {
		d, begin := odd(t, local, Options{}, func(block.Request) error { return block.ErrMedia })
		begin()
		for i := range 3 {
			require.Equal(t, "up", d.state("a"), i)
			require.NoError(t, block.WriteAt(background, d, buf(byte(i)), 0))
		}
		require.Equal(t, "marginal", d.state("a"))
		require.EqualValues(t, 2, get(t, d, 0))
	}
}

// TestVerdicts: what the target itself refuses is passed up and asked nowhere else; that it is busy is no failure; what it says before it
// stops is no failure either.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		says  error
		times int
		want  error
		asked int
		state string
	}{
		{block.ErrReadOnly, 99, block.ErrReadOnly, 1, "up"},
		{block.ErrUnsupported, 99, block.ErrUnsupported, 1, "up"},
		{block.ErrNoSpace, 99, block.ErrNoSpace, 1, "up"},
		{syscall.ENOSPC, 99, syscall.ENOSPC, 1, "up"},
		{syscall.EAGAIN, 2, nil, 3, "up"},
		{syscall.ENOMEM, 99, nil, 3, "up"}, // three times here, then there
		{syscall.ESHUTDOWN, 99, nil, 1, "ghost"},
		{block.ErrPath, 1, nil, 1, "failed"},
		{block.ErrGone, 1, nil, 1, "failed"},
		{syscall.ECONNRESET, 1, nil, 1, "failed"},
	} {
		t.Run(fmt.Sprint(c.says), func(t *testing.T) {
			asked := 0
			d, begin := odd(t, true, Options{ReconnectMin: time.Hour, ReconnectMax: time.Hour}, func(block.Request) error {
				if asked++; asked > c.times {
					return nil
				}
				return c.says
			})
			begin()
			require.ErrorIs(t, block.WriteAt(background, d, buf(1), 0), c.want)
			require.Equal(t, c.asked, asked)
			require.Equal(t, c.state, d.state("a"))
		})
	}
}

// TestPoison: a request that breaks every path it meets is not sent for ever.
func TestPoison(t *testing.T) {
	disk := mem.New(1<<20, mem.Options{})
	paths := twoPaths(disk, true)
	asked := 0
	for i := range paths {
		paths[i].Dev = &answers{paths[i].Dev, func(r block.Request) error {
			if r.Op == block.Write {
				asked++
				return block.ErrPath
			}
			return nil
		}}
	}
	d, err := New(background, "map", paths, Options{ReconnectMin: time.Millisecond, FlapWindow: time.Nanosecond}, sched.Real)
	require.NoError(t, err)
	require.ErrorIs(t, block.WriteAt(background, d, buf(1), 0), block.ErrGone)
	require.Equal(t, maxTries, asked)
	require.NoError(t, d.Close())
}

// TestNoPath: requests wait for a path as long as they were told to, counted from when the last one was lost, and can be ended at any time.
func TestNoPath(t *testing.T) {
	lose := func(x *world) {
		x.links[0].s.kill()
		x.links[1].s.kill()
	}
	for _, c := range []struct {
		noPath time.Duration
		want   float64
	}{{NoPathFail, 0}, {2 * time.Second, 2}, {0, 30}} {
		in(t, pair(false), Options{NoPath: c.noPath}, func(x *world, d *Device) {
			lose(x)
			for range 2 { // they fail together
				began := x.h.Now()
				err := block.WriteAt(background, d, buf(1), 0)
				require.ErrorIs(t, err, ErrNoPath)
				require.Equal(t, block.Gone, block.Classify(err))
				require.InDelta(t, c.want, (x.h.Now() - began).Seconds(), 0.1)
				c.want = 0
			}
			require.Equal(t, "failed", d.Status().State)
			x.servers[1].begin()
			x.h.Sleep(30 * time.Second)
			get(t, d, 0)
		})
	}
	in(t, pair(false), Options{NoPath: NoPathQueue}, func(x *world, d *Device) {
		lose(x)
		ended := map[string]error{}
		send := func(who string) {
			x.h.Go(func() { ended[who] = block.WriteAt(background, d, buf(1), 0) })
			x.h.Sleep(time.Hour)
		}
		send("a")
		require.Empty(t, ended)
		require.Equal(t, 1, d.Status().Waiting)
		require.InDelta(t, time.Hour, d.Status().OldestWait, float64(time.Minute))
		d.FailQueued()
		x.h.Sleep(time.Second)
		require.ErrorIs(t, ended["a"], ErrKilled)
		send("b")
		x.h.Go(func() { ended["close"] = d.Close() })
		x.h.Sleep(time.Second)
		require.ErrorIs(t, ended["b"], block.ErrClosed)
		require.Contains(t, ended, "close")
		require.NoError(t, ended["close"])
	})
}

// TestCancel: a context ends a wait for a path.
func TestCancel(t *testing.T) {
	d, begin := odd(t, true, Options{NoPath: NoPathQueue, ReconnectMin: time.Hour, ReconnectMax: time.Hour}, func(block.Request) error { return block.ErrPath })
	begin()
	require.NoError(t, d.Fail("b"))
	ctx, cancel := context.WithCancel(background)
	go func() {
		for d.Status().Waiting == 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	require.ErrorIs(t, block.WriteAt(ctx, d, buf(1), 0), context.Canceled)
	require.NoError(t, d.Fail("a"))
}

// TestAnotherMedium: a path to another medium is refused, at first and when it comes back, and nothing is ever written through it.
func TestAnotherMedium(t *testing.T) {
	other := func(x *world, what string) *medium {
		m := &medium{w: x.w, data: make([]byte, len(x.m.data)), cache: map[int64][]byte{}, fenced: map[string]bool{}, bad: map[int64]bool{}}
		copy(m.data, x.m.data)
		switch what {
		case "size":
			m.data = m.data[:len(m.data)-unit]
		case "content":
			m.data[0] ^= 1
		}
		return m
	}
	for _, what := range []string{"size", "content", "verify", "nonce"} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s later=%v", what, later), func(t *testing.T) {
				var x *world
				o := Options{Verify: func(_ context.Context, dev block.Device) error {
					if what == "verify" && dev.(*wire).l.s.m != x.m {
						return fmt.Errorf("%w: UUID", ErrOther)
					}
					return nil
				}}
				if what == "nonce" {
					o.Reserve = 4096
				}
				in(t, func(w *world) {
					x = w
					pair(false)(x)
					if !later {
						x.servers[1].m = other(x, what)
					}
				}, o, func(x *world, d *Device) {
					if later {
						require.Equal(t, "up", d.state("p1"))
						x.servers[1].m = other(x, what)
						x.servers[1].kill()
						x.servers[1].begin()
						x.h.Sleep(3 * time.Minute)
					}
					require.Equal(t, "refused", d.state("p1"))
					was := x.servers[1].done
					for i := range int64(8) {
						require.NoError(t, block.WriteAt(background, d, buf(9), i*unit))
					}
					require.Equal(t, was, x.servers[1].done, "I/O went to a refused path")
					require.EqualValues(t, 1, d.Status().Counters.Refused)
					if what == "nonce" {
						require.EqualValues(t, len(x.m.data)-4096, d.Info().Size)
					}
					x.servers[1].m = x.m
					require.NoError(t, d.Reinstate("p1"))
					x.h.Sleep(3 * time.Second)
					require.Equal(t, "up", d.state("p1"))
				})
			})
		}
	}
}

// TestSoleReturn: when no other path is there to compare with, the nonce that was written last must be shown.
func TestSoleReturn(t *testing.T) {
	in(t, func(x *world) { x.link(x.server(false, false)) }, Options{Reserve: 4096}, func(x *world, d *Device) {
		x.servers[0].kill()
		x.servers[0].begin()
		get(t, d, 0)
		mine := x.m.data
		x.m.data = make([]byte, len(mine))
		clear(x.m.cache)
		x.servers[0].kill()
		x.servers[0].begin()
		x.h.Sleep(3 * time.Minute)
		require.Equal(t, "refused", d.state("p0"))
	})
}

// TestFlushEverywhere: a flush goes to every target that acknowledged something, once, and not to those that did not.
func TestFlushEverywhere(t *testing.T) {
	in(t, pair(false), Options{Selector: RoundRobin, Check: Check{Kind: "none"}}, func(x *world, d *Device) {
		for _, s := range x.servers {
			s.private = true
		}
		require.NoError(t, block.WriteAt(background, d, buf(1), 0))
		require.NoError(t, block.WriteAt(background, d, buf(2), 512))
		require.Positive(t, len(x.servers[0].cache))
		require.Positive(t, len(x.servers[1].cache))
		require.NoError(t, block.Sync(background, d))
		require.Empty(t, x.servers[0].cache)
		require.Empty(t, x.servers[1].cache)
		require.Zero(t, d.Status().UnflushedBytes)
		require.EqualValues(t, []byte{1, 2}, []byte{x.m.data[0], x.m.data[512]})
	})
}

// TestUnflushedLimit: no more is kept than was allowed: then the map flushes by itself.
func TestUnflushedLimit(t *testing.T) {
	in(t, pair(false), Options{Unflushed: 8 * unit}, func(x *world, d *Device) {
		for i := range int64(50) {
			require.NoError(t, block.WriteAt(background, d, buf(1), i*unit))
			require.LessOrEqual(t, d.Status().UnflushedBytes, int64(8*unit))
		}
		require.Positive(t, len(x.m.data))
	})
}

// TestLostForGood: an acknowledged write that cannot be sent again is an error of the next flush.
func TestLostForGood(t *testing.T) {
	in(t, twoLinks(true), Options{}, func(x *world, d *Device) {
		require.NoError(t, block.WriteAt(background, d, buf(1), 0))
		x.servers[0].full = true
		x.servers[0].kill()
		x.servers[0].begin()
		x.h.Sleep(time.Minute)
		err := block.Sync(background, d)
		require.ErrorContains(t, err, "an acknowledged write was lost")
		require.NoError(t, block.Sync(background, d), "it has been said")
	})
}

// TestWriteThrough: every write is durable when it is acknowledged.
func TestWriteThrough(t *testing.T) {
	in(t, twoLinks(true), Options{WriteThrough: true}, func(x *world, d *Device) {
		require.NoError(t, block.WriteAt(background, d, buf(5), 0))
		require.EqualValues(t, 5, x.m.data[0])
		require.Zero(t, d.Status().UnflushedBytes)
	})
}

// TestHedge: a read that takes long is sent on another path as well, within the budget, and is answered by the faster.
func TestHedge(t *testing.T) {
	worst := func(budget float64) (longest time.Duration, hedges int64) {
		in(t, pair(false), Options{Selector: RoundRobin, HedgeBudget: budget}, func(x *world, d *Device) {
			for i := range 400 {
				for _, l := range x.links {
					l.latency = 500 * time.Microsecond
				}
				if i > 100 && i%40 == 0 {
					x.links[i/40%2].latency = 400 * time.Millisecond
				}
				began := x.h.Now()
				get(t, d, int64(i%64)*unit)
				if took := x.h.Now() - began; took > longest {
					longest = took
				}
			}
			for _, g := range d.Status().Groups {
				for _, p := range g.Paths {
					hedges += p.Hedges
				}
			}
		})
		return longest, hedges
	}
	longest, hedges := worst(0)
	require.Less(t, longest, 40*time.Millisecond)
	require.Positive(t, hedges)
	require.LessOrEqual(t, hedges, int64(0.05*400)+hedgeBurst)
	longest, hedges = worst(-1)
	require.Greater(t, longest, 300*time.Millisecond)
	require.Zero(t, hedges)
}

// TestFlaps: ten thousand failures of a path leave nothing behind, and the status is there at any time.
func TestFlaps(t *testing.T) {
	in(t, twoLinks(false), Options{FlapWindow: time.Nanosecond, HoldMin: time.Millisecond}, func(x *world, d *Device) {
		for i := range 10_000 {
			for _, w := range x.servers[0].wires {
				if w.l == x.links[0] {
					w.reset = true
				}
			}
			x.servers[0].wires = x.servers[0].wires[:0]
			clear(x.servers[0].runs)
			for range 2 {
				require.NoError(t, block.WriteAt(background, d, buf(byte(i)), int64(i%64)*unit))
			}
			x.h.Sleep(250 * time.Millisecond)
			require.NoError(t, block.Sync(background, d))
			if s := d.Status(); i%100 == 0 {
				require.Len(t, s.Groups[0].Paths, 2)
			}
		}
		x.h.Sleep(5 * time.Minute)
		d.mu.Lock()
		defer d.mu.Unlock()
		require.LessOrEqual(t, len(d.old), 0)
		require.LessOrEqual(t, x.links[0].open+x.links[1].open, 2)
		require.LessOrEqual(t, len(d.spare), 256)
		require.Empty(t, d.spans.list)
		require.Empty(t, d.parked)
		require.LessOrEqual(t, len(d.chronicle.ring), historyKept)
		require.Greater(t, d.paths[0].failures, int64(5000))
	})
}

// TestAdmin: paths are failed, drained, added, removed, reinstated, and groups switched, while requests run.
func TestAdmin(t *testing.T) {
	in(t, pair(false), Options{Failback: FailbackImmediate}, func(x *world, d *Device) {
		s := d.Status()
		require.Equal(t, "priority 20", s.Group)
		require.NoError(t, d.SwitchGroup("priority 10"))
		require.Equal(t, "priority 10", d.Status().Group)
		require.ErrorContains(t, d.SwitchGroup("x"), "no group")
		require.NoError(t, d.Prefer("p1"))
		x.h.Sleep(time.Minute)
		require.Equal(t, "priority 10", d.Status().Group)
		require.NoError(t, d.Prefer("p0"))
		require.Equal(t, "priority 20", d.Status().Group)
		require.ErrorContains(t, d.Fail("p7"), "there are p0, p1")

		require.NoError(t, d.Drain("p0"))
		x.h.Sleep(time.Second)
		require.Equal(t, "admin-down", d.state("p0"))
		get(t, d, 0)
		require.ErrorContains(t, d.Remove("p1", false), "only path")
		require.NoError(t, d.Reinstate("p0"))
		x.h.Sleep(time.Second)
		require.Equal(t, "up", d.state("p0"))
		require.NoError(t, d.Fail("p0"))
		require.Equal(t, "admin-down", d.state("p0"))
		require.NoError(t, d.Remove("p0", false))
		require.Equal(t, "none", d.state("p0"))
		require.NoError(t, d.Add(Path{Name: "again", Open: x.links[0].dial, Priority: 99}))
		x.h.Sleep(time.Second)
		require.Equal(t, "up", d.state("again"))
		require.ErrorContains(t, d.Add(Path{Name: "again", Open: x.links[0].dial}), "there is one")
		get(t, d, 0)
		require.Contains(t, strings.Join(d.Explain(), "\n"), "again")
		var kinds []string
		for _, e := range d.History() {
			if e.Kind != KindPath {
				kinds = append(kinds, e.Kind)
			}
		}
		require.Contains(t, kinds, KindAdmin)
		require.Contains(t, kinds, KindGroup)
	})
}

// TestHotPath: a request on local paths allocates nothing.
func TestHotPath(t *testing.T) {
	for _, name := range Selectors {
		d, err := New(background, "map", twoPaths(mem.New(1<<20, mem.Options{}), true), Options{Selector: name}, sched.Real)
		require.NoError(t, err)
		b := block.Alloc(4096)
		require.NoError(t, block.WriteAt(background, d, b, 0))
		if n := testing.AllocsPerRun(200, func() { _ = block.ReadAt(background, d, b, 0) }); n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", name, n)
		}
		require.NoError(t, d.Close())
	}
}

func benchmark(b *testing.B, dev block.Device) {
	p := block.Alloc(4096)
	b.ReportAllocs()
	for b.Loop() {
		_ = block.ReadAt(background, dev, p, 0)
	}
}

func BenchmarkRead4KBare(b *testing.B) { benchmark(b, mem.New(1<<20, mem.Options{})) }

func benchMap(b *testing.B, local bool) {
	d, err := New(background, "map", twoPaths(mem.New(1<<20, mem.Options{}), local), Options{}, sched.Real)
	require.NoError(b, err)
	benchmark(b, d)
	require.NoError(b, d.Close())
}

func BenchmarkRead4KLocal(b *testing.B)  { benchMap(b, true) }
func BenchmarkRead4KRemote(b *testing.B) { benchMap(b, false) }

func BenchmarkWrite4KRemote(b *testing.B) {
	d, err := New(background, "map", twoPaths(mem.New(1<<20, mem.Options{}), false), Options{}, sched.Real)
	require.NoError(b, err)
	p := block.Alloc(4096)
	b.ReportAllocs()
	for b.Loop() {
		_ = block.WriteAt(background, d, p, 0)
	}
	require.NoError(b, d.Close())
}

// TestFenceFirst: what was not flushed is sent again, and newer writes follow, only when the old session has ended: its target could still write
// what it has cached.
func TestFenceFirst(t *testing.T) {
	in(t, func(x *world) {
		pair(true)(x)
		x.fencing = 2 * time.Second
	}, Options{Selector: Failover}, func(x *world, d *Device) {
		require.NoError(t, block.WriteAt(background, d, buf(1), 0))
		x.links[0].down = true
		_ = block.ReadAt(background, d, buf(0), 512)
		require.NoError(t, block.WriteAt(background, d, buf(2), 0))
		require.Len(t, x.m.fenced, 1)
		require.EqualValues(t, 1, d.Status().Counters.Fenced)
	})
}

// TestPowerUnheard: the machine of two targets that do not say who they are loses power. Of one of them nothing has been heard since; what it had
// acknowledged is sent again all the same when the other comes back, or fails.
func TestPowerUnheard(t *testing.T) {
	for _, late := range []bool{false, true} {
		in(t, pair(false), Options{Selector: RoundRobin, Check: Check{Kind: "none"}}, func(x *world, d *Device) {
			if late { // the other one is held up, and comes back after the power
				x.links[0].down = true
				for d.state("p0") != "failed" && d.state("p0") != "connecting" {
					_ = block.ReadAt(background, d, buf(0), 4096)
				}
			}
			require.NoError(t, block.WriteAt(background, d, buf(1), 0))
			require.NoError(t, block.WriteAt(background, d, buf(2), 512))
			for _, s := range x.servers {
				s.kill()
				s.begin()
			}
			clear(x.m.cache)
			if late {
				x.links[0].down = false
				x.h.Sleep(15 * time.Second)
				require.Equal(t, "up", d.state("p0"))
			}
			for range 4 {
				require.EqualValues(t, 1, get(t, d, 0))
				require.EqualValues(t, 2, get(t, d, 512))
			}
		})
	}
}

// TestMemoryIsTheCallers: what a path answers after its read was given up goes nowhere near the caller's memory.
func TestMemoryIsTheCallers(t *testing.T) {
	in(t, pair(false), Options{Selector: Failover, HedgeBudget: -1}, func(x *world, d *Device) {
		require.NoError(t, block.WriteAt(background, d, buf(1), 0))
		x.servers[0].pause()
		b := buf(0xA5)
		require.NoError(t, block.ReadAt(background, d, b, 0))
		copy(b, buf(0xEE))
		x.servers[0].resume()
		x.h.Sleep(10 * time.Second)
		require.Equal(t, buf(0xEE), b)
	})
}

// TestHedgeBudget: when everything is slow, hedging does not double it.
func TestHedgeBudget(t *testing.T) {
	in(t, pair(false), Options{}, func(x *world, d *Device) {
		for i := range 300 {
			for _, l := range x.links {
				l.latency = 500 * time.Microsecond
				if i > 50 && i%2 == 0 {
					l.latency = 100 * time.Millisecond
				}
			}
			get(t, d, int64(i%64)*unit)
		}
		n := int64(0)
		for _, p := range d.Status().Groups[0].Paths {
			n += p.Hedges
		}
		require.LessOrEqual(t, n, int64(0.05*300)+hedgeBurst)
	})
}

// TestIdleCheck: a path that nothing is sent to is found to have failed all the same.
func TestIdleCheck(t *testing.T) {
	fails := false
	disk := mem.New(1<<20, mem.Options{})
	paths := twoPaths(disk, true)
	var mu sync.Mutex
	paths[1].Dev = &answers{paths[1].Dev, func(block.Request) error {
		mu.Lock()
		defer mu.Unlock()
		if fails {
			return block.ErrPath
		}
		return nil
	}}
	d, err := New(background, "map", paths, Options{Selector: Failover, Check: Check{Min: 10 * time.Millisecond}, ReconnectMin: time.Hour, ReconnectMax: time.Hour}, sched.Real)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return d.state("b") == "up" }, 20*time.Second, time.Millisecond)
	mu.Lock()
	fails = true
	mu.Unlock()
	require.Eventually(t, func() bool { return d.state("b") == "failed" }, 20*time.Second, time.Millisecond)
	require.NoError(t, d.Close())
}

// TestResendWakes: what is sent again waits for a write to the same place, and goes on when that has ended, though nobody else waits.
func TestResendWakes(t *testing.T) {
	in(t, pair(false), Options{Selector: Failover}, func(x *world, d *Device) {
		require.NoError(t, block.WriteAt(background, d, buf(1), 0))
		x.links[0].latency = 400 * time.Millisecond
		x.h.Go(func() { require.NoError(t, block.WriteAt(background, d, buf(2), 0)) })
		x.h.Sleep(100 * time.Millisecond)
		require.NoError(t, d.Fail("p1"))
		x.h.Sleep(2 * time.Second)
		began := x.h.Now()
		require.NoError(t, block.WriteAt(background, d, buf(3), 0))
		require.Less(t, x.h.Now()-began, 5*time.Second)
	})
}
