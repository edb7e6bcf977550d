// Package fault is what goes wrong with a member: one grammar for it, and a Device that has it happen.
//
// A Rule is one line of text, such as "m1 read [1M,+4K) media count=1". Set and Device apply rules to any block.Device at run time;
// package sim applies the same rules to disks that exist only in its worlds. The package knows requests; it knows nothing of arrays.
package fault

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"graid/block"
)

// Effect is what a Rule does to a request, or to the member.
type Effect uint8

// The effects. Those marked state change the member once, when their conditions are met; the others change requests.
const (
	Media    Effect = iota // fails with block.ErrMedia, nothing done
	PathLost               // fails with block.ErrPath, nothing done
	NoSpace                // a change or a flush: fails with block.ErrNoSpace, nothing done
	Refuse                 // a change: fails with block.ErrReadOnly, nothing done
	Gone                   // fails with block.ErrGone, nothing done
	Torn                   // a write: any subset of the sectors is written; fails with block.ErrMedia
	Lost                   // a change: succeeds, nothing written
	Shift                  // a write: succeeds, and lands By bytes further on
	Stale                  // a read: succeeds with the content before the newest, where that is still known
	Lie                    // a flush: succeeds, nothing made durable
	Stall                  // takes Wait longer, at most Upto if that is more
	Late                   // a write: fails with block.ErrPath after Wait, and lands half a Wait later, if there is still somewhere to land
	Bad                    // state: the range cannot be read until it is written
	Rot                    // state: one bit of each sector of the range flips
	Stuck                  // takes until the rule is cleared
	Delay                  // takes its turn in a queue as slow as Wait, Upto, Rate and Depth say
)

var effectNames = [...]string{
	"media", "path", "nospace", "refuse", "gone", "torn", "lost", "shift", "stale", "lie", "stall", "late", "bad", "rot", "stuck", "delay",
}

func (e Effect) String() string { return effectNames[e] }

// Waits says whether a request that meets e takes longer.
func (e Effect) Waits() bool { return e == Stall || e == Late || e == Stuck || e == Delay }

// Lasts says whether e changes the member rather than a request.
func (e Effect) Lasts() bool { return e == Bad || e == Rot }

// effectOps are those that an effect can have a meaning for; a Rule that names none means these. 0: all.
var effectOps = [len(effectNames)]Ops{
	NoSpace: Writes | Flushes, Refuse: Writes, Torn: ops(block.Write), Lost: Writes, Shift: ops(block.Write), Stale: Reads, Lie: Flushes,
	Late: ops(block.Write), Bad: anyOp, Rot: anyOp,
}

// Ops is a set of operations.
type Ops uint8

// Sets of operations that faults are mostly about.
const (
	Reads   = Ops(1 << block.Read)
	Writes  = Ops(1<<block.Write | 1<<block.WriteZeroes | 1<<block.Discard)
	Flushes = Ops(1 << block.Flush)

	anyOp = Ops(1<<(block.WriteZeroes+1) - 1)
)

func ops(list ...block.Op) (s Ops) {
	for _, o := range list {
		s |= 1 << o
	}
	return s
}

// Has says whether op is in s.
func (s Ops) Has(op block.Op) bool { return s>>op&1 != 0 }

func (s Ops) String() string {
	var names []string
	for op := block.Read; op <= block.WriteZeroes; op++ {
		if s.Has(op) {
			names = append(names, op.String())
		}
	}
	return strings.Join(names, ",")
}

// Rule is one way of what goes wrong with a member. The text of String is what Parse reads.
type Rule struct {
	Member string // "*" is every member
	Ops    Ops    // 0: all that the effect can mean
	Off    int64  // with Len: only requests that touch [Off, Off+Len). Bytes
	Len    int64  // 0: anywhere
	Effect Effect
	By     int64         // of Shift, bytes
	Wait   time.Duration // of Stall, Late and Delay
	Upto   time.Duration // of Stall and Delay: each request draws its wait from Wait to Upto; 0: Wait it is
	Rate   int64         // of Delay: so many bytes a second; 0: any number
	Depth  int64         // of Delay: so many requests at a time; 0: any number

	At    time.Duration // not before; since the rule, or the world, began
	For   time.Duration // and not later than so long after At; 0: for ever
	After int64         // so many requests that it applies to pass first
	Count int64         // so many requests are hit; 0: all
	OneIn int64         // each with that chance; 0 or 1: surely
	Seed  int64         // of what the rule leaves to chance; 0: whoever applies it chooses one
}

// Due says whether r is about a request like q, now after it began. What lasts comes over the member with any request.
func (r *Rule) Due(now time.Duration, q block.Request) bool {
	switch {
	case now < r.At, r.For > 0 && now >= r.At+r.For:
		return false
	case r.Effect.Lasts():
		return r.Ops == 0 || r.Ops.Has(q.Op)
	case r.Ops != 0 && !r.Ops.Has(q.Op), r.may() != 0 && !r.may().Has(q.Op):
		return false
	case r.Len > 0 && (q.Op == block.Flush || q.Off >= r.Off+r.Len || q.End() <= r.Off):
		return false
	}
	return true
}

// Refusal is the error of effects that are nothing else; nil of the others.
func (e Effect) Refusal() error {
	switch e {
	case Media:
		return block.ErrMedia
	case PathLost:
		return block.ErrPath
	case NoSpace:
		return block.ErrNoSpace
	case Refuse:
		return block.ErrReadOnly
	case Gone:
		return block.ErrGone
	}
	return nil
}

// may is the operations that r's effect can mean; 0 when it has a meaning for all.
func (r *Rule) may() Ops { return effectOps[r.Effect] }

// String is the form that a report carries: "m1 read [1M,+4K) media count=1".
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(quoted(r.Member))
	if r.Ops != 0 {
		b.WriteString(" " + r.Ops.String())
	}
	if r.Len > 0 {
		fmt.Fprintf(&b, " [%s,+%s)", size(r.Off), size(r.Len))
	}
	b.WriteString(" " + r.Effect.String())
	switch r.Effect {
	case Shift:
		b.WriteString("=" + size(r.By))
	case Stall, Late, Delay:
		b.WriteString("=" + r.Wait.String())
		if r.Upto > 0 {
			b.WriteString(".." + r.Upto.String())
		}
	}
	for _, c := range []struct {
		name string
		text string
		is   bool
	}{
		{"rate", size(r.Rate), r.Rate > 0}, {"depth", fmt.Sprint(r.Depth), r.Depth > 0}, {"at", r.At.String(), r.At > 0}, {"for", r.For.String(), r.For > 0},
		{"after", fmt.Sprint(r.After), r.After > 0}, {"count", fmt.Sprint(r.Count), r.Count > 0}, {"p", fmt.Sprintf("1/%d", r.OneIn), r.OneIn > 1},
		{"seed", fmt.Sprint(r.Seed), r.Seed > 0},
	} {
		if c.is {
			b.WriteString(" " + c.name + "=" + c.text)
		}
	}
	return b.String()
}

// quoted is a member's name as one word: in quotes, as Go has them, where it would not be one otherwise.
func quoted(name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"#;\\", r) }) {
		return strconv.Quote(name)
	}
	return name
}

// size is n bytes in the shortest exact form.
func size(n int64) string {
	for _, u := range []struct {
		shift int
		name  string
	}{{40, "T"}, {30, "G"}, {20, "M"}, {10, "K"}} {
		if n > 0 && n&(1<<u.shift-1) == 0 {
			return fmt.Sprintf("%d%s", n>>u.shift, u.name)
		}
	}
	return fmt.Sprint(n)
}
