package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"graid/raid"
)

// Health is how an array is in one word, and why in a few more.
type Health struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
}

// Verdicts, from best to worst.
const (
	Healthy    = "healthy"
	Attention  = "attention"  // it lacks nothing, but somebody should look
	Resyncing  = "resyncing"  // all members are here, and are being made to agree
	Rebuilding = "rebuilding" // a member is being filled, and another one may fail meanwhile
	Degraded   = "degraded"   // a member is missing, and another one may fail
	AtRisk     = "at-risk"    // one more failure loses data
	Failed     = "failed"
)

// judge says how the array is.
func judge(a Array, o raid.Outlook) Health {
	redundant := a.ConsistencyPolicy != "none"
	switch {
	case a.State == raid.StateFailed:
		return Health{Failed, "too many members are gone: " + a.lacks()}
	case !redundant:
		return a.noticed(Health{Healthy, a.Level + " has no redundancy: one failure loses data"})
	case a.Degraded > 0 && len(o.Vital) > 0:
		return Health{AtRisk, a.oneMore(o.Vital) + a.lacks() + a.ahead()}
	case a.Degraded > 0 && len(a.filled()) > 0:
		return Health{Rebuilding, a.lacks() + a.ahead()}
	case a.Degraded > 0:
		return Health{Degraded, a.lacks() + a.ahead()}
	case a.Sync.Action == "resync":
		return Health{Resyncing, a.disagrees() + a.ahead()}
	}
	return a.noticed(Health{Healthy, "all members are in sync" + a.replaced()})
}

// replaced is ", and b.img is being replaced by e.img, 41m left".
func (a Array) replaced() (text string) {
	for _, m := range a.Members {
		if t := a.Replacement(m); t != nil {
			text += fmt.Sprintf(", and %s is being replaced by %s", Short(m.Name()), Short(t.Name()))
		}
	}
	if text != "" {
		text += a.left()
	}
	return text
}

// left is ", 41m left", or "" where that is not known.
func (a Array) left() string {
	if a.Sync.ETA == nil || a.Sync.Action != "resync" && a.Sync.Action != "recover" {
		return ""
	}
	return ", " + Span(time.Duration(*a.Sync.ETA)*time.Second) + " left"
}

// disagrees is what a resync is about.
func (a Array) disagrees() string {
	if a.Level == "raid1" || a.Level == "raid10" {
		return "copies are being made to agree"
	}
	return "parity is being made to agree with the data: until it does, a failure may lose data"
}

// oneMore says whose failure would be the end.
func (a Array) oneMore(vital []int) string {
	if len(vital) == a.RaidDevices-a.Degraded {
		return "one more failure loses data: "
	}
	var names []string
	for _, role := range vital {
		names = append(names, fmt.Sprintf("m%d", role))
	}
	return "a failure of " + strings.Join(names, " or ") + " loses data: "
}

// lacks is "raid6 without m0 (being rebuilt onto e.img) and m1 (b.img failed)".
func (a Array) lacks() string {
	var parts []string
	for _, m := range a.Members {
		switch {
		case m.Role == nil:
		case m.State == raid.MemberMissing:
			parts = append(parts, fmt.Sprintf("m%d", *m.Role))
		case m.State == raid.MemberFaulty:
			parts = append(parts, fmt.Sprintf("m%d (%s failed)", *m.Role, Short(m.Name())))
		case m.State == raid.MemberRebuilding:
			parts = append(parts, fmt.Sprintf("m%d (being rebuilt onto %s)", *m.Role, Short(m.Name())))
		}
	}
	if len(parts) == 0 {
		return a.Level
	}
	return a.Level + " without " + strings.Join(parts, " and ")
}

// filled is the roles of members that are being filled.
func (a Array) filled() (roles []int) {
	for _, m := range a.Members {
		if m.Role != nil && m.State == raid.MemberRebuilding {
			roles = append(roles, *m.Role)
		}
	}
	return roles
}

// ahead is how long it will be until redundancy is whole, or why it will not be.
func (a Array) ahead() string {
	spare := slices.ContainsFunc(a.Members, func(m Member) bool { return m.State == raid.MemberSpare })
	switch {
	case a.Sync.Action == "resync" || a.Sync.Action == "recover" || a.Degraded == 0:
		return a.left()
	case a.ReadOnly:
		return ", and it is read-only"
	case spare:
		return ", and the spare does not take over: the server's log may say why"
	case a.ConsistencyPolicy == "none":
		return ""
	}
	return fmt.Sprintf(", and no spare: `graid add %s` gives it one", a.Name)
}

// noticed is good, unless there is something to look at.
func (a Array) noticed(good Health) Health {
	var faulty []string
	for _, m := range a.Members {
		if m.State == raid.MemberFaulty {
			faulty = append(faulty, Short(m.Name()))
		}
	}
	switch {
	case len(faulty) > 0:
		return Health{Attention, fmt.Sprintf("%s faulty, not needed any more: `graid remove %s failed`", strings.Join(faulty, ", "), a.Name)}
	case a.MismatchSectors > 0 && (a.LastScrub == nil || a.LastScrub.Action != "repair" || a.LastScrub.Left > 0):
		return Health{Attention, fmt.Sprintf("members differ in %d sectors, says the last check: %s", a.MismatchSectors, a.LastScrub.Remedy(a.Name))}
	case a.ReadOnly && !slices.Equal(a.Reasons, []string{"asked for"}):
		return Health{Attention, "read-only: " + strings.Join(a.Reasons, "; ")}
	}
	for _, m := range a.Members {
		if m.BadBlocks > 0 {
			return Health{Attention, fmt.Sprintf("%s has bad blocks: `graid badblocks %s` says whether data is lost", Short(m.Name()), a.Name)}
		}
		if e := m.Errors; e.Read+e.Write > 0 {
			return Health{Attention, fmt.Sprintf("%s had %d read and %d write errors, %d corrected: it may fail soon", Short(m.Name()), e.Read, e.Write, e.Corrected)}
		}
		if slow := m.Tardy(); slow != "" {
			return Health{Attention, fmt.Sprintf("%s had %s, and the others answered: it may fail soon", Short(m.Name()), slow)}
		}
	}
	return good
}

// Span is d in the fewest words: 41m, 2h05m, 9s.
func Span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()+0.5))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()+0.5))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
