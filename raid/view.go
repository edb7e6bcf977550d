package raid

import (
	"graid/raid/plan"
)

// view is what the engine publishes: what members can do now, and whether the array still takes writes. It is immutable; a
// change is a new one. That a member is out of it is durable on the others before it is published, so whoever plans with it may acknowledge.
type view struct {
	plan.View
	members []*member // by role; nil = missing. A plan is carried out with the members of the View that it was made with
	twins   []*member // by role, who is being filled to replace members[role] and is written whatever that is; nil = nobody. See replace.go
	broken  error     // more members failed than the level tolerates: why. Writes are refused, reads get what is left

	// left is what lies below Synced and does not agree all the same, ascending, in the sync space: where resync met what nobody can read, and
	// where writes were cut short when the array broke.
	left []plan.Span
}

// leftMax is how many spans of left are told apart; beyond, the last one grows.
const leftMax = 64

// leave adds span to left.
func (v *view) leave(span plan.Span) {
	left := append([]plan.Span(nil), v.left...) // the old view has it too
	i := 0
	for i < len(left) && left[i].Hi < span.Lo {
		i++
	}
	j := i
	for ; j < len(left) && left[j].Lo <= span.Hi; j++ {
		span = plan.Span{Lo: min(span.Lo, left[j].Lo), Hi: max(span.Hi, left[j].Hi)}
	}
	left = append(left[:i:i], append([]plan.Span{span}, left[j:]...)...)
	if n := len(left); n > leftMax {
		left[leftMax-1].Hi = left[n-1].Hi
		left = left[:leftMax]
	}
	v.left = left
}

// believable is how far a plan with these I/Os may take redundancy for true: View.Synced, unless it meets something in left.
func (v *view) believable(p *plan.Plan) int64 {
	at := v.Synced
	for _, span := range v.left {
		for _, ios := range [...][]plan.IO{p.Reads, p.Writes} {
			for i := range ios {
				if io := &ios[i]; io.Pos < span.Hi && io.Pos+io.Ref.Len > span.Lo {
					at = min(at, span.Lo)
				}
			}
		}
	}
	return at
}

// change publishes what edit makes of the present view.
func (a *Array) change(edit func(v *view)) {
	for {
		old := a.view.Load()
		v := *old
		if v.Recovered != nil {
			v.Recovered = append([]int64(nil), v.Recovered...)
		}
		edit(&v)
		if a.view.CompareAndSwap(old, &v) {
			return
		}
	}
}

// without is v after roles are lost.
func (v *view) without(roles plan.RoleSet) {
	v.Readable &^= roles
	v.Writable &^= roles
	for role := range v.Recovered {
		if roles.Has(role) {
			v.Recovered[role] = 0
		}
	}
}

// succeeded is v after members that were being filled to replace others have taken their roles, with so many rows of each filled.
func (v *view) succeeded(filled map[int]int64, members []*member) {
	v.members = append([]*member(nil), members...)
	if len(filled) == 0 {
		return
	}
	recovered := make([]int64, len(members))
	copy(recovered, v.Recovered)
	for role, rows := range filled {
		recovered[role] = rows
		v.Writable = v.Writable.With(role)
	}
	v.Recovered = recovered
}
