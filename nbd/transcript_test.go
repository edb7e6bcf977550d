package nbd_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The numbers of the protocol by the names its text uses, written down again so that a typing error shows.
var names = map[string]uint64{
	"EXPORT_NAME": 1, "ABORT": 2, "LIST": 3, "STARTTLS": 5, "INFO": 6, "GO": 7, "STRUCTURED_REPLY": 8,
	"LIST_META_CONTEXT": 9, "SET_META_CONTEXT": 10,
	"ACK": 1, "SERVER": 2, "REP_INFO": 3, "META": 4,
	"ERR_UNSUP": 1<<31 + 1, "ERR_POLICY": 1<<31 + 2, "ERR_INVALID": 1<<31 + 3, "ERR_TLS_REQD": 1<<31 + 5, "ERR_UNKNOWN": 1<<31 + 6, "ERR_TOO_BIG": 1<<31 + 9,
	"READ": 0, "WRITE": 1, "DISC": 2, "FLUSH": 3, "TRIM": 4, "CACHE": 5, "WRITE_ZEROES": 6, "BLOCK_STATUS": 7,
	"FUA": 1, "NO_HOLE": 2, "DF": 4, "REQ_ONE": 8, "FAST_ZERO": 16,
	"OK": 0, "EPERM": 1, "EIO": 5, "EINVAL": 22, "ENOSPC": 28, "ENOTSUP": 95, "ESHUTDOWN": 108,
	"DONE": 1, "NONE": 0, "DATA": 1, "HOLE": 2, "STATUS": 5, "ERROR": 1<<15 + 1,
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	var sum uint64
	for _, part := range strings.Split(s, "+") {
		if v, ok := names[part]; ok {
			sum += v
			continue
		}
		v, err := strconv.ParseUint(part, 0, 64)
		require.NoError(t, err, "%q is neither a number nor a name", part)
		sum += v
	}
	return sum
}

// encode turns a line of a transcript into bytes. The first token may be a header, whose length field is filled in with
// what follows on the line unless it is given:
//
//	opt:CODE[:len]   rep:CODE:KIND[:len]   req:FLAGS:CMD:COOKIE:OFF:LEN   simple:ERRNO:COOKIE   chunk:FLAGS:KIND:COOKIE[:len]
//	2:N 4:N 8:N  numbers of that many bytes    "text"    str:"text" with its length before it    fill:N:XX    hello
func encode(t *testing.T, line string) []byte {
	t.Helper()
	tokens := split(line)
	if len(tokens) == 0 {
		return nil
	}
	var rest []byte
	for _, k := range tokens[1:] {
		rest = append(rest, token(t, k)...)
	}
	f := strings.Split(tokens[0], ":")
	num := func(i int) uint64 { return number(t, f[i]) }
	length := func(i int) uint32 {
		if len(f) > i {
			return uint32(num(i))
		}
		return uint32(len(rest))
	}
	be := binary.BigEndian
	var b []byte
	switch f[0] {
	case "opt":
		b = be.AppendUint32([]byte("IHAVEOPT"), uint32(num(1)))
		b = be.AppendUint32(b, length(2))
	case "rep":
		b = be.AppendUint64(nil, 0x3e889045565a9)
		b = be.AppendUint32(b, uint32(num(1)))
		b = be.AppendUint32(b, uint32(num(2)))
		b = be.AppendUint32(b, length(3))
	case "req":
		b = be.AppendUint32(nil, 0x25609513)
		b = be.AppendUint16(b, uint16(num(1)))
		b = be.AppendUint16(b, uint16(num(2)))
		b = be.AppendUint64(b, num(3))
		b = be.AppendUint64(b, num(4))
		b = be.AppendUint32(b, uint32(num(5)))
	case "simple":
		b = be.AppendUint32(nil, 0x67446698)
		b = be.AppendUint32(b, uint32(num(1)))
		b = be.AppendUint64(b, num(2))
	case "chunk":
		b = be.AppendUint32(nil, 0x668e33ef)
		b = be.AppendUint16(b, uint16(num(1)))
		b = be.AppendUint16(b, uint16(num(2)))
		b = be.AppendUint64(b, num(3))
		b = be.AppendUint32(b, length(4))
	default:
		b = token(t, tokens[0])
	}
	return append(b, rest...)
}

