//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/daemon"
)

// TestServe: in the foreground, with every way to end it.
func TestServe(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	w.must("create md0 --level 5 --chunk 64K --no-start --member-size 8M a b c")
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := start(t, dir, "serve", "md0", "a", "b", "c", "--nbd", "unix:x.sock", "--nbd", "tcp:127.0.0.1:0", "--export", "the data")
		unix, tcp := s.line(t), s.line(t)
		require.Equal(t, "nbd+unix:///the%20data?socket="+dir+"/x.sock", unix)
		require.Regexp(t, `^nbd://127\.0\.0\.1:[1-9][0-9]*/the%20data$`, tcp)
		for _, uri := range []string{unix, tcp} {
			c, err := dialNBD(uri)
			require.NoError(t, err)
			_, err = newPattern(c.size).fill(context.Background(), c)
			require.NoError(t, err)
			require.NoError(t, c.close())
		}
		s.ends(t, sig, exitDone)
		require.Contains(t, s.err.String(), "msg=ArrayStarted")
		require.Contains(t, s.err.String(), "msg=ArrayStopped")
		left, err := os.ReadDir(filepath.Join(dir, "run"))
		require.NoError(t, err)
		require.Empty(t, left)
		require.NoFileExists(t, w.in("x.sock"))
		require.Contains(t, w.run("examine a").out, "State : clean")
	}
	s := w.run("dump -o out a b c")
	require.Equal(t, exitDone, s.status, s)
	f, err := os.ReadFile(w.in("out"))
	require.NoError(t, err)
	_, err = everything(int64(len(f))).check(context.Background(), func(p []byte, off int64) error {
		copy(p, f[off:])
		return nil
	})
	require.NoError(t, err)
}

// TestDeadAndDeaf: what status says of a server that died and of one that does not answer.
func TestDeadAndDeaf(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	t.Cleanup(func() { stopAll(w.in("run")) })
	w.must("create dead --level 1 --no-start --member-size 8M a b")
	w.must("create deaf --level 1 --no-start --member-size 8M c d")
	w.must("create fine --level 1 --member-size 8M e f")
	dead, deaf := start(t, dir, "serve", "dead", "a", "b", "--export", "the data"), start(t, dir, "serve", "deaf", "c", "d")
	dead.line(t)
	deaf.line(t)
	dead.Process.Kill()
	dead.Wait()
	require.NoError(t, deaf.Process.Signal(syscall.SIGSTOP))

	began := time.Now()
	s := w.run("status")
	require.Less(t, time.Since(began), 2*daemon.AnswerTime)
	require.Equal(t, exitFailed, s.status, s)
	require.Regexp(t, `(?m)^dead  not running: its server \(pid \d+\) died`, s.out)
	require.Regexp(t, `(?m)^deaf  no answer$`, s.out)
	require.Regexp(t, `(?m)^fine  raid1  clean`, s.out)
	require.Regexp(t, `^graid: deaf: its server \(pid \d+\) does not answer within 3s\n$`, s.err)
	require.NoError(t, deaf.Process.Signal(syscall.SIGCONT))
	w.must("status")

	// It is told again and again, to programs too, until somebody does something about it.
	for _, args := range []string{"status", "status dead", "status"} {
		s = w.run(args)
		require.Equal(t, exitAttention, s.status, s)
		require.Contains(t, s.out, "\n     graid serve dead --export 'the data' "+w.in("a")+" "+w.in("b")+"\n")
		require.Empty(t, s.err)
	}
	s = w.run("status --json")
	require.Equal(t, exitAttention, s.status, s)
	require.Contains(t, s.out, `"died": [`)
	require.Regexp(t, `^graid: dead: its server \(pid \d+\) died: .*\n$`, s.err)
	s = w.run("detail dead")
	require.Equal(t, exitFailed, s.status, s)
	require.Regexp(t, `^graid: dead: .*its server \(pid \d+\) died: .graid status dead. says how to start it again\n$`, s.err)
	require.Equal(t, exitFailed, w.run("assemble dead a gone").status)
	require.Equal(t, exitAttention, w.run("status").status)

	// Its name and members are free, and what it left goes with another's start.
	w.must("assemble dead a b")
	require.Equal(t, exitDone, w.run("status").status)
	w.must("stop dead")

	again := start(t, dir, "serve", "dead", "a", "b")
	again.line(t)
	again.Process.Kill()
	again.Wait()
	s = w.run("stop dead")
	require.Equal(t, exitAttention, s.status, s)
	require.Regexp(t, `^graid: dead: its server \(pid \d+\) had died without marking the array clean; .* run graid serve dead .*\n$`, s.err)
	require.Equal(t, exitFailed, w.run("stop dead").status)
	require.Equal(t, exitDone, w.run("status").status)
	deaf.ends(t, syscall.SIGTERM, exitDone)
}

