package fuzz

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"testing"
	"time"

	"graid/block/blocktest"
)

var (
	seed  = flag.Int64("seed", -1, "the one world that TestWorld runs")
	seeds = flag.String("seeds", "", "the worlds that TestWorlds runs: first-last")
	lines = flag.Int("lines", 200, "how many lines of its transcript TestWorld shows")
	text  = flag.String("case", "", "the file with the one case that TestWorld runs")
	small = flag.Bool("shrink", false, "a case that fails is made small")
	tries = flag.Int("tries", 4000, "how many worlds -shrink may run")
	all   = flag.Bool("all", false, "TestWorlds goes on after a failure, and prints a line for each")
	limit = flag.Duration("limit", 0, "TestWorlds begins no further world after so much CPU time")
)

// TestMain has memory collected less often: worlds are small and make much of it.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(m.Run())
}

// TestWorld runs the world of -seed, or of -case.
func TestWorld(t *testing.T) {
	var c Case
	switch {
	case *text != "":
		b, err := os.ReadFile(*text)
		if err == nil {
			c, err = ParseCase(string(b))
		}
		if err != nil {
			t.Fatal(err)
		}
	case *seed >= 0:
		c = NewCase(uint64(*seed))
	default:
		return // none was asked for; TestWorlds runs some
	}
	r := Run(c, *lines)
	if r.Err != nil {
		t.Fatal(report(r))
	}
	t.Logf("%v%d steps, %d requests, %v of the world's time, hash %016x, %v", r.Case, r.Steps, r.Requests, r.Virtual, r.Hash, r.Seen)
}

// report is what is printed of a world that failed, with a small case like it if -shrink says so.
func report(r *Report) string {
	if !*small {
		return r.Failed()
	}
	c := r.Shrunk(*tries)
	return fmt.Sprintf("%v\nshrunk to %d requests; give this as -case=FILE:\n\n# %v\n%v", r.Failed(), c.Requests(), Run(c, 0).Err, c)
}

// fixed is how many worlds every test run has; fewer with the race detector, which is twenty times slower.
const fixed = 400

// TestWorlds runs the first few worlds, or those of -seeds.
func TestWorlds(t *testing.T) {
	first, last := uint64(0), uint64(fixed-1)
	if testing.Short() || blocktest.Race {
		last = fixed / 8
	}
	if *seeds != "" {
		if _, err := fmt.Sscanf(*seeds, "%d-%d", &first, &last); err != nil {
			t.Fatalf("-seeds=%s: give first-last", *seeds)
		}
	}
	start, spent := time.Now(), cpuTime()
	seen := map[string]int{}
	var worlds, steps, requests, lives int64
	for s := first; s <= last; s++ {
		if *limit > 0 && cpuTime()-spent > *limit {
			break
		}
		if worlds%32 == 31 { // what the engine pools is dropped at the second collection, and it holds on to whole worlds
			runtime.GC()
			runtime.GC()
		}
		r := Run(NewCase(s), 0)
		if r.Err != nil && !*all {
			t.Fatal(report(r))
		}
		if r.Err != nil {
			t.Errorf("seed %d, level %d: %v", s, r.Case.Level, r.Err)
			if *small {
				t.Error(report(r)[len(r.Failed()):])
			}
		}
		worlds, steps, requests, lives = worlds+1, steps+r.Steps, requests+r.Requests, lives+int64(r.Lives)
		for k, n := range r.Seen {
			seen[k] += n
		}
	}
	took := time.Since(start)
	t.Logf("%d worlds, %d lives, %d requests, %d steps in %v: %.0f worlds and %.0f requests a second", worlds, lives, requests, steps, took.Round(time.Millisecond),
		float64(worlds)/took.Seconds(), float64(requests)/took.Seconds())
	var rare []string
	for k, n := range seen {
		rare = append(rare, fmt.Sprintf("%s: %d", k, n))
	}
	sort.Strings(rare)
	t.Log(strings.Join(rare, ", "))
}

// TestSameSeedSameWorld: a world is the same world again, on any number of processors.
func TestSameSeedSameWorld(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for s := range uint64(12) {
		var hash uint64
		for i, procs := range []int{1, 2, 1} {
			runtime.GOMAXPROCS(procs)
			r := Run(NewCase(s), 0)
			if i == 0 {
				hash = r.Hash
			}
			if r.Hash != hash {
				t.Fatalf("seed %d: hash %016x, and on %d processors %016x", s, hash, procs, r.Hash)
			}
			runtime.GC() // empties the engine's pools: that must not show
		}
	}
}