func token(t *testing.T, k string) []byte {
	t.Helper()
	be := binary.BigEndian
	kind, arg, _ := strings.Cut(k, ":")
	switch {
	case k == "hello":
		return []byte("NBDMAGICIHAVEOPT\x00\x03")
	case kind == "2":
		return be.AppendUint16(nil, uint16(number(t, arg)))
	case kind == "4":
		return be.AppendUint32(nil, uint32(number(t, arg)))
	case kind == "8":
		return be.AppendUint64(nil, number(t, arg))
	case kind == "fill":
		n, v, _ := strings.Cut(arg, ":")
		x, err := hex.DecodeString(v)
		require.NoError(t, err)
		return bytes.Repeat(x, int(number(t, n)))
	case strings.HasPrefix(k, `"`):
		return []byte(unquote(t, k))
	case kind == "str":
		s := unquote(t, arg)
		return append(be.AppendUint32(nil, uint32(len(s))), s...)
	}
	require.Fail(t, "unknown token", k)
	return nil
}

func unquote(t *testing.T, s string) string {
	u, err := strconv.Unquote(s)
	require.NoError(t, err, s)
	return u
}

// split cuts a line at spaces outside quotes.
func split(line string) (tokens []string) {
	quoted, word := false, ""
	for _, r := range line + " " {
		switch {
		case r == ' ' && !quoted:
			if word != "" {
				tokens = append(tokens, word)
			}
			word = ""
			continue
		case r == '"':
			quoted = !quoted
		}
		word += string(r)
	}
	return tokens
}

// TestTranscripts plays testdata/*.txt: lines with > are sent, lines with < are what must come back, byte for byte;
// "< close" is the end of the stream and "serve WORDS" chooses the server. A line "use NAME" plays what "define NAME" holds.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		macros := map[string][]string{}
		for _, part := range strings.Split(string(text), "\n\n") {
			title, lines := "", []string{}
			for _, line := range strings.Split(part, "\n") {
				switch {
				case strings.HasPrefix(line, "# "):
					if title == "" {
						title = line[2:]
					}
				case line != "":
					lines = append(lines, line)
				}
			}
			if len(lines) == 0 {
				continue
			}
			if name, ok := strings.CutPrefix(lines[0], "define "); ok {
				macros[name] = lines[1:]
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+title, func(t *testing.T) { play(t, lines, macros) })
		}
	}
}

func play(t *testing.T, lines []string, macros map[string][]string) {
	words := ""
	if rest, ok := strings.CutPrefix(lines[0], "serve "); ok {
		words, lines = rest, lines[1:]
	}
	nc, err := net.Dial("unix", serveWords(t, words))
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(10*time.Second)))
	var todo []string
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "use "); ok {
			require.Contains(t, macros, name)
			todo = append(todo, macros[name]...)
			continue
		}
		todo = append(todo, line)
	}
	for i, line := range todo {
		at := fmt.Sprintf("line %d: %s", i+1, line)
		dir, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "< close":
			b, err := io.ReadAll(nc)
			if err != nil { // a socket closed with data unread is reset
				require.ErrorContains(t, err, "reset", at)
			}
			require.Empty(t, b, at)
		case dir == ">":
			_, err := nc.Write(encode(t, rest))
			require.NoError(t, err, at)
		case dir == "<":
			want := encode(t, rest)
			got := make([]byte, len(want))
			n, err := io.ReadFull(nc, got)
			require.NoError(t, err, "%s\ngot %d bytes: %q", at, n, got[:n])
			require.Equal(t, hex.Dump(want), hex.Dump(got), at)
		default:
			require.Fail(t, "a line starts with > or <", line)
		}
	}
}