// TestDeafStop: a server that hangs is not waited for in silence, nor for ever.
func TestDeafStop(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	w.must("create deaf --level 1 --no-start --member-size 8M a b")
	deaf := start(t, dir, "serve", "deaf", "a", "b")
	deaf.line(t)
	require.NoError(t, deaf.Process.Signal(syscall.SIGSTOP))
	for _, args := range []string{"stop deaf --timeout 1", "fail deaf a --timeout 1"} {
		s := w.run(args)
		require.Equal(t, exitFailed, s.status, s)
		require.Regexp(t, `^graid: deaf: waiting for its server \(pid \d+\) to .*\ngraid: deaf: its server \(pid \d+\) did not .* within 1s: .*kill -9 \d+.*\n$`, s.err)
	}
	require.Equal(t, exitUsage, w.run("stop deaf --timeout soon").status)
	require.NoError(t, deaf.Process.Signal(syscall.SIGCONT))
	deaf.Wait() // it goes on stopping
	require.Equal(t, exitDone, deaf.ProcessState.ExitCode())
}

// TestControl: the control socket speaks HTTP and JSON, and tells of events.
func TestControl(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	t.Cleanup(func() { stopAll(w.in("run")) })
	w.must("create md0 --level 1 --member-size 8M a b")
	f, err := daemon.LookFolder(w.in("run"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	heard := make(chan string, 16)
	go func() {
		_ = f.Events(ctx, "md0", 0, func(id int64, e json.RawMessage) { heard <- string(e) })
		close(heard)
	}()
	require.Contains(t, <-heard, `"event":"NewArray"`)
	w.must("fail md0 a")
	require.Regexp(t, `"event":"Fail","array":"md0","member":".*/a"`, <-heard)
	s := w.run("fail md0 " + url.PathEscape("a b"))
	require.Equal(t, exitFailed, s.status)
	w.must("stop md0")
	for range heard { // ends with the array
	}
	require.NoError(t, ctx.Err())
	_, err = f.Status(ctx, "md0")
	require.ErrorIs(t, err, daemon.ErrNotRunning)
}

// nobody is who has no rights at all.
const nobody = 65534

func asNobody(args ...string) *exec.Cmd {
	c := exec.Command(graidBinary, args...)
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return c
}

// TestNoRoot: a whole round as an ordinary user, and what such a user may not.
func TestNoRoot(t *testing.T) {
	dir := shortDir(t)
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, nobody, nobody))
	}
	w := &wreck{t, dir}
	// They must not be stopped by root: the folder is not root's.
	run := func(args string) said { return finish(t, dir, asNobody(strings.Fields(args)...)) }
	t.Cleanup(func() { run("stop --force md0") })
	for _, args := range []string{
		"create md0 --level 10 --chunk 64K --member-size 8M a b c d", "status", "detail md0", "wait md0", "fail md0 b", "stop md0",
		"examine a", "scan .", "dump -o out a c d", "assemble md0 a c d", "stop md0",
	} {
		s := run(args)
		require.Contains(t, []int{exitDone, exitAttention}, s.status, "%s: %s", args, s)
	}
	out, err := os.Stat(w.in("out"))
	require.NoError(t, err)
	require.Positive(t, out.Size())

	require.NoError(t, os.Chmod(w.in("a"), 0))
	for _, args := range []string{"examine a", "assemble md0 a c d", "dump -o no a c d", "create md0 --level 1 --force a c", "scan a"} {
		s := run(args)
		require.Equal(t, exitFailed, s.status, "%s: %s", args, s)
		require.Regexp(t, `^graid: [^\n]*a: permission denied[^\n]*\n$`, s.err, args)
	}
	s := run("scan .")
	require.Equal(t, exitAttention, s.status, s)
	require.Contains(t, s.out, "2/4 members")
	require.Equal(t, "graid: not looked into: a: permission denied: there may be members among them: run it as somebody who may read them\n", s.err)
	require.NoError(t, os.Chmod(w.in("a"), 0o400))
	s = run("create md0 --level 1 --force a c")
	require.Equal(t, exitFailed, s.status, s)
	require.Regexp(t, `^graid: [^\n]*a: permission denied[^\n]*\n$`, s.err)

	if os.Geteuid() == 0 {
		require.NoError(t, os.RemoveAll(w.in("run")))
		require.NoError(t, os.Mkdir(w.in("run"), 0o755))
		s := run("assemble md0 c d")
		require.Equal(t, exitFailed, s.status, s)
		require.Regexp(t, `^graid: runtime folder [^\n]*: belongs to somebody else[^\n]*\n$`, s.err)
	}
}

