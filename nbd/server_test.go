package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/nbd"
	"graid/nbd/nbdtest"
)

var ctx = context.Background()

// start serves s on a unix socket until the test ends, and returns its path.
func start(t testing.TB, s *nbd.Server) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd") // t.TempDir may be longer than a socket's name can be
	require.NoError(t, err)
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		os.RemoveAll(dir)
	})
	return path
}

// one is a server of dev alone.
func one(dev block.Device) *nbd.Server {
	return &nbd.Server{List: func() []nbd.Export { return []nbd.Export{{Name: "disk", Description: "a disk", Dev: dev}} }}
}

func dial(t testing.TB, path string, structured bool) *nbdtest.Client {
	t.Helper()
	c, err := nbdtest.Dial("unix", path, nbdtest.Options{Export: "disk", Structured: structured})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// serveWords is the server that a transcript asks for.
func serveWords(t *testing.T, words string) string {
	disk := mem.New(1<<20, mem.Options{})
	require.NoError(t, block.WriteAt(ctx, disk, bytes.Repeat([]byte{0x5a}, 64<<10), 0))
	list := []nbd.Export{
		{Name: "disk", Description: "a disk", Dev: disk},
		{Name: "other", Dev: mem.New(512<<10, mem.Options{})},
	}
	s := &nbd.Server{List: func() []nbd.Export { return list }}
	for _, w := range strings.Fields(words) {
		f := blocktest.NewFaulty(disk, blocktest.FaultyOptions{})
		switch w {
		case "readonly":
			list[0].ReadOnly = true
		case "huge":
			list[0].Dev = mem.New(1<<40, mem.Options{})
		case "nolist":
			s.List = nil
			s.Exports = func(name string) (*nbd.Export, error) {
				if name == "disk" {
					return &list[0], nil
				}
				return nil, errors.New("no")
			}
		case "slowzero":
			f.Before(func(r block.Request) error {
				if r.Op == block.WriteZeroes && r.Flags&block.Fast != 0 {
					return block.ErrUnsupported
				}
				return nil
			})
			list[0].Dev = f
		case "failing":
			list[0].Dev = &failing{disk}
		default:
			require.Fail(t, "unknown word", w)
		}
	}
	return start(t, s)
}

// failing fails everything, each operation in its own way.
type failing struct{ block.Device }

func (f *failing) Do(_ context.Context, r block.Request) error {
	switch r.Op {
	case block.Read:
		return &block.Error{Dev: "x", Req: r, Err: errors.New("cannot reach /dev/secret")}
	case block.Write:
		return &block.Error{Dev: "x", Req: r, Err: block.ErrMedia}
	}
	return &fs.PathError{Op: "sync", Path: "/dev/secret", Err: syscall.ENOSPC}
}
