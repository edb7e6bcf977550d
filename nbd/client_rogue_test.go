package nbd_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/nbd"
)

// rogue is one connection of a server that says what the test wants.
type rogue struct {
	t  *testing.T
	nc net.Conn
}

// heard is a request that reached it.
type heard struct {
	cmd, flags uint16
	cookie     uint64
	off        uint64
	len        uint32
}

// rogues serves every connection with talk, which is told how many there were before. What talk holds open is closed with the test.
func rogues(t *testing.T, talk func(n int, r *rogue)) (uri string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd")
	require.NoError(t, err)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for n := 0; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, nc)
			mu.Unlock()
			all.Go(func() {
				defer nc.Close()
				talk(n, &rogue{t, nc})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, nc := range conns {
			nc.Close()
		}
		mu.Unlock()
		all.Wait()
		os.RemoveAll(dir)
	})
	return unixURI(filepath.Join(dir, "s"), "disk")
}

// say sends lines of the transcripts' language; $ is the cookie of a request.
func (r *rogue) say(q heard, lines ...string) bool {
	var b []byte
	for _, line := range lines {
		b = append(b, encode(r.t, strings.ReplaceAll(line, "$", strconv.FormatUint(q.cookie, 10)))...)
	}
	_, err := r.nc.Write(b)
	return err == nil
}

// greet goes through the handshake as an honest server of 1 MiB, with structured replies or not, and with more to say about the export.
func (r *rogue) greet(structured bool, about ...string) bool {
	lines := []string{"hello", "rep:STRUCTURED_REPLY:ERR_UNSUP"}
	options := 3
	if structured {
		lines = []string{"hello", "rep:STRUCTURED_REPLY:ACK", `rep:SET_META_CONTEXT:META 4:7 "base:allocation"`, "rep:SET_META_CONTEXT:ACK"}
		options = 4
	}
	lines = append(lines, "rep:0x47524944:ERR_UNSUP") // no sessions here
	if about == nil {
		about = []string{"rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d", "rep:GO:ACK"}
	}
	return r.say(heard{}, append(lines, about...)...) && r.options(options)
}

// options reads what the client says in its handshake.
func (r *rogue) options(n int) bool {
	b := make([]byte, 16)
	if _, err := io.ReadFull(r.nc, b[:4]); err != nil {
		return false
	}
	for range n {
		if _, err := io.ReadFull(r.nc, b); err != nil {
			return false
		}
		if _, err := io.CopyN(io.Discard, r.nc, int64(be.Uint32(b[12:]))); err != nil {
			return false
		}
	}
	return true
}

// next is the next request; false when the client has gone.
func (r *rogue) next() (heard, bool) {
	b := make([]byte, 28)
	if _, err := io.ReadFull(r.nc, b); err != nil {
		return heard{}, false
	}
	q := heard{be.Uint16(b[6:]), be.Uint16(b[4:]), be.Uint64(b[8:]), be.Uint64(b[16:]), be.Uint32(b[24:])}
	if q.cmd == 1 {
		if _, err := io.CopyN(io.Discard, r.nc, int64(q.len)); err != nil {
			return heard{}, false
		}
	}
	return q, q.cmd != 2
}

// serve answers reads with bytes of 0x5a and everything else with success, until the client goes.
func (r *rogue) serve(structured bool) {
	for q, ok := r.next(); ok; q, ok = r.next() {
		r.honest(q, structured)
	}
}

func (r *rogue) honest(q heard, structured bool) {
	switch n := strconv.Itoa(int(q.len)); {
	case q.cmd == 0 && structured:
		r.say(q, "chunk:DONE:DATA:$ 8:"+strconv.FormatUint(q.off, 10)+" fill:"+n+":5a")
	case q.cmd == 0:
		r.say(q, "simple:0:$", "fill:"+n+":5a")
	default:
		r.say(q, "simple:0:$")
	}
}

// fenced is memory for a read, between bytes that must stay as they are.
type fenced struct{ all, mem []byte }

