package crash

import (
	"flag"
	"testing"
	"time"
)

var state = flag.String("state", "", "the one state that TestReplay judges")

// TestReplay judges the state of -state.
func TestReplay(t *testing.T) {
	if *state == "" {
		return
	}
	if err := Replay(*state); err != nil {
		t.Fatal(err)
	}
}

// TestSlice
func TestSlice(t *testing.T) {
	for _, s := range Shapes {
		if s.Name != "raid1-2" {
			continue
		}
		g, err := newGround(s)
		if err != nil {
			t.Fatal(err)
		}
		e := newEnumerator(g, scope{Exhaustive: 10, Random: 64, Torn: 8, Seconds: 1})
		for _, h := range []string{"a", "a F", "c! Q", "f Q C", "L0 f F", "+f +L0 F", "dirty b F"} {
			start := time.Now()
			before := e.Counts
			if err := e.history(h); err != nil {
				t.Error(err)
			}
			t.Logf("%s %q %+v - %+v %v", s.Name, h, e.Counts, before, time.Since(start))
		}
	}
}
