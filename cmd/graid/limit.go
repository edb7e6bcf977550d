package main

import (
	"fmt"
	"time"

	"graid/daemon"
)

func limitVerb() verb {
	return verb{
		name:  "limit",
		args:  "NAME",
		short: "set how fast background work goes, and how long members may take to read",
		long: `Sets how many bytes per second resync, recovery, check and repair get at least, however busy the array is, and at most, however
idle. 0 is the default: at least 1M, and no upper limit. With --latency it backs off while requests take longer than that in the mean,
but not below the least, and does not hold back otherwise. Without an option, prints the limits.

With --read-deadline a read that a member has not answered after so long is answered by the others, where they can; 0 is any time. All that
holds until the array stops.`,
		flags: []flag{
			{name: "min", value: "SIZE", usage: "bytes per second it always gets"},
			{name: "max", value: "SIZE", usage: "bytes per second it never exceeds"},
			{name: "latency", value: "TIME", usage: "what requests are to take beside it, in the mean: 5ms; 0 = no target"},
			deadlineFlag,
		},
		run: limit,
	}
}

func limit(c *call) error {
	name, err := c.oneName()
	if err != nil {
		return err
	}
	var least, most *int64
	for _, o := range []struct {
		name string
		to   **int64
	}{{"min", &least}, {"max", &most}} {
		n, err := c.size(o.name)
		if err != nil {
			return usage("limit: %v", err)
		}
		if c.given(o.name) {
			*o.to = &n
		}
	}
	if least != nil && most != nil && *most > 0 && *least > *most {
		return usage("limit: --min %s is more than --max %s", c.get("min"), c.get("max"))
	}
	l := daemon.Limits{Min: least, Max: most}
	if c.given("latency") {
		d, err := time.ParseDuration(c.get("latency"))
		if err != nil || d < 0 {
			return usage("limit: --latency: %q is no time: give one such as 5ms or 800us", c.get("latency"))
		}
		l.Latency = &d
	}
	if c.given(deadlineFlag.name) {
		d, err := c.deadline()
		if err != nil {
			return err
		}
		l.Deadline = &d
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	a, err := folder.Limit(c.ctx, name, l)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, limits(a))
	return err
}

// limits says how fast background work may go.
func limits(a daemon.Array) string {
	most := "no limit when nobody else uses it"
	if a.Sync.Most > 0 {
		most = fmt.Sprintf("at most %s/s", human(a.Sync.Most))
	}
	if t := a.Sync.LatencyTarget; t > 0 {
		most += fmt.Sprintf("; it backs off while requests take longer than %v", time.Duration(t))
		if l := a.Sync.Latency; l > 0 {
			most += fmt.Sprintf(" (lately %v)", time.Duration(l).Round(time.Microsecond))
		}
	}
	text := fmt.Sprintf("%s: background work gets at least %s/s while the array is busy, and %s", a.Name, human(a.Sync.Least), most)
	if a.ConsistencyPolicy == "none" {
		return text
	}
	return text + fmt.Sprintf("\n%s: members may take %s to read", a.Name, readDeadline(a))
}

// deadlineFlag is how long members may take to read.
var deadlineFlag = flag{
	name: "read-deadline", value: "TIME", usage: "how long a member may take to read before the others answer in its place; 0 = any time (default: 8s)",
}

// defaultDeadline is more than the seven seconds for which disks made for arrays try to read, and less than a user's patience. Others try for minutes.
const defaultDeadline = 8 * time.Second

// leastDeadline keeps members that merely seek from being called slow.
const leastDeadline = 10 * time.Millisecond

// deadline reads the flag.
func (c *call) deadline() (time.Duration, error) {
	if !c.given(deadlineFlag.name) {
		return defaultDeadline, nil
	}
	d, err := time.ParseDuration(c.get(deadlineFlag.name))
	if c.get(deadlineFlag.name) == "0" {
		return 0, nil
	}
	if err != nil || d < 0 {
		return 0, usage("%s: --read-deadline: %q is no time: give one such as 8s or 500ms", c.verb.name, c.get(deadlineFlag.name))
	}
	if d > 0 && d < leastDeadline {
		return 0, usage("%s: --read-deadline %v: members that merely seek would be late: give at least %v, or 0 for any time", c.verb.name, d, leastDeadline)
	}
	return d, nil
}

// readDeadline is "8s", or "any time".
func readDeadline(a daemon.Array) string {
	if a.ReadDeadline == 0 {
		return "any time"
	}
	return "at most " + time.Duration(a.ReadDeadline).String()
}
