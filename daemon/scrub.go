package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"graid/raid"
)

// Scrub is a check or a repair that somebody asked for.
type Scrub struct {
	Number     int      `json:"number"` // of those of this process, from 1
	Action     string   `json:"action"` // check, repair
	State      string   `json:"state"`  // asked, running, done, stopped
	Detail     string   `json:"detail"` // how it ended
	Sectors    int64    `json:"mismatch_sectors"`
	Left       int64    `json:"left_sectors"`    // of those, what a repair left alone, as nothing tells who is wrong there
	Mismatches []string `json:"mismatches"`      // where, the first maxMismatches
	More       int      `json:"more_mismatches"` // places beyond those
	Places     []Place  `json:"places"`          // where, for programs: the first raid.MaxMismatches
}

// Place is where members do not agree. Ranges are [from, to), bytes.
type Place struct {
	Sync  [2]int64   `json:"sync"`  // of every member's data area, or for raid10 of the array
	Array [][2]int64 `json:"array"` // bytes of the array that are in doubt; none if only parity is wrong
	Wrong []int      `json:"wrong"` // roles of the members that are; none = nothing tells
	Left  bool       `json:"left"`  // a repair left it alone
}

// fill adds what the array knows of what was found.
func (s *Scrub) fill(a raid.Status) {
	s.Sectors, s.Left, s.Places = a.MismatchSectors, a.LeftSectors, []Place{}
	for _, m := range a.Mismatches {
		p := Place{Sync: [2]int64{m.Sync.Lo, m.Sync.Hi}, Array: [][2]int64{}, Wrong: append([]int{}, m.Wrong...), Left: m.Left}
		for _, r := range m.Array {
			p.Array = append(p.Array, [2]int64{r.Lo, r.Hi})
		}
		s.Places = append(s.Places, p)
	}
}

// Remedy is the command for what was found.
func (s *Scrub) Remedy(name string) string {
	if s != nil && s.Left == 0 && slices.ContainsFunc(s.Places, func(p Place) bool { return len(p.Wrong) > 0 }) {
		return fmt.Sprintf("`graid repair %s --locate` rewrites who is wrong", name)
	}
	return fmt.Sprintf("`graid repair %s` makes them agree", name)
}

// States of a Scrub.
const (
	ScrubAsked   = "asked"
	ScrubRunning = "running"
	ScrubDone    = "done"
	ScrubStopped = "stopped" // before its end: on demand, or as the array could not go on
)

// Ended says whether nothing more comes of it.
func (s Scrub) Ended() bool { return s.State == ScrubDone || s.State == ScrubStopped }

// maxMismatches is how many places where members differ are kept.
const maxMismatches = 32

// scrubs makes of an array's events what its last scrub came to.
//
//	asked ── RebuildStarted ──▶ running ── RebuildFinished ──▶ done, stopped
type scrubs struct {
	mu   sync.Mutex // guards what follows; never held across a wait
	last *Scrub     // nil: none was asked for
}

// ask notes that a scrub begins, and returns what to do if it does not.
func (s *scrubs) ask(action string) (undo func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.last
	s.last = &Scrub{Number: 1, Action: action, State: ScrubAsked, Mismatches: []string{}, Places: []Place{}}
	if before != nil {
		s.last.Number = before.Number + 1
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.last = before
	}
}

// take takes notice of an event.
func (s *scrubs) take(e raid.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.last
	switch {
	case l == nil:
	case l.State == ScrubAsked && e.Kind == raid.EventRebuildStart && e.Detail == l.Action:
		l.State = ScrubRunning
	case l.State != ScrubRunning:
	case e.Kind == raid.EventRebuildStart && e.Detail == l.Action+" begins anew":
		l.Mismatches, l.More = []string{}, 0
	case e.Kind == raid.EventMismatch && len(l.Mismatches) == maxMismatches:
		l.More++
	case e.Kind == raid.EventMismatch:
		l.Mismatches = append(l.Mismatches, e.Detail)
	case e.Kind == raid.EventRebuildEnd && strings.HasPrefix(e.Detail, l.Action+" "):
		l.State, l.Detail = ScrubStopped, e.Detail
		if strings.HasPrefix(e.Detail, l.Action+" done") {
			l.State = ScrubDone
		}
	}
}

// stop ends one that never began.
func (s *scrubs) stop(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.last; l != nil && l.Number == number && !l.Ended() {
		l.State, l.Detail = ScrubStopped, l.Action+" stopped before it began"
	}
}

// now is a copy of the last one, nil if there is none.
func (s *scrubs) now() *Scrub {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	c := *s.last
	c.Mismatches = append([]string{}, c.Mismatches...)
	return &c
}

// ScrubOptions say how a check or repair goes about it, as raid.CheckOptions and raid.RepairOptions do.
type ScrubOptions struct {
	Locate     bool          `json:"locate"` // repair: rewrite who is wrong
	Rest       bool          `json:"rest"`   // and what that leaves alone by Linux's rules
	Resume     bool          `json:"resume"` // check: go on where the last one stopped
	For        time.Duration `json:"for_nanoseconds"`
	Continuous bool          `json:"continuous"`
}

