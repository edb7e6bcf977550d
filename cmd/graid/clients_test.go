package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tools skips a test, by name, for want of a tool. In CI that is a failure.
func tools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// client runs a tool in the folder of w and returns what it printed. It must exit with this status.
func (w *wreck) client(status int, name string, args ...string) string {
	w.Helper()
	c := exec.Command(name, args...)
	c.Dir = w.dir
	out, err := c.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == status {
		err = nil
	}
	require.NoError(w, err, "%s %v\n%s", name, args, out)
	return string(out)
}

// hash is the sum of the first n bytes of a file.
func (w *wreck) hash(name string, n int64) string {
	w.Helper()
	f, err := os.Open(w.in(name))
	require.NoError(w, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.CopyN(h, f, n)
	require.NoError(w, err)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestRealClients has the tools that people use write and read real arrays, complete and degraded.
func TestRealClients(t *testing.T) {
	tools(t, "nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "fio")
	for _, l := range []struct{ name, args string }{
		{"raid5", "--level 5 --chunk 64K"}, {"raid6", "--level 6 --chunk 64K"}, {"raid10", "--level 10 --layout f2 --chunk 64K"},
	} {
		t.Run(l.name, func(t *testing.T) {
			dir := shortDir(t)
			w := &wreck{t, dir}
			t.Cleanup(func() { stopAll(w.in("run")) })
			uri := "nbd+unix:///md0?socket=" + w.in("run/md0.nbd")
			w.must("create md0 --member-size 24M a b c d " + l.args)
			const size = 32 << 20
			w.put("in", size-16, "the last sixteen")
			noise := make([]byte, 20<<20)
			rand.NewChaCha8([32]byte{7}).Read(noise)
			w.put("in", 0, string(noise))

			w.clients(uri, size)
			w.fio(uri, "complete")
			w.must("fail md0 b")
			w.fio(uri, "degraded")
			w.clients(uri, size)
			require.Equal(t, exitDone, w.run("stop md0").status)
			require.Equal(t, exitAttention, w.run("dump a c d -o out").status)
			require.Equal(t, w.hash("in", size), w.hash("out", size))
		})
	}
}

// clients copies the file "in" to the array and back, by each tool's own way, and asks what there is to ask.
func (w *wreck) clients(uri string, size int64) {
	w.client(0, "nbdcopy", "-C", "4", "-R", "64", "in", uri)
	w.client(0, "nbdcopy", "-C", "4", "-R", "64", uri, "back")
	require.Equal(w, w.hash("in", size), w.hash("back", size))
	os.Remove(w.in("back"))

	w.client(0, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", "-m", "16", "-W", "in", uri)
	w.client(0, "qemu-img", "compare", "-f", "raw", "-F", "raw", "in", uri)
	w.client(0, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, "back.qcow2")
	w.client(0, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", "back.qcow2", uri)
	require.Contains(w, w.client(0, "qemu-img", "map", "-f", "raw", "--output=json", uri), `"start": 0`)
	os.Remove(w.in("back.qcow2"))

	w.client(0, "qemu-io", "-f", "raw", "-c", "write -f -P 7 1001 5003", "-c", "read -P 7 1001 5003", "-c", "write -z -u 70000 1000000",
		"-c", "read -P 0 70000 1000000", "-c", "discard 0 1M", "-c", "flush", uri)
	require.Contains(w, w.client(1, "qemu-io", "-f", "raw", "-c", "read 1G 4k", uri), "Input/output error")

	for _, can := range strings.Fields("connect read write flush fua trim zero fast-zero df cache multi-conn structured-reply") {
		out := w.client(0, "nbdinfo", "--can", can, uri)
		require.Empty(w, out, can)
	}
	w.client(2, "nbdinfo", "--is", "read-only", uri)
	require.Contains(w, w.client(0, "nbdinfo", "--list", uri), `export="md0"`)
	require.Contains(w, w.client(0, "nbdinfo", "--map", "--totals", uri), "data")
	w.client(0, "nbdcopy", "in", uri)
}

// fio writes at random, several requests at once, and verifies what it reads back.
func (w *wreck) fio(uri, name string) {
	out := w.client(0, "fio", "--name="+name, "--ioengine=nbd", "--uri="+uri, "--rw=randrw", "--bsrange=4k-128k", "--size=32m", "--io_size=48m", "--iodepth=32", "--verify=crc32c", "--verify_fatal=1", "--randseed=7", "--group_reporting")
	require.Contains(w, out, "err= 0")
}
