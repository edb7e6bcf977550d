package nbd_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
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

// pipes is a listener of pipes, so that a server and its clients fit into a bubble of virtual time.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// bubble runs f against s in virtual time.
func bubble(t *testing.T, s *nbd.Server, f func(t *testing.T, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		go s.Serve(l)
		var ends []net.Conn
		f(t, func() net.Conn {
			mine, theirs := net.Pipe()
			l.conns <- theirs
			ends = append(ends, mine)
			return mine
		})
		s.Close()
		for _, c := range ends {
			c.Close()
		}
		synctest.Wait()
	})
}

func send(t *testing.T, c net.Conn, line string) {
	t.Helper()
	go c.Write(encode(t, line)) // a pipe has no buffer
	synctest.Wait()
}

func expect(t *testing.T, c net.Conn, line string) {
	t.Helper()
	want := encode(t, line)
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err, line)
	require.Equal(t, want, got, line)
}

// closed says whether the server closes c within a minute in which nobody sends anything.
func closed(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(time.Minute))
	_, err := io.Copy(io.Discard, c)
	return err == nil
}

// TestLimits attacks a server twice: with its limits, which must stop the attack, and with the one limit out of the way,
// which must not; or the test would be passed by something else.
func TestLimits(t *testing.T) {
	greet := func(t *testing.T, c net.Conn) {
		expect(t, c, "hello")
		send(t, c, "4:3")
	}
	enter := func(t *testing.T, c net.Conn) {
		greet(t, c)
		send(t, c, `opt:EXPORT_NAME "disk"`)
		expect(t, c, `8:0x10000000000 2:0xd6d`)
	}
	for _, a := range []struct {
		name    string
		off     nbd.Limits // with this the attack succeeds
		stopped func(t *testing.T, dial func() net.Conn) bool
	}{
		{"a client that says nothing", nbd.Limits{Handshake: time.Hour}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			expect(t, c, "hello")
			return closed(c)
		}},
		{"a client that says a byte a second", nbd.Limits{Handshake: time.Hour}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			greet(t, c)
			for _, b := range []byte("IHAVEOPTIHAVEOPT") {
				time.Sleep(time.Second)
				c.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := c.Write([]byte{b}); err != nil {
					return true
				}
			}
			return false
		}},
		{"a client that does not read the handshake", nbd.Limits{Handshake: time.Hour}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			time.Sleep(time.Minute)
			return closed(c)
		}},
		{"33 options", nbd.Limits{Options: 33}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			greet(t, c)
			for range 32 {
				send(t, c, "opt:STRUCTURED_REPLY")
				expect(t, c, "rep:STRUCTURED_REPLY:ACK")
			}
			c.SetWriteDeadline(time.Now().Add(time.Second))
			_, err := c.Write(encode(t, "opt:STRUCTURED_REPLY"))
			return err != nil
		}},
		{"an option of 65 KiB", nbd.Limits{OptionBytes: 70 << 10}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			greet(t, c)
			send(t, c, "opt:77 fill:66560:61")
			head := make([]byte, 20)
			_, err := io.ReadFull(c, head)
			require.NoError(t, err)
			return binary.BigEndian.Uint32(head[12:]) == 1<<31+9
		}},
		{"an option that promises 2 MiB", nbd.Limits{MetaBytes: 4 << 20}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			greet(t, c)
			send(t, c, "opt:SET_META_CONTEXT:0x200000")
			c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 1))
			return err == io.EOF
		}},
		{"a read of 32 MiB and a byte", nbd.Limits{Payload: 33 << 20}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			enter(t, c)
			send(t, c, "req:0:READ:1:0:0x2000001")
			head := make([]byte, 16)
			_, err := io.ReadFull(c, head)
			require.NoError(t, err)
			return binary.BigEndian.Uint32(head[4:]) == 22
		}},
		{"a write of 32 MiB and a byte", nbd.Limits{Payload: 33 << 20}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			enter(t, c)
			send(t, c, "req:0:WRITE:1:0:0x2000001 fill:0x2000001:61")
			head := make([]byte, 16)
			_, err := io.ReadFull(c, head)
			require.NoError(t, err)
			return binary.BigEndian.Uint32(head[4:]) == 22
		}},
		{"a write of 64 MiB and a byte", nbd.Limits{Skip: 65 << 20}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			enter(t, c)
			send(t, c, "req:0:WRITE:1:0:0x4000001")
			c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 1))
			return err == io.EOF
		}},
		{"1025 connections", nbd.Limits{Connections: 1025}, func(t *testing.T, dial func() net.Conn) bool {
			for range 1024 {
				enter(t, dial())
			}
			_, err := dial().Read(make([]byte, 1))
			return err == io.EOF
		}},
		{"129 handshakes at once", nbd.Limits{Handshakes: 129}, func(t *testing.T, dial func() net.Conn) bool {
			enter(t, dial()) // it does not count
			first := dial()
			greet(t, first)
			for range 127 {
				greet(t, dial())
			}
			enter(t, dial()) // the newest is served whatever the others do
			first.SetReadDeadline(time.Now().Add(time.Second))
			_, err := first.Read(make([]byte, 1))
			return err == io.EOF
		}},
		{"a client that does not read its replies", nbd.Limits{Stall: time.Hour}, func(t *testing.T, dial func() net.Conn) bool {
			c := dial()
			enter(t, c)
			send(t, c, "req:0:READ:1:0:0x1000")
			time.Sleep(time.Minute)
			return closed(c)
		}},
	} {
		t.Run(a.name, func(t *testing.T) {
			for _, l := range []struct {
				limits nbd.Limits
				stops  bool
			}{{nbd.Limits{}, true}, {a.off, false}} {
				s := one(mem.New(1<<40, mem.Options{}))
				s.Limits = l.limits
				bubble(t, s, func(t *testing.T, dial func() net.Conn) {
					require.Equal(t, l.stops, a.stopped(t, dial), "limits %+v", l.limits)
				})
			}
		})
	}
}

