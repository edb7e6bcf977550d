package daemon

import (
	"fmt"
	"time"

	"graid/raid"
)

// Array is what a running array says about itself: the ARRAY of the command line's JSON. Keys are never renamed or dropped.
// Sizes are bytes.
type Array struct {
	Name              string     `json:"name"`
	UUID              string     `json:"uuid"`
	Level             string     `json:"level"`
	Layout            string     `json:"layout"`
	Metadata          string     `json:"metadata"`
	StoredName        string     `json:"stored_name"` // from the superblock: "host:name"
	SizeBytes         int64      `json:"size_bytes"`
	ChunkBytes        int64      `json:"chunk_bytes"`
	RaidDevices       int        `json:"raid_devices"`
	Events            uint64     `json:"events"`
	State             string     `json:"state"`
	Health            Health     `json:"health"`
	Degraded          int        `json:"degraded"`
	Dirty             bool       `json:"dirty"`
	ReadOnly          bool       `json:"readonly"`
	Reasons           []string   `json:"readonly_reasons"`
	Findings          []string   `json:"findings"`
	ConsistencyPolicy string     `json:"consistency_policy"`
	Bitmap            *Bitmap    `json:"bitmap"`                    // null = none
	ReadDeadline      int64      `json:"read_deadline_nanoseconds"` // that members may take to read before the others answer; 0 = any time
	Sync              Sync       `json:"sync"`
	MismatchSectors   int64      `json:"mismatch_sectors"`
	LastScrub         *Scrub     `json:"last_scrub"` // the last that was asked of this process; null = none
	Exports           []Export   `json:"exports"`
	Members           []Member   `json:"members"`
	Created           *time.Time `json:"created"`
	Updated           *time.Time `json:"updated"`
	Started           *time.Time `json:"started"` // the process that serves it
	PID               int        `json:"pid"`
	Overlay           *string    `json:"overlay"` // the folder that takes the writes; null = the members do
}

// Sync is the background work of an array.
type Sync struct {
	Action    string `json:"action"` // idle, resync, recover, check, repair, reshape, frozen
	Done      int64  `json:"done_bytes"`
	Total     int64  `json:"total_bytes"`
	Speed     int64  `json:"speed_bytes_per_second"`
	ETA       *int64 `json:"eta_seconds"`      // until nothing is left to do, at this speed; null = not known
	PassETA   *int64 `json:"pass_eta_seconds"` // until Action is done
	Next      []Pass `json:"next"`             // what follows it
	LimitedBy string `json:"limited_by"`       // limit, user_io, members; "" = not known
	Least     int64  `json:"min_bytes_per_second"`
	Most      int64  `json:"max_bytes_per_second"` // 0 = no limit

	LatencyTarget int64 `json:"latency_target_nanoseconds"` // that requests are to take beside it, in the mean; 0 = none
	Latency       int64 `json:"latency_nanoseconds"`        // that they took lately; 0 = not known
}

// Bitmap is the write-intent bitmap of an array.
type Bitmap struct {
	Chunk int64 `json:"chunk_bytes"` // per bit
	Bits  int64 `json:"bits"`
	Dirty int64 `json:"dirty_bits"`
}

// Export is one address an array is served at.
type Export struct {
	URI      string `json:"uri"`
	Clients  int    `json:"clients"`
	ReadOnly bool   `json:"readonly"`
}

// Errors are a member's, since the array was assembled.
type Errors struct {
	Read      int64 `json:"read"`
	Write     int64 `json:"write"`
	Corrected int64 `json:"corrected"`
	Slow      int64 `json:"slow"` // no errors: reads that were not answered within the deadline
}

// Member is one member of an array, or one empty slot of it.
type Member struct {
	Path       *string  `json:"path"` // null = nobody is in this slot
	Role       *int     `json:"role"` // null = none: a spare, a journal
	State      string   `json:"state"`
	Events     uint64   `json:"events"`
	DataOffset int64    `json:"data_offset_bytes"`
	Size       int64    `json:"size_bytes"`
	Errors     Errors   `json:"errors"`
	Flags      []string `json:"flags"`
	DeviceUUID string   `json:"device_uuid"`
	Recovered  *int64   `json:"recovered_bytes"` // of the data area, what is good; null = it is not being filled
	BadBlocks  int64    `json:"bad_block_bytes"` // that its bad block log names
	Overdue    int64    `json:"overdue_reads"`   // of the slow ones, those that are not answered yet
	Slowest    int64    `json:"slowest_read_nanoseconds"`
	Remote     *Remote  `json:"remote"` // the export of a server; null = a file or a device
}

