package md

import (
	"context"
	"io"
	"time"

	"graid/block"
)

func (s *Superblock) Encode() []byte                              { panic("todo") }
func Decode(b []byte, at, devSectors uint64) (*Superblock, error) { panic("todo") }

type Bitmap struct {
	Version         uint32
	UUID            UUID
	Events          uint64
	EventsCleared   uint64
	SyncSize        uint64 // sectors that the bits cover
	State           uint32
	ChunkSize       uint32 // bytes per bit
	DaemonSleep     uint32 // seconds
	WriteBehind     uint32
	SectorsReserved uint32
	Nodes           uint32
	Bits            []byte // as on disk, least significant bit first; may be shorter than Total bits when only a head was read
}

func DecodeBitmap(b []byte) (*Bitmap, error)    { panic("todo") }
func (m *Bitmap) Encode() []byte                { panic("todo") } // head and bits, zero padded to 512
func (m *Bitmap) Total() int64                  { panic("todo") } // bits
func (m *Bitmap) Dirty() int64                  { panic("todo") } // bits set
func (m *Bitmap) Bit(i int64) bool              { panic("todo") }
func (m *Bitmap) SetAll()                       { panic("todo") }
func (m *Bitmap) Stale(arrayEvents uint64) bool { panic("todo") } // every bit must be taken for set
func (m *Bitmap) Check(s *Superblock) error     { panic("todo") } // belongs to s's array, version graid can read

type BadBlock struct {
	Offset int64 `json:"offset_bytes"` // bytes, absolute on the member
	Length int64 `json:"length_bytes"`
}

func DecodeBadBlocks(b []byte, shift uint8) ([]BadBlock, error) { panic("todo") }
func EncodeBadBlocks(list []BadBlock) ([]byte, error)           { panic("todo") }

type PPLEntry struct {
	DataSector uint64 // array sector of the first modified one
	PPSize     uint32 // bytes
	DataSize   uint32 // bytes
	ParityDisk uint32 // role
	Checksum   uint32 // crc32c of the partial parity
}
type PPLHeader struct {
	Signature  uint32
	Generation uint64
	Entries    []PPLEntry
}

func DecodePPL(b []byte) (*PPLHeader, error) { panic("todo") }

type Examined struct {
	Path      string
	Size      int64 // bytes
	SB        *Superblock
	Others    []*Superblock // valid superblocks at other places
	Bitmap    *Bitmap
	BitmapErr error
	BadBlocks []BadBlock
	PPL       *PPLHeader
	Err       error // why SB is nil or must not be trusted
}

func Examine(ctx context.Context, path string, dev block.Device) (*Examined, error) { panic("todo") }

func ReadSuperblock(ctx context.Context, dev block.Device, v Version) (*Superblock, error) {
	panic("todo")
}

// WriteSuperblock writes s at its SuperOffset; it is durable after a flush, or at once with block.FUA in flags.
func WriteSuperblock(ctx context.Context, dev block.Device, s *Superblock, flags block.Flags) error {
	panic("todo")
}
func Wipe(ctx context.Context, dev block.Device) error { panic("todo") }

type Spec struct {
	Level       int
	Layout      int   // -1 = the level's default
	Chunk       int64 // bytes; 0 = the level's default
	RaidDevices int
	Spares      int
	Version     Version
	Size        int64 // bytes per member; 0 = as much as the smallest has
	DataOffset  int64 // bytes; 0 = mdadm's choice
	Bitmap      bool
	BitmapChunk int64 // bytes; 0 = mdadm's choice
	AssumeClean bool
	Name        string
	Homehost    string
	UUID        UUID // zero = random
	Created     time.Time
	Rand        io.Reader // nil = crypto/rand
}
type NewMember struct {
	Missing     bool
	Size        int64 // bytes
	WriteMostly bool
}
type Draft struct {
	Supers   []*Superblock // per member given, nil for a missing one
	Bitmap   *Bitmap       // to be written on every member; nil = none
	Warnings []string
}

func (s Spec) Draft(members []NewMember) (*Draft, error)                  { panic("todo") }
func (d *Draft) Write(ctx context.Context, i int, dev block.Device) error { panic("todo") }

func LayoutName(level int, layout uint32) string         { panic("todo") }
func ParseLayout(level int, word string) (uint32, error) { panic("todo") }
func LevelName(level int) string                         { panic("todo") }
func ParseLevel(word string) (int, error)                { panic("todo") }

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
