package md

type Policy struct {
	Run, Force, ReadOnly bool
	UUID                 *UUID
	Enough               func(ref *Superblock, present []bool) bool // by role; nil = a built-in rule per level
}
type Verdict uint8

const (
	Start         Verdict = iota // everybody is here
	StartDegraded                // enough members, and as many as there were last time
	NeedsRun                     // enough members, fewer than last time
	NeedsForce                   // Force would start it, at a price that Why names
	TooFew                       // not even Force can
	Conflict                     // members contradict each other
	Unsupported                  // nothing is wrong, but graid cannot run it
)

func (v Verdict) String() string { panic("todo") }

type SlotState uint8

const (
	Missing    SlotState = iota
	InSync               // everything on it is good
	Recovering           // good below RecoveryOffset only
)

type Slot struct {
	Found          int // index into what Decide was given, -1 = missing
	State          SlotState
	RecoveryOffset uint64 // sectors of the data area
}
type Decision struct {
	UUID       UUID
	Verdict    Verdict
	Ref        *Superblock // the freshest member's; the truth about the array
	RefFound   int         // whose it is: index into found
	Slots      []Slot      // by role
	Spares     []int       // indexes into found
	Stale      []int       // members of this array that must not be used
	Findings   []string
	Dirty      bool
	ReadOnly   []string // reasons why it may only be opened read-only
	Why        string   // for a refusal
	ForceClean bool     // Force was used to declare a dirty degraded array clean
	Forced     []int    // stale members that Force made current: raise their events
}

func Decide(found []*Examined, p Policy) map[UUID]*Decision { panic("todo") }

// DecideOne is Decide when there must be one array: the one of p.UUID, or the only one.
func DecideOne(found []*Examined, p Policy) (*Decision, error) { panic("todo") }