func newFenced(n int) fenced {
	all := bytes.Repeat([]byte{0xA5}, n+8192)
	return fenced{all, all[4096 : 4096+n]}
}

func (f fenced) check(t *testing.T) {
	t.Helper()
	fence := bytes.Repeat([]byte{0xA5}, 4096)
	require.Equal(t, fence, f.all[:4096])
	require.Equal(t, fence, f.all[len(f.all)-4096:])
}

// TestClientAgainstLies: whatever a server answers to a read of [4096,+8192), the read ends with a Path error that says what is wrong, no memory beside
// the buffer is touched, the buffer is left alone afterwards, and the next request goes to another connection and succeeds.
func TestClientAgainstLies(t *testing.T) {
	for name, x := range map[string]struct {
		say    []string
		simple bool // no structured replies
		want   string
	}{
		"another cookie":          {say: []string{"chunk:DONE:DATA:12345678 8:4096 fill:8192:11"}, want: "was not made"},
		"cookie of another turn":  {say: []string{"chunk:DONE:DATA:0x3000000000000 8:4096 fill:8192:11"}, want: "was not made"},
		"overlap":                 {say: []string{"chunk:0:DATA:$ 8:4096 fill:8192:11", "chunk:DONE:DATA:$ 8:8192 fill:4096:22"}, want: "or twice"},
		"overlapping hole":        {say: []string{"chunk:0:DATA:$ 8:4096 fill:4096:11", "chunk:DONE:HOLE:$ 8:4096 4:8192"}, want: "or twice"},
		"half of it":              {say: []string{"chunk:DONE:DATA:$ 8:4096 fill:4096:11"}, want: "in part"},
		"nothing of it":           {say: []string{"chunk:DONE:NONE:$"}, want: "in part"},
		"hole beyond the range":   {say: []string{"chunk:DONE:HOLE:$ 8:4096 4:0x100000"}, want: "outside of it"},
		"hole of four gigabytes":  {say: []string{"chunk:DONE:HOLE:$ 8:4096 4:0xffffffff"}, want: "outside of it"},
		"hole near the last byte": {say: []string{"chunk:DONE:HOLE:$ 8:0xfffffffffffffff0 4:32"}, want: "outside of it"},
		"hole of nothing":         {say: []string{"chunk:0:HOLE:$ 8:4096 4:0"}, want: "outside of it"},
		"data before the range":   {say: []string{"chunk:DONE:DATA:$ 8:0 fill:8192:11"}, want: "outside of it"},
		"data behind the range":   {say: []string{"chunk:DONE:DATA:$ 8:4097 fill:8192:11"}, want: "outside of it"},
		"too much data":           {say: []string{"chunk:DONE:DATA:$ 8:4096 fill:8193:11"}, want: "with 8201 bytes"},
		"four gigabytes of data":  {say: []string{"chunk:DONE:DATA:$:0xffffffff 8:4096 fill:8192:11"}, want: "bytes in reply"},
		"data of nothing":         {say: []string{"chunk:0:DATA:$ 8:4096"}, want: "bytes in reply"},
		"endless nothing":         {say: []string{"chunk:0:NONE:$"}, want: "bytes in reply"},
		"huge error text":         {say: []string{"chunk:DONE:ERROR:$ 4:5 2:0xffff fill:65535:41"}, want: "bytes in reply"},
		"text longer than it is":  {say: []string{"chunk:DONE:ERROR:$ 4:5 2:100 fill:10:41"}, want: "longer than it"},
		"error without a number":  {say: []string{"chunk:DONE:ERROR:$ 4:0 2:0"}, want: "without a number"},
		"unknown chunk":           {say: []string{"chunk:DONE:77:$ 4:0"}, want: "type 0x4d"},
		"chunk of another":        {say: []string{"chunk:DONE:STATUS:$ 4:7 4:8192 4:0"}, want: "type 0x5"},
		"simple reply":            {say: []string{"simple:0:$", "fill:8192:11"}, want: "structured one was due"},
		"structured reply":        {say: []string{"chunk:DONE:DATA:$ 8:4096 fill:8192:11"}, simple: true, want: "not negotiated"},
		"no reply at all":         {say: []string{"fill:64:00"}, want: "was not made"},
		"bad magic":               {say: []string{"4:0x12345678", "4:0", "8:$"}, want: "reply magic"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uri := rogues(t, func(n int, r *rogue) {
				if !r.greet(!x.simple) {
					return
				}
				if n > 0 {
					r.serve(!x.simple)
					return
				}
				q, ok := r.next()
				if ok && r.say(q, x.say...) {
					io.Copy(io.Discard, r.nc) // the client is to leave, not the server
				}
			})
			c := client(t, uri, nbd.Options{Timeout: 20 * time.Second})
			f := newFenced(8192)
			err := block.ReadAt(ctx, c, f.mem, 4096)
			after := bytes.Clone(f.mem)
			require.ErrorContains(t, err, x.want)
			require.Equal(t, block.Path, block.Classify(err), "%v", err)
			g := newFenced(8192)
			require.NoError(t, block.ReadAt(ctx, c, g.mem, 4096))
			require.Equal(t, bytes.Repeat([]byte{0x5a}, 8192), g.mem)
			require.Equal(t, after, f.mem, "changed after the request had ended")
			f.check(t)
			g.check(t)
		})
	}
}

