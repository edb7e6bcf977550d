//go:build unix

package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid"
)

// hookOf is a hook with a shell script, and what it complains about once it is closed.
func hookOf(t *testing.T, script string, events ...Event) (dir string, complaints []string) {
	t.Helper()
	dir = t.TempDir()
	path := filepath.Join(dir, "hook")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\ncd "+dir+"\n"+script), 0o755))
	h := newHook(path, func(s string) { complaints = append(complaints, s) })
	for _, e := range events {
		h.add(e)
	}
	h.close()
	return dir, complaints
}

// TestHook: a program is run for every event in order, and told what there is to tell.
func TestHook(t *testing.T) {
	dir, complaints := hookOf(t, `echo "$#: $* ($GRAID_DETAIL)" >>log`, Event{Event: "Fail", Array: "md0", Member: "/x/a b", Detail: "why"},
		Event{Event: raid.EventMismatch, Array: "md0"}, Event{Event: "RebuildStarted", Array: "md0"})
	require.Empty(t, complaints)
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err)
	require.Equal(t, "3: Fail md0 /x/a b (why)\n2: RebuildStarted md0 ()\n", string(log))
}

// TestHookFails: what goes wrong with the program is said once, and it is run all the same.
func TestHookFails(t *testing.T) {
	dir, complaints := hookOf(t, "echo >>log\necho no mail today >&2\nexit 3", Event{Event: "Fail"}, Event{Event: "SpareActive"})
	require.Len(t, complaints, 1)
	require.Regexp(t, `^on-event: .*/hook Fail: exit status 3: no mail today; `, complaints[0])
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err)
	require.Equal(t, 2, len(log))
}

// TestHookHangs: who tells of an event does not wait for the program, however long it takes.
func TestHookHangs(t *testing.T) {
	dir := t.TempDir()
	path, gate := filepath.Join(dir, "hook"), filepath.Join(dir, "gate")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nuntil [ -e "+gate+" ]; do sleep 0.01; done\n"), 0o755))
	var complaints []string
	h := newHook(path, func(s string) { complaints = append(complaints, s) })
	for range 2 * hookQueue {
		h.add(Event{Event: "Fail"}) // would wait for ever if it waited
	}
	require.NoError(t, os.WriteFile(gate, nil, 0o600))
	h.close()
	require.Len(t, complaints, 1)
	require.Contains(t, complaints[0], "takes too long")
}

func TestCheckProgram(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o644))
	_, err := CheckProgram(plain)
	require.ErrorContains(t, err, "make it executable")
	_, err = CheckProgram(plain + "-not")
	require.ErrorContains(t, err, "no such program")
	path, err := CheckProgram("sh")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(path, "/"))
}
