package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/nbd"
)

// soon waits for a condition that must come true.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), what)
	}
}

// TestClientHandshakeTimeout: a server that was stopped, or is none, is given up in time, whatever it said before that.
func TestClientHandshakeTimeout(t *testing.T) {
	for name, says := range map[string]string{
		"nothing":         "",
		"half a greeting": "NBDMAGICIH",
		"a greeting":      "NBDMAGICIHAVEOPT\x00\x03",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()
			go func() {
				if nc, err := ln.Accept(); err == nil {
					defer nc.Close()
					_, _ = io.WriteString(nc, says)
					_, _ = io.Copy(io.Discard, nc)
				}
			}()
			ended := make(chan error, 1)
			go func() {
				_, err := nbd.Dial(context.Background(), "nbd://"+ln.Addr().String(), nbd.Options{Handshake: 100 * time.Millisecond})
				ended <- err
			}()
			select {
			case err := <-ended:
				require.ErrorContains(t, err, "handshake")
			case <-time.After(time.Minute):
				t.Fatal("still waiting for the server")
			}
		})
	}
}

// TestClientTimeout: a request that is not answered ends in time, nothing is put into its memory afterwards, and the connection, on which the
// answer comes in the end, goes on.
func TestClientTimeout(t *testing.T) {
	for name, first := range map[string]string{
		"silence":           "",
		"half a header":     "4:0x668e33ef 2:1",
		"a header":          "chunk:DONE:DATA:$:8200 8:4096",
		"a trickle":         "chunk:DONE:DATA:$:8200 8:4096 fill:100:11",
		"a part":            "chunk:0:DATA:$ 8:4096 fill:4096:11",
		"half of large one": "large",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			size := 8192
			if first == "large" {
				size = 256 << 10
			}
			late, told := make(chan bool), make(chan bool)
			uri := rogues(t, func(n int, r *rogue) {
				q, ok := heard{}, r.greet(true)
				if ok {
					q, ok = r.next()
				}
				if !ok {
					return
				}
				sent := 0
				switch first {
				case "":
				case "large":
					r.say(q, "chunk:DONE:DATA:$:262152 8:4096 fill:100000:11")
					sent = 100000
				default:
					r.say(q, first)
					sent = strings.Count(first, "fill:100:11") * 100
				}
				if name == "a trickle" {
					for range 40 {
						r.nc.Write([]byte{0x11})
						sent++
						time.Sleep(5 * time.Millisecond)
					}
				}
				<-late
				switch name {
				case "silence":
					r.say(q, "chunk:DONE:DATA:$ 8:4096 fill:8192:11")
				case "half a header":
					b := encode(t, strings.ReplaceAll("chunk:DONE:DATA:$ 8:4096 fill:8192:11", "$", strconv.FormatUint(q.cookie, 10)))
					r.nc.Write(b[6:])
				case "a part":
					r.say(q, "chunk:DONE:DATA:$ 8:8192 fill:4096:11")
				default:
					r.nc.Write(bytes.Repeat([]byte{0x11}, size-sent))
				}
				close(told)
				r.serve(true)
			})
			c := client(t, uri, nbd.Options{Timeout: 150 * time.Millisecond})
			f := newFenced(size)
			err := block.ReadAt(ctx, c, f.mem, 4096)
			require.ErrorContains(t, err, "no answer in time")
			require.Equal(t, block.Path, block.Classify(err))
			after := bytes.Clone(f.mem)
			close(late)
			<-told
			g := newFenced(4096)
			soon(t, "the connection goes on", func() bool { return block.ReadAt(ctx, c, g.mem, 0) == nil })
			require.Equal(t, bytes.Repeat([]byte{0x5a}, 4096), g.mem)
			require.Equal(t, 1, c.Connected())
			require.Equal(t, after, f.mem, "an answer that came too late was put into memory that was given back")
			f.check(t)
		})
	}
}

