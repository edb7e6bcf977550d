package daemon

import (
	"math"

	"graid/raid"
)

// Pass is background work that is to follow what is under way.
type Pass struct {
	Action string `json:"action"` // resync, recover
	Total  int64  `json:"total_bytes"`
}

// What limits the speed of background work.
const (
	LimitSet     = "limit"   // the limit that it was given
	LimitUserIO  = "user_io" // it makes way for those who use the array
	LimitMembers = "members" // nothing else: as fast as the slowest of them
)

// passes is what follows the pass under way until redundancy is whole.
func passes(a Array, o raid.Outlook) []Pass {
	list := []Pass{}
	open, spares, filling := 0, 0, 0
	for _, m := range a.Members {
		switch {
		case m.State == raid.MemberRebuilding:
			filling++
		case m.State == raid.MemberSpare:
			spares++
		case m.Role != nil && m.State != raid.MemberInSync && m.State != raid.MemberReplacement:
			open++
		}
	}
	again := min(open, spares) > 0 // those that take over do so together
	switch a.Sync.Action {
	case "resync":
		again = again || filling > 0
	case "recover":
		again = again && filling > 0 // or it is the one under way
	default:
		return list
	}
	if again {
		list = append(list, Pass{"recover", a.Sync.Total})
	}
	if o.Again > 0 && open <= spares && (a.Sync.Action == "recover" || again) {
		list = append(list, Pass{"resync", o.Again})
	}
	return list
}

// forecast says what remains to be done, how long all of it takes at the present speed, and what that is due to: to the limit if that is what it
// waits for, which a speed that was measured does not tell.
func (s *Sync) forecast(next []Pass, busy, held bool) {
	s.Next = next
	if s.Action == "idle" {
		return
	}
	left := s.Total - s.Done
	s.PassETA = seconds(left, s.Speed)
	for _, p := range next {
		left += p.Total
	}
	s.ETA = seconds(left, s.Speed)
	switch {
	case s.Speed == 0: // not known yet
	case held:
		s.LimitedBy = LimitSet
	case busy:
		s.LimitedBy = LimitUserIO
	default:
		s.LimitedBy = LimitMembers
	}
}

// seconds is how long so many bytes take, nil where that is not known.
func seconds(bytes, speed int64) *int64 {
	if speed <= 0 {
		return nil
	}
	n := int64(math.Ceil(float64(bytes) / float64(speed)))
	return &n
}
