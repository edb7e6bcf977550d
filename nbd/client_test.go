package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/block/unalign"
	"graid/nbd"
	"graid/sched"
)

func unixURI(path, export string) string { return "nbd+unix:///" + export + "?socket=" + path }

// client connects to an export until the test ends.
func client(t testing.TB, uri string, o nbd.Options) *nbd.Client {
	t.Helper()
	c, err := nbd.Dial(ctx, uri, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// peer starts somebody else's server, which is to make a socket at %s, and returns the socket's path. The process ends with the test.
func peer(t testing.TB, args ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd")
	require.NoError(t, err)
	path := filepath.Join(dir, "s")
	for i, a := range args {
		if a == "%s" {
			args[i] = path
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if nc, err := net.Dial("unix", path); err == nil {
			nc.Close()
			return path
		}
		select {
		case err := <-ended:
			ended <- err
			require.FailNow(t, "server ended", "%v: %v: %s", args, err, said.String())
		default:
		}
		require.True(t, time.Now().Before(deadline), "%v did not begin to serve", args)
	}
}

// TestClientConforms: an export is a Device, whoever serves it.
func TestClientConforms(t *testing.T) {
	openers := map[string]blocktest.Open{
		"graid": func(t *testing.T, size int64) block.Device {
			return client(t, unixURI(start(t, one(mem.New(size, mem.Options{}))), "disk"), nbd.Options{})
		},
		"graid, 4 connections": func(t *testing.T, size int64) block.Device {
			return client(t, unixURI(start(t, one(&slow{mem.New(size, mem.Options{Block: 4096, Align: 4096})})), "disk"), nbd.Options{Connections: 4, Depth: 3})
		},
		"nbdkit": func(t *testing.T, size int64) block.Device {
			need(t, "nbdkit")
			return client(t, unixURI(peer(t, "nbdkit", "-f", "-U", "%s", "memory", strconv.FormatInt(size, 10)), ""), nbd.Options{Connections: 2})
		},
		"nbdkit, large blocks": func(t *testing.T, size int64) block.Device {
			need(t, "nbdkit")
			path := peer(t, "nbdkit", "-f", "-U", "%s", "--filter=blocksize-policy", "memory", strconv.FormatInt(size, 10),
				"blocksize-minimum=4096", "blocksize-preferred=16384", "blocksize-maximum=32768", "blocksize-error-policy=error")
			return client(t, unixURI(path, ""), nbd.Options{})
		},
		"nbdkit, simple replies, no zeroes, no fua": func(t *testing.T, size int64) block.Device {
			need(t, "nbdkit")
			path := peer(t, "nbdkit", "-f", "-U", "%s", "--no-sr", "--filter=nozero", "--filter=fua", "memory", strconv.FormatInt(size, 10))
			return client(t, unixURI(path, ""), nbd.Options{})
		},
		"qemu-nbd": func(t *testing.T, size int64) block.Device {
			need(t, "qemu-nbd")
			path := filepath.Join(t.TempDir(), "disk")
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Truncate(path, size))
			return client(t, unixURI(peer(t, "qemu-nbd", "-t", "-f", "raw", "-x", "x", "--discard=unmap", "--shared=4", "-k", "%s", path), "x"), nbd.Options{})
		},
		"unaligned": func(t *testing.T, size int64) block.Device {
			need(t, "nbdkit")
			path := peer(t, "nbdkit", "-f", "-U", "%s", "--filter=blocksize-policy", "memory", strconv.FormatInt(size, 10),
				"blocksize-minimum=4096", "blocksize-error-policy=error")
			return unalign.Wrap(client(t, unixURI(path, ""), nbd.Options{}), sched.Real)
		},
	}
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			options := []blocktest.Option{blocktest.Size(512 << 10), blocktest.ReadOnly(func(t *testing.T, size int64) block.Device {
				return client(t, unixURI(start(t, one(mem.New(size, mem.Options{}))), "disk"), nbd.Options{ReadOnly: true})
			})}
			if name != "graid" && name != "graid, 4 connections" {
				options = append(options, blocktest.TornReads())
			}
			blocktest.Run(t, open, options...)
		})
	}
}

// TestClientAllocatesNothing: requests of a client that has been in use for a moment cost no memory.
func TestClientAllocatesNothing(t *testing.T) {
	c := client(t, unixURI(start(t, one(mem.New(1<<20, mem.Options{}))), "disk"), nbd.Options{})
	b := block.Alloc(64 << 10)
	for _, n := range []int64{4096, 64 << 10} {
		for _, op := range []block.Op{block.Write, block.Read} {
			r := block.Request{Op: op, Off: 4096, Len: n, Buf: b[:n]}
			allocs := testing.AllocsPerRun(500, func() {
				if err := c.Do(ctx, r); err != nil {
					t.Error(err)
				}
			})
			if !raced {
				require.Less(t, allocs, 0.5, "%v of %d bytes", op, n) // the server and the garbage collector run beside it
			}
		}
	}
}