type scrubRequest struct {
	Action string `json:"action"`
	ScrubOptions
}

// start begins what is asked for.
func (q *scrubRequest) start(a *raid.Array) error {
	switch q.Action {
	case "check":
		return a.CheckWith(raid.CheckOptions{Resume: q.Resume, For: q.For, Continuous: q.Continuous})
	case "repair":
		return a.RepairWith(raid.RepairOptions{Locate: q.Locate, Rest: q.Rest})
	}
	return fmt.Errorf("%q is neither check nor repair", q.Action)
}

type scrubWaitRequest struct {
	Number int `json:"number"`
}

// Limits are what Folder.Limit sets. 0 is the default of each, or none; nil leaves it as it is.
type Limits struct {
	Min *int64 `json:"min_bytes_per_second"` // that background work gets
	Max *int64 `json:"max_bytes_per_second"`

	Latency  *time.Duration `json:"latency_target_nanoseconds"` // that requests are to take beside it
	Deadline *time.Duration `json:"read_deadline_nanoseconds"`  // that members may take to read before the others answer
}

func (p *Process) scrub(w http.ResponseWriter, r *http.Request) {
	var q scrubRequest
	if !ask(w, r, &q) {
		return
	}
	p.changing <- struct{}{}
	defer func() { <-p.changing }()
	undo := p.scrubs.ask(q.Action)
	if err := q.start(p.array); err != nil {
		undo()
		if errors.Is(err, raid.ErrBusy) {
			err = busy(p.Array().Sync.Action)
		}
		answer(w, Array{}, err)
		return
	}
	tell(w, p.scrubs.now())
}

// busy says what a scrub would have to wait for.
func busy(action string) error {
	switch action {
	case "recover":
		action = "recovery"
	case "idle": // it has just ended
		action = "recovery or a check"
	}
	return fmt.Errorf("%w: a %s is under way: `graid wait` waits for its end", raid.ErrBusy, action)
}

// scrubLook is how often it is looked whether a scrub has ended.
const scrubLook = 20 * time.Millisecond

func (p *Process) scrubWait(w http.ResponseWriter, r *http.Request) {
	var q scrubWaitRequest
	if !ask(w, r, &q) {
		return
	}
	for r.Context().Err() == nil {
		s := p.scrubs.now()
		if s == nil || s.Number != q.Number {
			answer(w, Array{}, fmt.Errorf("another scrub has begun since: what this one came to is in the log"))
			return
		}
		a := p.Array()
		if s.Ended() {
			s.fill(p.array.Status())
			tell(w, s)
			return
		}
		if a.Sync.Action == "idle" && s.State == ScrubAsked && p.scrubs.now().State == ScrubAsked {
			p.scrubs.stop(q.Number)
		}
		select {
		case <-time.After(scrubLook):
		case <-p.done:
			answer(w, Array{}, fmt.Errorf("the array was stopped, and the %s with it", s.Action))
			return
		}
	}
}

// idle stops a check or repair, and answers when it has stopped.
func (p *Process) idle(w http.ResponseWriter, r *http.Request) {
	p.array.Idle()
	scrubbing := func() bool {
		action := p.Array().Sync.Action
		return action == "check" || action == "repair"
	}
	for end := time.Now().Add(settleTime); scrubbing() && time.Now().Before(end) && r.Context().Err() == nil; {
		time.Sleep(5 * time.Millisecond)
	}
	answer(w, p.Array(), nil)
}

func (p *Process) limit(w http.ResponseWriter, r *http.Request) {
	var q Limits
	if !ask(w, r, &q) {
		return
	}
	if q.Deadline != nil {
		if err := p.array.SetReadDeadline(*q.Deadline); err != nil {
			answer(w, Array{}, err)
			return
		}
	}
	p.mu.Lock()
	if q.Min != nil {
		p.least = *q.Min
	}
	if q.Max != nil {
		p.most = *q.Max
	}
	if q.Latency != nil {
		p.array.LimitLatency(*q.Latency)
	}
	p.array.Limit(p.least, p.most)
	p.mu.Unlock()
	answer(w, p.Array(), nil)
}

// Scrub asks the array to check or repair itself, and returns what there is of that so far.
func (f Folder) Scrub(ctx context.Context, name, action string, opts ScrubOptions) (s Scrub, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/scrub", scrubRequest{action, opts}, &s)
	return s, err
}

// ScrubWait returns when the scrub with this number has ended.
func (f Folder) ScrubWait(ctx context.Context, name string, number int) (s Scrub, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/scrub/wait", scrubWaitRequest{number}, &s)
	return s, err
}

// Idle stops a check or repair that is under way. Resync and recovery go on.
func (f Folder) Idle(ctx context.Context, name string) (Array, error) {
	return f.call(ctx, name, http.MethodPost, "/idle", nil)
}

// Limit sets how fast background work goes, and how long members may take to read. Nothing is set if one of them cannot be.
func (f Folder) Limit(ctx context.Context, name string, l Limits) (Array, error) {
	return f.call(ctx, name, http.MethodPost, "/limit", l)
}
