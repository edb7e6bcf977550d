package raid

import (
	"graid/raid/plan"
)

// view is what the engine publishes: what members can do now, and whether the array still takes writes. It is immutable; a
// change is a new one. That a member is out of it is durable on the others before it is published, so whoever plans with it may acknowledge.
type view struct {
	plan.View
	broken error // more members failed than the level tolerates: why. Writes are refused, reads get what is left
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
