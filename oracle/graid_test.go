package oracle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Exit statuses of the command line.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitAttention = 3
)

var build struct {
	once sync.Once
	err  error
}

// graidBinary builds graid once, static so that it also runs in the guest, and returns its path.
func graidBinary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(scratch, "graid")
	build.once.Do(func() {
		cmd := exec.Command("go", "build", "-o", path, "graid/cmd/graid")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	require.NoError(t, build.err)
	return path
}

// graid is a graid whose running arrays are this test's alone.
type graid struct {
	bin     string
	runtime string
}

func newGraid(t testing.TB) *graid {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "r") // short: a unix socket's path has 108 bytes at most
	require.NoError(t, err)
	g := &graid{bin: graidBinary(t), runtime: dir}
	t.Cleanup(func() { g.stopAll(t) })
	return g
}

func (g *graid) command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.bin, args...)
	cmd.Env = append(os.Environ(), "GRAID_RUNTIME_DIR="+g.runtime, "NO_COLOR=1")
	return cmd
}

// run runs a verb to its end. An exit status that is none of want fails the test.
func (g *graid) run(t testing.TB, want []int, args ...string) string {
	t.Helper()
	stdout, err := g.try(want, args...)
	require.NoError(t, err)
	return stdout
}

// try is run for tasks that must not end the test by themselves.
func (g *graid) try(want []int, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := g.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	status := cmd.ProcessState.ExitCode()
	for _, w := range want {
		if status == w {
			return stdout.String(), nil
		}
	}
	return stdout.String(), fmt.Errorf("graid %s: exit status %d, want %v (%v)\n%s%s", strings.Join(args, " "), status, want, err,
		tail(stdout.String(), 1000), tail(stderr.String(), 3000))
}

var (
	done   = []int{exitDone}
	usable = []int{exitDone, exitAttention} // degraded is worth a status of its own
)

// stopAll ends what a test left running.
func (g *graid) stopAll(t testing.TB) {
	out, err := g.try(done, "status", "--json")
	if err != nil {
		return
	}
	var status struct {
		Arrays []struct {
			Name string
			PID  int
		}
	}
	if json.Unmarshal([]byte(out), &status) != nil {
		return
	}
	for _, a := range status.Arrays {
		if _, err := g.try(done, "stop", "--force", a.Name); err != nil {
			t.Logf("left running: %s: %v", a.Name, err)
			if p, err := os.FindProcess(a.PID); err == nil && a.PID > 1 {
				p.Kill()
			}
		}
	}
}

// dumpEquals lets graid dump an array to standard output and compares as it comes.
func (g *graid) dumpEquals(want string, members ...string) error {
	f, err := os.Open(want)
	if err != nil {
		return err
	}
	defer f.Close()
	return g.dump(func(r io.Reader) error { return compare(r, f) }, members...)
}

func (g *graid) dump(judge func(io.Reader) error, members ...string) error {
	var stderr bytes.Buffer
	cmd := g.command(append([]string{"dump"}, members...)...)
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	verdict := judge(stdout)
	io.Copy(io.Discard, stdout)
	err = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != exitDone && status != exitAttention {
		return fmt.Errorf("graid dump: %w: %s", err, tail(stderr.String(), 1000))
	}
	return verdict
}

// facts is what graid examine says of members, in the words of facts.
func (g *graid) facts(t testing.TB, paths ...string) []facts {
	t.Helper()
	out := g.run(t, usable, append([]string{"examine", "--json"}, paths...)...)
	var list []map[string]any
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&list), out)
	require.Len(t, list, len(paths))
	var all []facts
	for i, entry := range list {
		require.Equal(t, paths[i], entry["path"])
		f := facts{}
		for key, value := range entry {
			switch v := value.(type) {
			case nil:
				f[key] = "null"
			case string, json.Number, bool:
				f[key] = fmt.Sprint(v)
			}
		}
		f["bitmap"] = fmt.Sprint(entry["bitmap"] != nil)
		f["ppl"] = fmt.Sprint(entry["ppl"] != nil)
		flags, _ := entry["flags"].([]any)
		f["write_mostly"] = fmt.Sprint(slices.Contains(flags, any("write_mostly")))
		if bitmap, ok := entry["bitmap"].(map[string]any); ok {
			for key, value := range bitmap {
				f["bitmap."+key] = fmt.Sprint(value)
			}
		}
		f["feature_map"] = featureBits(t, entry["feature_map"])
		for _, key := range []string{"update_time", "creation_time"} {
			if s, ok := entry[key].(string); ok {
				when, err := time.Parse(time.RFC3339, s)
				require.NoError(t, err)
				f[key] = fmt.Sprint(when.Unix())
			}
		}
		all = append(all, f)
	}
	return all
}

// Names of the bits of a 1.x superblock's feature map, lowest first.
var featureNames = []string{
	"bitmap", "recovery", "reshape", "bad_blocks", "replacement", "reshape_backwards", "new_offset", "recovery_bitmap",
	"clustered", "journal", "ppl", "multiple_ppls", "raid0_layout",
}

// featureBits is a list of feature names as mdadm prints the map.
func featureBits(t testing.TB, names any) string {
	t.Helper()
	list, ok := names.([]any)
	require.True(t, ok, "feature_map is no list: %v", names)
	bits := 0
	for _, name := range list {
		bit := slices.Index(featureNames, fmt.Sprint(name))
		require.GreaterOrEqual(t, bit, 0, "unknown feature %v", name)
		bits |= 1 << bit
	}
	return fmt.Sprintf("%#x", bits)
}

// differ compares every fact that mdadm told, except those that graid has another word for, and returns what differs.
func (want facts) differ(got facts) error {
	var list []error
	for key, w := range want {
		g, ok := got[key]
		switch {
		case !ok:
			g = "nothing"
		case key == "layout":
			g, w = layoutWords(g), layoutWords(w)
		}
		if g != w {
			list = append(list, fmt.Errorf("%s: graid says %q, mdadm %q", key, g, w))
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Error() < list[j].Error() })
	return errors.Join(list...)
}

// layoutWords makes one word of the many ways to say a layout: "near=2, far=1" is what mdadm says of "near=2", "-unknown-" of none.
func layoutWords(s string) string {
	if s == "-unknown-" || s == "null" || s == "original" || s == "dangerous" {
		return strings.ReplaceAll(strings.ReplaceAll(s, "-unknown-", ""), "null", "")
	}
	return s
}
