package plantest

import (
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// Laws says what p, which covers n bytes of r, does that no plan may, or nil. A Sync plan has the Op it was made for: Write, or
// Read for Check, and no user buffer.
func Laws(p *plan.Plan, g plan.Geometry, r block.Request, n int64, v *plan.View) error {
	if n < 1 || n > r.Len {
		return fmt.Errorf("covers %d bytes of %d", n, r.Len)
	}
	if g.SyncSize == 0 && p.Lock.Len() != 0 {
		return fmt.Errorf("locks %v without redundancy", p.Lock)
	}
	l := laws{p: p, g: g, r: r, n: n, v: v}
	return l.judge()
}

type laws struct {
	p *plan.Plan
	g plan.Geometry
	r block.Request
	n int64
	v *plan.View
}

func (l *laws) judge() error {
	filled := make([]byte, 0)
	if l.r.Buf != nil {
		filled = make([]byte, l.n)
	}
	for _, io := range l.p.Reads {
		if err := l.io(io); err != nil {
			return fmt.Errorf("read m%d row %d: %w", io.Role, io.Row, err)
		}
		switch {
		case io.Op != block.Read:
			return fmt.Errorf("%s among the reads", io.Op)
		case !l.v.CanRead(io.Role, io.Row+io.Ref.Len):
			return fmt.Errorf("reads m%d up to row %d, which cannot be read", io.Role, io.Row+io.Ref.Len)
		case io.Ref.Slot == plan.User && l.r.Op != block.Read:
			return fmt.Errorf("reads into the caller's buffer of a %s", l.r.Op)
		case io.Ref.Slot == plan.User:
			count(filled, io.Ref)
		case !l.locked(io, io.Ref):
			return fmt.Errorf("reads m%d row %d without the lock that keeps it and others together", io.Role, io.Row)
		}
	}
	for _, c := range l.p.Calcs {
		if err := l.calc(c); err != nil {
			return err
		}
		if c.Dst.Slot == plan.User {
			if l.r.Op != block.Read || c.Expect {
				return fmt.Errorf("computes into the caller's buffer of a %s", l.r.Op)
			}
			count(filled, c.Dst)
		}
	}
	if l.r.Op == block.Read {
		for i, times := range filled {
			if times != 1 {
				return fmt.Errorf("byte %d of the caller's buffer is filled %d times", i, times)
			}
		}
		if len(l.p.Writes) != 0 {
			return fmt.Errorf("a read writes")
		}
	}
	return l.writes()
}

func (l *laws) writes() error {
	for i, io := range l.p.Writes {
		if err := l.io(io); err != nil {
			return fmt.Errorf("%s m%d row %d: %w", io.Op, io.Role, io.Row, err)
		}
		if !l.v.Writable.Has(io.Role) {
			return fmt.Errorf("writes m%d, which takes no writes", io.Role)
		}
		if l.g.SyncSize > 0 && !l.locked(io, io.Ref) {
			return fmt.Errorf("writes m%d row %d without a lock", io.Role, io.Row)
		}
		for _, other := range l.p.Writes[:i] {
			if other.Role == io.Role && other.Row < io.Row+io.Ref.Len && io.Row < other.Row+other.Ref.Len {
				return fmt.Errorf("writes m%d row %d twice", io.Role, max(io.Row, other.Row))
			}
		}
	}
	return nil
}

func (l *laws) io(io plan.IO) error {
	switch {
	case io.Role < 0 || io.Role >= l.g.Roles:
		return fmt.Errorf("no such role")
	case io.Ref.Len < 1 || io.Row < 0 || io.Row+io.Ref.Len > l.g.Rows:
		return fmt.Errorf("%d bytes are outside the member's %d rows", io.Ref.Len, l.g.Rows)
	case l.g.SyncSize > 0 && (io.Pos < 0 || io.Pos+io.Ref.Len > l.g.SyncSize):
		return fmt.Errorf("position %d is outside the sync space", io.Pos)
	case io.Op == block.Read || io.Op == block.Write:
		return l.ref(io.Ref)
	}
	return nil
}

func (l *laws) ref(r plan.Ref) error {
	size := l.n
	switch {
	case r.Slot == plan.User && l.r.Buf == nil:
		return fmt.Errorf("there is no caller's buffer")
	case r.Slot < 0 || r.Slot != plan.User && r.Slot >= len(l.p.Slots):
		return fmt.Errorf("no slot %d", r.Slot)
	case r.Slot != plan.User:
		size = l.p.Slots[r.Slot]
	}
	if r.Off < 0 || r.Len < 1 || r.Off+r.Len > size {
		return fmt.Errorf("[%d,+%d) is outside slot %d of %d bytes", r.Off, r.Len, r.Slot, size)
	}
	return nil
}

func (l *laws) calc(c plan.Calc) error {
	if err := l.ref(c.Dst); err != nil {
		return fmt.Errorf("sum into %v: %w", c.Dst, err)
	}
	if c.Lo >= c.Hi {
		return fmt.Errorf("sum into %v of nothing", c.Dst)
	}
	for _, t := range l.p.Terms[c.Lo:c.Hi] {
		if err := l.ref(t.Ref); err != nil {
			return fmt.Errorf("sum of %v: %w", t.Ref, err)
		}
		if t.Ref.Len != c.Dst.Len {
			return fmt.Errorf("sum of %v into %v: lengths differ", t.Ref, c.Dst)
		}
		if t.Ref.Slot == c.Dst.Slot && t.Ref.Off < c.Dst.Off+c.Dst.Len && c.Dst.Off < t.Ref.Off+t.Ref.Len {
			return fmt.Errorf("sum into %v has it among its terms", c.Dst)
		}
		if t.Ref.Slot == plan.User && l.r.Op == block.Read && !l.read(t.Ref) {
			return fmt.Errorf("sum of %v, which is not read under the lock", t.Ref)
		}
	}
	return nil
}

// read says whether a piece of the caller's buffer is read from one member, under the lock.
func (l *laws) read(r plan.Ref) bool {
	for _, io := range l.p.Reads {
		if io.Ref.Slot == r.Slot && io.Ref.Off <= r.Off && r.Off+r.Len <= io.Ref.Off+io.Ref.Len && l.locked(io, r) {
			return true
		}
	}
	return false
}

// locked says whether the piece r of io's Ref is inside the lock.
func (l *laws) locked(io plan.IO, r plan.Ref) bool {
	lo := io.Pos + r.Off - io.Ref.Off
	return l.p.Lock.Lo <= lo && lo+r.Len <= l.p.Lock.Hi
}

func count(filled []byte, r plan.Ref) {
	for i := r.Off; i < r.Off+r.Len && i < int64(len(filled)); i++ {
		filled[i]++
	}
}