// TestInFlight floods a device that answers nothing: exactly as many requests arrive as the limits allow.
func TestInFlight(t *testing.T) {
	for _, a := range []struct {
		name   string
		limits nbd.Limits
		n      uint32 // length of each request
		want   int
	}{
		{"requests", nbd.Limits{Workers: 1000}, 512, 128},
		{"fewer requests", nbd.Limits{Workers: 1000, Requests: 8}, 512, 8},
		{"bytes", nbd.Limits{Workers: 1000}, 1 << 20, 63}, // each takes a page more
		{"one over the limit of bytes is let in", nbd.Limits{Workers: 1000, Bytes: 1}, 4096, 1},
		{"workers", nbd.Limits{}, 512, 32},
	} {
		t.Run(a.name, func(t *testing.T) {
			disk := blocktest.NewFaulty(&slow{mem.New(1<<40, mem.Options{})}, blocktest.FaultyOptions{})
			s := one(disk)
			s.Limits = a.limits
			bubble(t, s, func(t *testing.T, dial func() net.Conn) {
				hold := disk.Hold(func(r block.Request) bool { return r.Op == block.Read })
				c, err := nbdtest.New(dial(), nbdtest.Options{Export: "disk"})
				require.NoError(t, err)
				var replies []<-chan nbdtest.Reply
				sent := make(chan struct{})
				go func() {
					for range 200 {
						replies = append(replies, c.Start(nbdtest.Read, 0, 0, a.n, nil))
					}
					close(sent)
				}()
				synctest.Wait()
				require.Equal(t, a.want, hold.Arrived())
				hold.Release()
				<-sent
				for _, r := range replies {
					require.Zero(t, (<-r).Errno)
				}
			})
		})
	}
}

// TestStuckReader: a client that reads no replies is no longer served beyond its budget, while another on the same device
// is; when it does read, every byte is there.
func TestStuckReader(t *testing.T) {
	for _, inline := range []bool{true, false} {
		for _, size := range []int{1 << 20, 16 << 10} {
			disk := newTap(inline)
			path := start(t, one(disk))
			stuck, err := net.Dial("unix", path)
			require.NoError(t, err)
			defer stuck.Close()
			handshake(t, stuck)
			n := 200 << 20 / size
			sent := make(chan error, 1)
			go func() {
				_, err := stuck.Write(bytes.Repeat(encode(t, "req:0:READ:1:0:"+itoa(size)), n))
				sent <- err
			}()

			// When the reads stand still for a thousand round trips of somebody else, they stand.
			c := dial(t, path, true)
			for last, still := int64(0), 0; still < 1000; still++ {
				_, err := c.WriteAt(make([]byte, 512), 1<<20)
				require.NoError(t, err)
				if now := disk.reads.Load(); now != last {
					last, still = now, 0
				}
			}
			require.Less(t, disk.reads.Load(), int64(n/2), "inline %v, %d bytes: the budget is 64 MiB", inline, size)
			stuck.SetDeadline(time.Now().Add(20 * time.Second))
			got, err := io.CopyN(io.Discard, stuck, int64(n)*(16+int64(size)))
			require.NoError(t, err, "after %d bytes", got)
			require.NoError(t, <-sent)
		}
	}
}

// TestStall: a client that takes nothing of its replies is closed, on a socket with buffers too.
func TestStall(t *testing.T) {
	s := one(&slow{mem.New(64<<20, mem.Options{})})
	s.Limits.Stall = 50 * time.Millisecond
	path := start(t, s)
	stuck, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer stuck.Close()
	handshake(t, stuck)
	for range 16 {
		_, err = stuck.Write(encode(t, "req:0:READ:1:0:0x100000"))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return len(s.Clients()) == 0 }, 10*time.Second, 5*time.Millisecond)
}
