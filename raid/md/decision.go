package md

import "fmt"

// Policy is what whoever assembles allows.
type Policy struct {
	Run      bool  // start with fewer members than there were last time
	Force    bool  // take stale members, and a dirty degraded parity array, when there is no other way
	ReadOnly bool  // nothing will be written: then Run is not needed, since no history can fork
	UUID     *UUID // only this array

	// Enough says whether the array can be read with only these roles; nil is the function Enough.
	Enough func(ref *Superblock, present []bool) bool
}

// Verdict says whether an array may be started, from best to worst.
type Verdict uint8

// The verdicts. From NeedsRun on the array must not be started.
const (
	Start         Verdict = iota // every slot has its member
	StartDegraded                // enough members, and as many as there were last time, or the policy allows fewer
	NeedsRun                     // enough members, but fewer than last time: Policy.Run
	NeedsForce                   // Policy.Force would start it, at a price that Why names
	TooFew                       // not even Force
	Conflict                     // members contradict each other: some have to be left out
	Unsupported                  // nothing may be wrong with it, but it cannot be run here
)

var verdictNames = [...]string{"start", "start degraded", "needs run", "needs force", "too few members", "conflict", "unsupported"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// OK says whether the array may be started.
func (v Verdict) OK() bool { return v <= StartDegraded }

// SlotState is what a slot's member is good for.
type SlotState uint8

// The states of a slot.
const (
	Missing    SlotState = iota
	InSync               // all of it is good
	Recovering           // it is good below RecoveryOffset
)

func (s SlotState) String() string { return [...]string{"missing", "in sync", "recovering"}[s] }

// Slot is a role of an array and who has it.
type Slot struct {
	Found          int // index into what Decide was given; -1 = missing
	State          SlotState
	RecoveryOffset uint64 // sectors of the data area

	StandIn       int    // who is being filled to replace Found, which serves meanwhile: index into what Decide was given; -1 = nobody
	StandInOffset uint64 // StandIn is good below, sectors of the data area
}

// Decision is what Decide thinks of one array. Members are indexes into what Decide was given.
type Decision struct {
	UUID     UUID
	Verdict  Verdict
	Ref      *Superblock // the freshest: the truth about the array
	RefFound int         // whose it is
	Slots    []Slot      // by role
	Spares   []int
	Stale    []int    // of this array, but not to be used
	Findings []string // what was noticed, one line each: member, what, why
	Dirty    bool     // the redundancy is to be made right by a resync
	ReadOnly []string // why the array must not be written to, one reason each; nil = it may
	Why      string   // of a verdict that is not OK: what is the matter and what to do

	ForceClean bool  // by Force: a dirty degraded array is to be declared clean on all members
	Forced     []int // by Force: stale members to be taken; their events have to be raised to Ref's
}

// Missing is how many slots have no member that is in sync.
func (d *Decision) Missing() int {
	n := 0
	for _, s := range d.Slots {
		if s.State != InSync {
			n++
		}
	}
	return n
}

func (d *Decision) note(format string, args ...any) {
	d.Findings = append(d.Findings, fmt.Sprintf(format, args...))
}

// rule makes the verdict v, unless a worse one was made before.
func (d *Decision) rule(v Verdict, format string, args ...any) {
	if v > d.Verdict {
		d.Verdict, d.Why = v, fmt.Sprintf(format, args...)
	}
}
