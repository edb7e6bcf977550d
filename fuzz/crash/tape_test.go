package crash

import (
	"fmt"
	"testing"
)

// TestWhatIsDurable: a flush is for what completed on the same member before it began, FUA for its own write, and nothing else is for anything.
func TestWhatIsDurable(t *testing.T) {
	all := &tape{clock: 20, entries: []entry{
		{member: 0, start: 1, over: 4, data: make([]byte, sector)},
		{member: 1, start: 2, over: 3, data: make([]byte, sector)},
		{member: 0, start: 5, over: 9, flush: true},
		{member: 0, start: 6, over: 7, data: make([]byte, sector)},
		{member: 0, start: 10, over: 12, fua: true, data: make([]byte, sector)},
		{member: 0, start: 11, over: never, flush: true},
	}}
	for i, since := range map[int]int{0: 9, 1: never, 3: never, 4: 12} {
		for at := range all.clock {
			if got := all.durable(i, at); got != (at >= since) {
				t.Errorf("write %d at %d: durable %v, and is so from %d on", i, at, got, since)
			}
		}
	}
}

// TestPromises: what may be read is everything written since what is durable, that too, and nothing that came before it.
func TestPromises(t *testing.T) {
	g, err := newGround(Shapes[0])
	if err != nil {
		t.Fatal(err)
	}
	h := &lived{initial: []uint8{1}, failed: never, requests: []request{
		{v: 1, hi: 1, start: 1, end: 2},
		{v: 2, hi: 1, start: 3, end: 6},
		{flush: true, start: 4, end: 5}, // began before 2 was acknowledged
		{v: 7, hi: 1, start: 7, end: 8, discard: true},
		{v: 3, hi: 1, start: 9, end: 10, fua: true},
		{v: 4, hi: 1, start: 9, end: 11}, // at the same time
		{flush: true, start: 12, end: 13},
	}}
	g.sectors = 1
	for at, want := range []uint8{1, 3, 3, 7, 7, 6, 6, 0x86, 0x86, 0x9e, 0x18, 0x18, 0x18, 0x18} {
		if p := h.promised(g, at, at, true); p.allowed[0] != want {
			t.Errorf("after a crash at %d it may be one of %08b, and must be one of %08b", at, p.allowed[0], want)
		}
	}
}

// TestSameStates: the same states are enumerated again, in the same order.
func TestSameStates(t *testing.T) {
	var first string
	for range 2 {
		c, err := Enumerate(Shapes[3], Scope{Exhaustive: 4, Random: 4, Torn: 1, Seconds: 8}, []string{"dirty +L0 +c F"}, func() bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = fmt.Sprint(c)
		}
		if first != fmt.Sprint(c) {
			t.Errorf("%v, and again %v", first, c)
		}
	}
}
