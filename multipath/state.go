package multipath

import "fmt"

// State is where a path is in its life:
//
//	new ─▶ connecting ─▶ verifying ─┬─▶ up ◀──▶ slow, marginal, suspect
//	            ▲                   └─▶ ghost ─▶ up               │ error, timeout
//	            │                                     (fencing) ◀─┘
//	            └── hold-down, or at once ◀── failed ◀────┘
//
// and from anywhere to draining, admin-down and refused, which only an administrator ends.
type State uint8

// The states of a path.
const (
	StateNew        State = iota // not tried yet
	StateConnecting              // being opened
	StateVerifying               // open; its identity is being looked at
	StateUp                      // used
	StateGhost                   // standby: answers, used only when no other path is there
	StateSlow                    // answers, much later than its peers: used after them
	StateMarginal                // has had too many errors: used when nothing better is there
	StateSuspect                 // keeps requests waiting: no new ones while another path is there
	StateFencing                 // failed, and what it was sent is being ended at the target
	StateFailed                  // tried again after a while
	StateHoldDown                // failed too often: tried again after a long while, or when no other path is there
	StateDraining                // no new requests; admin-down when the last has ended
	StateAdminDown               // out of use until reinstated
	StateRefused                 // leads to another medium: out of use until reinstated
)

var stateNames = [...]string{"new", "connecting", "verifying", "up", "ghost", "slow", "marginal", "suspect", "fencing", "failed", "hold-down", "draining", "admin-down", "refused"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// good is what the paths are that I/O goes to as a rule.
func (s State) good() bool { return s == StateUp || s == StateSlow }

// open says whether a path in s has a session that I/O may go to, if need be.
func (s State) open() bool {
	return s.good() || s == StateGhost || s == StateMarginal || s == StateSuspect
}
