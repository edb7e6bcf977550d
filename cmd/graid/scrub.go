package main

import (
	"context"
	"fmt"
	"time"

	"graid/daemon"
)

func checkVerb() verb {
	return verb{
		name:  "check",
		args:  "NAME",
		short: "compare all copies, or parity with the data, and say what differs",
		long: `Reads every member of the running array, in the background, and compares copies, or parity with the data. What cannot be read
is rewritten from redundancy; what differs is counted, as Linux counts it, told with the bytes of the array that it is about, and left
alone. With raid6, and with three copies and more, it is told which member is wrong, where that can be known. With --wait, exit status 3
says that something differs.

With --for it stops when that time is over, and the next check with --for or --continuous goes on there, also after the array was
stopped: where that was is kept in $GRAID_STATE_DIR, else $XDG_STATE_HOME/graid, else /var/lib/graid for root and ~/.local/state/graid for others.`,
		flags: []flag{
			waitFlag,
			{name: "for", value: "TIME", usage: "go on where the last check stopped, for so long: 90s, 45m, 2h30m"},
			{name: "continuous", usage: "go on where the last check stopped, and begin anew at the end; \"graid sync-action NAME idle\" stops it"},
		},
		run: func(c *call) error {
			opts := daemon.ScrubOptions{Continuous: c.has("continuous")}
			if c.given("for") {
				d, err := time.ParseDuration(c.get("for"))
				if err != nil || d <= 0 {
					return usage("check: --for: %q is no time: give one such as 90s, 45m or 2h30m", c.get("for"))
				}
				opts.For = d
			}
			if opts.Continuous && opts.For == 0 && c.has("wait") {
				return usage("check: --continuous has no end to --wait for: give it one with --for")
			}
			opts.Resume = opts.Continuous || opts.For > 0
			return scrub(c, "check", opts)
		},
	}
}

func repairVerb() verb {
	return verb{
		name:  "repair",
		args:  "NAME",
		short: "check, and make what differs agree",
		long: `Does what check does, and makes what differs agree as Linux does: parity is computed anew from the data, and of differing copies the
first one is copied over the others, whoever is wrong. With --wait, exit status 3 says that something differed.

With --locate the member that is wrong is rewritten from the others: the only one of a raid6 that does not fit, and whoever is outvoted
by more than half of three copies or more. What nothing is known of is left alone, unless --rest has Linux's rules for that.`,
		flags: []flag{
			waitFlag,
			{name: "locate", usage: "rewrite the member that is wrong, where that can be known"},
			{name: "rest", usage: "with --locate: what it would leave alone, by Linux's rules"},
		},
		run: func(c *call) error {
			opts := daemon.ScrubOptions{Locate: c.has("locate"), Rest: c.has("rest")}
			if opts.Rest && !opts.Locate {
				return usage("repair: --rest is about what --locate leaves alone")
			}
			return scrub(c, "repair", opts)
		},
	}
}

var waitFlag = flag{name: "wait", usage: "return when it is done; Ctrl-C ends the waiting and not the work"}

