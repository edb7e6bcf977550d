package plan

import "graid/block"

// Level is a RAID personality: pure maps from requests to plans, with no state and no error handling. When a member misbehaves
// the engine changes the View and asks again.
type Level interface {
	Geometry() Geometry

	// Plan plans a prefix of r (Read, Write, Discard or WriteZeroes, within [0, Geometry.Size), Len > 0) into p, which is
	// empty, and returns how many bytes of r the plan covers: at least 1, and a multiple of what r is a multiple of.
	// The only error is ErrFailed.
	//
	// Discard on a level with redundancy is planned as WriteZeroes where that keeps the redundancy true, and is covered by an empty
	// plan where it does not; the engine never sends it there unless every member makes holes that read as zeroes.
	Plan(p *Plan, r block.Request, v *View) (n int64, err error)

	// Sync plans background work of kind k for a prefix of span, which is in the sync space, into p, and returns how many
	// bytes of it the plan covers: at least 1. A plan with neither Reads nor Writes says that there is nothing to do there.
	Sync(p *Plan, span Span, k Kind, v *View) (n int64, err error)

	// Enough says whether the array can be read with only these roles.
	Enough(present RoleSet) bool
}

// Kind is what Sync is asked for.
type Kind uint8

// The kinds of background work.
const (
	Resync  Kind = iota // make redundancy agree with the data (parity), or with the first copy (mirrors): always writes
	Recover             // fill every role that MustFill says
	Check               // Expect that redundancy agrees; writes nothing
)

func (k Kind) String() string { return [...]string{"resync", "recover", "check"}[k] }

// Geometry is what an array of this level looks like from outside. Bytes.
type Geometry struct {
	Level     int   // md's level number; linear is -1
	Roles     int   // slots
	Size      int64 // the array's
	Rows      int64 // of each member's data area, what the array uses; the largest where members differ
	SyncSize  int64 // of the space that Sync walks and View.Synced is in: rows, or array offsets for raid10; 0 without redundancy
	Chunk     int64 // 0 when the level has none
	Stripe    int64 // the I/O size that needs no reading before writing; 0 when any does
	Tolerates int   // any so many members may be missing
}

// Redundant says whether the level survives the loss of a member.
func (g Geometry) Redundant() bool { return g.SyncSize > 0 }
