package nbd_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/fuzz/targets"
	"graid/nbd"
	"graid/nbd/nbdtest"
)

// script is a connection whose other end says what is written down, and then nothing more.
type script struct {
	in   []byte
	step int           // bytes that one Read brings at most; 0 = all
	gate chan struct{} // when set: behind the first open bytes Read waits for it
	open int
	done chan struct{} // closed by Close

	mu   sync.Mutex
	out  []byte
	once sync.Once
}

func (c *script) Read(p []byte) (int, error) {
	if c.gate != nil && c.open == 0 {
		<-c.gate
	}
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := len(p)
	if c.step > 0 {
		n = min(n, c.step)
	}
	if c.gate != nil && c.open > 0 {
		n = min(n, c.open)
		c.open -= n
	}
	n = copy(p[:n], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *script) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, p...)
	return len(p), nil
}

func (c *script) Close() error                     { c.once.Do(func() { close(c.done) }); return nil }
func (c *script) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "script"} }
func (c *script) RemoteAddr() net.Addr             { return c.LocalAddr() }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }

// said is room for all that a server says to a few KiB.
var said = make([]byte, 0, 4<<20)

// setup is the server of a run.
type setup struct {
	readOnly, secret bool // secret: it lists nothing
	block            int64
}

const diskSize = 64 << 10

// strict is a disk for which a request outside of it is a bug of the server: a client is told before a device is asked.
type strict struct{ *mem.Disk }

func (d strict) Do(ctx context.Context, r block.Request) error {
	if r.Off < 0 || r.Len < 0 || r.Off > diskSize || r.Len > diskSize-r.Off {
		panic("asked to " + r.String())
	}
	return d.Disk.Do(ctx, r)
}

// answers is what a server says to a client that sends in. Nothing may panic in it, and a few KiB may not make it allocate more than 1 MiB. Few
// requests are in flight and they are small: what large ones take is asked for and allowed.
func (o setup) answers(t *testing.T, in []byte, step int) []byte {
	var out []byte
	targets.Allocates(t, len(in), func() {
		dev := &strict{mem.New(diskSize, mem.Options{Block: o.block})}
		exports := []nbd.Export{{Name: "disk", Description: "a disk", Dev: dev, ReadOnly: o.readOnly}, {Name: "other", Dev: dev}}
		s := &nbd.Server{List: func() []nbd.Export { return exports }, Limits: nbd.Limits{Requests: 8, Payload: 8 << 10}}
		if o.secret {
			s = &nbd.Server{Exports: func(name string) (*nbd.Export, error) {
				if name == "disk" {
					return &exports[0], nil
				}
				return nil, nil
			}, Limits: s.Limits}
		}
		l := &pipes{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		c := &script{in: in, step: step, done: make(chan struct{}), out: said[:0]}
		l.conns <- c
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l) }()
		<-c.done
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-ended)
		require.Zero(t, s.Panics())
		out = c.out
	})
	return out
}

// FuzzHandshake sends any bytes from the client's flags on. What comes back is what the protocol allows, see conversation.
func FuzzHandshake(f *testing.F) {
	t := &testing.T{}
	for _, lines := range [][]string{
		{"4:3", `opt:GO str:"disk" 2:0`, "req:0:READ:1:0:512", "req:0:DISC:2:0:0"},
		{"4:1", "opt:STRUCTURED_REPLY", `opt:SET_META_CONTEXT str:"disk" 4:1 str:"base:allocation"`, `opt:GO str:"disk" 2:3 2:1 2:2 2:3`, "req:0:BLOCK_STATUS:1:0:512"},
		{"4:3", "opt:LIST", `opt:INFO str:"" 2:0`, `opt:LIST_META_CONTEXT str:"disk" 4:0`, "opt:STARTTLS", "opt:ABORT"},
		{"4:0", `opt:EXPORT_NAME "disk"`, "req:0:WRITE:1:512:512", "fill:512:77", "req:0:FLUSH:2:0:0"},
		{"4:4"}, {"4:3", `opt:GO str:"nobody" 2:0`}, {"4:3", `opt:EXPORT_NAME "nobody"`},
		{"4:3", "opt:SET_META_CONTEXT:0x100000"}, {"4:3", "opt:STRUCTURED_REPLY", "opt:LIST_META_CONTEXT:0x100001"}, {"4:3", "opt:GO:0xffffffff"},
		{"4:3", "opt:STRUCTURED_REPLY", `opt:SET_META_CONTEXT str:"disk" 4:0xffffffff str:"base:allocation"`}, {"4:3", `opt:GO 4:0xffffffff "disk" 2:0`},
	} {
		var b []byte
		for _, line := range lines {
			b = append(b, encode(t, line)...)
		}
		f.Add(b, uint8(0), false)
		f.Add(b, uint8(5), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8, secret bool) {
		in = in[:min(len(in), 8192)]
		conversation(t, renumber(in), setup{secret: secret}.answers(t, renumber(in), int(step)), setup{secret: secret})
	})
}