func scrub(c *call, action string, opts daemon.ScrubOptions) error {
	name, err := c.oneName()
	if err != nil {
		return err
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	s, err := folder.Scrub(c.ctx, name, action, opts)
	if err != nil {
		return err
	}
	if opts.Continuous && !c.has("wait") {
		fmt.Fprintf(c.out, "%s: %s goes round in the background: `graid status %s` shows how far it is, `graid sync-action %s idle` stops it\n",
			name, action, name, name)
		return nil
	}
	if !c.has("wait") {
		fmt.Fprintf(c.out, "%s: %s begins in the background: `graid status %s` shows how far it is, `graid wait %s` waits for its end\n",
			name, action, name, name)
		return nil
	}
	err = c.attend(folder, name, func(ctx context.Context) (err error) {
		s, err = folder.ScrubWait(ctx, name, s.Number)
		return err
	})
	if err != nil {
		return err
	}
	if a, err := folder.Status(c.ctx, name); err == nil && a.Degraded > 0 && s.State == daemon.ScrubDone {
		fmt.Fprintf(c.err, "graid: note: %s is degraded: what only a missing member could tell was not compared\n", name)
	}
	return outcome(c, name, s)
}

// outcome tells what a scrub came to.
func outcome(c *call, name string, s daemon.Scrub) error {
	if s.State != daemon.ScrubDone {
		return fmt.Errorf("%s: %s", name, s.Detail)
	}
	fmt.Fprintf(c.out, "%s: %s\n", name, s.Detail)
	for _, where := range s.Mismatches {
		fmt.Fprintf(c.out, "  %s\n", where)
	}
	if s.More > 0 {
		fmt.Fprintf(c.out, "  and %d places more\n", s.More)
	}
	switch {
	case s.Sectors == 0:
		return nil
	case s.Left > 0:
		return &attention{fmt.Sprintf("%s: %s differed, and %s left alone: `graid repair %s` makes them agree by Linux's rules", name,
			plural(int(s.Sectors), "sector"), were(s.Left), name)}
	case s.Action == "repair":
		return &attention{fmt.Sprintf("%s: %s differed and agree now", name, plural(int(s.Sectors), "sector"))}
	}
	return &attention{fmt.Sprintf("%s: %s differ: %s", name, plural(int(s.Sectors), "sector"), s.Remedy(name))}
}

// were is so many that were.
func were(n int64) string {
	if n == 1 {
		return "1 was"
	}
	return fmt.Sprintf("%d were", n)
}

// mismatches says what the last scrub found, "" if that is nothing.
func mismatches(a daemon.Array) string {
	if a.MismatchSectors == 0 {
		return ""
	}
	n := plural(int(a.MismatchSectors), "sector")
	switch s := a.LastScrub; {
	case s != nil && !s.Ended():
		return n + " differ so far"
	case s != nil && s.Action == "repair" && s.Left > 0:
		return fmt.Sprintf("%s differed in the last repair, and %s left alone", n, were(s.Left))
	case s != nil && s.Action == "repair":
		return n + " differed in the last repair"
	}
	return fmt.Sprintf("%s differ, says the last check: %s", n, a.LastScrub.Remedy(a.Name))
}

func syncActionVerb() verb {
	return verb{
		name:  "sync-action",
		args:  "NAME [idle|check|repair]",
		short: "steer the background work: stop or begin a check or repair",
		long: `Begins a check or a repair, or with idle stops one that is under way. Resync and recovery go on: without them data is at risk;
"graid limit" slows them down. Without an action, prints what goes on.`,
		run: syncAction,
	}
}

func syncAction(c *call) error {
	if len(c.args) < 1 || len(c.args) > 2 {
		return usage("sync-action: name the array and what it should do: graid sync-action NAME idle|check|repair")
	}
	name := c.args[0]
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	if len(c.args) == 1 {
		a, err := folder.Status(c.ctx, name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.out, a.Sync.Action)
		return err
	}
	switch action := c.args[1]; action {
	case "check", "repair":
		c.args = c.args[:1]
		return scrub(c, action, daemon.ScrubOptions{})
	case "idle":
		a, err := folder.Idle(c.ctx, name)
		if err != nil {
			return err
		}
		if w := a.Sync.Action; w != "idle" {
			fmt.Fprintf(c.out, "%s: the %s goes on: without it data is at risk; `graid limit %s --max 1M` slows it down\n", name, work(w), name)
			return nil
		}
		fmt.Fprintln(c.out, name+": idle")
		return nil
	case "frozen", "resync", "recover":
		return fmt.Errorf("sync-action: %s is not there yet in this version: resync and recovery begin by themselves when they are needed", action)
	default:
		return usage("sync-action: %q is none of idle, check, repair", action)
	}
}
