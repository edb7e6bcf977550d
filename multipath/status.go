package multipath

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Counters are what a map has counted since it was made.
type Counters struct {
	Switches int64 `json:"group_switches"`
	Fenced   int64 `json:"fenced"`            // sessions ended through another
	Unproven int64 `json:"unproven"`          // writes whose end was never proved
	Resent   int64 `json:"resent_bytes"`      // unflushed, to another target
	Refused  int64 `json:"identity_refusals"` // paths to another medium
}

// Status is a map at a moment.
type Status struct {
	Name             string        `json:"name"`
	SizeBytes        int64         `json:"size_bytes"`
	Selector         string        `json:"selector"`
	Stale            string        `json:"stale_write"`
	Failback         string        `json:"failback"`
	NoPath           string        `json:"no_path"`
	State            string        `json:"state"` // active, degraded (a path is not usable), failed (no path is)
	Group            string        `json:"group"`
	Groups           []GroupStatus `json:"path_groups"`
	Waiting          int           `json:"waiting"` // requests that wait for a path, or for a stale write
	OldestWait       time.Duration `json:"oldest_wait_nanoseconds"`
	QuarantinedBytes int64         `json:"quarantined_bytes"`
	UnflushedBytes   int64         `json:"unflushed_bytes"`
	Counters         Counters      `json:"counters"`
}

// GroupStatus is a group of paths.
type GroupStatus struct {
	Name     string       `json:"name"`
	Priority float64      `json:"priority"` // average of its usable paths
	Status   string       `json:"status"`   // active: I/O goes there; enabled: it could; disabled: no path of it can be used
	Paths    []PathStatus `json:"paths"`
}

// PathStatus is a path.
type PathStatus struct {
	Name        string        `json:"name"`
	State       string        `json:"state"`
	Reason      string        `json:"reason,omitempty"`
	Since       time.Time     `json:"since"`
	Host        string        `json:"host"`
	Priority    int           `json:"priority"`
	Weight      int           `json:"weight"`
	Instance    string        `json:"instance,omitempty"`
	InFlight    int           `json:"in_flight"`
	Requests    int64         `json:"requests"`
	Bytes       int64         `json:"bytes"`
	Errors      int64         `json:"errors"`
	Failures    int64         `json:"failures"`
	Hedges      int64         `json:"hedges"`
	Latency     time.Duration `json:"latency_nanoseconds"`
	NextTry     time.Duration `json:"next_try_nanoseconds,omitempty"` // from now, of a failed path
	Quarantined int           `json:"quarantined_writes,omitempty"`
}

// Status is the map as it is now. It waits for no path.
func (d *Device) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.s.Now()
	s := Status{
		Name: d.name, SizeBytes: d.info.Size, Selector: d.o.Selector, Stale: d.o.Stale.String(), Failback: d.o.Failback.String(),
		NoPath: noPathName(d.o.NoPath), Group: d.table.current, QuarantinedBytes: d.spans.quarantined(), UnflushedBytes: d.log.bytes, Counters: d.counters,
	}
	for _, o := range d.parked {
		if o.ahead || o.since == 0 {
			continue
		}
		s.Waiting++
		s.OldestWait = max(s.OldestWait, now-o.since)
	}
	s.State = "active"
	if len(d.table.live) == 0 {
		s.State = "failed"
	}
	for _, g := range d.table.standings() {
		gs := GroupStatus{Name: g.name, Priority: g.priority, Status: "enabled"}
		switch {
		case g.name == d.table.current && len(d.table.live) > 0:
			gs.Status = "active"
		case g.usable == 0:
			gs.Status = "disabled"
		}
		for i := range d.table.paths {
			if r := &d.table.paths[i]; r.group == g.name && !r.removed {
				gs.Paths = append(gs.Paths, d.pathStatus(i, now))
				if s.State == "active" && !r.usable() {
					s.State = "degraded"
				}
			}
		}
		s.Groups = append(s.Groups, gs)
	}
	return s
}

func (d *Device) pathStatus(i int, now time.Duration) PathStatus {
	p, r := d.paths[i], &d.table.paths[i]
	ps := PathStatus{
		Name: p.Name, State: r.state.String(), Reason: r.reason, Since: d.s.Wall().Add(r.since - now), Host: p.Host, Priority: p.Priority, Weight: d.weight(i),
		Instance: r.instance, Requests: p.requests, Bytes: p.bytes, Errors: p.errors, Failures: p.failures, Hedges: p.hedges,
		Latency: time.Duration(r.latency.mean),
	}
	if p.s != nil {
		ps.InFlight = p.s.inflight
	}
	for _, z := range d.old {
		if z.path == p {
			ps.Quarantined += len(z.writes)
		}
	}
	if r.state == StateFailed || r.state == StateHoldDown {
		ps.NextTry = max(r.until-now, 0)
	}
	return ps
}

func noPathName(t time.Duration) string {
	switch t {
	case NoPathFail:
		return "fail"
	case NoPathQueue:
		return "queue"
	}
	return "queue:" + t.String()
}

// Explain says why I/O goes where it goes, and what led to that, from what was recorded.
func (d *Device) Explain() []string {
	s := d.Status()
	var lines []string
	say := func(format string, a ...any) { lines = append(lines, fmt.Sprintf(format, a...)) }
	switch s.State {
	case "failed":
		say("no path can be used; requests %s", map[bool]string{true: "fail at once", false: "wait (" + s.NoPath + ")"}[s.NoPath == "fail"])
	default:
		d.mu.Lock()
		var names []string
		for _, i := range d.table.live {
			names = append(names, d.paths[i].Name)
		}
		back := d.table.failback
		if back > 0 {
			back -= d.s.Now()
		}
		d.mu.Unlock()
		how := "chosen by " + s.Selector
		if len(names) == 1 {
			how = "the only one that can be used there"
		}
		say("I/O goes to %s (%s), in group %q", strings.Join(names, ", "), how, s.Group)
		if back > 0 {
			say("failback to a better group in %v", back.Round(time.Millisecond))
		}
	}
	for _, g := range s.Groups {
		for _, p := range g.Paths {
			if p.State != StateUp.String() {
				line := fmt.Sprintf("%s is %s since %s", p.Name, p.State, p.Since.Format("15:04:05"))
				if p.Reason != "" {
					line += ": " + p.Reason
				}
				if p.NextTry > 0 {
					line += fmt.Sprintf("; tried again in %v", p.NextTry.Round(time.Millisecond))
				}
				say("%s", line)
			}
		}
	}
	for _, e := range slices.Backward(d.History()) {
		if e.Kind == KindGroup {
			say("the group was last changed at %s to %q, because of the one before: %s", e.At.Format("15:04:05.000"), e.To, e.Reason)
			break
		}
	}
	if s.QuarantinedBytes > 0 {
		say("%d bytes are held: an old write may still land there", s.QuarantinedBytes)
	}
	return lines
}
