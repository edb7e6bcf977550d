package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/file"
)

var ctx = context.Background()

// folder is one on a real file system: tmpfs takes direct I/O of any alignment and would hide mistakes.
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("/var/tmp", "graid-file-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func sparse(t *testing.T, size int64) string {
	path := filepath.Join(folder(t), "disk")
	require.NoError(t, file.Create(path, size))
	return path
}

func open(t *testing.T, path string, o file.Options) *file.Device {
	t.Helper()
	d, err := file.Open(path, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// TestConformance is the contract of block.Device, through the page cache and past it.
func TestConformance(t *testing.T) {
	for name, mode := range map[string]file.Mode{"buffered": file.Buffered, "direct": file.Direct} {
		opener := func(readOnly bool) blocktest.Open {
			return func(t *testing.T, size int64) block.Device {
				d, err := file.Open(sparse(t, size), file.Options{Mode: mode, ReadOnly: readOnly})
				require.NoError(t, err)
				require.Equal(t, mode == file.Buffered, d.Info().Inline || d.Notice() != "", d.Notice())
				return d
			}
		}
		t.Run(name, func(t *testing.T) {
			blocktest.Run(t, opener(false), blocktest.TornReads(), blocktest.ReadOnly(opener(true)), blocktest.Size(1<<20))
		})
	}
}

// TestDirectBounces: memory of any alignment and length goes to a file opened directly, across the size of a bounce buffer.
func TestDirectBounces(t *testing.T) {
	path := sparse(t, 2<<20)
	d := open(t, path, file.Options{Mode: file.Direct})
	if !d.Direct() {
		t.Skip("no direct I/O here: " + d.Notice())
	}
	for _, shift := range []int{0, 1, 8, 511, 512} {
		for _, n := range []int64{512, 256 << 10, 256<<10 + 512, 1<<20 + 512} {
			all := block.Alloc(n + 512)
			b := all[shift : int64(shift)+n]
			for i := range b {
				b[i] = byte(i>>9 + shift + i)
			}
			require.NoError(t, block.WriteAt(ctx, d, b, 1024))
			got := bytes.Repeat([]byte{0xA5}, len(all))[shift : int64(shift)+n]
			require.NoError(t, block.ReadAt(ctx, d, got, 1024))
			require.True(t, bytes.Equal(b, got), "shift %d length %d", shift, n)
			direct, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, direct[1024:1024+n]))
		}
	}
}

// TestSize: a size that is no multiple of a block is rounded down, buffered and direct.
func TestSize(t *testing.T) {
	for _, mode := range []file.Mode{file.Buffered, file.Direct} {
		d := open(t, sparse(t, 100<<10+700), file.Options{Mode: mode})
		require.EqualValues(t, 100<<10+512, d.Info().Size)
		b := bytes.Repeat([]byte{7}, 512)
		require.NoError(t, block.WriteAt(ctx, d, b, d.Info().Size-512))
		require.ErrorIs(t, block.WriteAt(ctx, d, b, d.Info().Size), block.ErrRange)
	}
	d := open(t, sparse(t, 0), file.Options{Mode: file.Direct})
	require.Zero(t, d.Info().Size)
}

// TestHoles: discards and zeroes leave exactly the range asked for as a hole, and what was written is data.
func TestHoles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hole punching is used on Linux only")
	}
	for _, mode := range []file.Mode{file.Buffered, file.Direct} {
		for _, op := range []block.Op{block.Discard, block.WriteZeroes} {
			d := open(t, sparse(t, 1<<20), file.Options{Mode: mode})
			if !d.Info().Zeroes {
				t.Skip("the file system punches no holes")
			}
			extents := func() []block.Extent {
				list, err := d.Extents(ctx, 0, 1<<20, nil)
				require.NoError(t, err)
				return list
			}
			hole, data := block.Extent{Len: 1 << 20, Hole: true, Zero: true}, block.Extent{Len: 1 << 20}
			require.Equal(t, []block.Extent{hole}, extents())
			require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{9}, 1<<20), 0))
			require.Equal(t, []block.Extent{data}, extents())
			require.NoError(t, d.Do(ctx, block.Request{Op: op, Flags: block.FUA, Off: 64 << 10, Len: 128 << 10}))
			require.Equal(t, []block.Extent{{Len: 64 << 10}, {Len: 128 << 10, Hole: true, Zero: true}, {Len: 832 << 10}}, extents())
		}
	}
}

// TestInUse: a writer is alone; readers are not; who takes no lock minds none.
func TestInUse(t *testing.T) {
	path := sparse(t, 1<<20)
	w, err := file.Open(path, file.Options{})
	require.NoError(t, err)
	for _, o := range []file.Options{{}, {ReadOnly: true}, {Mode: file.Direct}} {
		_, err := file.Open(path, o)
		require.ErrorIs(t, err, file.ErrInUse)
		if runtime.GOOS == "linux" { // the others do not know who
			require.ErrorIs(t, err, file.ErrTwice)
		}
	}
	open(t, path, file.Options{NoLock: true, ReadOnly: true})
	require.NoError(t, w.Close())

	first := open(t, path, file.Options{ReadOnly: true})
	second := open(t, path, file.Options{ReadOnly: true})
	require.Equal(t, first.Identity(), second.Identity())
	_, err = file.Open(path, file.Options{})
	require.ErrorIs(t, err, file.ErrInUse)
}

