package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/raid"
)

// TestMonitor: events have the names of mdadm --monitor, and a member that was not in sync fails as a spare does.
func TestMonitor(t *testing.T) {
	var told []string
	m := newMonitor("md0", func(e Event) {
		require.Equal(t, "md0", e.Array)
		told = append(told, strings.TrimSpace(e.Event+" "+e.Member))
	})
	say := func(kind, member string) { m.take(raid.Event{Kind: kind, Member: member}) }
	say(raid.EventStarted, "")
	m.meet(func() raid.Status {
		return raid.Status{Members: []raid.MemberStatus{{Path: "a", State: raid.MemberInSync}, {Path: "b", State: raid.MemberRebuilding},
			{Path: "c", State: raid.MemberSpare}, {Path: "d", State: raid.MemberInSync}, {State: raid.MemberMissing}}}
	})
	for _, path := range []string{"a", "b", "c"} {
		say(raid.EventFail, path)
	}
	say(raid.EventRemoved, "c")
	say(raid.EventSpareAdded, "c")
	say(raid.EventSpareActive, "c")
	say(raid.EventFail, "c")
	say(raid.EventRemoved, "c")
	say(raid.EventSpareAdded, "c")
	say(raid.EventFail, "c")
	say(raid.EventRemoved, "c")
	say(raid.EventReAdded, "c")
	say(raid.EventFail, "c")
	say(raid.EventBroken, "")
	say(raid.EventStopped, "")
	require.Equal(t, []string{"NewArray", "Fail a", "FailSpare b", "FailSpare c", "Removed c", "NewSpare c", "SpareActive c", "Fail c",
		"Removed c", "NewSpare c", "FailSpare c", "Removed c", "ReAdded c", "FailSpare c", "ArrayBroken", "DeviceDisappeared"}, told)
}

// TestRebuildSteps: every fifth of background work is told once, and nothing of what was done before it was looked at.
func TestRebuildSteps(t *testing.T) {
	var told []string
	m := newMonitor("md0", func(e Event) { told = append(told, e.Event) })
	look := func(done int64) bool {
		return m.look(time.Time{}, raid.SyncStatus{Action: "recover", Done: done, Total: 1000})
	}
	require.False(t, look(500), "nothing is under way")
	m.take(raid.Event{Kind: raid.EventRebuildStart})
	for _, done := range []int64{1000, 5, 199, 200, 399, 250, 400, 401, 850, 999, 1000} { // the first is of what was before
		require.True(t, look(done))
	}
	require.False(t, m.look(time.Time{}, raid.SyncStatus{Action: "idle", Total: 1000}))
	m.take(raid.Event{Kind: raid.EventRebuildEnd})
	require.False(t, look(100))
	require.Equal(t, []string{"RebuildStarted", "Rebuild20", "Rebuild40", "Rebuild80", "RebuildFinished"}, told)
	told = nil
	m.take(raid.Event{Kind: raid.EventRebuildStart})
	look(700) // it goes on where an earlier life was
	look(800)
	require.Equal(t, []string{"RebuildStarted", "Rebuild80"}, told)
}
