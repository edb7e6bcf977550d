//go:build linux

package daemon

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/multipath"
	"graid/sched"
)

// stranger starts a server of somebody else's on disk, at sock.
func stranger(t *testing.T, kind, disk, sock string) *os.Process {
	var c *exec.Cmd
	switch kind {
	case "nbdkit":
		c = exec.Command("nbdkit", "-f", "-U", sock, "file", "file="+disk)
	case "qemu-nbd":
		c = exec.Command("qemu-nbd", "-t", "--shared=8", "-k", sock, "--image-opts", "driver=raw,file.driver=file,file.locking=off,file.filename="+disk)
	}
	if _, err := exec.LookPath(kind); err != nil {
		t.Skipf("%s is not installed", kind)
	}
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGCONT)
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	require.Eventually(t, func() bool {
		nc, err := net.Dial("unix", sock)
		if err != nil {
			return false
		}
		return nc.Close() == nil
	}, time.Minute, 20*time.Millisecond)
	return c.Process
}

// stopped says whether every thread of a process has been stopped.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	list, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	require.NoError(t, err)
	require.NotEmpty(t, list)
	for _, path := range list {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte(") T ")) {
			return false
		}
	}
	return true
}

// TestStaleWriteOverNBD: a write hangs in a server that is stopped, goes on through another, a newer one follows, and the server continues. With
// quarantine the newer one is what stays. With trust the old one is, which proves that the test can see it.
func TestStaleWriteOverNBD(t *testing.T) {
	for _, kind := range []string{"nbdkit", "qemu-nbd"} {
		for _, stale := range []multipath.Stale{multipath.StaleFence, multipath.StaleQuarantine, multipath.StaleTrust} {
			t.Run(fmt.Sprintf("%s %v", kind, stale), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				disk := filepath.Join(dir, "disk")
				require.NoError(t, os.WriteFile(disk, make([]byte, 1<<20), 0o600))
				first := stranger(t, kind, disk, filepath.Join(dir, "a"))
				stranger(t, kind, disk, filepath.Join(dir, "b"))
				o := multipath.Options{
					Selector: multipath.Failover, Stale: stale, Suspect: time.Second, IOTimeout: 3 * time.Second, Quarantine: 10 * time.Minute,
					Check: multipath.Check{Kind: "none"},
				}
				var paths []multipath.Path
				for _, s := range []string{"a", "b"} {
					p, err := ParsePath("nbd+unix:///?socket=" + filepath.Join(dir, s))
					require.NoError(t, err)
					paths = append(paths, p.path(o, 0))
				}
				ctx := context.Background()
				d, err := multipath.New(ctx, "mp", paths, o, sched.Real)
				require.NoError(t, err)
				defer d.Close()
				require.Eventually(t, func() bool { return d.Status().State == "active" }, time.Minute, 10*time.Millisecond)

				old, fresh := bytes.Repeat([]byte{1}, 4096), bytes.Repeat([]byte{2}, 4096)
				require.NoError(t, first.Signal(syscall.SIGSTOP))
				require.Eventually(t, func() bool { return stopped(t, first.Pid) }, time.Minute, time.Millisecond) // a thread may still answer before
				require.NoError(t, block.WriteAt(ctx, d, old, 0))
				done := make(chan error, 1)
				go func() {
					if err := block.WriteAt(ctx, d, fresh, 0); err != nil {
						done <- err
						return
					}
					done <- block.Sync(ctx, d)
				}()
				content := func() byte {
					b := make([]byte, 4096)
					f, err := os.Open(disk)
					require.NoError(t, err)
					defer f.Close()
					_, err = f.ReadAt(b, 0)
					require.NoError(t, err)
					return b[0]
				}
				if stale == multipath.StaleTrust {
					require.NoError(t, <-done)
					require.EqualValues(t, 2, content())
					require.NoError(t, first.Signal(syscall.SIGCONT))
					require.Eventually(t, func() bool { return content() == 1 }, time.Minute, 20*time.Millisecond, "the stale write was not seen")
					return
				}
				require.Eventually(t, func() bool { return d.Status().QuarantinedBytes == 4096 && d.Status().Waiting == 1 }, time.Minute, 10*time.Millisecond)
				require.EqualValues(t, 1, content())
				require.NoError(t, first.Signal(syscall.SIGCONT))
				require.NoError(t, <-done)
				require.EqualValues(t, 2, content())
				require.Zero(t, d.Status().QuarantinedBytes)
				require.Zero(t, d.Status().Counters.Unproven)
				time.Sleep(300 * time.Millisecond) // whatever was still on its way
				require.EqualValues(t, 2, content())
			})
		}
	}
}

// TestParsePath: what a path may say, and that it says the same when it is said again.
func TestParsePath(t *testing.T) {
	for _, word := range []string{
		"/dev/sda", "/a,b", "/a,b=c,prio=5", "/x,prio=50,weight=2,group=g,host=h,standby", "nbd://host/disk,prio=-1", "nbd+unix:///x?socket=/s,standby",
	} {
		p, err := ParsePath(word)
		require.NoError(t, err, word)
		require.Equal(t, word, p.String())
	}
	p, err := ParsePath("/a,b=c,prio=5")
	require.NoError(t, err)
	require.Equal(t, MapPath{Word: "/a,b=c", Priority: 5}, p)
	for _, word := range []string{"/a,prio=x", "/a,weight=", "nbd://host/x?no=such"} {
		_, err := ParsePath(word)
		require.Error(t, err, word)
	}
}