// TestInUseElsewhere: the lock binds other processes and ends with the one that held it.
func TestInUseElsewhere(t *testing.T) {
	if path := os.Getenv("GRAID_HOLD"); path != "" {
		_, err := file.Open(path, file.Options{})
		fmt.Println("opened:", err)
		time.Sleep(time.Minute) // until killed
	}
	path := sparse(t, 1<<20)
	child := exec.Command(os.Args[0], "-test.run=TestInUseElsewhere$")
	child.Env = append(os.Environ(), "GRAID_HOLD="+path)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line := make([]byte, 100)
	n, _ := out.Read(line)
	require.Equal(t, "opened: <nil>\n", string(line[:n]))
	_, err = file.Open(path, file.Options{})
	require.ErrorIs(t, err, file.ErrInUse)
	if runtime.GOOS == "linux" {
		require.Contains(t, err.Error(), fmt.Sprintf("(pid %d)", child.Process.Pid))
	}
	require.NoError(t, child.Process.Kill())
	_ = child.Wait() // killed, as it should be
	open(t, path, file.Options{})
}

// TestIdentity: links of both kinds are the same file; another file is not.
func TestIdentity(t *testing.T) {
	dir := folder(t)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, file.Create(a, 4096))
	require.NoError(t, file.Create(b, 4096))
	require.NoError(t, os.Symlink(a, filepath.Join(dir, "soft")))
	require.NoError(t, os.Link(a, filepath.Join(dir, "hard")))
	of := func(name string) file.Identity {
		return open(t, filepath.Join(dir, name), file.Options{NoLock: true}).Identity()
	}
	require.Equal(t, of("a"), of("soft"))
	require.Equal(t, of("a"), of("hard"))
	require.NotEqual(t, of("a"), of("b"))
}

// TestRefused: what is no file or disk is refused in one line that names it and says why, at once.
func TestRefused(t *testing.T) {
	dir := folder(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	l, err := net.Listen("unix", in("socket"))
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	require.NoError(t, os.WriteFile(in("secret"), make([]byte, 4096), 0o000))
	require.NoError(t, file.Create(in("there"), 4096))
	require.NoError(t, os.Symlink(in("nowhere"), in("dangling")))
	cases := map[string]string{
		in("missing"):  "no such file or directory",
		in("dangling"): "no such file or directory",
		dir:            "is a directory, not a file or disk",
		in("socket"):   "is a socket, not a file or disk",
		"":             "no such file or directory",
	}
	if runtime.GOOS == "linux" {
		cases["/dev/null"] = "is a character device, not a file or disk"
		require.NoError(t, exec.Command("mkfifo", in("fifo")).Run())
		cases[in("fifo")] = "is a fifo, not a file or disk"
	}
	if os.Getuid() != 0 {
		cases[in("secret")] = "permission denied"
	}
	for path, want := range cases {
		for _, mode := range []file.Mode{file.Buffered, file.Direct} {
			_, err := file.Open(path, file.Options{Mode: mode})
			require.EqualError(t, err, path+": "+want)
		}
	}
	err = file.Create(in("there"), 10)
	require.EqualError(t, err, in("there")+": file exists")
	require.True(t, errors.Is(err, os.ErrExist))
	st, err := os.Stat(in("there"))
	require.NoError(t, err)
	require.EqualValues(t, 4096, st.Size())
	require.EqualValues(t, 0o600, st.Mode().Perm())
}

// TestShrunk: a file that lost its end under us is a Path error that says so, not a caller's mistake and not zeroes.
func TestShrunk(t *testing.T) {
	path := sparse(t, 1<<20)
	d := open(t, path, file.Options{})
	require.NoError(t, os.Truncate(path, 4096))
	err := block.ReadAt(ctx, d, make([]byte, 8192), 0)
	require.Equal(t, block.Path, block.Classify(err))
	require.EqualError(t, err, "disk: read [0,+8192): unexpected EOF: shorter than when it was opened")
}

// TestFull: no space left is a Path error that keeps the system's own.
func TestFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs a file size limit set by prlimit")
	}
	if os.Getenv("GRAID_FULL") != "" {
		d := open(t, os.Getenv("GRAID_FULL"), file.Options{})
		err := block.WriteAt(ctx, d, make([]byte, 64<<10), 512<<10)
		require.ErrorIs(t, err, block.ErrNoSpace)
		require.Equal(t, block.Path, block.Classify(err))
		require.Contains(t, err.Error(), "file too large")
		return
	}
	path := sparse(t, 1<<20)
	out, err := exec.Command("sh", "-c", `ulimit -f 512; GRAID_FULL="$1" exec "$0" -test.run='TestFull$'`, os.Args[0], path).CombinedOutput()
	require.NoError(t, err, strings.TrimSpace(string(out)))
}
