//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/daemon"
	"graid/nbd/nbdtest"
)

// waiting returns once rules keep so many requests waiting.
func (w *wreck) waiting(f daemon.Folder, n int) {
	w.Helper()
	require.Eventually(w, func() bool {
		list, err := f.Faults(context.Background(), "md0")
		sum := 0
		for _, e := range list.Rules {
			sum += e.Waiting
		}
		return err == nil && sum >= n
	}, 20*time.Second, 5*time.Millisecond)
}

// TestStuckMember: a write hangs as long as a member does, requests beside it on the same connection do not, clearing the rule lets it go
// on, and an array ends although a member hangs.
func TestStuckMember(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	t.Cleanup(func() { stopAll(w.in("run")) })
	w.must("create md0 --level 5 --chunk 64K --member-size 16M a b c")
	f, err := daemon.LookFolder(w.in("run"))
	require.NoError(t, err)
	c, err := nbdtest.Dial("unix", w.in("run/md0.nbd"), nbdtest.Options{Export: "md0"})
	require.NoError(t, err)
	defer c.Close()

	// A small write to b, with parity made from a, of an array that is marked dirty already: nothing of it waits but the write itself.
	const at = 64 << 10
	want := bytes.Repeat([]byte{0x5A}, 4<<10)
	require.Zero(t, c.Do(nbdtest.Write, 0, 0, uint32(len(want)), want).Errno)
	_, err = f.Inject(context.Background(), "md0", []string{"b write stuck"})
	require.NoError(t, err)
	reply := c.Start(nbdtest.Write, 0, at, uint32(len(want)), want)
	w.waiting(f, 1)
	require.Zero(t, c.Do(nbdtest.Read, 0, 8<<20, 4096, nil).Errno)
	require.Empty(t, reply)

	_, err = f.ClearFaults(context.Background(), "md0", nil)
	require.NoError(t, err)
	require.Zero(t, (<-reply).Errno)
	got := make([]byte, len(want))
	_, err = c.ReadAt(got, at)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Contains(t, w.run("status md0").out, "3/3 members")

	_, err = f.Inject(context.Background(), "md0", []string{"* write,flush stuck"})
	require.NoError(t, err)
	c.Start(nbdtest.Write, 0, 0, uint32(len(want)), want)
	w.waiting(f, 1)
	w.must("stop --force md0")
	_, err = f.Status(context.Background(), "md0")
	require.ErrorIs(t, err, daemon.ErrNotRunning)
}

// TestStuckStart: an array whose members hang while it is put together can be given up.
func TestStuckStart(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	w.must("create md0 --level 1 --no-start --member-size 8M a b")
	s := start(t, dir, "serve", "md0", "a", "b", "--inject", "* read stuck")
	require.Eventually(t, func() bool { _, err := os.Stat(w.in("run/md0.sock")); return err == nil }, 20*time.Second, 5*time.Millisecond)
	time.Sleep(100 * time.Millisecond) // for it to hang; ending it sooner must do no harm
	require.NoError(t, s.Process.Signal(os.Interrupt))
	ended := make(chan struct{})
	go func() { s.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("still waiting")
	}
	require.NotEqual(t, -1, s.ProcessState.ExitCode(), "killed by a signal: %s", s.err)
}
