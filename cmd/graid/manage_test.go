package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block/fault"
	"graid/daemon"
)

// TestRefusedMembers: what must not become a member, or must not leave or be scrubbed, is refused in one line; no file changes, none is made
// and none is gone.
func TestRefusedMembers(t *testing.T) {
	w := &wreck{t, shortDir(t)}
	t.Cleanup(func() { stopAll(w.in("run")) })
	w.must("create five --level 5 --chunk 64K --member-size 16M a b c")
	w.must("create zero --level 0 --chunk 64K --member-size 16M d e")
	w.must("create one --level 1 --member-size 16M f g h")
	w.must("create other --level 1 --no-start --member-size 16M x y")
	w.must("assemble other --readonly x y")
	w.must("create laid --level 1 --no-start --member-size 16M l1 l2")
	w.must("assemble laid --overlay over l1 l2")
	w.must("create idle --level 1 --no-start --member-size 16M s t")
	w.must("fail one h")
	for name, size := range map[string]int64{"blank": 16 << 20, "small": 4 << 20, "ext4": 16 << 20} {
		require.NoError(t, resize(w.in(name), size))
	}
	w.put("ext4", signatures[0].at, signatures[0].magic)
	require.NoError(t, os.Symlink("b", w.in("link")))
	all := []string{"a", "b", "c", "d", "e", "f", "g", "h", "x", "y", "l1", "l2", "s", "t", "blank", "small", "ext4"}
	sums := func() (list []string) {
		for _, name := range all {
			list = append(list, sum(w.in(name)))
		}
		return list
	}
	written := func() (list []string) {
		for _, name := range all {
			fi, err := os.Stat(w.in(name))
			require.NoError(t, err)
			list = append(list, fmt.Sprint(name, fi.Size(), fi.ModTime()))
		}
		return list
	}
	first := sums()
	for _, c := range []struct {
		args string
		says []string
	}{
		{"add five small", []string{"small: ", "too few"}},
		{"add laid small", []string{"small: ", "too few"}},
		{"add five s", []string{"s: is a member of raid1 array", "--force"}},
		{"add five d", []string{"d: in use"}},
		{"add five d --force", []string{"d: in use"}},
		{"add five b", []string{"b: is a member of five already (in sync)"}},
		{"add five link --force", []string{"link: is a member of five already"}},
		{"add five blank link", []string{"link: is a member of five already"}},
		{"add five blank small ext4", []string{"ext4: holds an ext2"}},
		{"add five ext4", []string{"ext4: holds an ext2, ext3 or ext4 file system", "--force"}},
		{"add five .", []string{"folder"}},
		{"add five gone", []string{"gone: does not exist", "--member-size"}},
		{"add one h", []string{"h: is a faulty member of one", "graid remove one h"}},
		{"add zero blank", []string{"blank: raid0 takes no spares"}},
		{"add zero made --member-size 16M", []string{"made: raid0 takes no spares"}},
		{"add other blank", []string{"read-only"}},
		{"add nobody blank", []string{"nobody: no such array runs"}},
		{"add five nbd+unix:///x?socket=/no/s", []string{"cannot be reached", "check that the server runs"}},
		{"remove five a", []string{"a: is in use", "graid fail five a"}},
		{"remove five blank", []string{"blank: not a member of five"}},
		{"remove other x", []string{"read-only"}},
		{"check zero", []string{"zero: nothing to check", "raid0"}},
		{"repair zero", []string{"nothing to repair"}},
		{"check other", []string{"read-only"}},
		{"check nobody", []string{"no such array runs"}},
		{"sync-action zero check", []string{"nothing to check"}},
		{"sync-action five resync", []string{"not there yet"}},
		{"limit nobody", []string{"no such array runs"}},
	} {
		before := written()
		s := w.run(c.args)
		require.Equal(t, exitFailed, s.status, "%s: %s", c.args, s)
		require.Regexp(t, `^graid: [^\n]+\n$`, s.err, c.args)
		require.Empty(t, s.out, c.args)
		for _, word := range c.says {
			require.Contains(t, s.err, word, c.args)
		}
		require.Equal(t, before, written(), c.args)
		require.NoFileExists(t, w.in("made"))
		require.NoFileExists(t, w.in("gone"))
		left, err := filepath.Glob(w.in("over/small-*"))
		require.NoError(t, err)
		require.Empty(t, left, c.args)
	}
	require.Equal(t, first, sums())
	// None of them is held on to.
	w.must("add five blank")
	w.must("add five --force ext4 s")
}