// TestClientExtents: holes are known where the server knows them.
func TestClientExtents(t *testing.T) {
	disk := mem.New(8<<20, mem.Options{})
	require.NoError(t, block.WriteAt(ctx, disk, noise(1<<20), 2<<20))
	c := client(t, unixURI(start(t, one(disk)), "disk"), nbd.Options{})
	list, err := c.Extents(ctx, 1<<20, 4<<20, nil)
	require.NoError(t, err)
	require.Equal(t, []block.Extent{{Len: 1 << 20, Hole: true, Zero: true}, {Len: 1 << 20}, {Len: 2 << 20, Hole: true, Zero: true}}, list)
	_, err = c.Extents(ctx, 8<<20, 1, nil)
	require.ErrorIs(t, err, block.ErrRange)
}

// TestClientErrors: what a server says about its device arrives as the class that it has here.
func TestClientErrors(t *testing.T) {
	disk := mem.New(1<<20, mem.Options{})
	f := blocktest.NewFaulty(disk, blocktest.FaultyOptions{})
	c := client(t, unixURI(start(t, one(f)), "disk"), nbd.Options{})
	b := block.Alloc(4096)
	for _, x := range []struct {
		fail error
		want block.Class
		is   error
	}{
		{block.ErrMedia, block.Media, block.ErrMedia},
		{block.ErrNoSpace, block.Path, block.ErrNoSpace},
		{block.ErrReadOnly, block.Media, block.ErrMedia}, // a server that said that the export can be written
		{block.ErrInvalid, block.Media, block.ErrMedia},
		{context.Canceled, block.Path, nbd.ErrShutdown},
		{errors.New("odd"), block.Media, block.ErrMedia},
	} {
		f.Before(func(block.Request) error { return x.fail })
		err := block.WriteAt(ctx, c, b, 0)
		require.Equal(t, x.want, block.Classify(err), "%v: %v", x.fail, err)
		require.ErrorIs(t, err, x.is)
	}
	f.Before(func(r block.Request) error {
		if r.Flags&block.Fast != 0 {
			return block.ErrUnsupported
		}
		return nil
	})
	require.ErrorIs(t, c.Do(ctx, block.Request{Op: block.WriteZeroes, Flags: block.Fast, Len: 4096}), block.ErrUnsupported)
	require.NoError(t, c.Do(ctx, block.Request{Op: block.WriteZeroes, Len: 4096}))
}

// TestClientSplits: no command carries more than the server takes.
func TestClientSplits(t *testing.T) {
	disk := mem.New(1<<20, mem.Options{})
	f := blocktest.NewFaulty(disk, blocktest.FaultyOptions{})
	s := one(f)
	s.Limits.Payload = 64 << 10
	c := client(t, unixURI(start(t, s), "disk"), nbd.Options{})
	want := noise(1 << 20)
	require.NoError(t, block.WriteAt(ctx, c, want, 0))
	require.Equal(t, 16, f.Count(block.Write))
	got := block.Alloc(1 << 20)
	require.NoError(t, block.ReadAt(ctx, c, got, 0))
	require.Equal(t, 16, f.Count(block.Read))
	require.True(t, bytes.Equal(want, got))
}

func TestClientDialErrors(t *testing.T) {
	path := start(t, one(mem.New(1<<20, mem.Options{})))
	for uri, want := range map[string]string{
		unixURI(path, "none"):              "no such export",
		unixURI("/no/socket", ""):          "no such file or directory",
		"nbd://127.0.0.1:1/x":              "connection refused",
		"nbd://localhost/x?y=1":            "y=1 has no meaning",
		"nbds+unix:///disk?socket=" + path: "it has no TLS",
	} {
		_, err := nbd.Dial(ctx, uri, nbd.Options{})
		require.ErrorContains(t, err, want, uri)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err := nbd.Dial(gone, unixURI(path, "disk"), nbd.Options{})
	require.ErrorIs(t, err, context.Canceled)
}

// TestClientTCP uses every option of a socket that needs no special network.
func TestClientTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := one(mem.New(1<<20, mem.Options{}))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	defer func() { s.Close(); require.NoError(t, <-ended) }()
	c := client(t, fmt.Sprintf("nbd://%s/disk", l.Addr()), nbd.Options{Source: "127.0.0.1", Multipath: true, Connections: 3})
	require.Equal(t, 3, c.Connected())
	b := noise(4096)
	require.NoError(t, block.WriteAt(ctx, c, b, 4096))
	got := block.Alloc(4096)
	require.NoError(t, block.ReadAt(ctx, c, got, 4096))
	require.Equal(t, b, got)
	_, err = nbd.Dial(ctx, fmt.Sprintf("nbd://%s/disk", l.Addr()), nbd.Options{Source: "nowhere"})
	require.ErrorContains(t, err, "is no address")
	_, err = nbd.Dial(ctx, fmt.Sprintf("nbd://%s/disk", l.Addr()), nbd.Options{Interface: "nosuch0"})
	require.ErrorContains(t, err, "bind to interface nosuch0")
}
