package nbd_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/nbd/nbdtest"
)

// tap is a device that counts and remembers what is asked of it, in place or by workers.
type tap struct {
	*mem.Disk
	inline bool
	reads  atomic.Int64

	mu  sync.Mutex
	log []block.Request // changes
}

func newTap(inline bool) *tap { return &tap{Disk: mem.New(8<<20, mem.Options{}), inline: inline} }

func (d *tap) Info() block.Info {
	i := d.Disk.Info()
	i.Inline = d.inline
	return i
}

func (d *tap) Do(ctx context.Context, r block.Request) error {
	if r.Op == block.Read {
		d.reads.Add(1)
	} else if r.Op.Mutates() {
		d.mu.Lock()
		d.log = append(d.log, r)
		d.mu.Unlock()
	}
	return d.Disk.Do(ctx, r)
}

// TestFUA: the flag reaches the device with every command that has a use for it, and no device is asked in place then.
func TestFUA(t *testing.T) {
	for _, inline := range []bool{true, false} {
		disk := newTap(inline)
		c := dial(t, start(t, one(disk)), true)
		for _, off := range []uint64{0, 100} {
			for _, cmd := range []uint16{nbdtest.Write, nbdtest.Trim, nbdtest.WriteZeroes} {
				var payload []byte
				if cmd == nbdtest.Write {
					payload = make([]byte, 1024)
				}
				require.Zero(t, c.Do(cmd, nbdtest.FUA, off, 1024, payload).Errno)
			}
		}
		require.GreaterOrEqual(t, len(disk.log), 6)
		for _, r := range disk.log {
			require.Equal(t, block.FUA, r.Flags&block.FUA, r)
		}
	}
}

// TestOneLockForAll stops a change of a part of a block on one connection between its read and its write: a change of
// another part of the block on another connection waits, and neither is lost.
func TestOneLockForAll(t *testing.T) {
	disk := blocktest.NewFaulty(mem.New(1<<20, mem.Options{}), blocktest.FaultyOptions{})
	bubble(t, one(disk), func(t *testing.T, open func() net.Conn) {
		a, err := nbdtest.New(open(), nbdtest.Options{Export: "disk"})
		require.NoError(t, err)
		b, err := nbdtest.New(open(), nbdtest.Options{})
		require.NoError(t, err)
		hold := disk.Hold(func(r block.Request) bool { return r.Op == block.Write && r.Flags == block.FUA })
		first := a.Start(nbdtest.Write, nbdtest.FUA, 10, 2, []byte("aa"))
		hold.Await(1)
		second := b.Start(nbdtest.Write, 0, 20, 2, []byte("bb"))
		synctest.Wait()
		require.Empty(t, second, "it waits for the first")
		hold.Release()
		require.Zero(t, (<-first).Errno)
		require.Zero(t, (<-second).Errno)
		want := make([]byte, 30)
		copy(want[10:], "aa")
		copy(want[20:], "bb")
		require.Equal(t, want, a.Do(nbdtest.Read, 0, 0, 30, nil).Data)
	})
}

// TestBudgetComesBack fills the socket again and again with more replies than it takes: what that took of the budget comes
// back each time, or the connection would stop after some rounds.
func TestBudgetComesBack(t *testing.T) {
	for _, inline := range []bool{true, false} {
		disk := newTap(inline)
		nc, err := net.Dial("unix", start(t, one(disk)))
		require.NoError(t, err)
		defer nc.Close()
		handshake(t, nc)
		require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		small := bytes.Repeat(encode(t, "req:0:READ:1:0:16"), 100)
		large := bytes.Repeat(encode(t, "req:0:READ:1:0:0x8000"), 20)
		for round := range int64(150) {
			_, err = nc.Write(append(append([]byte{}, large...), small...))
			require.NoError(t, err)
			for disk.reads.Load() < (round+1)*120 {
				runtime.Gosched() // until all replies have piled up
			}
			_, err = io.CopyN(io.Discard, nc, 20*(16+0x8000)+100*(16+16))
			require.NoError(t, err)
		}
	}
}

// TestLongStream sends without a pause, so that requests are cut anywhere by the end of the server's buffer.
func TestLongStream(t *testing.T) {
	disk := mem.New(8<<20, mem.Options{Block: 1})
	nc, err := net.Dial("unix", start(t, one(disk)))
	require.NoError(t, err)
	defer nc.Close()
	handshake(t, nc)
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	const n, size = 3000, 2501
	want := noise(n * size)
	var stream []byte
	for i := range n {
		stream = append(stream, encode(t, "req:0:WRITE:1:"+itoa(i*size)+":"+itoa(size))...)
		stream = append(stream, want[i*size:(i+1)*size]...)
	}
	go nc.Write(stream)
	_, err = io.CopyN(io.Discard, nc, n*16)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, content(t, disk)[:n*size]))
}
