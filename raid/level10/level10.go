// Package level10 is mirrored striping: every chunk has copies on several members, at rows that a map of md's gives. It knows the map
// and which copies to use; it knows nothing of devices, errors or time.
//
// The copies of a chunk may be in different rows, so what is locked and synced is array offsets.
package level10

import (
	"graid/block"
	"graid/raid/plan"
)

const (
	region  = 1 << 20   // reads of one region take one copy and the next region the next, so that a stream uses all: bytes
	maxSync = 512 << 10 // array bytes of one Sync plan
)

type level struct {
	m      *Map
	copies int
	region int64
	sets   []plan.RoleSet // the roles that have the copies of a chunk: every set that occurs, once
}

// New is the raid10 of so many roles with chunk bytes (a power of two) and md's layout word, over rows bytes of each member.
// Layouts that put two chunks in one place or two copies on one member are refused.
func New(roles int, chunk int64, layout uint32, rows int64) (plan.Level, error) {
	m, err := NewMap(roles, chunk, layout, rows)
	if err != nil {
		return nil, err
	}
	if err := m.Alias(); err != nil {
		return nil, err
	}
	l := &level{m: m, copies: m.Near * m.Far, region: region}
	seen := map[plan.RoleSet]bool{}
	var copies []Copy
	for chunk := range min(m.Chunks, int64(roles)) {
		copies = m.Copies(copies[:0], chunk)
		var set plan.RoleSet
		for _, c := range copies {
			set = set.With(c.Role)
		}
		if !seen[set] {
			seen[set] = true
			l.sets = append(l.sets, set)
		}
	}
	return l, nil
}

func (l *level) Geometry() plan.Geometry {
	size := l.m.Chunks * l.m.Chunk
	return plan.Geometry{
		Level: 10, Roles: l.m.Roles, Size: size, Rows: l.m.Used * l.m.Chunk, SyncSize: size,
		Chunk: l.m.Chunk, Tolerates: l.copies - 1,
	}
}

func (l *level) Enough(present plan.RoleSet) bool {
	for _, set := range l.sets {
		if set&present == 0 {
			return false
		}
	}
	return true
}

// piece is array offsets [pos, pos+n) of one chunk, and where their copies are.
type piece struct {
	pos, n int64
	copies []Copy
}

// piece is as much of [pos, pos+n) as one chunk has. The copies are kept in list.
func (l *level) piece(list []Copy, pos, n int64) piece {
	chunk, within := pos/l.m.Chunk, pos%l.m.Chunk
	a := piece{pos, min(n, l.m.Chunk-within), l.m.Copies(list, chunk)}
	for i := range a.copies {
		a.copies[i].Row += within
	}
	return a
}

func (l *level) Plan(p *plan.Plan, r block.Request, v *plan.View) (n int64, err error) {
	var list [plan.MaxRoles]Copy
	for n < r.Len && !p.Full() {
		a := l.piece(list[:0], r.Off+n, r.Len-n)
		var done bool
		switch ref := plan.UserRef(n, a.n); r.Op {
		case block.Read:
			done = l.read(p, a, ref, v)
		case block.Write:
			done = l.write(p, a, block.Write, ref, v)
		default:
			done = l.write(p, a, block.WriteZeroes, plan.Ref{Len: a.n}, v)
		}
		if !done {
			break
		}
		n += a.n
	}
	if n == 0 {
		return 0, plan.ErrFailed
	}
	return n, nil
}

// read takes one copy and no lock: the copies agree, and where they may not (beyond Synced) every read takes the same one.
func (l *level) read(p *plan.Plan, a piece, ref plan.Ref, v *plan.View) bool {
	from, n := l.choices(a, v)
	if n == 0 {
		return false
	}
	turn := int64(0)
	if a.pos+a.n <= v.Synced {
		turn = a.pos / l.region % int64(n)
	}
	for i, c := range a.copies {
		if !from.Has(i) {
			continue
		}
		if turn--; turn < 0 {
			join(&p.Reads, 1, plan.IO{Op: block.Read, Role: c.Role, Row: c.Row, Pos: a.pos, Ref: ref})
			break
		}
	}
	return true
}

// choices is the copies to choose from, as a set of their numbers, and how many they are: preferred ones if there are any.
// With far copies only the first ones count, which are in the same, faster part of the members and are striped as in raid0.
func (l *level) choices(a piece, v *plan.View) (from plan.RoleSet, n int) {
	var preferred plan.RoleSet
	for i, c := range a.copies {
		if v.CanRead(c.Role, c.Row+a.n) {
			from = from.With(i)
			if v.Prefer.Has(c.Role) {
				preferred = preferred.With(i)
			}
		}
	}
	if preferred != 0 {
		from = preferred
	}
	if l.m.Far > 1 && !l.m.Offset && a.pos+a.n <= v.Synced {
		lowest := int64(-1)
		for i, c := range a.copies {
			if from.Has(i) && (lowest < 0 || c.Row < lowest) {
				lowest = c.Row
			}
		}
		for i, c := range a.copies {
			if c.Row >= lowest+l.m.Stride {
				from = from.Without(i)
			}
		}
	}
	return from, from.Count()
}

// write writes every copy whose member takes writes. One of them must be good to read afterwards.
func (l *level) write(p *plan.Plan, a piece, op block.Op, ref plan.Ref, v *plan.View) bool {
	kept := false
	for _, c := range a.copies {
		kept = kept || v.Keeps(c.Role, c.Row+a.n)
	}
	if !kept {
		return false
	}
	p.Hold(a.pos, a.pos+a.n)
	for _, c := range a.copies {
		if v.Writable.Has(c.Role) {
			join(&p.Writes, l.copies, plan.IO{Op: op, Role: c.Role, Row: c.Row, Pos: a.pos, Ref: ref})
		}
	}
	return true
}

// join appends io to list, or makes one of the last few longer when io goes on where that ends, in every respect.
func join(list *[]plan.IO, few int, io plan.IO) {
	for i := len(*list) - 1; i >= 0 && i >= len(*list)-few; i-- {
		last := &(*list)[i]
		n := last.Ref.Len
		follows := last.Op == io.Op && last.Role == io.Role && last.Row+n == io.Row && last.Pos+n == io.Pos && last.Ref.Slot == io.Ref.Slot
		if follows && (io.Op == block.WriteZeroes || last.Ref.Off+n == io.Ref.Off) {
			last.Ref.Len += io.Ref.Len
			return
		}
	}
	*list = append(*list, io)
}
