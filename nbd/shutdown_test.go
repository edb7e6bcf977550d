package nbd_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/nbd"
	"graid/nbd/nbdtest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// handshake enters "disk" the short way.
func handshake(t *testing.T, c net.Conn) {
	t.Helper()
	expect(t, c, "hello")
	_, err := c.Write(encode(t, "4:3"))
	require.NoError(t, err)
	_, err = c.Write(encode(t, `opt:EXPORT_NAME "disk"`))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 10))
	require.NoError(t, err)
}

// TestShutdown: while a write is in flight new requests are refused with ESHUTDOWN; the write is answered and then the
// connection closes. An idle connection and one in its handshake close at once.
func TestShutdown(t *testing.T) {
	for _, structured := range []bool{false, true} {
		disk := blocktest.NewFaulty(&slow{mem.New(1<<20, mem.Options{})}, blocktest.FaultyOptions{})
		s := one(disk)
		bubble(t, s, func(t *testing.T, dial func() net.Conn) {
			hold := disk.Hold(func(r block.Request) bool { return r.Op == block.Write })
			o := nbdtest.Options{Export: "disk", Structured: structured}
			busy, err := nbdtest.New(dial(), o)
			require.NoError(t, err)
			idle, err := nbdtest.New(dial(), o)
			require.NoError(t, err)
			young := dial()
			expect(t, young, "hello")
			synctest.Wait()
			require.Equal(t, []nbd.ClientInfo{{Export: "disk", Connections: 2}}, s.Clients())

			write := busy.Start(nbdtest.Write, 0, 0, 512, make([]byte, 512))
			hold.Await(1)
			ended := make(chan error, 1)
			go func() { ended <- s.Shutdown(ctx) }()
			synctest.Wait()
			require.ErrorIs(t, idle.Sync(), io.EOF)
			require.True(t, closed(young))
			for range 3 {
				require.EqualValues(t, 108, busy.Do(nbdtest.Read, 0, 0, 512, nil).Errno)
				require.EqualValues(t, 108, busy.Do(nbdtest.Write, 0, 0, 3, []byte("abc")).Errno)
			}
			require.Empty(t, ended, "the write is still in flight")
			hold.Release()
			require.Zero(t, (<-write).Errno)
			require.NoError(t, <-ended)
			require.Error(t, busy.Sync())
			require.Empty(t, s.Clients())
		})
	}
}

// TestShutdownGivesUp: a device that never answers holds Shutdown for as long as its context says.
func TestShutdownGivesUp(t *testing.T) {
	disk := blocktest.NewFaulty(&slow{mem.New(1<<20, mem.Options{})}, blocktest.FaultyOptions{})
	s := one(disk)
	bubble(t, s, func(t *testing.T, dial func() net.Conn) {
		hold := disk.Hold(func(block.Request) bool { return true })
		c, err := nbdtest.New(dial(), nbdtest.Options{Export: "disk"})
		require.NoError(t, err)
		flush := c.Start(nbdtest.Flush, 0, 0, 0, nil)
		hold.Await(1)
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		before := time.Now()
		require.ErrorIs(t, s.Shutdown(limited), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(before))
		require.Error(t, (<-flush).Err)
		hold.Release()
	})
}

// TestDisconnect: DISC is obeyed after what was asked before it.
func TestDisconnect(t *testing.T) {
	disk := blocktest.NewFaulty(&slow{mem.New(1<<20, mem.Options{})}, blocktest.FaultyOptions{})
	bubble(t, one(disk), func(t *testing.T, dial func() net.Conn) {
		hold := disk.Hold(func(r block.Request) bool { return r.Op == block.Write })
		c, err := nbdtest.New(dial(), nbdtest.Options{Export: "disk"})
		require.NoError(t, err)
		write := c.Start(nbdtest.Write, 0, 0, 512, make([]byte, 512))
		gone := c.Start(nbdtest.Disconnect, 0, 0, 0, nil)
		synctest.Wait()
		require.Empty(t, gone)
		hold.Release()
		require.Zero(t, (<-write).Errno)
		require.ErrorIs(t, (<-gone).Err, io.EOF)
	})
}

// TestVanish: of a payload that did not arrive whole, nothing is written.
func TestVanish(t *testing.T) {
	for _, n := range []string{"0x1000", "0x40000"} {
		disk := blocktest.NewFaulty(mem.New(1<<20, mem.Options{}), blocktest.FaultyOptions{})
		bubble(t, one(disk), func(t *testing.T, dial func() net.Conn) {
			c := dial()
			expect(t, c, "hello")
			send(t, c, "4:3")
			send(t, c, `opt:EXPORT_NAME "disk"`)
			expect(t, c, "8:0x100000 2:0xd6d")
			send(t, c, "req:0:WRITE:1:0:"+n+" fill:4095:61")
			c.Close()
			synctest.Wait()
			require.Zero(t, disk.Count(block.Write))
		})
	}
}

// TestPanic: a bug met by one connection closes that one, whether on its reader or on a worker.
func TestPanic(t *testing.T) {
	for _, dev := range []block.Device{mem.New(1<<20, mem.Options{}), &slow{mem.New(1<<20, mem.Options{})}} {
		disk := blocktest.NewFaulty(dev, blocktest.FaultyOptions{})
		disk.Before(func(r block.Request) error {
			if r.Off == 4096 {
				panic("a bug")
			}
			return nil
		})
		s := one(disk)
		s.Limits.Requests = 1 // the second request waits for the first, which never ends
		path := start(t, s)
		bad, good := dial(t, path, true), dial(t, path, true)
		first, second := bad.Start(nbdtest.Read, 0, 4096, 512, nil), bad.Start(nbdtest.Read, 0, 4096, 512, nil)
		require.Error(t, (<-first).Err)
		require.Error(t, (<-second).Err)
		require.NoError(t, good.Sync())
		require.Positive(t, s.Panics())
		require.Eventually(t, func() bool { return s.Clients()[0].Connections == 1 }, 10*time.Second, time.Millisecond)
	}
}

// TestFlushCoversOthers: a flush on one connection makes durable what another was told is written.
func TestFlushCoversOthers(t *testing.T) {
	disk := blocktest.NewFaulty(mem.New(1<<20, mem.Options{}), blocktest.FaultyOptions{})
	path := start(t, one(disk))
	a, b := dial(t, path, true), dial(t, path, false)
	_, err := a.WriteAt([]byte("hello"), 1000)
	require.NoError(t, err)
	require.NoError(t, b.Sync())
	log := disk.Log()
	require.Equal(t, block.Flush, log[len(log)-1].Op)
	require.Equal(t, block.Write, log[len(log)-2].Op)
}