// TestClientTakesOddAnswers: what is unusual but allowed is understood.
func TestClientTakesOddAnswers(t *testing.T) {
	for name, x := range map[string]struct {
		say  []string
		want string // of the buffer: letters of 1 KiB each; or an error
	}{
		"pieces out of order": {say: []string{"chunk:0:DATA:$ 8:8192 fill:4096:42", "chunk:0:HOLE:$ 8:5120 4:1024", "chunk:0:DATA:$ 8:4096 fill:1024:41",
			"chunk:0:DATA:$ 8:6144 fill:2048:43", "chunk:DONE:NONE:$"}, want: "A0CCBBBB"},
		"error behind the data":       {say: []string{"chunk:0:DATA:$ 8:4096 fill:8192:41", `chunk:DONE:ERROR:$ 4:5 2:3 "why"`}, want: "the server says: why"},
		"two errors":                  {say: []string{`chunk:0:0x8002:$ 4:5 2:5 "first" 8:4096`, `chunk:DONE:ERROR:$ 4:22 2:6 "second"`}, want: "the server says: first"},
		"an error of a kind unknown":  {say: []string{`chunk:DONE:0x8077:$ 4:28 2:4 "full" "more"`}, want: "no space left on backing storage: the server says: full"},
		"an errno unknown":            {say: []string{`chunk:DONE:ERROR:$ 4:4711 2:0`}, want: "path error: the server says: error 4711"},
		"an error's text with colour": {say: []string{`chunk:DONE:ERROR:$ 4:5 2:7 "a\n\x1b[1m\xff"`}, want: "the server says: a  [1m"},
		"simple error to a read":      {say: []string{"simple:5:$"}, want: "input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			uri := rogues(t, func(_ int, r *rogue) {
				if !r.greet(true) {
					return
				}
				if q, ok := r.next(); ok {
					r.say(q, x.say...)
					r.serve(true)
				}
			})
			c := client(t, uri, nbd.Options{})
			f := newFenced(8192)
			err := block.ReadAt(ctx, c, f.mem, 4096)
			f.check(t)
			if len(x.want) == 8 {
				require.NoError(t, err)
				for i, letter := range []byte(strings.ReplaceAll(x.want, "0", "\x00")) {
					require.Equal(t, bytes.Repeat([]byte{letter}, 1024), f.mem[i*1024:(i+1)*1024], "KiB %d", i)
				}
				return
			}
			require.ErrorContains(t, err, x.want)
			require.Equal(t, 1, c.Connected(), "an error is no reason to leave")
			require.NoError(t, block.ReadAt(ctx, c, f.mem, 0))
		})
	}
}
