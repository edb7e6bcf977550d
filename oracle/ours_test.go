package oracle

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ours is an array that graid made and wrote, and how it ended.
type ours struct {
	spec
	drives  []int
	members []string
	end     ending
	content
}

// ending is what happens to an array before the kernel gets it.
type ending struct {
	junk   byte // the members are full of it when the array is created, so that it must resync; 0 = they are all holes
	fail   int  // this member is failed between the writes; -1 = none
	two    bool // … and the one two roles on
	killed bool // the server is killed while it is written to; otherwise it is stopped
	signal bool // stopped by SIGINT rather than by the stop verb
	revive bool // killed, then served again until it is in sync, and stopped
}

func (e ending) String() string {
	var words []string
	for word, is := range map[string]bool{"junk": e.junk != 0, "failed": e.fail >= 0, "two": e.two, "killed": e.killed, "revived": e.revive, "int": e.signal} {
		if is {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(append(words, "end"), "-")
}

// endings chooses for the i-th array of a level. A parity array that is degraded and dirty has lost what it had in flight, and
// the kernel refuses it as graid does: that is no use here.
func endings(s spec, i int) ending {
	none := ending{fail: -1, signal: i%2 == 0}
	if !s.redundant() {
		return []ending{none, {fail: -1, killed: true}}[i%2]
	}
	lost := i % len(s.Sizes)
	list := []ending{
		{fail: -1, killed: true},
		{fail: -1, junk: 0xA5, signal: true},
		{fail: lost},
		{fail: -1, killed: true, revive: true},
		none,
		{fail: -1, junk: 0x5A, killed: true},
	}
	if !s.parity() {
		list = append([]ending{{fail: lost, killed: true}}, append(list, ending{fail: lost, killed: true, revive: true})...)
	}
	if s.Level == "raid6" {
		list = append(list[:2:2], append([]ending{{fail: lost, two: true}}, list[2:]...)...)
	}
	return list[i%len(list)]
}

// bitmapped are arrays with a bitmap that graid keeps true: what it says the kernel resyncs, and nothing else.
func bitmapped() (list []spec) {
	for i := range 3 {
		list = append(list,
			newSpec("raid1", "", 2+i%2, 0, metadatas[1+i]),
			newSpec("raid5", "left-symmetric", 3, 64, metadatas[1+i]),
			newSpec("raid10", "n2", 4, 64, metadatas[1+i]))
	}
	for i := range list {
		list[i].Name += "-bitmap"
		list[i].Bitmap = true
	}
	return slices.DeleteFunc(list, func(s spec) bool { return !wanted(s.Name) })
}

// TestOursTheirs: what graid made and wrote, Linux reads, resyncs, finds consistent, and writes to; and graid reads it back.
func TestOursTheirs(t *testing.T) {
	needGuest(t)
	t.Parallel() // only of tests that open no member themselves: whoever is started meanwhile would hold its lock for a moment
	need(t, "nbdcopy")
	gr := newGraid(t)
	counts := map[string]int{}
	specs := append(matrix(metadatas[1:]), bitmapped()...)
	for first := 0; first < len(specs); first += perBoot {
		f := &fleet{dir: t.TempDir()}
		var list []*ours
		for _, s := range specs[first:min(first+perBoot, len(specs))] {
			a := &ours{spec: s, end: endings(s, counts[s.Level])}
			counts[s.Level]++
			a.drives = f.add(t, s, a.end.junk)
			a.members = f.paths(a.drives)
			list = append(list, a)
		}
		t.Run(fmt.Sprintf("write%d", first/perBoot), func(t *testing.T) {
			both := make(chan struct{}, 2)
			for _, a := range list {
				t.Run(a.Name+"-"+a.end.String(), func(t *testing.T) {
					t.Parallel()
					both <- struct{}{}
					defer func() { <-both }()
					a.live(t, gr)
				})
			}
		})
		if t.Failed() {
			return
		}
		share := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(share, "out"), 0o755))
		text := script(t, "ours.sh")
		for i, a := range list {
			text += fmt.Sprintf("adopt %s '%s' mark%d\n", a.Name, strings.Trim(fmt.Sprint(a.drives), "[]"), i)
		}
		log := boot{Share: share, Drives: f.drives, Script: text, Limit: bootLimit}.run(t)
		for i, a := range list {
			t.Run(a.Name+"-"+a.end.String(), func(t *testing.T) {
				_, part, _ := strings.Cut(log, "== "+a.Name+"\n")
				part, _, _ = strings.Cut(part, "\n== ")
				a.judge(t, gr, filepath.Join(share, "out", a.Name), part, fmt.Sprintf("mark%d\n", i))
			})
		}
	}
}