// TestDumpInterrupted: Ctrl-C leaves no half of a file, and does not wait for a reader that does not read.
func TestDumpInterrupted(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	w.must("create md0 --level 0 --chunk 64K --no-start --member-size 64M a b")
	s := start(t, dir, "dump", "a", "b") // nobody reads its output: it waits for room in the pipe
	time.Sleep(300 * time.Millisecond)
	require.NoError(t, s.Process.Signal(os.Interrupt))
	ended := make(chan struct{})
	go func() { s.Process.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting")
	}
}

// TestDemo: the tour ends well and leaves nothing behind; so does one that is broken off.
func TestDemo(t *testing.T) {
	dir := shortDir(t)
	c := exec.Command(plainBinary, "demo")
	c.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "every byte was right at every step")
	require.Equal(t, 6, strings.Count(string(out), "every byte is right"), string(out))
	empty(t, dir)

	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			continue // as under nohup, and by what is started from there
		}
		s := start(t, dir, "demo")
		for !strings.Contains(s.line(t), "wrote") {
		}
		s.ends(t, sig, exitFailed)
		require.Equal(t, "graid: interrupted\n", s.err.String())
		empty(t, dir)
	}

	s := start(t, dir, "demo") // into head -1
	s.line(t)
	require.NoError(t, s.pipe.Close())
	s.Wait()
	require.Equal(t, exitFailed, s.ProcessState.ExitCode())
	require.Empty(t, s.err.String())
	empty(t, dir)
}

// TestOutputFull: what could not be told was not done.
func TestOutputFull(t *testing.T) {
	dir := shortDir(t)
	w := &wreck{t, dir}
	t.Cleanup(func() { stopAll(w.in("run")) })
	w.must("create md0 --level 1 --no-start --member-size 8M a b")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full")
	}
	defer full.Close()
	for _, args := range []string{
		"help", "create --help", "version", "status", "status --json", "examine a", "scan .", "scan --json .", "demo", "serve md0 a b",
		"dump a b", "assemble md0 a b", "detail md0", "stop md0",
	} {
		c := exec.Command(plainBinary, strings.Fields(args)...)
		c.Dir, c.Stdout = dir, full
		c.Env = append(os.Environ(), "GRAID_RUNTIME_DIR="+w.in("run"), "TMPDIR="+dir)
		var bad bytes.Buffer
		c.Stderr = &bad
		c.Run()
		require.Equal(t, exitFailed, c.ProcessState.ExitCode(), args)
		require.Regexp(t, `(?m)^graid: standard output: no space left on device\n\z`, bad.String(), args)
	}
	require.Contains(t, w.run("examine a").out, "State : clean")
}

func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
