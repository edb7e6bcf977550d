package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graid/daemon"
)

func upVerb() verb {
	return verb{
		name:  "up",
		args:  "FILE [NAME...]",
		short: "start the arrays that a file says",
		long: `Starts every array that FILE names, or only those given, as "graid assemble" would; what runs already is left alone, so that it may be
said again. The whole file is checked before anything is started. One that cannot be started does not keep the others from it; Ctrl-C stops what
was started. FILE is TOML; what it does not know is an error.`,
		notes: `
In FILE there is a table for each array. Its keys are name, members, and the
options of "graid assemble" with _ for -. Paths are relative to FILE's folder. A
member array:NAME is another array of the file, which is started first.

  [[array]]
  name = "tank"
  members = ["a.img", "b.img", "/dev/sdc1"]
  nbd = ["tcp:127.0.0.1:10809"]
  readonly = true
`,
		flags: []flag{{name: "dry-run", short: "n", usage: "check FILE and print the commands that would start what it names"}},
		run:   up,
	}
}

func downVerb() verb {
	return verb{
		name:  "down",
		args:  "FILE [NAME...]",
		short: "stop the arrays that a file says",
		long: `Stops every array that FILE names, or only those given, as "graid stop" would: those with others as members first. What does not run is
passed over.`,
		flags: stopVerb().flags,
		run:   down,
	}
}

// chosen is the setup of a file, and which of its entries the call is about.
func (c *call) chosen() (*setup, error) {
	if len(c.args) == 0 {
		return nil, usage("%s: name the file: graid %s %s", c.verb.name, c.verb.name, c.verb.args)
	}
	s, err := readSetup(c, c.args[0])
	if err != nil {
		return nil, err
	}
	names := c.args[1:]
	for _, n := range names {
		if !slices.ContainsFunc(s.entries, func(e *entry) bool { return e.name == n }) {
			return nil, usage("%s: %s: there is no %s in it", c.verb.name, s.path, n)
		}
	}
	if len(names) > 0 {
		s.entries = slices.DeleteFunc(s.entries, func(e *entry) bool { return !slices.Contains(names, e.name) })
	}
	return s, nil
}

func up(c *call) error {
	s, err := c.chosen()
	if err != nil {
		return err
	}
	if c.has("dry-run") {
		for _, e := range s.entries {
			fmt.Fprintln(c.out, e.line())
		}
		return nil
	}
	folder, err := openFolder()
	if err != nil {
		return err
	}
	var started []string
	var failed, look bool
	for _, e := range s.entries {
		if _, err := folder.Status(c.ctx, e.name); err == nil {
			fmt.Fprintln(c.out, e.name+" runs already")
			continue
		}
		err := e.start(c, folder)
		switch {
		case c.ctx.Err() != nil:
			return errors.Join(c.ctx.Err(), undo(folder, started))
		case err == nil:
			started = append(started, e.name)
		case errors.As(err, new(*attention)):
			started = append(started, e.name)
			look = true
			report(c.err, err)
		default:
			failed = true
			report(c.err, fmt.Errorf("%s: not started: %w", e.name, err))
		}
	}
	return told(failed, look)
}

// start does what the entry's verb does, and says where it is served.
func (e *entry) start(c *call, folder daemon.Folder) error {
	var said bytes.Buffer
	sub := *e.call
	sub.out = &said
	sub.args = []string{e.name}
	for _, m := range e.members {
		name, ok := strings.CutPrefix(m, usesPrefix)
		if ok {
			a, err := folder.Status(c.ctx, name)
			if err != nil {
				return err
			}
			m = a.Exports[0].URI
		}
		sub.args = append(sub.args, m)
	}
	err := sub.verb.run(&sub)
	for uri := range strings.Lines(said.String()) {
		fmt.Fprintf(c.out, "%s  %s", e.name, uri)
	}
	return err
}

// undo stops what was started, the last first.
func undo(folder daemon.Folder, started []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for _, name := range slices.Backward(started) {
		if err := folder.Stop(ctx, name, false); err != nil {
			errs = append(errs, fmt.Errorf("%s runs on: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// line is the command that starts the entry.
func (e *entry) line() string {
	words := []string{"graid", e.call.verb.name}
	for _, f := range e.call.verb.flags {
		if e.call.on[f.name] {
			words = append(words, "--"+f.name)
		}
		for _, v := range e.call.value[f.name] {
			words = append(words, "--"+f.name, v)
		}
	}
	return strings.Join(quoted(append(append(words, e.name), e.members...)), " ")
}

func down(c *call) error {
	s, err := c.chosen()
	if err != nil {
		return err
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	running, err := folder.Names()
	if err != nil {
		return err
	}
	stop := stopVerb()
	var failed, look bool
	stopped := false
	for _, e := range slices.Backward(s.entries) {
		if !slices.Contains(running, e.name) {
			fmt.Fprintln(c.out, e.name+" does not run")
			continue
		}
		if stopped {
			let(c.ctx, folder, e.name) // it may have been a member of that
		}
		stopped = true
		sub := *c
		sub.verb, sub.args = &stop, []string{e.name}
		switch err := stop.run(&sub); {
		case errors.As(err, new(*attention)):
			look = true
			report(c.err, err)
		case err != nil:
			failed = true
			report(c.err, err)
		}
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
	}
	return told(failed, look)
}

// leaveTime is how long the connections of an array that was stopped may take to be gone from its members.
const leaveTime = 5 * time.Second

// let waits until nobody is connected to the array, or for so long that somebody will stay.
func let(ctx context.Context, folder daemon.Folder, name string) {
	for end := time.Now().Add(leaveTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		a, err := folder.Status(ctx, name)
		if err != nil || !slices.ContainsFunc(a.Exports, func(x daemon.Export) bool { return x.Clients > 0 }) {
			return
		}
	}
}

// told is how it all ended, when what there was to say about each has been said.
func told(failed, look bool) error {
	switch {
	case failed:
		return &failure{exitFailed, ""}
	case look:
		return &attention{}
	}
	return nil
}
