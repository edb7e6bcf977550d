package fuzz

import (
	"fmt"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

// history is what clients did in one life, and what they were told: each sector must have behaved like a register, whoever used it.
type history struct {
	calls  []call
	spared map[int64]bool // sectors that nothing can be said of
}

// call is a read or a write of some sectors.
type call struct {
	lba, n       int64
	began, ended int64     // on the judge's clock; ended is 0 while it is under way
	v            version   // written
	got          []version // read, by sector; nil: a write
}

// event is a call as one sector has it.
type event struct {
	write        bool
	v            version
	began, ended int64
}

// begin takes a call that begins into the history, and returns what to end it with.
func (h *history) begin(c call) (end func(at int64)) {
	i := len(h.calls)
	h.calls = append(h.calls, c)
	return func(at int64) { h.calls[i].ended = at }
}

// spare says that nothing can be said of those sectors.
func (h *history) spare(lba, n int64) {
	for i := lba; i < lba+n; i++ {
		h.spared[i] = true
	}
}

func newHistory() *history { return &history{spared: map[int64]bool{}} }

// check judges the history of every sector, of that many. Neighbours are mostly used by the same calls: histories that are equal are
// judged once.
func (h *history) check(sectors int64) (checked int, err error) {
	of := make([][]int32, sectors)
	for i, c := range h.calls {
		for lba := c.lba; lba < c.lba+c.n; lba++ {
			of[lba] = append(of[lba], int32(i))
		}
	}
	var last, events []event
	for lba := range sectors {
		events = events[:0]
		for _, i := range of[lba] {
			c := &h.calls[i]
			e := event{c.got == nil, c.v, c.began, c.ended}
			if c.got != nil {
				e.v = c.got[lba-c.lba]
			}
			if e.ended == 0 { // may yet take effect
				e.ended = math.MaxInt64
			}
			if e.write || c.ended != 0 {
				events = append(events, e)
			}
		}
		if h.spared[lba] || slices.Equal(events, last) {
			continue
		}
		checked++
		if !linear(events) {
			return checked, fmt.Errorf("sector %d did not behave like a register: %s", lba, events)
		}
		last, events = events, last
	}
	return checked, nil
}

// linear says whether there is an order of events in which each read returns what was written last before it. What the sector held first is
// what the first read says.
func linear(events []event) bool {
	slices.SortFunc(events, func(a, b event) int { return int(a.began - b.began) })
	together := false
	for i := range events {
		together = together || i > 0 && slices.ContainsFunc(events[:i], func(e event) bool { return e.ended > events[i].began })
	}
	if !together {
		now := any(nil)
		for _, e := range events {
			ok := false
			if ok, now = step(now, e, nil); !ok {
				return false
			}
		}
		return true
	}
	ops := make([]porcupine.Operation, len(events))
	for i, e := range events {
		ops[i] = porcupine.Operation{ClientId: i, Input: e, Call: e.began, Return: e.ended}
	}
	return porcupine.CheckOperations(porcupine.Model{Init: func() any { return nil }, Step: step}, ops)
}

// step is what a register does: its state is the version it holds, nil when that is not known.
func step(now, e, _ any) (bool, any) {
	x := e.(event)
	if x.write || now == nil {
		return true, x.v
	}
	return now == any(x.v), now
}

func (e event) String() string {
	what, until := "read", fmt.Sprint(e.ended)
	if e.write {
		what = "write"
	}
	if e.ended == math.MaxInt64 {
		until = "?"
	}
	return fmt.Sprintf("%s %d [%d-%s]", what, e.v, e.began, until)
}
