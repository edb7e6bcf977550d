package crash

import (
	"flag"
	"strings"
	"testing"
	"time"

	"graid/block/blocktest"
)

var (
	state = flag.String("state", "", "the one state that TestReplay judges")
	depth = flag.Int("depth", 0, "TestDepth takes every history of so many writes")
	shape = flag.String("shape", "", "of the shapes whose name begins so")
	limit = flag.Duration("limit", 0, "and begins no further history of a shape after so long")
)

// TestReplay judges the state of -state.
func TestReplay(t *testing.T) {
	if *state == "" {
		return // TestCrash judges many
	}
	if err := Replay(*state); err != nil {
		t.Fatal(err)
	}
}

// few is the histories of every test run: each step of the array's owner, each way to write, each way to make it durable.
var few = []string{"d C", "a! c F", "+c +e F", "b Q g", "z F x"}

// fewMore is those of levels with redundancy.
var fewMore = []string{"L0 c F", "+L1 +d F", "dirty b F", "dirty +L0 +c F", "c L0 C"}

// floor is how many states and images a test run judges at least: less, and something was left out without anybody being told.
const floorStates, floorDistinct = 200_000, 20_000

// TestCrash judges every state of a few histories of every shape.
func TestCrash(t *testing.T) {
	var all Counts
	small := testing.Short() || blocktest.Race
	for _, s := range Shapes {
		list, how := few, Scope(2)
		if s.redundant() {
			list = append(list[:len(list):len(list)], fewMore...)
		}
		if small {
			list, how = list[1:3], scope{Exhaustive: 4, Torn: 0, Seconds: 64}
		}
		all.add(enumerate(t, s, how, list))
	}
	t.Log(all.line("all", 0))
	if !small && (all.States < floorStates || all.Distinct < floorDistinct) {
		t.Errorf("less than %d states or %d images: what is not judged any more?", floorStates, floorDistinct)
	}
}

// TestDepth judges every state of every history of -depth writes.
func TestDepth(t *testing.T) {
	if *depth < 1 {
		return // a matter of minutes; TestCrash judges a part of it
	}
	var all Counts
	for _, s := range Shapes {
		if strings.HasPrefix(s.Name, *shape) {
			all.add(enumerate(t, s, Scope(*depth), s.Histories(*depth)))
		}
	}
	t.Log(all.line("all", 0))
}

// enumerate judges histories of a shape, and prints what that was.
func enumerate(t *testing.T, s Shape, how scope, histories []string) Counts {
	g, err := newGround(s)
	if err != nil {
		t.Fatal(err)
	}
	e, start, cpu := newEnumerator(g, how), time.Now(), cpuTime()
	for _, h := range histories {
		if *limit > 0 && time.Since(start) > *limit {
			break
		}
		if err := e.history(h); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
	}
	e.CPU, e.Outcomes = cpuTime()-cpu, int64(len(e.outcomes))
	t.Log(e.line(s.Name, len(histories)))
	return e.Counts
}
