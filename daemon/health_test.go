package daemon

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid"
)

func TestHealth(t *testing.T) {
	a0, a1, a2, a3 := [3]string{"0", "in_sync", "/x/a"}, [3]string{"1", "in_sync", "/x/b"}, [3]string{"2", "in_sync", "/x/c"}, [3]string{"3", "in_sync", "/x/d"}
	failed, gone, filling := [3]string{"1", "faulty", "/x/b"}, [3]string{"0", "missing", "-"}, [3]string{"1", "rebuilding", "/x/e"}
	spare, old := [3]string{"-", "spare", "/x/f"}, [3]string{"-", "faulty", "/x/b"}
	eta := int64(720)
	for _, c := range []struct {
		level, state, action string
		eta                  *int64
		vital                []int
		members              [][3]string
		want                 string
	}{
		{"raid5", "clean", "idle", nil, nil, [][3]string{a0, a1, a2}, "healthy: all members are in sync"},
		{"raid5", "clean", "check", &eta, nil, [][3]string{a0, a1, a2, spare}, "healthy: all members are in sync"},
		{"raid5", "clean", "recover", &eta, nil, [][3]string{a0, a1, a2, {"1", "replacement", "/x/e"}},
			"healthy: all members are in sync, and b is being replaced by e, 12m left"},
		{"raid5", "clean", "idle", nil, nil, [][3]string{a0, a1, a2, old}, "attention: b faulty, not needed any more: `graid remove md0 failed`"},
		{"raid5", "active", "resync", &eta, nil, [][3]string{a0, a1, a2},
			"resyncing: parity is being made to agree with the data: until it does, a failure may lose data, 12m left"},
		{"raid1", "active", "resync", nil, nil, [][3]string{a0, a1}, "resyncing: copies are being made to agree"},
		{"raid5", "degraded", "idle", nil, []int{0, 2}, [][3]string{a0, failed, a2},
			"at-risk: one more failure loses data: raid5 without m1 (b failed), and no spare: `graid add md0` gives it one"},
		{"raid5", "degraded", "recover", &eta, []int{0, 2}, [][3]string{a0, filling, a2},
			"at-risk: one more failure loses data: raid5 without m1 (being rebuilt onto e), 12m left"},
		{"raid6", "degraded", "recover", &eta, []int{2, 3}, [][3]string{gone, filling, a2, a3, spare},
			"at-risk: one more failure loses data: raid6 without m0 and m1 (being rebuilt onto e), 12m left"},
		{"raid6", "degraded", "recover", &eta, nil, [][3]string{a0, filling, a2, a3}, "rebuilding: raid6 without m1 (being rebuilt onto e), 12m left"},
		{"raid6", "degraded", "idle", nil, nil, [][3]string{a0, failed, a2, a3, spare},
			"degraded: raid6 without m1 (b failed), and the spare does not take over: the server's log may say why"},
		{"raid10", "degraded", "idle", nil, []int{0}, [][3]string{a0, failed, a2, a3},
			"at-risk: a failure of m0 loses data: raid10 without m1 (b failed), and no spare: `graid add md0` gives it one"},
		{"raid5", "failed", "idle", nil, nil, [][3]string{gone, failed, a2}, "failed: too many members are gone: raid5 without m0 and m1 (b failed)"},
		{"raid0", "clean", "idle", nil, []int{0, 1}, [][3]string{a0, a1}, "healthy: raid0 has no redundancy: one failure loses data"},
	} {
		a := membersOf(c.members...)
		a.Name, a.Level, a.State, a.Sync.Action, a.Sync.ETA, a.ConsistencyPolicy = "md0", c.level, c.state, c.action, c.eta, "resync"
		if c.level == "raid0" {
			a.ConsistencyPolicy = "none"
		}
		for _, m := range a.Members {
			if m.Role != nil && m.State != raid.MemberReplacement {
				a.RaidDevices++
				if m.State != "in_sync" {
					a.Degraded++
				}
			}
		}
		h := judge(a, raid.Outlook{Vital: c.vital})
		require.Equal(t, c.want, h.Verdict+": "+h.Reason)
	}
}

