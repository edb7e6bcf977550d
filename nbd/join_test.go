package nbd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
)

// batch is requests that reach the server with one read call.
type batch struct {
	bytes []byte
	count uint64
}

// write adds a write of n bytes x at off; its cookie is its number.
func (b *batch) write(flags uint16, off, n int, x byte) {
	b.bytes = binary.BigEndian.AppendUint32(b.bytes, 0x25609513)
	b.bytes = binary.BigEndian.AppendUint16(b.bytes, flags)
	b.bytes = binary.BigEndian.AppendUint16(b.bytes, 1)
	b.bytes = binary.BigEndian.AppendUint64(b.bytes, b.count)
	b.bytes = binary.BigEndian.AppendUint64(b.bytes, uint64(off))
	b.bytes = binary.BigEndian.AppendUint32(b.bytes, uint32(n))
	b.bytes = append(b.bytes, bytes.Repeat([]byte{x}, n)...)
	b.count++
}

// send has a new server of dev answer b, and returns the error numbers in the order of the requests.
func (b *batch) send(t *testing.T, dev block.Device) (errnos []uint32) { return b.talk(t, dev, false) }

func (b *batch) talk(t *testing.T, dev block.Device, structured bool) (errnos []uint32) {
	s := one(dev)
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	nc, end := net.Pipe()
	l.conns <- end
	t.Cleanup(func() {
		nc.Close()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-ended)
	})
	_, err := io.ReadFull(nc, make([]byte, 18))
	require.NoError(t, err)
	_, err = nc.Write([]byte("\x00\x00\x00\x03"))
	require.NoError(t, err)
	if structured {
		_, err = nc.Write([]byte("IHAVEOPT\x00\x00\x00\x08\x00\x00\x00\x00"))
		require.NoError(t, err)
		_, err = io.ReadFull(nc, make([]byte, 20))
		require.NoError(t, err)
	}
	_, err = nc.Write([]byte("IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x00"))
	require.NoError(t, err)
	_, err = io.ReadFull(nc, make([]byte, 10))
	require.NoError(t, err)
	var hints []byte // so many that the server's buffer grows
	for range 600 {
		hints = append(hints, "\x25\x60\x95\x13\x00\x00\x00\x05"+strings.Repeat("\x00", 19)+"\x01"...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(hints)
		sent <- err
	}()
	_, err = io.ReadFull(nc, make([]byte, 600*16))
	require.NoError(t, err)
	require.NoError(t, <-sent)
	go func() {
		_, err := nc.Write(b.bytes)
		sent <- err
	}()
	errnos = make([]uint32, b.count)
	reply := make([]byte, 16)
	for seen := map[uint64]bool{}; uint64(len(seen)) < b.count; {
		_, err := io.ReadFull(nc, reply)
		require.NoError(t, err)
		cookie, errno := binary.BigEndian.Uint64(reply[8:]), binary.BigEndian.Uint32(reply[4:])
		if structured && binary.BigEndian.Uint32(reply) == 0x668e33ef { // an error, with its number and text behind
			more := make([]byte, 4)
			_, err := io.ReadFull(nc, more)
			require.NoError(t, err)
			more = make([]byte, binary.BigEndian.Uint32(more))
			_, err = io.ReadFull(nc, more)
			require.NoError(t, err)
			errno, cookie = binary.BigEndian.Uint32(more), binary.BigEndian.Uint64(reply[8:])
		} else {
			require.Equal(t, uint32(0x67446698), binary.BigEndian.Uint32(reply))
		}
		require.False(t, seen[cookie], "two replies to %d", cookie)
		require.Less(t, cookie, b.count)
		seen[cookie] = true
		errnos[cookie] = errno
	}
	require.NoError(t, <-sent)
	return errnos
}

// busy is an Inline device that would have to wait for everything.
type busy struct{ block.Device }

