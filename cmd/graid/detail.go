package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"graid/daemon"
	"graid/raid"
)

func detailVerb() verb {
	return verb{
		name:  "detail",
		args:  "NAME",
		short: "one running array in full",
		long:  `Shows one running array in full, as "mdadm --detail" does, and in one word how it is, with the reason.`,
		notes: `
Health is one of
  healthy     nothing is wrong
  attention   nothing is missing, but somebody should look
  resyncing   all members are here, and are being made to agree
  rebuilding  a member is being filled, and another one may fail meanwhile
  degraded    a member is missing, and another one may fail
  at-risk     one more failure loses data
  failed      more members failed than the level can lose

With --test the exit status is that of "mdadm --detail --test": 0 the array is whole, 1 degraded, 2 failed, 4 it is not known.
`,
		flags: []flag{
			{name: "json", usage: "print JSON"},
			{name: "test", short: "t", usage: "have the exit status say how the array is"},
		},
		run: func(c *call) error {
			name, err := c.oneName()
			if err != nil {
				return err
			}
			a, err := detail(c, name)
			if err != nil && c.has("test") {
				return &failure{testUnknown, err.Error()}
			}
			if err != nil {
				return err
			}
			if c.has("json") {
				err = printJSON(c.out, a)
			} else {
				err = printDetail(c.out, a)
			}
			if status := tested(a); err == nil && c.has("test") && status != exitDone {
				return &failure{status, ""}
			}
			return err
		},
	}
}

func detail(c *call, name string) (daemon.Array, error) {
	folder, err := lookFolder()
	if err != nil {
		return daemon.Array{}, err
	}
	return folder.Status(c.ctx, name)
}

// Exit statuses of detail --test, those of mdadm.
const (
	testDegraded = 1
	testFailed   = 2
	testUnknown  = 4
)

// tested is the exit status that says how the array is.
func tested(a daemon.Array) int {
	switch {
	case a.State == raid.StateFailed:
		return testFailed
	case a.Degraded > 0:
		return testDegraded
	}
	return exitDone
}

// facts prints "label : value" lines, the labels right-aligned as mdadm does.
type facts struct {
	w   io.Writer
	err error
}

func (f *facts) say(label, format string, a ...any) {
	f.print("%18s : %s\n", label, fmt.Sprintf(format, a...))
}

func (f *facts) gap() { f.print("\n") }

func (f *facts) print(format string, a ...any) {
	if _, err := fmt.Fprintf(f.w, format, a...); err != nil && f.err == nil {
		f.err = err
	}
}

// clock is a time as mdadm shows it.
func clock(t time.Time) string { return t.Local().Format(time.ANSIC) }