// TestClientDoubts: a write that was sent and not answered may land, until the server says so.
func TestClientDoubts(t *testing.T) {
	late := make(chan bool)
	uri := rogues(t, func(n int, r *rogue) {
		if !r.greet(true) {
			return
		}
		q, ok := r.next()
		if ok {
			<-late
			r.say(q, "simple:0:$")
			r.serve(true)
		}
	})
	c := client(t, uri, nbd.Options{Timeout: 100 * time.Millisecond})
	err := block.WriteAt(ctx, c, block.Alloc(4096), 8192)
	require.Equal(t, block.Path, block.Classify(err), "%v", err)
	list, all := c.Doubts()
	require.False(t, all)
	require.Len(t, list, 1)
	require.Equal(t, []any{block.Write, int64(8192), int64(4096)}, []any{list[0].Op, list[0].Off, list[0].Len})
	close(late)
	soon(t, "the answer takes the doubt away", func() bool { list, _ := c.Doubts(); return len(list) == 0 })
}

// TestClientServerTakesNothing: a request that cannot even be sent in time ends its connection, which is in the middle of it.
func TestClientServerTakesNothing(t *testing.T) {
	end := make(chan bool)
	uri := rogues(t, func(n int, r *rogue) {
		switch {
		case !r.greet(true):
		case n > 0:
			r.serve(true)
		default:
			io.ReadFull(r.nc, make([]byte, 28))
			<-end
		}
	})
	t.Cleanup(func() { close(end) })
	c := client(t, uri, nbd.Options{Timeout: 200 * time.Millisecond})
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			err := block.WriteAt(ctx, c, block.Alloc(1<<20), 0)
			if block.Classify(err) != block.Path {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	all.Wait()
	list, _ := c.Doubts()
	require.NotEmpty(t, list)
	soon(t, "another connection goes on", func() bool { return block.ReadAt(ctx, c, block.Alloc(4096), 0) == nil })
}

// proxy is a way to a unix socket that can be cut and mended.
type proxy struct {
	uri string

	mu    sync.Mutex
	path  string // of the server behind it
	conns []net.Conn
	shut  bool
	made  int
}

func newProxy(t *testing.T, path string) *proxy {
	p := &proxy{path: path}
	p.uri = rogues(t, func(n int, r *rogue) {
		p.mu.Lock()
		path := p.path
		p.mu.Unlock()
		back, err := net.Dial("unix", path)
		p.mu.Lock()
		if err != nil || p.shut {
			p.mu.Unlock()
			return
		}
		p.made++
		p.conns = append(p.conns, r.nc, back)
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { io.Copy(back, r.nc); back.Close(); r.nc.Close() })
		both.Go(func() { io.Copy(r.nc, back); back.Close(); r.nc.Close() })
		both.Wait()
	})
	return p
}

// lead makes it the way to another server.
func (p *proxy) lead(path string) {
	p.mu.Lock()
	p.path = path
	p.mu.Unlock()
	p.cut(false)
}

// cut ends all connections; shut keeps new ones out.
func (p *proxy) cut(shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = shut
	for _, nc := range p.conns {
		nc.Close()
	}
	p.conns = nil
}

// TestClientReconnects: reads go on over lost connections as if nothing had happened, in flight or not.
func TestClientReconnects(t *testing.T) {
	disk := mem.New(1<<20, mem.Options{})
	want := noise(1 << 20)
	require.NoError(t, block.WriteAt(ctx, disk, want, 0))
	p := newProxy(t, start(t, one(disk)))
	c := client(t, p.uri, nbd.Options{Connections: 2})
	var reads atomic.Int64
	var all sync.WaitGroup
	stop := make(chan bool)
	for i := range 4 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			b := block.Alloc(64 << 10)
			for {
				select {
				case <-stop:
					return
				default:
				}
				n, off := int64(4096), rng.Int64N(240)*4096
				if i == 0 {
					n = 64 << 10
				}
				if err := block.ReadAt(ctx, c, b[:n], off); err != nil {
					t.Errorf("%v", err)
					return
				}
				if !bytes.Equal(b[:n], want[off:off+n]) {
					t.Errorf("read at %d returned something else", off)
					return
				}
				reads.Add(1)
			}
		})
	}
	for range 20 {
		before := reads.Load()
		soon(t, "reads go on", func() bool { return reads.Load() > before+20 || t.Failed() })
		p.cut(false)
	}
	close(stop)
	all.Wait()
	require.Greater(t, p.made, 5)
}