func (d busy) Do(ctx context.Context, r block.Request) error {
	if r.Flags&block.NoWait != 0 {
		return block.ErrWouldBlock
	}
	return d.Device.Do(ctx, r)
}

// wary is an Inline device that would have to wait for whatever is not more than 4 KiB.
type wary struct{ block.Device }

func (d wary) Do(ctx context.Context, r block.Request) error {
	if r.Flags&block.NoWait != 0 && r.Len <= 4096 {
		return block.ErrWouldBlock
	}
	return d.Device.Do(ctx, r)
}

// joinable are the ways by which a write reaches a device: in place, put off, by a worker, and through aligned memory.
func joinable(t *testing.T, do func(t *testing.T, disk *blocktest.Faulty, dev block.Device)) {
	for _, way := range []struct {
		name   string
		o      mem.Options
		inline bool
		wrap   func(block.Device) block.Device
	}{
		{"inline", mem.Options{}, true, nil},
		{"any block", mem.Options{Block: 1}, true, nil},
		{"put off", mem.Options{}, true, func(d block.Device) block.Device { return &busy{d} }},
		{"worker", mem.Options{}, false, nil},
		{"aligned", mem.Options{Align: 4096, Block: 4096}, true, nil},
		{"aligned, put off", mem.Options{Align: 4096, Block: 4096}, true, func(d block.Device) block.Device { return &wary{d} }},
		{"aligned worker", mem.Options{Align: 4096, Block: 4096}, false, nil},
	} {
		t.Run(way.name, func(t *testing.T) {
			disk := blocktest.NewFaulty(mem.New(1<<20, way.o), blocktest.FaultyOptions{Inline: way.inline})
			dev := block.Device(disk)
			if way.wrap != nil {
				dev = way.wrap(dev)
			}
			do(t, disk, dev)
		})
	}
}

// writes is what was written, in order of offset: for a worker may overtake another.
func writes(disk *blocktest.Faulty) (list []string) {
	log := disk.Log()
	slices.SortStableFunc(log, func(a, b block.Request) int { return int(a.Off - b.Off) })
	for _, r := range log {
		if r.Op == block.Write {
			r.Flags &^= block.NoWait
			list = append(list, r.String())
		}
	}
	return list
}

func stored(t *testing.T, dev block.Device, off, n int) []byte {
	b := bytes.Repeat([]byte{0xA5}, n)
	require.NoError(t, block.ReadAt(ctx, dev, b, int64(off)))
	return b
}

// fills is n bytes of each of xs.
func fills(n int, xs ...byte) (b []byte) {
	for _, x := range xs {
		b = append(b, bytes.Repeat([]byte{x}, n)...)
	}
	return b
}

// TestJoin: writes of one batch that follow each other are one write, and each is answered.
func TestJoin(t *testing.T) {
	joinable(t, func(t *testing.T, disk *blocktest.Faulty, dev block.Device) {
		var b batch
		for i := range 5 {
			b.write(0, 4096*(1+i), 4096, byte(1+i))
		}
		b.write(0, 64<<10, 4096, 9) // elsewhere
		b.write(0, 68<<10, 20<<10, 10)
		require.Equal(t, make([]uint32, 7), b.send(t, dev))
		require.Equal(t, []string{"write [4096,+20480)", "write [65536,+24576)"}, writes(disk))
		require.Equal(t, fills(4096, 0, 1, 2, 3, 4, 5, 0), stored(t, disk, 0, 28<<10))
		require.Equal(t, fills(4096, 9, 10, 10, 10, 10, 10, 0), stored(t, disk, 64<<10, 28<<10))
	})
}

