package nbd_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
)

// pipeline sends batches of depth equal requests and reads their replies, reusing its memory: it costs the server's
// process nothing but its own two system calls per batch.
type pipeline struct {
	nc           net.Conn
	batch, reply []byte
}

func newPipeline(t testing.TB, dev block.Device, cmd uint16, n, depth, stride int) *pipeline {
	nc, err := net.Dial("unix", start(t, one(dev)))
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	_, err = io.ReadFull(nc, make([]byte, 18))
	require.NoError(t, err)
	_, err = nc.Write([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x00"))
	require.NoError(t, err)
	_, err = io.ReadFull(nc, make([]byte, 10))
	require.NoError(t, err)
	p := &pipeline{nc: nc}
	for i := range depth {
		h := make([]byte, 28)
		binary.BigEndian.PutUint32(h, 0x25609513)
		binary.BigEndian.PutUint16(h[6:], cmd)
		binary.BigEndian.PutUint64(h[8:], uint64(i))
		binary.BigEndian.PutUint64(h[16:], uint64(i*n*stride)%(32<<20))
		binary.BigEndian.PutUint32(h[24:], uint32(n))
		p.batch = append(p.batch, h...)
		if cmd == 1 {
			p.batch = append(p.batch, bytes.Repeat([]byte{0xA5}, n)...)
		}
	}
	p.reply = make([]byte, depth*16)
	if cmd == 0 {
		p.reply = make([]byte, depth*(16+n))
	}
	return p
}

func (p *pipeline) round() error {
	if _, err := p.nc.Write(p.batch); err != nil {
		return err
	}
	_, err := io.ReadFull(p.nc, p.reply)
	return err
}

func device() *mem.Disk { return mem.New(64<<20, mem.Options{}) }

// TestNoAllocations: a small read or write costs the garbage collector nothing, client included.
func TestNoAllocations(t *testing.T) {
	for _, cmd := range []uint16{0, 1} {
		for _, stride := range []int{7, 1} { // one by one, and joined
			p := newPipeline(t, device(), cmd, 4096, 16, stride)
			require.NoError(t, p.round())
			require.Less(t, testing.AllocsPerRun(200, func() { _ = p.round() }), 1.0, "command %d, per 16 requests", cmd)
		}
	}
}

func benchmark(b *testing.B, dev block.Device, cmd uint16, n, depth int) {
	p := newPipeline(b, dev, cmd, n, depth, 7)
	b.SetBytes(int64(n))
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += depth {
		if err := p.round(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServe4K(b *testing.B) {
	for _, op := range []struct {
		name string
		cmd  uint16
	}{{"read", 0}, {"write", 1}} {
		for _, depth := range []int{1, 16, 64} {
			b.Run(op.name+"/qd"+itoa(depth), func(b *testing.B) { benchmark(b, device(), op.cmd, 4096, depth) })
		}
		b.Run(op.name+"/workers/qd16", func(b *testing.B) { benchmark(b, &slow{device()}, op.cmd, 4096, 16) })
	}
}

func BenchmarkServe1M(b *testing.B) {
	b.Run("read", func(b *testing.B) { benchmark(b, device(), 0, 1<<20, 4) })
	b.Run("write", func(b *testing.B) { benchmark(b, device(), 1, 1<<20, 4) })
}
