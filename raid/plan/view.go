package plan

import (
	"math/bits"
	"strconv"
	"strings"
)

// MaxRoles is how many roles an array can have here: one machine word, which RoleSet hides.
const MaxRoles = 64

// RoleSet is a set of roles.
type RoleSet uint64

// Roles is the set {0, 1, … n-1}.
func Roles(n int) RoleSet {
	if n >= MaxRoles {
		return ^RoleSet(0)
	}
	return 1<<n - 1
}

// Has says whether role is in s.
func (s RoleSet) Has(role int) bool { return s>>uint(role)&1 != 0 }

// With is s and role.
func (s RoleSet) With(role int) RoleSet { return s | 1<<uint(role) }

// Without is s but for role.
func (s RoleSet) Without(role int) RoleSet { return s &^ (1 << uint(role)) }

// Count is how many roles s has.
func (s RoleSet) Count() int { return bits.OnesCount64(uint64(s)) }

// First is the lowest role of s, or -1 when s is empty.
func (s RoleSet) First() int {
	if s == 0 {
		return -1
	}
	return bits.TrailingZeros64(uint64(s))
}

// String is "0,2,3".
func (s RoleSet) String() string {
	var b strings.Builder
	for ; s != 0; s = s.Without(s.First()) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(s.First()))
	}
	return b.String()
}

// View is what the members can do at one moment: an immutable snapshot that the engine publishes and levels plan with.
type View struct {
	Readable RoleSet // in sync: any row may be read
	Writable RoleSet // must receive every write: in sync or recovering
	Prefer   RoleSet // mirrors read from these when they can (the others are write-mostly); none = no preference
	Avoid    RoleSet // not to be read from in this plan, whatever else is said: they just failed to be

	// Recovered, when not nil, has an entry for every role: rows below it are valid even if the role is not Readable.
	Recovered []int64

	// Synced is a position in the level's sync space (Geometry.SyncSize): below it parity and copies agree. Beyond it
	// parity must not be relied on: not for read-modify-write, and not to say what an unreadable chunk holds, which is ErrFailed.
	// An engine that goes on without a member before its resync is done raises Synced, so that parity is taken as it is.
	// Beyond it every read of a mirror takes the copy that resync will take.
	Synced int64
}

// Healthy is the view of n members that are all in sync and agree.
func Healthy(n int) View {
	return View{Readable: Roles(n), Writable: Roles(n), Synced: 1<<63 - 1}
}

// CanRead says whether rows below hi that a plan asks of role hold what the array says they do.
func (v *View) CanRead(role int, hi int64) bool {
	if v.Avoid.Has(role) {
		return false
	}
	return v.Readable.Has(role) || v.Recovered != nil && hi <= v.Recovered[role]
}

// MustFill says whether role takes writes although its rows up to hi are not valid: what Recover writes to.
func (v *View) MustFill(role int, hi int64) bool {
	return v.Writable.Has(role) && !v.CanRead(role, hi)
}

// Keeps says whether what is written to rows of role below hi can be read afterwards. That it is avoided now does not matter then.
func (v *View) Keeps(role int, hi int64) bool {
	return v.Writable.Has(role) && (v.Readable.Has(role) || v.Recovered != nil && hi <= v.Recovered[role])
}