// TestClientGivesUp: without a connection requests end when they have waited long enough, and go on when it is back.
func TestClientGivesUp(t *testing.T) {
	p := newProxy(t, start(t, one(mem.New(1<<20, mem.Options{}))))
	c := client(t, p.uri, nbd.Options{Reconnect: 100 * time.Millisecond})
	b := block.Alloc(4096)
	p.cut(true)
	soon(t, "the loss is noticed", func() bool { return c.Connected() == 0 })
	err := block.ReadAt(ctx, c, b, 0)
	require.Equal(t, block.Path, block.Classify(err), "%v", err)
	require.ErrorContains(t, err, "connection lost")
	p.cut(false)
	soon(t, "requests go on", func() bool { return block.ReadAt(ctx, c, b, 0) == nil })

	once := client(t, p.uri, nbd.Options{Reconnect: -1})
	p.cut(true)
	soon(t, "the loss is noticed", func() bool { return once.Connected() == 0 })
	err = block.ReadAt(ctx, once, b, 0)
	require.Equal(t, block.Path, block.Classify(err), "%v", err)
}

// TestClientLosesNothingSilently: a server that is back, and may have forgotten what it acknowledged, is Gone; after a flush it has nothing to forget.
// A client that is told to trust goes on in any case.
func TestClientLosesNothingSilently(t *testing.T) {
	for name, x := range map[string]struct {
		flush, fua, trust bool
		want              block.Class
	}{
		"unflushed": {want: block.Gone}, "flushed": {flush: true}, "written through": {fua: true}, "trusted": {trust: true},
	} {
		t.Run(name, func(t *testing.T) {
			foreign := rogues(t, func(_ int, r *rogue) {
				if r.greet(true) {
					r.serve(true)
				}
			})
			p := newProxy(t, strings.SplitAfter(foreign, "socket=")[1])
			c := client(t, p.uri, nbd.Options{Trust: x.trust})
			b := block.Alloc(4096)
			r := block.Request{Op: block.Write, Len: 4096, Buf: b}
			if x.fua {
				r.Flags = block.FUA
			}
			require.NoError(t, c.Do(ctx, r))
			if x.flush {
				require.NoError(t, block.Sync(ctx, c))
			}
			p.cut(false)
			soon(t, "the loss is noticed", func() bool { return c.Connected() == 0 })
			for range 2 {
				err := block.ReadAt(ctx, c, b, 0)
				require.Equal(t, x.want, block.Classify(err), "%v", err)
				if x.want == block.Gone {
					require.ErrorContains(t, err, "did not flush")
				}
			}
		})
	}
}

// TestClientVerifies: what is behind an address is looked at at every connection, before anything else is done there.
func TestClientVerifies(t *testing.T) {
	disk, twin, larger := mem.New(1<<20, mem.Options{}), mem.New(1<<20, mem.Options{}), mem.New(2<<20, mem.Options{})
	for i, d := range []*mem.Disk{disk, twin, larger} {
		require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{byte(i + 1)}, 4096), 0))
	}
	p := newProxy(t, plain(t, disk))
	var asked atomic.Int64
	c := client(t, p.uri, nbd.Options{Reconnect: 300 * time.Millisecond, Verify: func(ctx context.Context, dev block.Device) error {
		asked.Add(1)
		b := block.Alloc(4096)
		if err := block.ReadAt(ctx, dev, b, 0); err != nil {
			return err
		}
		if b[0] != 1 {
			return errors.New("another one")
		}
		return nil
	}})
	require.EqualValues(t, 1, asked.Load())
	b := block.Alloc(4096)
	for _, x := range []struct {
		behind *mem.Disk
		want   string
	}{{twin, "another one"}, {larger, "had 1048576 bytes and has 2097152 now"}, {disk, ""}} {
		p.lead(plain(t, x.behind))
		soon(t, "the loss is noticed", func() bool { return c.Connected() == 0 })
		if x.want == "" {
			soon(t, "the right one is believed", func() bool { return block.ReadAt(ctx, c, b, 0) == nil })
			require.Equal(t, byte(1), b[0])
			continue
		}
		err := block.ReadAt(ctx, c, b, 0)
		require.ErrorContains(t, err, x.want)
		require.Equal(t, block.Path, block.Classify(err), "%v", err)
	}
}

// plain serves dev without anything that only graid knows.
func plain(t *testing.T, dev block.Device) string { return start(t, one(dev)) }
