package main

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server starts somebody's NBD server, in the foreground, in the folder of w, and returns what kills it.
func (w *wreck) server(socket string, args ...string) (kill func()) {
	w.Helper()
	os.Remove(w.in(socket)) // of one that was killed
	c := exec.Command(args[0], args[1:]...)
	c.Dir, c.Env = w.dir, append(os.Environ(), "GRAID_RUNTIME_DIR="+w.in("run"))
	require.NoError(w, c.Start())
	ended := make(chan bool)
	go func() { c.Wait(); close(ended) }()
	kill = func() { c.Process.Kill(); <-ended }
	w.Cleanup(kill)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if nc, err := net.Dial("unix", w.in(socket)); err == nil {
			nc.Close()
			return kill
		}
		require.True(w, time.Now().Before(deadline), "%v does not serve", args)
	}
}

// TestRemoteMemberDies has the server of one member killed while fio writes and verifies and nbdcopy reads: their users see nothing of it, and when the
// server is back the member is brought up to date by what the bitmap says.
func TestRemoteMemberDies(t *testing.T) {
	tools(t, "fio", "nbdcopy", "nbdkit", "qemu-nbd")
	for name, args := range map[string][]string{
		"nbdkit":   {"nbdkit", "-f", "-U", "SOCKET", "file", "far"},
		"qemu-nbd": {"qemu-nbd", "-t", "-f", "raw", "-x", "disk", "--shared=8", "-k", "SOCKET", "far"},
		"graid":    {graidBinary, "serve", "under", "--nbd", "unix:SOCKET", "--export", "disk", "far"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wreck{t, shortDir(t)}
			t.Cleanup(func() { stopAll(w.in("run")) })
			w.put("far", 32<<20-1, "\x00")
			if name == "graid" {
				w.must("create under --level linear --no-start --force far")
			}
			args := slices.Clone(args)
			for i, a := range args {
				args[i] = strings.ReplaceAll(a, "SOCKET", w.in("s"))
			}
			kill := w.server("s", args...)
			member := "nbd+unix:///disk?socket=s"
			w.must("create md0 --level 1 --member-size 24M near " + member)
			uri := "nbd+unix:///md0?socket=" + w.in("run/md0.nbd")
			fio := exec.Command("fio", "--name=x", "--ioengine=nbd", "--uri="+uri, "--rw=randrw", "--bs=4k", "--iodepth=8", "--size=16m", "--rate_iops=300",
				"--time_based", "--runtime=3", "--verify=crc32c", "--verify_fatal=1", "--verify_backlog=64", "--randseed=3")
			fio.Dir = w.dir
			ended := make(chan string, 1)
			go func() {
				out, err := fio.CombinedOutput()
				if err != nil {
					out = append(out, err.Error()...)
				}
				ended <- string(out)
			}()
			time.Sleep(500 * time.Millisecond) // let it be in full swing; what it does then is not judged by time
			kill()
			w.client(0, "nbdcopy", uri, "null:")
			out := <-ended
			require.Contains(t, out, "err= 0")
			require.NotContains(t, out, "verify:")
			require.Contains(t, w.run("status md0").out, "m1 s/disk faulty")

			w.server("s", args...)
			w.must("re-add md0 " + member)
			w.must("wait md0")
			require.Contains(t, w.run("events md0 --follow=false").out, "ReAdded")
			require.Contains(t, w.run("check md0 --wait").out, "mismatches in 0 sectors")
			require.Equal(t, exitDone, w.run("stop md0").status)
		})
	}
}
