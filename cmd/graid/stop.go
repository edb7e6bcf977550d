package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"graid/daemon"
)

func stopVerb() verb {
	return verb{
		name:  "stop",
		args:  "NAME",
		short: "flush, mark clean and end a running array",
		long: `Flushes, marks the array clean and ends its server; the members and the name are free when it returns. Refuses
while clients are connected. Of an array whose server died it clears away what that left behind, with status 3: that array was not
marked clean.`,
		flags: []flag{
			{name: "force", short: "f", usage: "cut off clients that are connected"},
			{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30); it goes on stopping afterwards"},
		},
		run: func(c *call) error {
			name, err := c.oneName()
			if err != nil {
				return err
			}
			folder, err := lookFolder()
			if err != nil {
				return err
			}
			timeout, err := c.seconds("timeout", patience)
			if err != nil {
				return err
			}
			err = c.patiently(folder, name, "flush and stop", timeout, func(ctx context.Context) error {
				return folder.Stop(ctx, name, c.has("force"))
			})
			if errors.Is(err, daemon.ErrNotRunning) {
				return bury(folder, name, err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(c.out, name+" stopped")
			return nil
		},
	}
}

// bury clears away what a dead server left; notRunning is the error if there is nothing.
func bury(folder daemon.Folder, name string, notRunning error) error {
	if folder.Died(name) == nil {
		return notRunning
	}
	left, err := folder.Forget(name)
	if err != nil {
		return err
	}
	if left == nil { // by somebody else
		return notRunning
	}
	return &attention{fmt.Sprintf("%s: its server (pid %d) had died without marking the array clean; what it left behind is cleared away; "+
		"to have the array checked, run graid %s", name, left.PID, strings.Join(quoted(revive(*left)), " "))}
}

const (
	patience = 30 * time.Second // how long a server may take for what it is asked, unless told otherwise
	silent   = 5 * time.Second  // after which the user is told what is waited for
)

// patiently does what a server is asked for, says after a while that it takes long, and gives up when timeout is over: a server may hang
// with a member that does.
func (c *call) patiently(folder daemon.Folder, name, what string, timeout time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	pid := folder.PID(name)
	late := time.AfterFunc(min(silent, timeout/2), func() {
		fmt.Fprintf(c.err, "graid: %s: waiting for its server (pid %d) to %s\n", name, pid, what)
	})
	defer late.Stop()
	err := do(ctx)
	if c.ctx.Err() == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: its server (pid %d) did not %s within %v: it may hang with a member that does: see its log, %s, and the kernel's; "+
			"--timeout waits longer; kill -9 %d ends it, and leaves the array dirty", name, pid, what, timeout, folder.LogPath(name), pid)
	}
	return err
}

// seconds reads the option as a number of seconds; none given is none.
func (c *call) seconds(name string, none time.Duration) (time.Duration, error) {
	if !c.given(name) {
		return none, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(c.get(name), "s"), 64)
	if err != nil || !(n > 0 && n <= 1e6) {
		return 0, usage("%s: --%s: %q is no number of seconds: give one such as 30", c.verb.name, name, c.get(name))
	}
	return time.Duration(n * float64(time.Second)), nil
}
