package raid

import (
	"time"

	"graid/block"
	"graid/raid/md"
	"graid/sched"
)

// Member is a device offered to Create or Assemble. For Create, a nil Dev is mdadm's "missing".
type Member struct {
	Path        string // what the user calls it; used in messages and Status
	Dev         block.Device
	WriteMostly bool // Create only: mirrors read from it only when nothing else can be read
	FailFast    bool // Create only: Linux does not try its failed requests again
}

// Options are what Create and Assemble may be told. The zero value works.
type Options struct {
	Sched    sched.Sched   // nil = sched.Real
	ReadOnly bool          // write nothing to any member, ever
	Run      bool          // Assemble: start even if fewer members are here than were last time
	Force    bool          // Assemble: accept stale members, and a dirty degraded parity array; Create: members that hold something
	UUID     *md.UUID      // Assemble: only this array, when members of several are offered
	OnEvent  func(Event)   // called in order, never concurrently; may ask for its Status and nothing else of it
	Quiet    time.Duration // after so long without a write the array is marked clean; 0 = one second

	// ReadDeadline is how long a member may take to read before redundancy answers in its place; 0 = any time. Members must not have deadlines of
	// their own that are as short.
	ReadDeadline time.Duration
}

// Kinds of Event, with md monitor's names where it has one.
const (
	EventStarted       = "ArrayStarted"
	EventStopped       = "ArrayStopped"
	EventFail          = "Fail"          // a member failed and the others say so durably
	EventDegraded      = "DegradedArray" // started with members missing
	EventBroken        = "ArrayBroken"   // more members failed than the level tolerates
	EventRebuildStart  = "RebuildStarted"
	EventRebuildEnd    = "RebuildFinished"
	EventMismatch      = "MismatchFound" // by a check or repair: copies, or parity and data, do not agree
	EventUnsteady      = "ReadUnsteady"  // asked twice by a check or repair, a member did not answer the same: it is not counted as a mismatch
	EventSpareAdded    = "NewSpare"
	EventBadBlock      = "BadBlock" // a member refused a write there, or recovery could not compute what is to be there: recorded in its bad block log
	EventReAdded       = "ReAdded"  // a member that was away has its role back, and lacks only what the bitmap says
	EventRemoved       = "Removed"
	EventSpareActive   = "SpareActive"        // a member was filled and is in sync, and the others say so durably
	EventSlow          = "ReadSlow"           // a member did not answer a read in time: others did, if they could; or it has answered in the end
	EventCorrected     = "ReadErrorCorrected" // a member could not read; the bytes came from redundancy and were written back
	EventUncorrectable = "ReadErrorUncorrected"
)

// Event is something that happened to an array that its owner may want to know.
type Event struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"event"`
	Member string    `json:"member,omitempty"` // path
	Detail string    `json:"detail,omitempty"`
}

func (e Event) String() string {
	s := e.Kind
	if e.Member != "" {
		s += " " + e.Member
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// States of an array, as Status.State says them. Degraded wins over clean and active.
const (
	StateClean    = "clean"
	StateActive   = "active" // written to within the last moment, or resyncing: superblocks say dirty
	StateReadOnly = "readonly"
	StateDegraded = "degraded"
	StateFailed   = "failed"
)

// States of a member, as MemberStatus.State says them.
const (
	MemberInSync      = "in_sync"
	MemberRebuilding  = "rebuilding"
	MemberReplacement = "replacement" // being filled to replace the member of the same role, which serves meanwhile
	MemberSpare       = "spare"
	MemberFaulty      = "faulty"
	MemberJournal     = "journal"
	MemberMissing     = "missing"
)

// Status is a snapshot of an array. Sizes are bytes.
type Status struct {
	UUID              md.UUID
	Name              string // from the superblock, "host:name" as stored
	Level             int
	LevelName         string // "raid5", "linear"
	Layout            string // mdadm's word: "left-symmetric", "near=2", "" where the level has none
	Metadata          string // "1.2"
	Size              int64
	Chunk             int64
	RaidDevices       int
	Events            uint64
	Created, Updated  time.Time
	State             string
	ReadOnlyWhy       []string // when State is readonly, or degraded and not writable: why, one reason each
	Findings          []string // what assembly noticed: stale members, spares left out
	Degraded          int      // members missing
	Dirty             bool
	ConsistencyPolicy string
	Bitmap            *BitmapStatus // nil: the array has none
	ReadDeadline      time.Duration // 0 = none
	Sync              SyncStatus
	MismatchSectors   int64          // as md counts
	LeftSectors       int64          // what the last repair found and left alone
	Mismatches        []Mismatch     // where, in the last check or repair: the first MaxMismatches
	MoreMismatches    int            // places beyond those
	CheckedTo         int64          // bytes of the sync space: where the last check stopped, and one that resumes goes on; 0 = it came to the end
	Members           []MemberStatus // by role, then spares
}

// BitmapStatus is the write-intent bitmap of an array.
type BitmapStatus struct {
	Chunk  int64 // bytes per bit: of each member; of the array for raid10
	Pieces int64 // bits
	Dirty  int64 // bits that are set: where members may differ after a crash, or lack what was written while they were out
}

// SyncStatus is the background work of an array.
type SyncStatus struct {
	Action string // idle, resync, recover, check, repair
	Done   int64  // bytes of the sync space
	Total  int64
	Speed  int64         // bytes per second, lately
	ETA    time.Duration // 0 when not known

	Latency       time.Duration // what requests took lately in the mean, while work goes on; 0 = not known, or no target
	LatencyTarget time.Duration // 0 = none
}

// MemberStatus is one member of an array, or one empty slot of it.
type MemberStatus struct {
	Path        string // "" when missing
	Role        int    // -1 = none
	State       string
	Events      uint64
	DataOffset  int64
	Size        int64 // of its data area
	ReadErrors  int64
	WriteErrors int64
	Corrected   int64
	SlowReads   int64         // that were not answered in time
	Slowest     time.Duration // that one of those took in the end; 0 = none has ended
	Overdue     int64         // of those, how many are under way yet
	WriteMostly bool
	FailFast    bool
	BadBlocks   int64 // bytes that its bad block log names
	Recovered   int64 // of one that is being filled: bytes of its data area that are good
	DeviceUUID  md.UUID
}