// Name is the member's path, or "" for an empty slot.
func (m Member) Name() string {
	if m.Path == nil {
		return ""
	}
	return *m.Path
}

// Member is the member at path, or at another name of the same file; nil if there is none.
func (a Array) Member(path string) *Member {
	for i := range a.Members {
		if m := &a.Members[i]; m.Path != nil && (*m.Path == path || sameNode(*m.Path, path)) {
			return m
		}
	}
	return nil
}

// Replacement is who is being filled to replace the member m; nil if nobody is.
func (a Array) Replacement(m Member) *Member {
	for i := range a.Members {
		if t := &a.Members[i]; t.State == raid.MemberReplacement && m.State != raid.MemberReplacement && m.Role != nil && *t.Role == *m.Role {
			return t
		}
	}
	return nil
}

// describe turns a Status into what is told about it.
func describe(s raid.Status) Array {
	a := Array{
		UUID: s.UUID.String(), Level: s.LevelName, Layout: s.Layout, Metadata: s.Metadata, StoredName: s.Name,
		SizeBytes: s.Size, ChunkBytes: s.Chunk, RaidDevices: s.RaidDevices, Events: s.Events,
		State: s.State, Degraded: s.Degraded, Dirty: s.Dirty,
		ReadOnly: len(s.ReadOnlyWhy) > 0 || s.State == raid.StateReadOnly,
		Reasons:  list(s.ReadOnlyWhy), Findings: list(s.Findings),
		ConsistencyPolicy: s.ConsistencyPolicy, MismatchSectors: s.MismatchSectors, ReadDeadline: int64(s.ReadDeadline),
		Sync: Sync{Action: s.Sync.Action, Done: s.Sync.Done, Total: s.Sync.Total, Speed: s.Sync.Speed,
			LatencyTarget: int64(s.Sync.LatencyTarget), Latency: int64(s.Sync.Latency)},
		Exports: []Export{}, Members: []Member{},
		Created: when(s.Created), Updated: when(s.Updated),
	}
	if a.Sync.Action == "" {
		a.Sync.Action = "idle"
	}
	if b := s.Bitmap; b != nil {
		a.Bitmap = &Bitmap{Chunk: b.Chunk, Bits: b.Pieces, Dirty: b.Dirty}
	}
	for _, m := range s.Members {
		a.Members = append(a.Members, describeMember(m))
	}
	return a
}

func describeMember(m raid.MemberStatus) Member {
	d := Member{
		State: m.State, Events: m.Events, DataOffset: m.DataOffset, Size: m.Size,
		Errors: Errors{Read: m.ReadErrors, Write: m.WriteErrors, Corrected: m.Corrected, Slow: m.SlowReads},
		Flags:  []string{}, DeviceUUID: m.DeviceUUID.String(), BadBlocks: m.BadBlocks, Overdue: m.Overdue, Slowest: int64(m.Slowest),
	}
	if m.State == raid.MemberRebuilding || m.State == raid.MemberReplacement {
		d.Recovered = &m.Recovered
	}
	if m.Path != "" {
		d.Path = &m.Path
	}
	if m.Role >= 0 {
		d.Role = &m.Role
	}
	if m.WriteMostly {
		d.Flags = append(d.Flags, "write_mostly")
	}
	if m.FailFast {
		d.Flags = append(d.Flags, "failfast")
	}
	return d
}

// over says that the members are only read, and what is written goes to files in dir; "" says that they are written.
func (a *Array) over(dir string) {
	if dir == "" {
		return
	}
	a.Overlay = &dir
	for i := range a.Members {
		if m := &a.Members[i]; m.Path != nil {
			m.Flags = append(m.Flags, "overlay")
		}
	}
}

// Tardy is "had 3 slow reads, up to 43s, 1 overdue", or "" of a member that always answered in time.
func (m Member) Tardy() string {
	if m.Errors.Slow == 0 {
		return ""
	}
	text := fmt.Sprintf("%d slow read", m.Errors.Slow)
	if m.Errors.Slow > 1 {
		text += "s"
	}
	if m.Slowest > 0 {
		text += ", up to " + time.Duration(m.Slowest).Round(100*time.Millisecond).String()
	}
	if m.Overdue > 0 {
		text += fmt.Sprintf(", %d overdue", m.Overdue)
	}
	return text
}

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
