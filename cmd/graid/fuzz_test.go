package main

import (
	"bytes"
	"io"
	"math/big"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/fuzz/targets"
)

var sizeForm = regexp.MustCompile(`^([0-9]+)([KMGTkmgt]?)$`)

// FuzzSize: a size is accepted if and only if it is digits with at most one unit and fits, and then it is that number; and a size that is shown
// whole is read as the same.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "4096", "64K", "1t", "8388607T", "8388608T", "9223372036854775807", "1.5G", "-1", "٤", "K", "[K", "1[", "", "00000000000000000000001k", "1_000"} {
		f.Add(s, int64(len(s))<<20)
	}
	f.Fuzz(func(t *testing.T, s string, n int64) {
		var want *big.Int
		if m := sizeForm.FindStringSubmatch(s); m != nil {
			want, _ = new(big.Int).SetString(m[1], 10)
			if m[2] != "" {
				want.Lsh(want, uint(10*(1+strings.Index("KMGT", strings.ToUpper(m[2])))))
			}
			if !want.IsInt64() {
				want = nil
			}
		}
		got, err := parseSize(s)
		require.Equal(t, want != nil, err == nil, "%q: %v", s, err)
		if err == nil {
			require.Equal(t, want.Int64(), got, s)
		}
		if shown := human(n); n >= 0 && !strings.Contains(shown, ".") {
			again, err := parseSize(shown)
			require.NoError(t, err)
			require.Equal(t, n, again)
		}
	})
}

// FuzzReorder: options first and what is positional behind it, and doing it again changes nothing. Arguments are divided by NUL.
func FuzzReorder(f *testing.F) {
	for _, s := range []string{"a\x00b\x00--level\x005\x00c", "-l\x005\x00-f\x00a", "a\x00--\x00--level\x00-f", "a\x00-\x00b", "--nbd=\x00--nbd\x00-x", "--force=1", "---f\x00--", "--level"} {
		f.Add(s)
	}
	v := &verb{name: "v", flags: []flag{{name: "level", short: "l", value: "L"}, {name: "force", short: "f"}, {name: "nbd", value: "A", list: true}}}
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, "\x00")
		got, asked, err := reorder(v, args)
		if err != nil || asked {
			require.Empty(t, got)
			return
		}
		again, asked, err := reorder(v, got)
		require.NoError(t, err)
		require.False(t, asked)
		require.Equal(t, got, again)
		for _, arg := range got {
			if arg == "--" {
				break
			}
			require.Regexp(t, `^--(level=|nbd=|force$)`, arg)
		}
	})
}

// server is a connection whose other end says what is written down.
type server struct {
	net.Conn
	io.Reader
}

func (s server) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s server) Write(p []byte) (int, error) { return len(p), nil }

// FuzzClient gives the demo's client any bytes for the server's: from the greeting on, or replies to a read.
func FuzzClient(f *testing.F) {
	const hello = "NBDMAGICIHAVEOPT\x00\x03"
	const answer = "\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x07"
	const ack = answer + "\x00\x00\x00\x01\x00\x00\x00\x00"
	const info = answer + "\x00\x00\x00\x03\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x03"
	reply := "\x67\x44\x66\x98\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + strings.Repeat("x", 64)
	for _, s := range []string{hello + info + ack + reply, hello + ack, hello + answer + "\x80\x00\x00\x01\x00\x00\x00\x02no", hello + answer + "\x00\x00\x00\x03\xff\xff\xff\xff", "HTTP/1.1 400"} {
		f.Add([]byte(s), false)
	}
	f.Add([]byte(reply), true)
	f.Add([]byte(strings.Replace(reply, "\x98\x00\x00\x00\x00", "\x98\x00\x00\x00\x05", 1)), true)
	f.Fuzz(func(t *testing.T, in []byte, transmission bool) {
		in = in[:min(len(in), 4096)]
		targets.Allocates(t, len(in), func() {
			c := &client{conn: server{Reader: bytes.NewReader(in)}}
			if !transmission && c.hello("disk") != nil {
				return
			}
			p := bytes.Repeat([]byte{0xA5}, 64)
			if c.read(p, 0) == nil && !bytes.Contains(in, []byte{0xA5}) {
				require.NotContains(t, string(p), "\xA5", "not all of it was received")
			}
		})
	})
}

// FuzzContent looks at the ends of devices of any size: it asks for nothing that is not there, and what has a known mark is recognised.
func FuzzContent(f *testing.F) {
	for i, s := range signatures {
		f.Add([]byte(s.magic), uint16(s.at), uint16(i*100), uint8(i))
	}
	f.Add([]byte{0x55, 0xaa}, uint16(510), uint16(1), uint8(255))
	f.Fuzz(func(t *testing.T, b []byte, at, blocks uint16, mark uint8) {
		size := int64(blocks%1024) * 512
		dev := mem.New(size, mem.Options{})
		image := make([]byte, size)
		if int64(at) < size {
			copy(image[at:], b)
		}
		s := signatures[int(mark)%len(signatures)]
		place := s.at
		if place < 0 {
			place += size
		}
		there := mark != 255 && place >= 0 && place+int64(len(s.magic)) <= size
		if there {
			copy(image[place:], s.magic)
		}
		if size > 0 {
			require.NoError(t, block.WriteAt(t.Context(), dev, image, 0))
		}
		what, err := content(t.Context(), dev)
		require.NoError(t, err)
		require.True(t, !there || what != "", "%s at %d of %d is not recognised", s.what, place, size)
	})
}
