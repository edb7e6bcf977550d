package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"graid/daemon"
)

// graidBinary is graid itself, built once: what users run is what is tested. With -race it is built so too; plainBinary is not, for
// tests that start it hundreds of times and only look at refusals.
var graidBinary, plainBinary string

// buildFlags are what the test itself was built with, as far as it matters.
var buildFlags []string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "graid-test-")
	if err != nil {
		panic(err)
	}
	graidBinary = filepath.Join(dir, "graid")
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", graidBinary, ".")...)
	build.Stderr = os.Stderr
	status, err := 1, build.Run()
	plainBinary = graidBinary
	if len(buildFlags) > 0 {
		plainBinary = filepath.Join(dir, "plain", "graid")
		err = errors.Join(err, exec.Command("go", "build", "-o", plainBinary, ".").Run())
	}
	if err = errors.Join(err, os.Chmod(dir, 0o755)); err == nil {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

// TestScripts runs the command line as its users see it. Each script has a runtime folder of its own; what it leaves running is
// stopped.
func TestScripts(t *testing.T) {
	testscript.Run(t, scriptParams(filepath.Join("testdata", "script"), raced))
}

// raced is the binary for a script: with the race detector those in which most happens side by side. To start one takes that a second, and scripts do
// little else; the engine and the server are under it in tests of their own.
func raced(script string) string {
	switch script {
	case "life", "replace", "scrub":
		return graidBinary
	}
	return plainBinary
}

// scriptParams is for the scripts in dir, each of which runs the binary that is for it.
func scriptParams(dir string, binary func(script string) string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			run := filepath.Join(e.WorkDir, "run")
			e.Setenv("GRAID_RUNTIME_DIR", run)
			e.Setenv("GRAID_STATE_DIR", filepath.Join(e.WorkDir, "state"))
			e.Setenv("PATH", filepath.Dir(binary(strings.TrimPrefix(filepath.Base(e.WorkDir), "script-")))+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Defer(func() { stopAll(run) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fill": scriptFill, "verify": scriptVerify, "flip": scriptFlip, "garble": scriptGarble, "resize": scriptResize,
			"remember": scriptRemember, "unchanged": scriptUnchanged, "status": scriptStatus,
			"hold": scriptHold,
		},
	}
}

// stopAll stops the arrays of a runtime folder, whatever they are doing.
func stopAll(dir string) {
	f, err := daemon.LookFolder(dir)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	names, _ := f.Names()
	for _, n := range names {
		_ = f.Stop(ctx, n, true)
	}
}

// everything is what fill writes: each block names itself.
func everything(size int64) *pattern {
	p := newPattern(size)
	for i := range p.wrote {
		p.wrote[i] = 1
	}
	return p
}

// uriOf is a URI, or the first export of the running array of that name.
func uriOf(ts *testscript.TestScript, arg string) string {
	if strings.Contains(arg, "://") {
		return arg
	}
	f, err := daemon.LookFolder(ts.MkAbs(ts.Getenv("GRAID_RUNTIME_DIR")))
	ts.Check(err)
	a, err := f.Status(context.Background(), arg)
	ts.Check(err)
	return a.Exports[0].URI
}

// fill NAME|URI writes all of an export; with ! it must not be possible.
func scriptFill(ts *testscript.TestScript, neg bool, args []string) {
	c, err := dialNBD(uriOf(ts, args[0]))
	ts.Check(err)
	defer c.close()
	p := newPattern(c.size)
	switch _, err = p.fill(context.Background(), c); {
	case neg && err == nil:
		ts.Fatalf("%s was filled", args[0])
	case !neg:
		ts.Check(err)
	}
}

// verify NAME|URI|FILE checks that it has what fill wrote.
func scriptVerify(ts *testscript.TestScript, neg bool, args []string) {
	err := verifyOne(ts, args[0])
	switch {
	case neg && err == nil:
		ts.Fatalf("%s has what fill wrote", args[0])
	case !neg:
		ts.Check(err)
	}
}

func verifyOne(ts *testscript.TestScript, arg string) error {
	if f, err := os.Open(ts.MkAbs(arg)); err == nil {
		defer f.Close()
		fi, err := f.Stat()
		ts.Check(err)
		_, err = everything(fi.Size()).check(context.Background(), func(p []byte, off int64) error {
			_, err := f.ReadAt(p, off)
			return err
		})
		return err
	}
	c, err := dialNBD(uriOf(ts, arg))
	ts.Check(err)
	defer c.close()
	_, err = everything(c.size).verify(context.Background(), c)
	return err
}

// flip FILE OFFSET changes one bit.
func scriptFlip(ts *testscript.TestScript, _ bool, args []string) {
	off, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	ts.Check(flip(ts.MkAbs(args[0]), off))
}

func flip(path string, off int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b[:], off)
	return err
}

// garble FILE OFF LEN writes noise over a part of the file, the same each time.
func scriptGarble(ts *testscript.TestScript, _ bool, args []string) {
	off, err := parseSize(args[1])
	ts.Check(err)
	n, err := parseSize(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(p)
	_, err = f.WriteAt(p, off)
	ts.Check(err)
}

// resize FILE BYTES makes the file, or makes it longer or shorter.
func scriptResize(ts *testscript.TestScript, _ bool, args []string) {
	n, err := parseSize(args[1])
	ts.Check(err)
	ts.Check(resize(ts.MkAbs(args[0]), n))
}

func resize(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(n), f.Close())
}

// remember FILE... notes what the files hold; unchanged FILE... checks that they still do.
func scriptRemember(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		ts.Setenv("SUM_"+filepath.Base(a), sum(ts.MkAbs(a)))
	}
}

func scriptUnchanged(ts *testscript.TestScript, neg bool, args []string) {
	for _, a := range args {
		if same := ts.Getenv("SUM_"+filepath.Base(a)) == sum(ts.MkAbs(a)); same == neg {
			ts.Fatalf("%s: unchanged: %v", a, same)
		}
	}
}

// sum is the hash of a file, or what went wrong with reading it.
func sum(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err.Error()
	}
	return hex.EncodeToString(h.Sum(nil))
}

// status N COMMAND... runs the command and wants this exit status; its output is for stdout and stderr to check.
func scriptStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("status %d, want %s", got, args[0])
	}
}

// hold NAME keeps a client connected until the script ends.
func scriptHold(ts *testscript.TestScript, _ bool, args []string) {
	c, err := dialNBD(uriOf(ts, args[0]))
	ts.Check(err)
	ts.Defer(func() { c.close() })
}

// said is what one run of graid came to.
type said struct {
	status   int
	out, err string
}

// graid runs the binary in dir with a runtime folder of its own.
func graid(t *testing.T, dir string, args ...string) said {
	t.Helper()
	c := exec.Command(plainBinary, args...)
	return finish(t, dir, c)
}

func finish(t *testing.T, dir string, c *exec.Cmd) said {
	t.Helper()
	c.Dir = dir
	c.Env = append(os.Environ(), "GRAID_RUNTIME_DIR="+filepath.Join(dir, "run"), "GRAID_STATE_DIR="+filepath.Join(dir, "state"), "LANG=C")
	var out, bad bytes.Buffer
	c.Stdout, c.Stderr = &out, &bad
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return said{c.ProcessState.ExitCode(), out.String(), bad.String()}
}

func (s said) String() string { return fmt.Sprintf("status %d\n%s%s", s.status, s.out, s.err) }
