package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"graid/daemon"
)

func waitVerb() verb {
	return verb{
		name:  "wait",
		args:  "NAME",
		short: "return when an array has no background work left",
		long: `Returns when no background work, such as a resync, a recovery or a check, is left; on a terminal it shows how far that is. Ctrl-C
ends the waiting and not the work.`,
		run: func(c *call) error {
			name, err := c.oneName()
			if err != nil {
				return err
			}
			folder, err := lookFolder()
			if err != nil {
				return err
			}
			return c.attend(folder, name, func(ctx context.Context) error {
				_, err := folder.Wait(ctx, name)
				return err
			})
		},
	}
}

// attendEvery is how often progress is shown.
const attendEvery = 250 * time.Millisecond

// attend waits for something the array does, and meanwhile shows on a terminal how far it is. Whoever interrupts it is told what goes on.
func (c *call) attend(folder daemon.Folder, name string, wait func(context.Context) error) error {
	ended, shown := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(shown)
		if isTerminal(c.err) {
			c.showProgress(folder, name, ended)
		}
	}()
	err := wait(c.ctx)
	close(ended)
	<-shown
	if c.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return interrupted(folder, name)
	}
	return err
}

// interrupted says what goes on now that nobody waits for it.
func interrupted(folder daemon.Folder, name string) error {
	a, err := folder.Status(context.Background(), name)
	if err != nil || a.Sync.Action == "idle" {
		return context.Canceled
	}
	what := work(a.Sync.Action)
	if replacing(a) {
		what = "replacement"
	}
	stop := ""
	if what == "check" || what == "repair" {
		stop = fmt.Sprintf(", `graid sync-action %s idle` stops it", name)
	}
	return fmt.Errorf("interrupted: the %s goes on without you: `graid wait %s` waits again%s", what, name, stop)
}

// showProgress keeps one line about the array's background work up to date until ended is closed, and takes it away then.
func (c *call) showProgress(folder daemon.Folder, name string, ended <-chan struct{}) {
	p := paintFor(c.err)
	defer io.WriteString(c.err, "\r\x1b[K")
	for {
		if a, err := folder.Status(c.ctx, name); err == nil && a.Sync.Action != "idle" {
			io.WriteString(c.err, "\r"+progressLine(p, a)+"\x1b[K")
		}
		select {
		case <-ended:
			return
		case <-time.After(attendEvery):
		}
	}
}

// barWidth is how many columns a bar has beside what is said about the progress.
const barWidth = 24

// progressLine is "md0  [=====>......]  recover m1 12.4% 183M/s 41m left".
func progressLine(p paint, a daemon.Array) string {
	return p.bold(a.Name) + "  " + bar(a.Sync.Done, max(a.Sync.Total, 1), barWidth) + "  " + progress(a)
}