// TestJoinFUA: what is to be durable is not joined to what is not, and is durable as one.
func TestJoinFUA(t *testing.T) {
	joinable(t, func(t *testing.T, disk *blocktest.Faulty, dev block.Device) {
		var b batch
		b.write(1, 0, 4096, 1)
		b.write(1, 4096, 4096, 2)
		b.write(0, 8192, 4096, 3)
		b.write(0, 12288, 4096, 4)
		b.write(1, 16384, 4096, 5)
		require.Equal(t, make([]uint32, 5), b.send(t, dev))
		require.Equal(t, []string{"write [0,+8192) fua", "write [8192,+8192)", "write [16384,+4096) fua"}, writes(disk))
		require.Equal(t, fills(4096, 1, 2, 3, 4, 5, 0), stored(t, disk, 0, 24<<10))
	})
}

// TestJoinOverlapping: of writes to the same place that are carried out in place the last one stays.
func TestJoinOverlapping(t *testing.T) {
	disk := blocktest.NewFaulty(mem.New(1<<20, mem.Options{}), blocktest.FaultyOptions{Inline: true})
	var b batch
	b.write(0, 0, 4096, 1)
	b.write(0, 4096, 8192, 2)
	b.write(0, 8192, 8192, 3) // begins inside
	b.write(0, 16384, 4096, 4)
	b.write(0, 16384, 4096, 5) // the same once more
	b.write(0, 0, 4096, 6)
	require.Equal(t, make([]uint32, 6), b.send(t, disk))
	require.Equal(t, []string{"write [0,+12288)", "write [0,+4096)", "write [8192,+12288)", "write [16384,+4096)"}, writes(disk))
	require.Equal(t, fills(4096, 6, 2, 3, 3, 5, 0), stored(t, disk, 0, 24<<10))
}

// TestJoinError: an error is of the writes that met it, and the others are done.
func TestJoinError(t *testing.T) {
	joinable(t, func(t *testing.T, disk *blocktest.Faulty, dev block.Device) {
		disk.Before(func(r block.Request) error {
			if r.Op == block.Write && r.Off < 12288 && r.End() > 8192 {
				return block.ErrMedia
			}
			return nil
		})
		var b batch
		for i := range 4 {
			b.write(0, 4096*i, 4096, byte(1+i))
		}
		b.write(0, 1<<20-4096, 4096, 7)
		b.write(0, 1<<20, 4096, 8) // past the end
		require.Equal(t, []uint32{0, 0, 5, 0, 0, 28}, b.send(t, dev))
		require.Equal(t, fills(4096, 1, 2, 0, 4), stored(t, disk, 0, 16<<10))
		require.Equal(t, fills(4096, 7), stored(t, disk, 1<<20-4096, 4096))
	})
}

// TestJoinMany: so many writes that follow each other that their replies need more room than a slot of their payload has, all refused or none.
func TestJoinMany(t *testing.T) {
	joinable(t, func(t *testing.T, disk *blocktest.Faulty, dev block.Device) {
		for _, errno := range []uint32{0, 5} {
			if errno != 0 {
				disk.Before(func(r block.Request) error {
					if r.Op == block.Write {
						return errors.New(strings.Repeat("for many reasons ", 1000))
					}
					return nil
				})
			}
			var b batch
			var want []byte
			for i := range 700 {
				b.write(0, 2*i, 2, byte(i))
				want = append(want, byte(i), byte(i))
			}
			for _, got := range b.talk(t, dev, errno != 0) {
				require.Equal(t, errno, got)
			}
			require.Equal(t, want, stored(t, disk, 0, 4096)[:len(want)])
		}
	})
}

// TestJoinEnd: a batch that does not fit the server's buffer ends in the middle of a write, which is not joined to what came before.
func TestJoinEnd(t *testing.T) {
	joinable(t, func(t *testing.T, disk *blocktest.Faulty, dev block.Device) {
		var b batch
		var want []byte
		for i := range 150 {
			b.write(0, 4096*i, 4096, byte(i))
			want = append(want, fills(4096, byte(i))...)
		}
		require.Equal(t, make([]uint32, 150), b.send(t, dev))
		require.Less(t, disk.Count(block.Write), 12)
		require.Equal(t, want, stored(t, disk, 0, len(want)))
	})
}
