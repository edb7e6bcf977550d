package main

import (
	"encoding/json"
	"fmt"
	"time"

	"graid/daemon"
)

func eventsVerb() verb {
	return verb{
		name:  "events",
		args:  "NAME",
		short: "what happened to an array, and what happens to it",
		long: `Prints what happened to the running array, as far as its server remembers, which is its last 256 events, and then what happens
to it, until it stops or Ctrl-C. With --json each event is one JSON object on one line. Ends with status 3 if the server died.`,
		notes: `
Names are those of "mdadm --monitor" where it has one:

  NewArray, DeviceDisappeared    the array was started; it was stopped, or its server died
  DegradedArray                  it was started with members missing
  Fail, FailSpare                a member failed; a spare did, or a member that was being filled
  SpareActive                    a member was filled and is in sync
  RebuildStarted, Rebuild20 ... Rebuild80, RebuildFinished
                                 a resync, recovery, check or repair
  NewSpare, ReAdded, Removed     a member was added; one came back by the bitmap; one was let go of
  ReadErrorCorrected, ReadErrorUncorrected
                                 a member could not read: rewritten from redundancy, or not
  BadBlock                       a member refused to write something that others have, or was filled where nobody could be read
  MismatchFound                  a check or repair found a place where members differ
  ArrayBroken                    more members failed than the level can lose

create, assemble and serve take --on-event PROGRAM: it is run for each of them but MismatchFound, one at a time, with the event, the
array's name and the member's path, if there is one, as arguments; $GRAID_DETAIL says more. The array does not wait for it: it has a
minute, and 64 events wait for it at most. The first that goes wrong with it is shown by "graid status", and logged.
`,
		flags: []flag{
			{name: "json", usage: "print JSON, one object a line"},
			{name: "follow", on: true, usage: "end after what has happened so far"},
		},
		run: events,
	}
}

func events(c *call) error {
	name, err := c.oneName()
	if err != nil {
		return err
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	e := &eventPrinter{c: c, name: name}
	if !c.has("follow") {
		err = folder.History(c.ctx, name, e.tell)
	} else {
		err = folder.Events(c.ctx, name, 0, e.tell)
	}
	switch {
	case c.ctx.Err() != nil:
		return nil // Ctrl-C is how one ends this
	case err != nil && !e.begun:
		return err
	case e.err != nil:
		return e.err
	case c.has("follow") && e.last.Event != daemon.EventDisappeared:
		return e.died()
	}
	return err
}

// eventPrinter prints events as they come.
type eventPrinter struct {
	c     *call
	name  string
	begun bool
	last  daemon.Event
	err   error // that of the first that could not be read
}

func (p *eventPrinter) tell(id int64, raw json.RawMessage) {
	var e daemon.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		if p.err == nil {
			p.err = fmt.Errorf("%s: its server told what is no event: %w", p.name, err)
		}
		return
	}
	if !p.begun && id > 0 {
		fmt.Fprintf(p.c.err, "graid: note: %s: %s before these, which its server does not remember\n", p.name, plural(int(id), "event"))
	}
	p.begun = true
	p.print(e)
}

func (p *eventPrinter) print(e daemon.Event) {
	p.last = e
	if p.c.has("json") {
		b, err := json.Marshal(e)
		if err == nil {
			fmt.Fprintf(p.c.out, "%s\n", b)
		}
		return
	}
	line := fmt.Sprintf("%s  %s  %s", e.At.Local().Format(time.DateTime), e.Array, e.Event)
	if e.Member != "" {
		line += "  " + daemon.Short(e.Member)
	}
	if e.Detail != "" {
		line += ": " + e.Detail
	}
	fmt.Fprintln(p.c.out, oneLine(line))
}

// died tells what a server cannot tell of itself.
func (p *eventPrinter) died() error {
	p.print(daemon.Event{Number: p.last.Number + 1, At: time.Now().UTC(), Event: daemon.EventDisappeared, Array: p.name, Detail: "its server died"})
	return &attention{fmt.Sprintf("%s: its server died: `graid status %s` says how to start it again", p.name, p.name)}
}