// FuzzOption sends one option with any data, after structured replies were negotiated or before, twice; then the connection must be usable.
func FuzzOption(f *testing.F) {
	t := &testing.T{}
	for _, line := range []string{`str:"disk" 2:0`, `str:"disk" 2:2 2:0 2:3`, `str:"disk" 4:1 str:"base:allocation"`, `str:"disk" 4:2 str:"base:" str:"x:"`, "2:7", "",
		`str:"disk" 4:1 4:0xfffffff0 "base:"`, `4:0xfffffffc "disk"`, `str:"disk" 2:0x8000`, `str:"a\x00b" 2:0`, `str:"\xff" 4:0`} {
		for code := range uint32(12) {
			f.Add(code, encode(t, line), code%2 == 0)
		}
	}
	f.Add(uint32(0x47524944), encode(t, `2:1 2:0 fill:16:11 fill:16:22 8:7 str:"disk"`), false)
	f.Add(uint32(0x47524944), encode(t, `2:1 2:0 fill:16:11 fill:16:22 8:7 4:0xffffffff`), true)
	f.Fuzz(func(t *testing.T, code uint32, data []byte, structured bool) {
		in := encode(t, "4:3")
		if structured {
			in = append(in, encode(t, "opt:STRUCTURED_REPLY")...)
		}
		for range 2 {
			in = be.AppendUint32(append(in, "IHAVEOPT"...), code)
			in = append(be.AppendUint32(in, uint32(min(len(data), 8192))), data[:min(len(data), 8192)]...)
		}
		after := append(in, encode(t, `opt:GO str:"disk" 2:0`)...)
		after = append(after, encode(t, "req:0:READ:77:0:16")...)
		conversation(t, after, setup{}.answers(t, after, 0), setup{})
	})
}

// FuzzTransmission sends requests, each of eight bytes of the fuzzer's, with the payload that belongs to it, and then any bytes.
func FuzzTransmission(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x10\x00\x01\x01\x00\x00\x10\x00\x02\x00\x00\x03\x00\x00\x00\x00\x00\x00"), []byte{}, uint8(0))
	f.Add([]byte("\x00\x07\x00\x00\x00\x01\x00\x00\x08\x07\x00\xff\xff\x00\x00\x01\x00\x06\x00\x02\x00\x00\x02\x01\x00\x04\x00\x01\x00\x00\x10\x00"), []byte("x"), uint8(1))
	f.Add([]byte("\x04\x00\x01\x00\x00\x00\x00\x01\x00\x01\x00\xff\xff\x00\x00\x02\x00\x02\x00\x00\x00\x00\x00\x00"), []byte{}, uint8(2))
	f.Add([]byte("\x00\x01\x00\x00\x00\x00\x20\x01\x00\x00\x00\x00\x00\x00\x20\x01\xff\xff\x00\x00\x00\xff\xff\xff"), []byte("\x25\x60\x95\x13"), uint8(5))
	f.Fuzz(func(t *testing.T, requests, tail []byte, how uint8) {
		o := setup{readOnly: how&2 != 0, block: 512 << (how >> 2 & 3)}
		in := encode(t, "4:3")
		if how&1 != 0 {
			in = append(in, encode(t, "opt:STRUCTURED_REPLY")...)
			in = append(in, encode(t, `opt:SET_META_CONTEXT str:"disk" 4:1 str:"base:allocation"`)...)
		}
		in = append(in, encode(t, `opt:GO str:"disk" 2:0`)...)
		for n := 0; len(requests) >= 8 && n < 100; requests, n = requests[8:], n+1 {
			b := requests[:8]
			in = be.AppendUint32(in, 0x25609513)
			in = be.AppendUint16(in, uint16(b[0]))
			in = be.AppendUint16(in, uint16(b[1]))
			in = be.AppendUint64(in, uint64(n))
			off := uint64(b[2])<<16 | uint64(b[3])<<8 | uint64(b[4])
			if b[2] >= 0xf0 { // just below 2^64
				off |= 0xffffffff_ff000000
			}
			size := uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7])
			in = be.AppendUint64(in, off)
			in = be.AppendUint32(in, size)
			if b[1] == 1 {
				in = append(in, make([]byte, min(size, 16<<10))...)
			}
		}
		in = renumber(append(in, tail[:min(len(tail), 4096)]...))
		conversation(t, in, o.answers(t, in, int(how>>4)*100), o)
	})
}