// live is the array's life under graid.
func (a *ours) live(t *testing.T, gr *graid) {
	args := append([]string{"create", a.Name, "--no-start", "--homehost=oracle"}, a.args()...)
	gr.run(t, done, append(args, a.members...)...)
	s := gr.serve(t, a.Name, a.members...)

	client, err := dialNBD(s.socket, a.Name)
	require.NoError(t, err)
	size := client.size
	client.close()
	base := filepath.Join(t.TempDir(), "pattern")
	writePattern(t, base, 0, size, 1)
	out, err := exec.Command(lookTool("nbdcopy"), base, s.uri()).CombinedOutput()
	require.NoError(t, err, "nbdcopy: %s", out)
	a.data, err = os.ReadFile(base)
	require.NoError(t, err)

	const each = 60
	require.NoError(t, a.scribble(s.socket, a.Name, 1, each, func(int) {}))
	if a.end.fail >= 0 {
		gr.run(t, usable, "fail", a.Name, a.members[a.end.fail])
		if a.end.two {
			require.NoError(t, a.scribble(s.socket, a.Name, 4, each, func(int) {}))
			gr.run(t, usable, "fail", a.Name, a.members[(a.end.fail+2)%len(a.members)])
		}
		require.NoError(t, a.scribble(s.socket, a.Name, 2, each, func(int) {}))
	}
	switch {
	case a.end.killed:
		var once sync.Once
		err := a.scribble(s.socket, a.Name, 3, 1<<20, func(n int) {
			if n >= each {
				once.Do(s.kill)
			}
		})
		require.Error(t, err, "the server was killed, and did not notice")
		var refusal nbdError
		require.False(t, errors.As(err, &refusal), "%v", err)
		<-s.ended
		if a.end.revive {
			s = gr.serve(t, a.Name, a.members...)
			gr.run(t, usable, "wait", a.Name)
			gr.run(t, done, "stop", a.Name)
			s.wait(t)
		}
	case a.end.signal:
		require.NoError(t, s.cmd.Process.Signal(os.Interrupt))
		s.wait(t)
	default:
		gr.run(t, done, "stop", a.Name)
		s.wait(t)
	}
}

// judge compares what the kernel found with what must be there.
func (a *ours) judge(t *testing.T, gr *graid, out, log, mark string) {
	for _, when := range []string{"ro", "rw"} {
		f, err := os.Open(out + "." + when)
		require.NoError(t, err, "the kernel did not assemble it:\n%s", log)
		defer f.Close()
		require.NoError(t, a.content.judge(f), "%s\n%s", when, log)
	}
	if a.redundant() {
		require.Equal(t, "0\n", slurp(t, out+".mismatch"), "check found mismatches\n%s", log)
		degraded := 0
		if a.end.fail >= 0 {
			degraded = 1
		}
		if a.end.two {
			degraded = 2
		}
		require.Equal(t, fmt.Sprintf("%d\n", degraded), slurp(t, out+".degraded"), log)
	}
	switch {
	case !a.redundant() || a.end.fail >= 0:
	case a.end.killed && !a.end.revive:
		require.Contains(t, log, "resync", "it died in mid-write, and yet the kernel took it for clean")
	case a.end.junk == 0 || a.end.revive:
		require.NotContains(t, log, "resync", "it was stopped in sync, and yet the kernel took it for dirty")
	}

	// What the kernel resolved, it resolved for good, and its own write is there: the way back.
	pattern := strings.Repeat(mark, 64<<10/len(mark)+1)[:64<<10]
	f, err := os.ReadFile(out + ".rw")
	require.NoError(t, err)
	copy(f, pattern)
	final := &content{data: f}
	if a.end.fail >= 0 && a.end.killed {
		// What was on its way when the server died may still be told differently by each copy: see whether the log has a resync.
		final = &content{data: append([]byte(pattern), a.data[len(pattern):]...), pending: a.pending}
	}
	require.NoError(t, gr.dump(final.judge, a.members...), "the kernel wrote to it, and graid reads\n%s", log)
}

func slurp(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// server is a graid serve in the foreground.
type server struct {
	cmd    *exec.Cmd
	name   string
	socket string
	ended  chan struct{}
	log    *strings.Builder
	err    error
}

func (g *graid) serve(t testing.TB, name string, members ...string) *server {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "s")
	require.NoError(t, err)
	s := &server{name: name, socket: filepath.Join(dir, "nbd"), ended: make(chan struct{}), log: &strings.Builder{}}
	s.cmd = g.command(append([]string{"serve", name, "--nbd=unix:" + s.socket}, members...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	require.NoError(t, s.cmd.Start())
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() { s.kill(); <-s.ended })
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if c, err := dialNBD(s.socket, name); err == nil {
			c.close()
			return s
		}
		select {
		case <-s.ended:
			t.Fatalf("graid serve %s ended: %v\n%s", name, s.err, s.log)
		default:
		}
		if time.Since(begin) > patience {
			t.Fatalf("graid serve %s: no server at %s after %v\n%s", name, s.socket, patience, s.log)
		}
	}
}

func (s *server) uri() string { return "nbd+unix:///" + s.name + "?socket=" + s.socket }

func (s *server) kill() { s.cmd.Process.Signal(syscall.SIGKILL) }

// wait is for a server that was told to end: it must, and cleanly.
func (s *server) wait(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.ended
		t.Fatalf("graid serve %s does not end\n%s", s.name, tail(s.log.String(), 8000))
	}
	if code := s.cmd.ProcessState.ExitCode(); code != exitDone && code != exitAttention {
		t.Fatalf("graid serve %s: %v\n%s", s.name, s.err, s.log)
	}
}