// TestWhoDiedHad: the command for a server that died names the members that the array has, and no faults of those that left.
func TestWhoDiedHad(t *testing.T) {
	w := &wreck{t, shortDir(t)}
	t.Cleanup(func() { stopAll(w.in("run")) })
	w.must("create md0 --level 1 --no-start --member-size 8M a b")
	s := start(t, w.dir, "serve", "md0", "a", "b", "--inject", "b read media p=1/1000000 seed=3", "--inject", "* read stall=1ms count=1")
	s.line(t)
	w.must("add md0 c d --member-size 8M")
	w.must("fail md0 b")
	w.must("wait md0")
	f, err := daemon.LookFolder(w.in("run"))
	require.NoError(t, err)
	a, err := f.Status(context.Background(), "md0")
	require.NoError(t, err)
	require.Zero(t, a.Degraded)
	w.must("remove md0 b")
	w.must("remove md0 d")
	w.must("add md0 e --member-size 8M")
	s.Process.Kill()
	s.Wait()
	says := w.run("status")
	require.Equal(t, exitAttention, says.status)
	require.Contains(t, says.out, "\n     graid serve md0 '--inject=* read stall=1ms count=1' "+w.in("a")+" "+w.in("c")+" "+w.in("e")+"\n")
}

func TestWhatBecomesOfAMember(t *testing.T) {
	role, path, other := 1, "/x/e.img", "/x/b.img"
	array := func(action, state string, others ...daemon.Member) daemon.Array {
		m := daemon.Member{Path: &path, State: state}
		if state == "rebuilding" || state == "in_sync" {
			m.Role = &role
		}
		return daemon.Array{Name: "md0", Sync: daemon.Sync{Action: action}, Members: append(others, m)}
	}
	missing := daemon.Member{Role: &role, State: "missing"}
	for want, a := range map[string]daemon.Array{
		"md0: e.img takes over m1: recovery onto it begins; `graid wait md0` waits for its end":         array("recover", "rebuilding"),
		"md0: e.img took over m1 and is in sync":                                                        array("idle", "in_sync"),
		"md0: e.img is a spare: it takes over when a member fails":                                      array("idle", "spare", daemon.Member{Role: &role, Path: &other, State: "in_sync"}),
		"md0: e.img is a spare: it takes over a missing member when the resync under way has ended":     array("resync", "spare", missing),
		"md0: e.img is a spare: it takes over a missing member when the recovery under way has ended":   array("recover", "spare", missing),
		"md0: e.img is a spare and does not take over the missing member: the server's log may say why": array("idle", "spare", missing),
		"md0: e.img was added and failed at once: `graid detail md0` has its errors":                    array("idle", "faulty"),
		"md0: e.img was added and has gone again":                                                       {Name: "md0"},
	} {
		require.Equal(t, want, whatNext(a, path))
	}
	// Those that came first take over first.
	earlier := daemon.Member{Path: &other, State: "spare"}
	require.Contains(t, whatNext(array("recover", "spare", missing, earlier), path), "when a member fails")
	require.Contains(t, whatNext(array("recover", "spare", missing, missing, earlier), path), "when the recovery under way has ended")
}

func TestRulesAboutMembers(t *testing.T) {
	rules, err := fault.Parse("* read media\nm1 read media\n/x/b read media\nb write media\nc read media")
	require.NoError(t, err)
	require.Equal(t, rules[:4], about(rules, []string{"/x/a", "/x/b"}))
	require.Equal(t, rules[:2], about(rules, []string{"/x/a"}))
}
