package nbd_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/nbd"
)

// TestSession: connections to graid's own server have numbers, and it tells who it is.
func TestSession(t *testing.T) {
	s := one(mem.New(1<<20, mem.Options{}))
	uri := unixURI(start(t, s), "disk")
	a, b := client(t, uri, nbd.Options{Connections: 3}), client(t, uri, nbd.Options{})
	require.NoError(t, a.Ping(ctx))
	first, ok := a.Instance()
	require.True(t, ok)
	second, _ := b.Instance()
	require.Equal(t, first, second)
	list := a.Sessions()
	require.Len(t, list, 3)
	seen := map[uint64]bool{}
	for _, s := range append(list, b.Sessions()...) {
		require.False(t, seen[s.ID])
		seen[s.ID] = true
		require.Equal(t, first, s.Instance)
		require.Equal(t, nbd.StateOptimized, s.State)
	}
	other := client(t, unixURI(start(t, one(mem.New(1<<20, mem.Options{}))), "disk"), nbd.Options{})
	third, ok := other.Instance()
	require.True(t, ok)
	require.NotEqual(t, first, third)
	require.ErrorIs(t, other.Fence(ctx, list...), nbd.ErrNoSession, "sessions of another instance are not touched")
	require.Error(t, a.Fence(ctx, nbd.Session{Instance: first, ID: 4711}))
	require.NoError(t, b.Fence(ctx, list...))
	require.NoError(t, b.Fence(ctx, list...), "what has ended stays ended")
	require.NoError(t, block.ReadAt(ctx, a, block.Alloc(512), 0), "who was fenced may connect anew")
	for _, s := range a.Sessions() {
		require.False(t, seen[s.ID], "a number is never used twice")
	}
}

// TestSessionOnForeignServers: others refuse the extension, and nothing else is different with them.
func TestSessionOnForeignServers(t *testing.T) {
	need(t, "nbdkit", "qemu-nbd")
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	for name, uri := range map[string]string{
		"nbdkit":   unixURI(peer(t, "nbdkit", "-f", "-U", "%s", "memory", "1M"), ""),
		"qemu-nbd": unixURI(peer(t, "qemu-nbd", "-t", "-f", "raw", "-x", "x", "-k", "%s", path), "x"),
	} {
		c := client(t, uri, nbd.Options{})
		_, ok := c.Instance()
		require.False(t, ok, name)
		require.Empty(t, c.Sessions(), name)
		require.NoError(t, c.Ping(ctx), name)
		err := c.Fence(ctx, nbd.Session{ID: 1})
		require.ErrorIs(t, err, nbd.ErrNoSession, name)
		require.Equal(t, block.Path, block.Classify(err))
		require.NoError(t, block.WriteAt(ctx, c, block.Alloc(4096), 0), name)
		require.Equal(t, 1, c.Connected(), name)
	}
}

// TestFence: it returns when what the device was asked is done, and what it was not asked yet never is.
func TestFence(t *testing.T) {
	f := blocktest.NewFaulty(&slow{mem.New(1<<20, mem.Options{})}, blocktest.FaultyOptions{})
	s := one(f)
	s.Limits.Workers = 1
	uri := unixURI(start(t, s), "disk")
	old, fresh := client(t, uri, nbd.Options{Reconnect: -1}), client(t, uri, nbd.Options{})
	hold := f.Hold(func(r block.Request) bool { return r.Op == block.Write })
	var asked sync.WaitGroup
	for i := range int64(3) {
		asked.Go(func() {
			if err := block.WriteAt(ctx, old, bytes.Repeat([]byte{0x77}, 4096), i*4096); block.Classify(err) != block.Path {
				t.Errorf("%v", err)
			}
		})
	}
	soon(t, "a write reaches the device", func() bool { return f.Count(block.Write) == 1 })
	sessions := old.Sessions()
	var fenced atomic.Bool
	asked.Go(func() {
		if err := fresh.Fence(ctx, sessions...); err != nil {
			t.Errorf("%v", err)
		}
		fenced.Store(true)
	})
	soon(t, "the old session ends", func() bool { return old.Connected() == 0 })
	time.Sleep(20 * time.Millisecond) // it must wait; that it does is seen sooner or later
	require.False(t, fenced.Load(), "a write is still under way")
	hold.Release()
	asked.Wait()
	require.Equal(t, 1, f.Count(block.Write), "nothing is begun after a fence")
	list, _ := old.Doubts()
	require.NotEmpty(t, list)
	require.Equal(t, sessions[0], list[0].Session)
}

