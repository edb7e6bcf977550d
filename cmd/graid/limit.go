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
		short: "set how fast background work goes",
		long: `Sets how many bytes per second resync, recovery, check and repair get at least, however busy the array is, and at most, however
idle. 0 is the default: at least 1M, and no upper limit. With --latency it backs off while requests take longer than that in the mean,
but not below the least, and does not hold back otherwise. All that holds until the array stops. Without an option, prints the limits.`,
		flags: []flag{
			{name: "min", value: "SIZE", usage: "bytes per second it always gets"},
			{name: "max", value: "SIZE", usage: "bytes per second it never exceeds"},
			{name: "latency", value: "TIME", usage: "what requests are to take beside it, in the mean: 5ms; 0 = no target"},
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
	var latency *time.Duration
	if c.given("latency") {
		d, err := time.ParseDuration(c.get("latency"))
		if err != nil || d < 0 {
			return usage("limit: --latency: %q is no time: give one such as 5ms or 800us", c.get("latency"))
		}
		latency = &d
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	a, err := folder.Limit(c.ctx, name, least, most, latency)
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
	return fmt.Sprintf("%s: background work gets at least %s/s while the array is busy, and %s", a.Name, human(a.Sync.Least), most)
}
