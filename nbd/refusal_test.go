package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/nbd"
	"graid/nbd/nbdtest"
)

// TestOptionsOfAList: who asks for a list may ask about every name in it, beside the options that anybody may send; each name
// counts once, however often the list is asked for, and there is an end to that too.
func TestOptionsOfAList(t *testing.T) {
	for _, a := range []struct{ exports, options int }{{0, 32}, {40, 72}, {5000, 32 + 1024}} {
		s := &nbd.Server{List: func() []nbd.Export {
			list := make([]nbd.Export, a.exports)
			for i := range list {
				list[i] = nbd.Export{Name: itoa(i), Dev: mem.New(4096, mem.Options{})}
			}
			return list
		}, Limits: nbd.Limits{Handshake: time.Hour}} // or that would close it
		nc, err := net.Dial("unix", start(t, s))
		require.NoError(t, err)
		defer nc.Close()
		require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		expect(t, nc, "hello")
		_, err = nc.Write(encode(t, "4:3"))
		require.NoError(t, err)
		list := func() {
			_, err := nc.Write(encode(t, "opt:LIST"))
			require.NoError(t, err)
			for i := range a.exports {
				expect(t, nc, "rep:LIST:SERVER str:\""+itoa(i)+"\"")
			}
			expect(t, nc, "rep:LIST:ACK")
		}
		list()
		list()
		for i := range a.options - 2 {
			_, err = nc.Write(encode(t, "opt:INFO str:\""+itoa(i)+"\" 2:0"))
			require.NoError(t, err)
			if i < a.exports {
				expect(t, nc, "rep:INFO:REP_INFO 2:0 8:4096 2:0xd6d")
				expect(t, nc, "rep:INFO:ACK")
			} else {
				expect(t, nc, "rep:INFO:ERR_UNKNOWN \"no such export\"")
			}
		}
		_, err = io.ReadFull(nc, make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "%d exports: closed after %d options", a.exports, a.options)
	}
}

// talker fails every request with the text that it was told.
type talker struct {
	block.Device
	text string
}

func (d *talker) Do(_ context.Context, r block.Request) error {
	return &block.Error{Dev: "/dev/secret", Req: r, Err: errors.New(d.text)}
}

// TestErrorText: what a client is told is short, UTF-8, and names no path and no member.
func TestErrorText(t *testing.T) {
	for text, want := range map[string]string{
		"no answer from the drive":   "no answer from the drive",
		strings.Repeat("long ", 999): strings.Repeat("long ", 999)[:1024],
		strings.Repeat("ä", 999):     strings.Repeat("ä", 512),
		"cannot open /etc/passwd":    "path error",
		`cannot open C:\members\a`:   "path error",
		"not \xff UTF-8":             "path error",
		"two\nlines":                 "path error",
	} {
		c := dial(t, start(t, one(&talker{mem.New(4096, mem.Options{}), text})), true)
		r := c.Do(nbdtest.Read, 0, 0, 512, nil)
		require.NoError(t, r.Err)
		require.EqualValues(t, 5, r.Errno)
		require.Equal(t, want, r.Text)
		require.True(t, utf8.ValidString(r.Text) && len(r.Text) <= 4096)
	}
}

// TestViolationsAreLogged: whoever breaks the protocol is named in the log with what he did.
func TestViolationsAreLogged(t *testing.T) {
	for sent, want := range map[string]string{
		"4:0x25609514 fill:24:00":    "request magic",
		"req:0:WRITE:1:0:0xffffffff": "write of 4294967295 bytes",
	} {
		var log bytes.Buffer
		s := one(mem.New(1<<20, mem.Options{}))
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ended := make(chan error)
		go func() { ended <- s.Serve(l) }()
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		handshake(t, nc)
		_, err = nc.Write(encode(t, sent))
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, nc)
		nc.Close()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-ended)
		require.Contains(t, log.String(), want)
		require.Contains(t, log.String(), nc.LocalAddr().String())
	}
}