// FuzzReplies gives the client of the tests any bytes for replies: every call ends, what it says was read came over the wire, and it takes little memory.
func FuzzReplies(f *testing.F) {
	t := &testing.T{}
	for _, lines := range [][]string{
		{"simple:0:1", "fill:64:11", "simple:5:2", "simple:0:3"},
		{"chunk:0:DATA:1 8:0 fill:32:11", "chunk:DONE:HOLE:1 8:32 4:32", "chunk:DONE:STATUS:2 4:1 4:64 4:3", "chunk:DONE:NONE:3"},
		{"chunk:DONE:ERROR:1 4:5 2:3 \"why\"", "chunk:DONE:ERROR:2 4:22 2:0"},
		{"chunk:0:DATA:1 8:0 fill:32:11", "chunk:DONE:DATA:1 8:0 fill:32:11"}, // half of it twice
		{"chunk:DONE:HOLE:1 8:0 4:0xffffffff"}, {"chunk:DONE:DATA:1:0xffffffff 8:0"}, {"chunk:DONE:STATUS:2:0x100000 4:1"}, {"simple:0:9"},
	} {
		var b []byte
		for _, line := range lines {
			b = append(b, encode(t, line)...)
		}
		f.Add(b, true, false)
		f.Add(b, false, false)
	}
	f.Add(append(encode(t, "hello"), encode(t, "rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d")...), false, true)
	f.Add(append(encode(t, "hello"), encode(t, "rep:STRUCTURED_REPLY:ERR_UNSUP:0xffff")...), true, true)
	f.Fuzz(func(t *testing.T, in []byte, structured, all bool) {
		in = bytes.ReplaceAll(in[:min(len(in), 4096)], []byte{0xA5}, []byte{0x5A})
		var before []byte
		if !all {
			before = encode(t, "hello")
			if structured {
				before = append(before, encode(t, "rep:STRUCTURED_REPLY:ACK")...)
				before = append(before, encode(t, "rep:SET_META_CONTEXT:ACK")...)
			}
			before = append(before, encode(t, "rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d")...)
			before = append(before, encode(t, "rep:GO:ACK")...)
		}
		whole := slices.Concat(before, in)
		targets.Allocates(t, len(in), func() {
			nc := &script{in: whole, done: make(chan struct{}), out: said[:0]}
			if !all {
				nc.gate, nc.open = make(chan struct{}), len(before)
			}
			c, err := nbdtest.New(nc, nbdtest.Options{Export: "disk", Structured: structured})
			if err != nil {
				require.True(t, all, "%v", err)
				return
			}
			calls := []<-chan nbdtest.Reply{
				c.Start(nbdtest.Read, 0, 0, 64, nil), c.Start(nbdtest.BlockStatus, 0, 0, 64, nil), c.Start(nbdtest.Flush, 0, 0, 0, nil), c.Start(nbdtest.Read, 0, 1<<63, 64, nil),
			}
			if nc.gate != nil {
				close(nc.gate)
			}
			for i, call := range calls {
				r := <-call
				if r.Err == nil && r.Errno == 0 && i%3 == 0 {
					require.NotContains(t, string(r.Data), "\xA5", "call %d: not all of it was received", i)
				}
				if r.Err == nil && r.Errno == 0 && i == 1 {
					require.NotEmpty(t, r.Extents)
				}
			}
			require.NoError(t, c.Close())
		})
	})
}
