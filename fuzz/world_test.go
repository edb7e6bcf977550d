package fuzz

import (
	"flag"
	"fmt"
	"runtime"
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
	all   = flag.Bool("all", false, "TestWorlds goes on after a failure, and prints a line for each")
	limit = flag.Duration("limit", 0, "TestWorlds begins no further world after so long")
)

// TestWorld runs the world of -seed.
func TestWorld(t *testing.T) {
	if *seed < 0 {
		return // none was asked for; TestWorlds runs some
	}
	r := Run(NewCase(uint64(*seed)), *lines)
	if r.Err != nil {
		t.Fatal(r.Failed())
	}
	t.Logf("%v%d steps, %d requests, %v of the world's time, hash %016x, %v", r.Case, r.Steps, r.Requests, r.Virtual, r.Hash, r.Seen)
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
	start := time.Now()
	seen := map[string]int{}
	var worlds, steps, requests, lives int64
	for s := first; s <= last; s++ {
		if *limit > 0 && time.Since(start) > *limit {
			break
		}
		r := Run(NewCase(s), 0)
		if r.Err != nil && !*all {
			t.Fatal(r.Failed())
		}
		if r.Err != nil {
			t.Errorf("seed %d, level %d: %v", s, r.Case.Level, r.Err)
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
