package sim

import (
	"fmt"
	"strings"
	"time"

	"graid/block"
)

// Effect is what a Fault does to a request, or to the member.
type Effect uint8

// The effects. Those marked state change the member once, when their conditions are met; the others change requests.
const (
	Media    Effect = iota // fails with block.ErrMedia, nothing done
	PathLost               // fails with block.ErrPath, nothing done
	NoSpace                // fails with block.ErrNoSpace, nothing done
	Refuse                 // fails with block.ErrReadOnly, nothing done
	Gone                   // fails with block.ErrGone, nothing done
	Torn                   // a write: any subset of the sectors is written; fails with block.ErrMedia
	Lost                   // a write: succeeds, nothing written
	Shift                  // a write: succeeds, and lands By bytes further on
	Stale                  // a read: succeeds with the content before the newest, where that is still known
	Lie                    // a flush: succeeds, nothing made durable
	Stall                  // takes Wait longer
	Late                   // a write: fails with block.ErrPath after Wait, and lands half a Wait later, if the power is still on
	Bad                    // state: the range cannot be read until it is written
	Rot                    // state: one bit of each sector of the range flips
)

var effectNames = [...]string{"media", "path", "nospace", "refuse", "gone", "torn", "lost", "shift", "stale", "lie", "stall", "late", "bad", "rot"}

func (e Effect) String() string { return effectNames[e] }

// ops are those that an effect can have a meaning for; a Fault that names none means these.
var effectOps = [...]Ops{
	Torn: ops(block.Write), Lost: ops(block.Write, block.WriteZeroes, block.Discard), Shift: ops(block.Write), Stale: ops(block.Read), Lie: ops(block.Flush),
	Late: ops(block.Write), Bad: anyOp, Rot: anyOp,
}

// Ops is a set of operations.
type Ops uint8

func ops(list ...block.Op) (s Ops) {
	for _, o := range list {
		s |= 1 << o
	}
	return s
}

const anyOp = Ops(1<<(block.WriteZeroes+1) - 1)

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

// Fault is one rule of what goes wrong with a member. The text of String is what Parse reads.
type Fault struct {
	Member string // "*" is every member
	Ops    Ops    // 0: all that the effect can mean
	Off    int64  // with Len: only requests that touch [Off, Off+Len). Bytes
	Len    int64  // 0: anywhere
	Effect Effect
	By     int64         // of Shift, bytes
	Wait   time.Duration // of Stall and Late

	At    time.Duration // not before; since the world began
	For   time.Duration // and not later than so long after At; 0: for ever
	After int64         // so many requests that it applies to pass first
	Count int64         // so many requests are hit; 0: all
	OneIn int64         // each with that chance; 0 or 1: surely
}

// String is the form that a report carries: "m1 read [1M,+4K) media count=1".
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.Member)
	if f.Ops != 0 {
		b.WriteString(" " + f.Ops.String())
	}
	if f.Len > 0 {
		fmt.Fprintf(&b, " [%s,+%s)", size(f.Off), size(f.Len))
	}
	b.WriteString(" " + f.Effect.String())
	switch f.Effect {
	case Shift:
		b.WriteString("=" + size(f.By))
	case Stall, Late:
		b.WriteString("=" + f.Wait.String())
	}
	for _, c := range []struct {
		name string
		d    time.Duration
	}{{"at", f.At}, {"for", f.For}} {
		if c.d > 0 {
			fmt.Fprintf(&b, " %s=%v", c.name, c.d)
		}
	}
	for _, c := range []struct {
		name string
		n    int64
	}{{"after", f.After}, {"count", f.Count}} {
		if c.n > 0 {
			fmt.Fprintf(&b, " %s=%d", c.name, c.n)
		}
	}
	if f.OneIn > 1 {
		fmt.Fprintf(&b, " p=1/%d", f.OneIn)
	}
	return b.String()
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

// Sets of operations that faults are mostly about.
var (
	Reads   = ops(block.Read)
	Writes  = ops(block.Write, block.WriteZeroes, block.Discard)
	Flushes = ops(block.Flush)
)