// TestFenceEachOther: two sessions that fence each other at once do not wait for ever.
func TestFenceEachOther(t *testing.T) {
	uri := unixURI(start(t, one(mem.New(1<<20, mem.Options{}))), "disk")
	for range 50 {
		a, b := client(t, uri, nbd.Options{Timeout: 10 * time.Second}), client(t, uri, nbd.Options{Timeout: 10 * time.Second})
		sa, sb := a.Sessions(), b.Sessions()
		var both sync.WaitGroup
		both.Go(func() { _ = a.Fence(ctx, sb...) })
		both.Go(func() { _ = b.Fence(ctx, sa...) })
		both.Wait()
		require.NoError(t, a.Ping(ctx))
		require.NoError(t, b.Ping(ctx))
	}
}

// TestClientWritesOn: with a server that can fence, writes go on over lost connections, in flight or acknowledged, as if nothing had happened.
func TestClientWritesOn(t *testing.T) {
	disk := mem.New(1<<20, mem.Options{})
	p := newProxy(t, start(t, one(&slow{disk})))
	c := client(t, p.uri, nbd.Options{Connections: 2, Reconnect: 20 * time.Second})
	var writes atomic.Int64
	var all sync.WaitGroup
	var stop atomic.Bool
	for i := range int64(4) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			newest := map[int64]byte{}
			b, got := block.Alloc(4096), block.Alloc(4096)
			for n := 0; !stop.Load(); n++ {
				at := (rng.Int64N(16)*4 + i) * 4096
				v := byte(n)
				copy(b, bytes.Repeat([]byte{v}, 4096))
				err := block.WriteAt(ctx, c, b, at)
				newest[at] = v
				for off, v := range newest {
					if err == nil {
						err = block.ReadAt(ctx, c, got, off)
					}
					if err != nil {
						t.Errorf("%v", err)
						return
					}
					if !bytes.Equal(got, bytes.Repeat([]byte{v}, 4096)) {
						t.Errorf("at %d: %#x, not %#x", off, got[0], v)
						return
					}
					break
				}
				writes.Add(1)
			}
		})
	}
	for range 15 {
		before := writes.Load()
		soon(t, "writes go on", func() bool { return writes.Load() > before+20 || t.Failed() })
		p.cut(false)
	}
	stop.Store(true)
	all.Wait()
	list, _ := c.Doubts()
	require.Empty(t, list)
}

// TestClientAnotherInstance: a server that was started anew may have lost what it acknowledged and did not flush, and nothing else.
func TestClientAnotherInstance(t *testing.T) {
	for _, flush := range []bool{false, true} {
		disk := mem.New(1<<20, mem.Options{})
		p := newProxy(t, start(t, one(disk)))
		c := client(t, p.uri, nbd.Options{Reconnect: 20 * time.Second})
		b := block.Alloc(4096)
		require.NoError(t, block.WriteAt(ctx, c, b, 0))
		p.cut(false)
		require.NoError(t, block.ReadAt(ctx, c, b, 0), "the same instance has lost nothing")
		if flush {
			require.NoError(t, block.Sync(ctx, c))
		}
		p.lead(start(t, one(disk)))
		err := block.ReadAt(ctx, c, b, 0)
		if flush {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, block.Gone, block.Classify(err), "%v", err)
		require.True(t, strings.Contains(err.Error(), "did not flush"), "%v", err)
	}
}
