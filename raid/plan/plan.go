// Package plan is the vocabulary between RAID levels and the engine.
//
// A level turns a request and a View of the members into a Plan: lock these rows, read these, sum these, write these. The
// engine carries plans out. A Plan is a value that can be printed and compared, so levels are tested by reading, and
// foreground I/O, resync, scrub and correction are all plans. The package knows nothing of devices, time or metadata.
package plan

import (
	"errors"

	"graid/block"
)

// ErrFailed is a level's only error about members: too few of them are left for what was asked.
var ErrFailed = errors.New("too many members are missing or unreadable")

// ErrLayout is returned by level constructors for a geometry that cannot be or must not be.
var ErrLayout = errors.New("impossible geometry")

// User is the slot that stands for the caller's own buffer, Request.Buf.
const User = 0

// Limits of one plan. A level stops adding to a plan that has reached one of them; a single rectangle may exceed them.
const (
	MaxIO    = 128     // reads and writes
	MaxBytes = 4 << 20 // bytes of slots
)

// Span is [Lo, Hi), bytes.
type Span struct{ Lo, Hi int64 }

// Len is Hi-Lo.
func (s Span) Len() int64 { return s.Hi - s.Lo }

// Ref is a piece of a slot: of the caller's buffer or of scratch memory that the engine provides. Bytes.
type Ref struct {
	Slot     int
	Off, Len int64
}

// At is the piece [off, off+n) of r.
func (r Ref) At(off, n int64) Ref { return Ref{r.Slot, r.Off + off, n} }

// UserRef is the piece [off, off+n) of the caller's buffer.
func UserRef(off, n int64) Ref { return Ref{User, off, n} }

// IO is one request to one member. Row is the offset in the member's data area, bytes; Ref.Len is its length, and for
// Discard and WriteZeroes only Ref.Len means anything.
type IO struct {
	Op   block.Op
	Role int
	Row  int64
	Pos  int64 // where it is in the sync space: what to give Level.Sync to redo it
	Ref  Ref
}

// Term is one summand: Coef times the bytes of Ref, over GF(2^8) with Linux md's polynomial.
type Term struct {
	Coef byte
	Ref  Ref
}

// Calc is Dst = the sum of its terms: at least one, none of which overlaps Dst. A Calc that Expects zero uses Dst as scratch: a sum
// that is not zero is a mismatch.
type Calc struct {
	Dst    Ref
	Lo, Hi int // its terms are Plan.Terms[Lo:Hi]
	Expect bool
}

// Plan is what to do for a prefix of a request. The order is: lock, all Reads together, Calcs in sequence, all Writes together, unlock.
type Plan struct {
	// Lock is held from before Reads until after Writes: in rows, or array offsets, as the level chooses and always does.
	// Shared with other plans that write nothing when this one writes nothing. Empty = no lock is needed.
	Lock   Span
	Reads  []IO
	Calcs  []Calc
	Terms  []Term
	Writes []IO
	Slots  []int64 // size of each scratch slot, bytes; Slots[User] is 0
}

// Reset empties p and keeps its memory.
func (p *Plan) Reset() {
	p.Lock = Span{}
	p.Reads, p.Calcs, p.Terms, p.Writes = p.Reads[:0], p.Calcs[:0], p.Terms[:0], p.Writes[:0]
	p.Slots = append(p.Slots[:0], 0)
}

// Slot is a new scratch slot of n bytes.
func (p *Plan) Slot(n int64) Ref {
	if len(p.Slots) == 0 {
		p.Slots = append(p.Slots, 0)
	}
	p.Slots = append(p.Slots, n)
	return Ref{len(p.Slots) - 1, 0, n}
}

// Hold widens the lock so that it covers [lo, hi).
func (p *Plan) Hold(lo, hi int64) {
	if p.Lock.Len() == 0 {
		p.Lock = Span{lo, hi}
		return
	}
	p.Lock = Span{min(p.Lock.Lo, lo), max(p.Lock.Hi, hi)}
}

// Read adds a read of rows [row, row+dst.Len) of role; its position in the sync space is its row.
func (p *Plan) Read(role int, row int64, dst Ref) { p.ReadPos(role, row, row, dst) }

// ReadPos is Read for levels whose sync space is not rows.
func (p *Plan) ReadPos(role int, row, pos int64, dst Ref) {
	p.Reads = append(p.Reads, IO{block.Read, role, row, pos, dst})
}

// Write adds a write of src to rows [row, row+src.Len) of role; its position in the sync space is its row.
func (p *Plan) Write(role int, row int64, src Ref) { p.WritePos(role, row, row, src) }

// WritePos is Write for levels whose sync space is not rows.
func (p *Plan) WritePos(role int, row, pos int64, src Ref) {
	p.Writes = append(p.Writes, IO{block.Write, role, row, pos, src})
}

// Clear adds op (Discard or WriteZeroes) on rows [row, row+n) of role.
func (p *Plan) Clear(op block.Op, role int, row, pos, n int64) {
	p.Writes = append(p.Writes, IO{op, role, row, pos, Ref{Len: n}})
}

// Sum adds dst = the sum of what Add adds until the next Sum or Expect.
func (p *Plan) Sum(dst Ref) {
	p.Calcs = append(p.Calcs, Calc{Dst: dst, Lo: len(p.Terms), Hi: len(p.Terms)})
}

// Expect adds the claim that the terms added next sum up to zero; scratch is as long as they are.
func (p *Plan) Expect(scratch Ref) {
	p.Sum(scratch)
	p.Calcs[len(p.Calcs)-1].Expect = true
}

// Add adds coef times r to the last Sum or Expect.
func (p *Plan) Add(coef byte, r Ref) {
	p.Terms = append(p.Terms, Term{coef, r})
	p.Calcs[len(p.Calcs)-1].Hi = len(p.Terms)
}

// Full says whether p has reached a limit: a level adds no further rectangle to it.
func (p *Plan) Full() bool {
	if len(p.Reads)+len(p.Writes) >= MaxIO {
		return true
	}
	var n int64
	for _, s := range p.Slots {
		n += s
	}
	return n >= MaxBytes
}
