package daemon

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"graid/raid"
)

// What a program that is run for events may cost the array.
const (
	hookQueue = 64               // events that wait while it runs; what comes beyond is not told
	hookTime  = time.Minute      // for one event
	hookLast  = 10 * time.Second // for what is left to tell when the array has stopped
)

// CheckProgram is the absolute path of a program that can be run for events, or why there is none.
func CheckProgram(word string) (string, error) {
	path, err := exec.LookPath(word)
	if err != nil {
		if _, there := os.Stat(word); there == nil {
			return "", fmt.Errorf("%s: cannot be run: make it executable, and write its path, such as ./%s", word, filepath.Base(word))
		}
		return "", fmt.Errorf("%s: no such program: write the path of one; it is run with the event, the array and the member as arguments", word)
	}
	return filepath.Abs(path)
}

// hook runs a program for every event, one after the other, as mdadm --monitor --program does: with the event, the array and the member, if
// there is one, as arguments, and what else there is to say in $GRAID_DETAIL. The array never waits for it.
type hook struct {
	program  string
	complain func(string) // called once
	queue    chan Event
	missed   chan struct{} // an event found the queue full
	stop     chan struct{} // closed when no more events come
	ended    chan struct{} // closed by the task
	told     bool          // that something went wrong; of the task alone
}

func newHook(program string, complain func(string)) *hook {
	h := &hook{
		program: program, complain: complain,
		queue: make(chan Event, hookQueue), missed: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go h.run()
	return h
}

// add has the program run for e. Places that differ are too many for it: how a check ended has their number.
func (h *hook) add(e Event) {
	if h == nil || e.Event == raid.EventMismatch {
		return
	}
	select {
	case h.queue <- e:
	default:
		poke(h.missed)
	}
}

// close returns when the program has run for all that was told so far, or has had its time.
func (h *hook) close() {
	if h == nil {
		return
	}
	close(h.stop)
	select {
	case <-h.ended:
	case <-time.After(hookLast):
	}
}

func (h *hook) run() {
	defer close(h.ended)
	for {
		e, ok := h.next()
		if !ok {
			return
		}
		err := h.tell(e)
		select {
		case <-h.missed:
			h.once(fmt.Sprintf("on-event: %s takes too long: it is not told of every event", h.program))
		default:
		}
		if err != nil {
			h.once(fmt.Sprintf("on-event: %s %s: %v", h.program, e.Event, err))
		}
	}
}

// next is the next event; none once the hook was closed and all were told.
func (h *hook) next() (e Event, ok bool) {
	select {
	case e = <-h.queue:
		return e, true
	case <-h.stop:
	}
	select {
	case e = <-h.queue:
		return e, true
	default:
		return e, false
	}
}

// once complains, the first time.
func (h *hook) once(text string) {
	if !h.told {
		h.complain(text + "; it is run for later events all the same, and not complained about again")
	}
	h.told = true
}

func (h *hook) tell(e Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), hookTime)
	defer cancel()
	args := []string{e.Event, e.Array}
	if e.Member != "" {
		args = append(args, e.Member)
	}
	c := exec.CommandContext(ctx, h.program, args...)
	c.WaitDelay = time.Second // what it started may keep its output open
	c.Env = append(os.Environ(), "GRAID_DETAIL="+e.Detail)
	said := &firstLine{}
	c.Stderr = said
	err := c.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("did not end within %v", hookTime)
	}
	if text := said.String(); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// firstLine keeps the first line of what is written, and not too much of it.
type firstLine struct{ buf bytes.Buffer }

func (l *firstLine) Write(p []byte) (int, error) {
	const most = 200
	if room := most - l.buf.Len(); room > 0 {
		l.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *firstLine) String() string {
	text, _, _ := strings.Cut(strings.TrimSpace(l.buf.String()), "\n")
	return text
}