func printDetail(w io.Writer, a daemon.Array) error {
	p := paintFor(w)
	f := &facts{w: w}
	f.print("%s:\n", p.bold(a.Name))
	f.say("Version", "%s", a.Metadata)
	if a.Created != nil {
		f.say("Creation Time", "%s", clock(*a.Created))
	}
	f.say("Raid Level", "%s", a.Level)
	f.say("Array Size", "%s", both(a.SizeBytes))
	if size := memberSize(a); size > 0 {
		f.say("Member Data Size", "%s", both(size))
	}
	f.say("Raid Devices", "%d", a.RaidDevices)
	count := map[string]int{}
	for _, m := range a.Members {
		count[m.State]++
	}
	f.say("Total Devices", "%d", len(a.Members)-count["missing"])
	f.gap()
	if b := a.Bitmap; b != nil {
		f.say("Intent Bitmap", "Internal")
		f.say("Bitmap", "%s", bitmapWords(*b))
		f.gap()
	}
	if a.Updated != nil {
		f.say("Update Time", "%s", clock(*a.Updated))
	}
	f.say("State", "%s", stateWords(p, a))
	f.say("Health", "%s: %s", p.verdict(a.Health.Verdict), a.Health.Reason)
	f.say("Active Devices", "%d", count["in_sync"])
	f.say("Working Devices", "%d", count["in_sync"]+count["rebuilding"]+count["replacement"]+count["spare"]+count["journal"])
	f.say("Failed Devices", "%d", count["faulty"])
	f.say("Spare Devices", "%d", count["spare"]+count["rebuilding"]+count["replacement"])
	f.gap()
	if a.Layout != "" {
		f.say("Layout", "%s", a.Layout)
	}
	if a.ChunkBytes > 0 {
		f.say("Chunk Size", "%s", human(a.ChunkBytes))
	}
	f.say("Consistency Policy", "%s", a.ConsistencyPolicy)
	if a.ConsistencyPolicy != "none" {
		f.say("Read Deadline", "%s", readDeadline(a))
	}
	if s := progress(a); s != "" {
		f.say("Sync", "%s", strings.Join(append([]string{s}, outlook(a)...), ", "))
		if shows(w) {
			f.print("%21s%s\n", "", bar(a.Sync.Done, max(a.Sync.Total, 1), barWidth))
		}
	}
	if s := a.LastScrub; s != nil && s.Ended() {
		f.say("Last Scrub", "%s", s.Detail)
	}
	if s := mismatches(a); s != "" {
		f.say("Mismatches", "%s", s)
	}
	for _, m := range a.Members {
		if m.BadBlocks > 0 {
			f.say("Bad Blocks", "%s of %s: `graid badblocks %s` lists them", human(m.BadBlocks), daemon.Short(m.Name()), a.Name)
		}
	}
	for _, m := range a.Members {
		if s := m.Tardy(); s != "" {
			f.say("Slow Reads", "%s: %s", daemon.Short(m.Name()), s)
		}
	}
	f.gap()
	f.say("Name", "%s", a.StoredName)
	f.say("UUID", "%s", a.UUID)
	f.say("Events", "%d", a.Events)
	for _, x := range a.Exports {
		f.say("Export", "%s  %s", x.URI, plural(x.Clients, "client"))
	}
	if a.PID > 0 {
		f.say("Server", "pid %d", a.PID)
	}
	if a.Overlay != nil {
		f.say("Overlay", "the members are only read; writes go to %s", *a.Overlay)
	}
	for _, s := range a.Reasons {
		f.say("Read-only because", "%s", s)
	}
	for _, s := range a.Findings {
		f.say("Note", "%s", s)
	}
	f.gap()
	if f.err != nil {
		return f.err
	}
	return memberTable(w, a)
}

func memberTable(w io.Writer, a daemon.Array) error {
	var rows [][]string
	for _, m := range a.Members {
		role, path, events := "-", "-", "-"
		if m.Role != nil {
			role = fmt.Sprint(*m.Role)
		}
		if m.Path != nil {
			path, events = *m.Path, fmt.Sprint(m.Events)
		}
		state := strings.Join(append([]string{m.State}, m.Flags...), ",")
		path = strings.Join(append([]string{path}, replacement(a, m)...), "  ")
		e := m.Errors
		rows = append(rows, []string{role, state, events, fmt.Sprintf("%d/%d/%d", e.Read, e.Write, e.Corrected), path})
	}
	return table(w, []string{"Role", "State", "Events", "Errors r/w/corrected", "Member"}, rows)
}

// stateWords is "clean, degraded, resyncing" and the like.
func stateWords(p paint, a daemon.Array) string {
	words := []string{p.state(a.State)}
	if a.State == "degraded" {
		clean := "clean"
		if a.Dirty {
			clean = "active"
		}
		words = []string{clean, p.state("degraded")}
	}
	if a.ReadOnly && a.State != "readonly" {
		words = append(words, p.warn("read-only"))
	}
	if s := a.Sync.Action; s != "idle" {
		words = append(words, cmp.Or(doing[s], s))
	}
	return strings.Join(words, ", ")
}

// doing is mdadm's words for background work under way.
var doing = map[string]string{"resync": "resyncing", "recover": "recovering", "check": "checking", "repair": "repairing"}

func memberSize(a daemon.Array) int64 {
	var least int64
	for _, m := range a.Members {
		if m.Role != nil && m.Size > 0 && (least == 0 || m.Size < least) {
			least = m.Size
		}
	}
	return least
}
