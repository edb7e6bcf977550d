package nbd_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/nbd"
)

// peers are the servers that the rules are played against. Each serves "disk" at a unix socket: 1 MiB, of which the first 64 KiB are 0x5a
// and the rest is a hole; read-only if asked.
var peers = map[string]func(t *testing.T, readOnly bool) string{
	"graid": func(t *testing.T, readOnly bool) string {
		disk := mem.New(1<<20, mem.Options{})
		require.NoError(t, block.WriteAt(ctx, disk, bytes.Repeat([]byte{0x5a}, 64<<10), 0))
		return start(t, &nbd.Server{List: func() []nbd.Export { return []nbd.Export{{Name: "disk", Dev: disk, ReadOnly: readOnly}} }})
	},
	"nbdkit": func(t *testing.T, readOnly bool) string {
		dir, sock := image(t)
		args := []string{"-f", "-U", sock, "file", "dir=" + dir}
		if readOnly {
			args = append([]string{"-r"}, args...)
		}
		background(t, sock, "nbdkit", args...)
		return sock
	},
	"qemu": func(t *testing.T, readOnly bool) string {
		dir, sock := image(t)
		args := []string{"-k", sock, "-x", "disk", "-f", "raw", "-t", "-e", "8", "--discard=unmap", filepath.Join(dir, "disk")}
		if readOnly {
			args = append([]string{"-r"}, args...)
		}
		background(t, sock, "qemu-nbd", args...)
		return sock
	},
}

// image makes the file "disk" in a folder, and names a socket beside it.
func image(t *testing.T) (dir, sock string) {
	top, err := os.MkdirTemp("", "peer")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(top) })
	dir = filepath.Join(top, "d")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "disk")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{0x5a}, 64<<10), 0o600))
	require.NoError(t, os.Truncate(path, 1<<20))
	return dir, filepath.Join(top, "s")
}

