package nbd_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block/mem"
	"graid/nbd"
)

// cost is what the process has of what runs out.
type cost struct {
	descriptors, tasks int
	heap               int64 // bytes
}

func costs(t *testing.T) (c cost) {
	runtime.GC()
	runtime.GC() // what the first took out of pools, the second frees
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.heap, c.tasks = int64(m.HeapAlloc), runtime.NumGoroutine()
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		c.descriptors = len(list)
	}
	return c
}

// settled waits until the server is back at what it was, but for slack, and fails if it does not come back.
func settled(t *testing.T, s *nbd.Server, before cost, heap int64) {
	t.Helper()
	var now cost
	for range 400 {
		if now = costs(t); len(s.Clients()) == 0 && now.descriptors <= before.descriptors && now.tasks <= before.tasks && now.heap <= before.heap+heap {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	require.Fail(t, "not given back", "before %+v, now %+v, clients %v", before, now, s.Clients())
}

// full says whether long tests run in full: GRAID_SOAK=1.
func full() bool { return os.Getenv("GRAID_SOAK") != "" }

// aborts are the moments at which a client may go away.
var aborts = map[string]func(t *testing.T, c net.Conn){
	"at once":            func(t *testing.T, c net.Conn) {},
	"after the greeting": func(t *testing.T, c net.Conn) { expect(t, c, "hello") },
	"in an option": func(t *testing.T, c net.Conn) {
		expect(t, c, "hello")
		say(t, c, "4:3")
		say(t, c, "opt:SET_META_CONTEXT:0xfffff")
		say(t, c, "fill:5000:61")
	},
	"by ABORT": func(t *testing.T, c net.Conn) {
		expect(t, c, "hello")
		say(t, c, "4:3")
		say(t, c, "opt:ABORT")
		expect(t, c, "rep:ABORT:ACK")
	},
	"in a header":  func(t *testing.T, c net.Conn) { handshake(t, c); say(t, c, "fill:20:25") },
	"in a payload": func(t *testing.T, c net.Conn) { handshake(t, c); say(t, c, "req:0:WRITE:1:0:0x40000 fill:0x1000:61") },
	"with replies to come": func(t *testing.T, c net.Conn) {
		handshake(t, c)
		say(t, c, strings.TrimSpace("req:0:READ:1:0:0x80000"))
		say(t, c, "req:0:FLUSH:2:0:0")
	},
	"by DISC": func(t *testing.T, c net.Conn) {
		handshake(t, c)
		say(t, c, "req:0:DISC:1:0:0")
		_, _ = io.Copy(io.Discard, c)
	},
	"in TLS": func(t *testing.T, c net.Conn) {
		expect(t, c, "hello")
		say(t, c, "4:3")
		say(t, c, "opt:STARTTLS")
		expect(t, c, "rep:STARTTLS:ACK")
		say(t, c, "2:0x1603 4:0x01000000")
	},
	"over TLS": func(t *testing.T, c net.Conn) {
		expect(t, c, "hello")
		say(t, c, "4:3")
		x, err := upgrade(t, c, outer(t))
		require.NoError(t, err)
		say(t, x, `opt:GO str:"disk" 2:0`)
	},
}

func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	_, err := c.Write(encode(t, line))
	require.NoError(t, err)
}

// TestConnectAndAbort: clients that come and go away at any moment leave nothing behind: no descriptor, no task, no memory.
func TestConnectAndAbort(t *testing.T) {
	cycles := 300
	if full() {
		cycles = 10_000
	}
	for _, inline := range []bool{true, false} {
		s := one(newTap(inline))
		s.TLS, s.TLSOptional = mutual(t), true
		path := start(t, s)
		round := func(n int) {
			for n > 0 {
				for _, abort := range aborts {
					c, err := net.Dial("unix", path)
					require.NoError(t, err)
					abort(t, c)
					c.Close()
					n--
				}
			}
		}
		round(100) // pools are filled, and what is made once is made
		settled(t, s, cost{1 << 20, 1 << 20, 0}, 1<<40)
		before := costs(t)
		round(cycles)
		settled(t, s, before, 2<<20)
		require.Zero(t, s.Panics())
		require.NoError(t, dial(t, path, true).Sync())
	}
}

// TestIdleClients: 500 clients that say nothing cost little, nobody is slower for them, and when they have gone nothing of them is left.
func TestIdleClients(t *testing.T) {
	const clients, most = 500, 96 << 10 // bytes of heap each, of which this side has some
	s := one(mem.New(1<<20, mem.Options{}))
	s.TLS, s.TLSOptional = mutual(t), true
	path := start(t, s)
	c := dial(t, path, true)
	require.NoError(t, c.Sync())
	before := costs(t)
	var list []io.Closer
	for i := range clients {
		nc, err := net.Dial("unix", path)
		require.NoError(t, err)
		list = append(list, nc)
		require.NoError(t, nc.SetDeadline(time.Now().Add(60*time.Second)))
		if i%50 == 0 { // some with TLS
			expect(t, nc, "hello")
			say(t, nc, "4:3")
			x, err := upgrade(t, nc, outer(t))
			require.NoError(t, err)
			enterTLS(t, x)
			continue
		}
		handshake(t, nc)
		say(t, nc, "req:0:READ:1:0:512")
		_, err = io.ReadFull(nc, make([]byte, 16+512))
		require.NoError(t, err)
	}
	now := costs(t)
	require.Less(t, (now.heap-before.heap)/clients, int64(most), "bytes for each")
	require.LessOrEqual(t, now.tasks-before.tasks, clients+20, "one task each")
	for range 100 {
		_, err := c.WriteAt(make([]byte, 4096), 0)
		require.NoError(t, err)
	}
	for _, nc := range list {
		nc.Close()
	}
	require.Eventually(t, func() bool { return s.Clients()[0].Connections == 1 }, 20*time.Second, 10*time.Millisecond)
	c.Close()
	settled(t, s, before, 2<<20)
}

func enterTLS(t *testing.T, c *tls.Conn) {
	converse(t, c, `> opt:GO str:"disk" 2:0`, "< rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d", "< rep:GO:ACK")
}
