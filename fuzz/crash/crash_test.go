package crash

import (
	"errors"
	"flag"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"graid/block/blocktest"
)

var (
	state = flag.String("state", "", "the one state that TestReplay judges")
	depth = flag.Int("depth", 0, "TestDepth takes every history of so many writes")
	shape = flag.String("shape", "", "of the shapes whose name begins so")
	only  = flag.String("history", "", "TestDepth takes these, with commas between, in place of all")
	again = flag.Int("again", 0, "of so many recoveries TestDepth cuts one again; 0: as many as suit the depth")
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

// total is what all shapes come to.
type total struct {
	Counts
	of   int
	took time.Duration
}

func (a *total) add(c Counts, took time.Duration) {
	a.Add(c)
	a.took += took
}

// few is the histories of every test run: each way to write, and each to make it durable.
var few = []string{"d C", "a! c F", "+c +e F", "b Q g", "z F x"}

// fewMore is those of levels with redundancy: each step of the array's owner.
var fewMore = []string{"L0 c F", "+L1 +d F", "dirty b F", "dirty +L0 +c F", "c L0 C", "dirty L0 Q", "s1 +c +d F", "dirty +B +L0 +h F", "b +c +G0 F"}

// So many states and images a test run judges at least: less, and something was left out without anybody being told.
const floorStates, floorImages = 500_000, 60_000

// TestCrash judges every state of a few histories of every shape.
func TestCrash(t *testing.T) {
	var sum total
	small := testing.Short() || blocktest.Race
	for i, s := range Shapes {
		list, how := few, ScopeOf(2)
		if s.redundant() {
			list = slices.Concat(list, fewMore, owners[i%len(owners):][:1])
		}
		switch {
		case s.PPL:
			how.Exhaustive, how.Random, how.Torn = 4, 8, 1 // every write has a record beside it
		case s.Members <= 3 && s.Losses == 1 && !s.Bitmap:
			how.Seconds = 32
		}
		if s.Members >= 4 {
			how = Scope{Exhaustive: 5, Random: 16, Seconds: 256} // what may be lost together, and torn, is a great deal
		}
		if s.Members >= 5 {
			how.Exhaustive, how.Random, how.Seconds = 4, 4, 512
		}
		if small {
			list, how = list[len(list)-3:len(list)-2], Scope{Exhaustive: 3, Random: 4, Seconds: 256}
		}
		sum.of += len(list)
		sum.add(enumerate(t, s, how, list))
	}
	t.Log(sum.Line("all", sum.of, sum.took))
	if !small && (sum.States < floorStates || sum.Distinct < floorImages) {
		t.Errorf("less than %d states or %d images: what is not judged any more?", floorStates, floorImages)
	}
}

// TestLyingMembersAreConvicted: where members acknowledge flushes and make nothing durable, some state of every shape is wrong. A judge that
// finds none believes anything.
func TestLyingMembersAreConvicted(t *testing.T) {
	for _, s := range Shapes {
		g, err := newGround(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range g.disks {
			d.lies = true
		}
		var f *Failure
		err = newEnumerator(g, Scope{Exhaustive: 6}).history("b F")
		if !errors.As(err, &f) || !strings.HasPrefix(f.State, s.Name+": b F / ") {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// TestFailuresReplay: what a failure says is wrong is wrong again when its state is judged alone, and what is right is not.
func TestFailuresReplay(t *testing.T) {
	if err := Replay("raid1-2: b F / 14 [7 7] 0 0"); err == nil || !strings.Contains(err.Error(), "no moment") {
		t.Errorf("a moment that is none: %v", err)
	}
	if err := Replay("raid5-3: b / 0 [] 1 0"); err != nil {
		t.Error(err)
	}
	g, err := newGround(Shapes[3])
	if err != nil {
		t.Fatal(err)
	}
	g.disks[1].lies = true
	var f *Failure
	if err := newEnumerator(g, Scope{Exhaustive: 6}).history("b F"); !errors.As(err, &f) {
		t.Fatal(err)
	}
	_, history, path, err := parseState(f.State)
	if err != nil {
		t.Fatal(err)
	}
	if err := newEnumerator(g, Scope{}).replay(history, path); err == nil || err.Error() != f.Err.Error() {
		t.Errorf("%s: found %v, and again %v", f.State, f.Err, err)
	}
}

// TestDepth judges every state of every history of -depth writes.
func TestDepth(t *testing.T) {
	if *depth < 1 && *only == "" {
		return // a matter of minutes; TestCrash judges a part of it
	}
	var sum total
	for _, s := range Shapes {
		if strings.HasPrefix(s.Name, *shape) {
			list := s.Histories(*depth)
			if *only != "" {
				list = strings.Split(*only, ",")
			}
			how := ScopeOf(max(*depth, 1))
			if *again > 0 {
				how.Seconds = *again
			}
			sum.of += len(list)
			sum.add(enumerate(t, s, how, list))
		}
	}
	t.Log(sum.Line("all", sum.of, sum.took))
}

// enumerate judges histories of a shape, says what that was, and returns what it took of a processor.
func enumerate(t *testing.T, s Shape, how Scope, histories []string) (Counts, time.Duration) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a third of the time otherwise: recoveries make garbage, and little of it lives
	start, cpu := time.Now(), cpuTime()
	c, err := Enumerate(s, how, histories, func() bool { return *limit == 0 || time.Since(start) < *limit })
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	took := cpuTime() - cpu
	t.Log(c.Line(s.Name, len(histories), took))
	return c, took
}