// background runs a server until the test ends, once it listens.
func background(t *testing.T, sock, name string, args ...string) {
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stderr = &out
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	for range 2000 {
		if c, err := net.Dial("unix", sock); err == nil {
			c.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			require.NoError(t, err, out.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	require.Fail(t, "it does not listen", "%s", name)
}

// TestRules plays testdata/peers/*.txt, what the protocol's text and its clients insist on, against graid and the servers that everybody measures
// by. A line with > is sent; one with < is what must come back:
//
//	< hello                 the greeting
//	< rep OPTION KIND       replies to an option up to the one that ends them, which is of that kind; an error has a text
//	< ok COOKIE [TOKENS]    success, with these bytes if it is a read; after structured replies were agreed a read has a structured one
//	< error COOKIE ERRNO    an error; with a structured reply it has a text
//	< extents COOKIE LEN+STATE...   of base:allocation, merged where they go on
//	< close                 nothing more
//
// Where servers differ, and may, a line is for one of them, "nbdkit< close", or for all but one, "!nbdkit< ok 1"; ">" likewise.
func TestRules(t *testing.T) {
	need(t, "nbdkit", "qemu-nbd")
	files, err := filepath.Glob("testdata/peers/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for name, serve := range peers {
		t.Run(name, func(t *testing.T) {
			paths := map[bool]string{}
			for _, file := range files {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				for _, part := range strings.Split(string(text), "\n\n") {
					title, lines := titled(part)
					if len(lines) == 0 {
						continue
					}
					readOnly := lines[0] == "readonly"
					if readOnly {
						lines = lines[1:]
					}
					if paths[readOnly] == "" {
						paths[readOnly] = serve(t, readOnly)
					}
					t.Run(title, func(t *testing.T) { (&rule{t: t, server: name}).play(paths[readOnly], lines) })
				}
			}
		})
	}
}

func titled(part string) (title string, lines []string) {
	for _, line := range strings.Split(part, "\n") {
		if rest, ok := strings.CutPrefix(line, "# "); ok {
			if title == "" {
				title = rest
			}
		} else if line != "" {
			lines = append(lines, line)
		}
	}
	return title, lines
}

// rule is one conversation.
type rule struct {
	t          *testing.T
	server     string
	nc         net.Conn
	structured bool
	reads      map[uint64]bool // cookies of reads
	at         string
}

var shorthand = map[string][]string{
	"begin":      {"< hello", "> 4:3"},
	"simple":     {"< hello", "> 4:3", `> opt:GO str:"disk" 2:0`, "< rep GO ACK"},
	"structured": {"< hello", "> 4:3", "> opt:STRUCTURED_REPLY", "< rep STRUCTURED_REPLY ACK", `> opt:GO str:"disk" 2:0`, "< rep GO ACK"},
	"mapped": {"< hello", "> 4:3", "> opt:STRUCTURED_REPLY", "< rep STRUCTURED_REPLY ACK",
		`> opt:SET_META_CONTEXT str:"disk" 4:1 str:"base:allocation"`, "< rep SET_META_CONTEXT ACK", `> opt:GO str:"disk" 2:0`, "< rep GO ACK"},
}

func (r *rule) play(path string, lines []string) {
	nc, err := net.Dial("unix", path)
	require.NoError(r.t, err)
	defer nc.Close()
	require.NoError(r.t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	r.nc, r.reads = nc, map[uint64]bool{}
	var todo []string
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "use "); ok {
			require.Contains(r.t, shorthand, name)
			todo = append(todo, shorthand[name]...)
			continue
		}
		todo = append(todo, line)
	}
	for _, line := range todo {
		who, rest, ok := strings.Cut(line, " ")
		require.True(r.t, ok, line)
		dir := who[len(who)-1:]
		switch who = who[:len(who)-1]; {
		case who == "":
		case who[0] == '!':
			require.Contains(r.t, peers, who[1:])
			if who[1:] == r.server {
				continue
			}
		default:
			require.Contains(r.t, peers, who)
			if who != r.server {
				continue
			}
		}
		r.at = line
		if dir == ">" {
			r.send(rest)
			continue
		}
		require.Equal(r.t, "<", dir, line)
		r.expect(strings.Fields(rest))
	}
}

func (r *rule) send(line string) {
	b := encode(r.t, line)
	if len(b) >= 28 && be.Uint32(b) == 0x25609513 && be.Uint16(b[6:]) == 0 {
		r.reads[be.Uint64(b[8:])] = true
	}
	_, err := r.nc.Write(b)
	require.NoError(r.t, err, r.at)
}

func (r *rule) take(n int) []byte {
	r.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(r.nc, b)
	require.NoError(r.t, err, r.at)
	return b
}

func (r *rule) expect(f []string) {
	switch f[0] {
	case "hello":
		require.Equal(r.t, "NBDMAGICIHAVEOPT", string(r.take(16)))
		require.EqualValues(r.t, 3, be.Uint16(r.take(2)), "fixed newstyle, and no zeroes")
	case "close":
		b, err := io.ReadAll(r.nc)
		var reset bool
		if err != nil {
			reset = strings.Contains(err.Error(), "reset")
		}
		require.True(r.t, err == nil || reset, "%s: %v", r.at, err)
		require.Empty(r.t, b, r.at)
	case "rep":
		r.option(f[1], number(r.t, f[2]))
	case "export":
		b := r.take(10)
		require.EqualValues(r.t, 1<<20, be.Uint64(b), r.at)
		if f[1] != "0" {
			require.Equal(r.t, make([]byte, 124), r.take(124), r.at)
		}
	case "ok":
		var want []byte
		for _, k := range f[2:] {
			want = append(want, token(r.t, k)...)
		}
		errno, data, _ := r.reply(number(r.t, f[1]), len(want))
		require.Zero(r.t, errno, r.at)
		require.True(r.t, bytes.Equal(want, data), r.at)
	case "error":
		errno, _, _ := r.reply(number(r.t, f[1]), 0)
		require.EqualValues(r.t, number(r.t, f[2]), errno, r.at)
	case "extents":
		errno, _, got := r.reply(number(r.t, f[1]), 0)
		require.Zero(r.t, errno, r.at)
		if want := f[2:]; r.server != "graid" && len(got) == len(want) { // the last may reach beyond what was asked about
			last := len(want) - 1
			n, state, _ := strings.Cut(got[last], "+")
			m, _, _ := strings.Cut(want[last], "+")
			if number(r.t, n) > number(r.t, m) {
				got[last] = m + "+" + state
			}
		}
		require.Equal(r.t, strings.Join(f[2:], " "), strings.Join(got, " "), r.at)
	default:
		require.Fail(r.t, "unknown", r.at)
	}
}

// option takes the replies to one.
func (r *rule) option(name string, want uint64) {
	code := uint32(number(r.t, name))
	informed := false
	for {
		head := r.take(20)
		require.EqualValues(r.t, 0x3e889045565a9, be.Uint64(head), r.at)
		require.Equal(r.t, code, be.Uint32(head[8:]), r.at)
		kind, data := be.Uint32(head[12:]), r.take(int(be.Uint32(head[16:])))
		if kind == 3 && be.Uint16(data) == 0 {
			require.Len(r.t, data, 12)
			require.EqualValues(r.t, 1<<20, be.Uint64(data[2:]))
			require.EqualValues(r.t, 1, be.Uint16(data[10:])&1)
			informed = true
		}
		if kind != 1 && kind>>31 == 0 {
			continue
		}
		require.EqualValues(r.t, want, kind, "%s: %#x %q", r.at, kind, data)
		if kind>>31 != 0 && r.server == "graid" {
			require.NotEmpty(r.t, data, "%s: an error has a text", r.at)
		}
		if kind == 1 && (code == 6 || code == 7) {
			require.True(r.t, informed, "%s: the size is not told", r.at)
		}
		r.structured = r.structured || kind == 1 && code == 8
		return
	}
}

// reply takes one whole reply, of n bytes of data where it is a simple one that succeeds.
func (r *rule) reply(cookie uint64, n int) (errno uint32, data []byte, extents []string) {
	data = make([]byte, n)
	got := 0
	for {
		magic := be.Uint32(r.take(4))
		if magic == 0x67446698 {
			b := r.take(12)
			require.Equal(r.t, cookie, be.Uint64(b[4:]), r.at)
			require.False(r.t, r.structured && r.reads[cookie], "%s: a simple reply to a read, after structured ones were agreed", r.at)
			if errno = be.Uint32(b); errno == 0 {
				copy(data, r.take(n))
			}
			return errno, data, nil
		}
		require.EqualValues(r.t, 0x668e33ef, magic, r.at)
		require.True(r.t, r.structured, "%s: a structured reply that nobody agreed to", r.at)
		head := r.take(16)
		require.Equal(r.t, cookie, be.Uint64(head[4:]), r.at)
		body := r.take(int(be.Uint32(head[12:])))
		var lo, hi int
		switch kind := be.Uint16(head[2:]); kind {
		case 0:
		case 1, 2:
			lo, hi = r.content(kind, body, data)
			got += hi - lo
		case 5:
			require.Nil(r.t, extents, "%s: two chunks of one context", r.at)
			extents = merged(body[4:])
		default:
			require.NotZero(r.t, kind>>15, "%s: a chunk of kind %d", r.at, kind)
			errno = be.Uint32(body)
			require.NotZero(r.t, errno, r.at)
			if r.server == "graid" {
				require.NotZero(r.t, be.Uint16(body[4:]), "%s: an error has a text", r.at)
			}
		}
		if be.Uint16(head)&1 != 0 {
			if errno == 0 {
				require.Equal(r.t, n, got, "%s: not all of it", r.at)
			}
			return errno, data, extents
		}
	}
}

// content is where in a read a chunk belongs, and puts it there.
func (r *rule) content(kind uint16, body, data []byte) (lo, hi int) {
	lo = int(be.Uint64(body)) & 0xffff // reads of the rules begin at multiples of 64 KiB
	if kind == 2 {
		hi = lo + int(be.Uint32(body[8:]))
	} else {
		hi = lo + len(body) - 8
	}
	require.LessOrEqual(r.t, hi, len(data), r.at)
	if kind == 1 {
		copy(data[lo:], body[8:])
	}
	return lo, hi
}

// merged are extents as text, those of one state that follow each other as one.
func merged(b []byte) (list []string) {
	var n uint64
	for at := 0; at+8 <= len(b); at += 8 {
		n += uint64(be.Uint32(b[at:]))
		state := be.Uint32(b[at+4:]) & 3
		if at+16 <= len(b) && be.Uint32(b[at+12:])&3 == state {
			continue
		}
		list = append(list, fmt.Sprintf("%d+%d", n, state))
		n = 0
	}
	return list
}
