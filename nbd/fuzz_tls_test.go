package nbd_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block/mem"
	"graid/nbd"
)

// withTLS is the server of setup, with TLS.
func (o setup) withTLS(t testing.TB, optional bool) *nbd.Server {
	dev := &strict{mem.New(diskSize, mem.Options{})}
	list := []nbd.Export{{Name: "disk", Description: "a disk", Dev: dev}, {Name: "other", Dev: dev}, {Name: "vault", Dev: dev, TLS: true}}
	return &nbd.Server{List: func() []nbd.Export { return list }, TLS: mutual(t), TLSOptional: optional, Limits: nbd.Limits{Requests: 8, Payload: 8 << 10}}
}

// FuzzBeforeTLS sends any options in the clear, STARTTLS among them or not, and then any bytes. Nothing is told that is for TLS alone, and
// nothing is said in the clear after STARTTLS was acknowledged but that TLS could not begin.
func FuzzBeforeTLS(f *testing.F) {
	t := &testing.T{}
	for _, lines := range [][]string{
		{"opt:STARTTLS", "opt:LIST"}, {"opt:LIST", `opt:GO str:"disk" 2:0`, "opt:STARTTLS"}, {`opt:INFO str:"vault" 2:1 2:1`, `opt:EXPORT_NAME "vault"`},
		{"opt:STRUCTURED_REPLY", `opt:LIST_META_CONTEXT str:"vault" 4:0`, `opt:STARTTLS "x"`, "opt:ABORT"}, {"opt:GO:0x20000", "opt:STARTTLS:1"},
		{"opt:STARTTLS", "2:0x1603 4:0x01000000"}, {"opt:STARTTLS", "opt:STARTTLS", `opt:GO str:"vault" 2:0`},
	} {
		var b []byte
		for _, line := range lines {
			b = append(b, encode(t, line)...)
		}
		f.Add(b, false, uint8(0))
		f.Add(b, true, uint8(16))
	}
	f.Fuzz(func(t *testing.T, in []byte, optional bool, step uint8) {
		in = append(encode(t, "4:3"), in[:min(len(in), 4096)]...)
		c := &script{in: in, step: int(step), done: make(chan struct{}), out: said[:0]}
		s := setup{}.withTLS(t, optional)
		s.ServeConn(c)
		require.Zero(t, s.Panics())
		out := stream(c.out)
		require.NotContains(t, string(out), "vault")
		hello, ok := out.take(18)
		require.True(t, ok)
		require.Equal(t, "NBDMAGICIHAVEOPT\x00\x03", string(hello))
		if optional {
			return
		}
		require.NotContains(t, string(out), "disk")
		for len(out) > 0 {
			head, ok := out.take(20)
			require.True(t, ok, "% x", out)
			require.Equal(t, uint64(0x3e889045565a9), be.Uint64(head))
			code, kind := be.Uint32(head[8:]), be.Uint32(head[12:])
			_, ok = out.take(int(be.Uint32(head[16:])))
			require.True(t, ok)
			switch {
			case kind == 1 && code == 2:
				require.Empty(t, out)
			case kind == 1:
				require.EqualValues(t, 5, code, "acknowledged in the clear")
				require.True(t, len(out) == 0 || out[0] == 21, "more in the clear after STARTTLS: % x", out)
				return
			default:
				require.Contains(t, []uint32{1<<31 + 3, 1<<31 + 5, 1<<31 + 9}, kind)
			}
		}
	})
}

// FuzzInsideTLS sends, after options in the clear, any bytes within TLS: what comes back is what the protocol allows to a client that had said
// nothing before.
func FuzzInsideTLS(f *testing.F) {
	t := &testing.T{}
	for _, lines := range [][]string{
		{`opt:GO str:"disk" 2:0`, "req:0:READ:1:0:512", "req:0:BLOCK_STATUS:2:0:512", "req:0:DISC:2:0:0"},
		{"opt:STRUCTURED_REPLY", `opt:SET_META_CONTEXT str:"disk" 4:1 str:"base:allocation"`, `opt:GO str:"disk" 2:3 2:1 2:2 2:3`, "req:0:BLOCK_STATUS:1:0:512"},
		{"opt:STARTTLS", "opt:LIST", "opt:ABORT"}, {`opt:EXPORT_NAME "disk"`, "req:0:WRITE:1:512:512", "fill:512:77", "req:0:FLUSH:2:0:0"},
	} {
		var b []byte
		for _, line := range lines {
			b = append(b, encode(t, line)...)
		}
		f.Add([]byte{}, b)
		f.Add(append(encode(t, "opt:STRUCTURED_REPLY"), encode(t, `opt:SET_META_CONTEXT str:"disk" 4:1 str:"base:allocation"`)...), b)
	}
	f.Fuzz(func(t *testing.T, before, in []byte) {
		in = renumber(append(encode(t, "4:3"), in[:min(len(in), 4096)]...))
		mine, theirs := net.Pipe()
		defer mine.Close()
		require.NoError(t, mine.SetDeadline(time.Now().Add(5*time.Second)))
		s := setup{}.withTLS(t, true)
		ended := make(chan struct{})
		go func() { s.ServeConn(theirs); close(ended) }()
		if !inTheClear(t, mine, before[:min(len(before), 1024)]) {
			mine.Close()
			<-ended
			return
		}
		c := tls.Client(mine, outer(t))
		require.NoError(t, c.Handshake())
		go func() {
			if _, err := c.Write(in[4:]); err == nil {
				c.CloseWrite()
			}
		}()
		out, err := io.ReadAll(c)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		mine.Close()
		<-ended
		require.Zero(t, s.Panics())
		if bytes.Contains(in, []byte("vault")) {
			return // it is there, which the judge does not know
		}
		conversation(t, in, append([]byte("NBDMAGICIHAVEOPT\x00\x03"), bytes.Replace(out, listed, nil, 1)...), setup{})
	})
}

// listed is what a list says about the export that the judge does not know.
var listed = []byte("\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x03\x00\x00\x00\x02\x00\x00\x00\x09\x00\x00\x00\x05vault")

// inTheClear sends options in the clear, one after the other, those that are whole and end neither the handshake nor the connection, and then
// begins TLS; it says whether the server went along.
func inTheClear(t *testing.T, nc net.Conn, options []byte) bool {
	_, err := io.ReadFull(nc, make([]byte, 18))
	require.NoError(t, err)
	_, err = nc.Write(encode(t, "4:3"))
	require.NoError(t, err)
	left := stream(options)
	for range 8 {
		head, ok := left.take(16)
		if !ok {
			break
		}
		code, n := be.Uint32(head[8:]), be.Uint32(head[12:])
		data, ok := left.take(int(min(n, 1<<20)))
		if !ok || string(head[:8]) != "IHAVEOPT" || code == 1 || code == 2 || code == 5 || code == 7 {
			break
		}
		if !option(t, nc, code, append(head, data...)) {
			return false
		}
	}
	return option(t, nc, 5, encode(t, "opt:STARTTLS"))
}

// option sends one and takes its replies.
func option(t *testing.T, nc net.Conn, code uint32, b []byte) bool {
	go nc.Write(b)
	for {
		head := make([]byte, 20)
		if _, err := io.ReadFull(nc, head); err != nil {
			return false
		}
		require.Equal(t, code, be.Uint32(head[8:]))
		if _, err := io.CopyN(io.Discard, nc, int64(be.Uint32(head[16:]))); err != nil {
			return false
		}
		if kind := be.Uint32(head[12:]); kind == 1 || kind>>31 != 0 {
			return kind == 1 || code != 5
		}
	}
}
