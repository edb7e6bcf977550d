package plan

import "graid/block"

// Single adds what op means where there is one copy of the data: the same op on [row, row+ref.Len) of role. It says no, and adds
// nothing, when the role cannot do it.
func (p *Plan) Single(op block.Op, role int, row int64, ref Ref, v *View) bool {
	able := v.Keeps(role, row+ref.Len)
	if op == block.Read {
		able = v.CanRead(role, row+ref.Len)
	}
	if !able {
		return false
	}
	switch op {
	case block.Read:
		p.Read(role, row, ref)
	case block.Write:
		p.Write(role, row, ref)
	default:
		p.Clear(op, role, row, row, ref.Len)
	}
	return true
}