// TestAttention: a whole array may have something to look at all the same.
func TestAttention(t *testing.T) {
	whole := membersOf([3]string{"0", "in_sync", "/x/a"}, [3]string{"1", "in_sync", "/x/b"})
	whole.Name, whole.ConsistencyPolicy, whole.RaidDevices = "md0", "resync", 2
	for want, edit := range map[string]func(a *Array){
		"healthy: all members are in sync": func(a *Array) { a.ReadOnly, a.Reasons = true, []string{"asked for"} },
		"attention: read-only: has a journal": func(a *Array) {
			a.ReadOnly, a.Reasons = true, []string{"has a journal"}
		},
		"attention: members differ in 8 sectors, says the last check: `graid repair md0` makes them agree": func(a *Array) { a.MismatchSectors = 8 },
		"attention: b had 2 read and 0 write errors, 1 corrected: it may fail soon":                        func(a *Array) { a.Members[1].Errors = Errors{Read: 2, Corrected: 1} },
	} {
		a := whole
		a.Members = append([]Member{}, whole.Members...)
		edit(&a)
		h := judge(a, raid.Outlook{})
		require.Equal(t, want, h.Verdict+": "+h.Reason)
	}
}

// TestForecast: how long it takes counts every pass that follows.
func TestForecast(t *testing.T) {
	in, failed, gone := [3]string{"0", "in_sync", "/a"}, [3]string{"1", "faulty", "/b"}, [3]string{"2", "missing", "-"}
	filling, spare, second := [3]string{"3", "rebuilding", "/d"}, [3]string{"-", "spare", "/e"}, [3]string{"-", "spare", "/f"}
	for _, c := range []struct {
		action  string
		again   int64
		members [][3]string
		want    []Pass
	}{
		{"resync", 0, [][3]string{in, in}, []Pass{}},
		{"resync", 0, [][3]string{in, filling}, []Pass{{"recover", 1000}}},
		{"resync", 0, [][3]string{in, failed, gone, spare, second}, []Pass{{"recover", 1000}}}, // both at once
		{"resync", 0, [][3]string{in, failed}, []Pass{}},
		{"recover", 0, [][3]string{in, filling}, []Pass{}},
		{"recover", 0, [][3]string{in, filling, spare}, []Pass{}},
		{"recover", 0, [][3]string{in, filling, failed, spare}, []Pass{{"recover", 1000}}},
		{"recover", 0, [][3]string{in, failed, spare}, []Pass{}}, // it is about to take over
		{"recover", 300, [][3]string{in, filling}, []Pass{{"resync", 300}}},
		{"recover", 300, [][3]string{in, filling, failed}, []Pass{}}, // not before all are here
		{"recover", 300, [][3]string{in, filling, failed, spare}, []Pass{{"recover", 1000}, {"resync", 300}}},
		{"check", 0, [][3]string{in, in, spare}, []Pass{}},
		{"idle", 0, [][3]string{in, failed, spare}, []Pass{}},
	} {
		a := membersOf(c.members...)
		a.Sync = Sync{Action: c.action, Done: 400, Total: 1000, Speed: 100}
		require.Equal(t, c.want, passes(a, raid.Outlook{Again: c.again}), "%v", c)
	}
	s := Sync{Action: "recover", Done: 400, Total: 1000, Speed: 100}
	s.forecast([]Pass{{"recover", 1000}, {"resync", 310}}, false, false)
	require.Equal(t, int64(6), *s.PassETA)
	require.Equal(t, int64(20), *s.ETA)
	require.Equal(t, LimitMembers, s.LimitedBy)
	s.forecast(nil, true, true)
	require.Equal(t, int64(6), *s.ETA)
	require.Equal(t, LimitSet, s.LimitedBy)
	s.forecast(nil, true, false)
	require.Equal(t, LimitUserIO, s.LimitedBy)
	s = Sync{Action: "recover", Total: 1000}
	s.forecast(nil, true, true)
	require.Nil(t, s.ETA)
	require.Empty(t, s.LimitedBy)
}
