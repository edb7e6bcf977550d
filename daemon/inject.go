package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"graid/block"
	"graid/block/fault"
	"graid/raid"
	"graid/sched"
)

// Every member of a running array is under rules of package fault: below the engine, so that superblocks and bitmaps are hit as data is,
// and above the file and what is laid over it. There are none unless somebody asks for them.

// FaultList is what GET /inject answers.
type FaultList struct {
	Name  string        `json:"name"`
	Rules []fault.Entry `json:"rules"`
}

// RuleError is a rule that these members cannot follow.
type RuleError struct{ msg string }

func (e *RuleError) Error() string { return e.msg }

// faults is the rules of a process.
type faults struct {
	set *fault.Set

	mu sync.Mutex               // guards what follows
	at map[string]*fault.Device // by the member's path
}

func newFaults() *faults {
	return &faults{set: fault.NewSet(sched.Real), at: map[string]*fault.Device{}}
}

// wrap puts members under rules, and those there now that name them by path. It returns the others, which name them by role.
func (f *faults) wrap(members []raid.Member, rules []fault.Rule) (byRole []fault.Rule, err error) {
	waits := slices.ContainsFunc(rules, func(r fault.Rule) bool { return r.Effect.Waits() })
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range members {
		m := &members[i]
		d := f.set.Wrap(m.Dev, waits, m.Path)
		m.Dev, f.at[m.Path] = d, d
	}
	for _, r := range rules {
		_, err := f.set.Add(r)
		switch {
		case errors.Is(err, fault.ErrUnknown) && IsRole(r.Member):
			byRole = append(byRole, r)
		case err != nil:
			return nil, &RuleError{"inject: " + err.Error()}
		}
	}
	return byRole, nil
}

// assembled tells the roles, as 3 and as m3, and adds the rules that waited for them.
func (f *faults) assembled(members []raid.MemberStatus, byRole []fault.Rule) error {
	for _, m := range members {
		f.name(m.Path, &m.Role)
	}
	if _, err := f.set.Add(byRole...); err != nil {
		return &RuleError{"inject: " + err.Error()}
	}
	return nil
}

// name has rules find the member at path by its role, if it has one, and returns its device.
func (f *faults) name(path string, role *int) *fault.Device {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.at[path]
	switch {
	case d == nil:
	case role == nil || *role < 0:
		f.set.Name(d)
	default:
		f.set.Name(d, strconv.Itoa(*role), "m"+strconv.Itoa(*role))
	}
	return d
}

// unname forgets the member at path, which leaves.
func (f *faults) unname(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.at, path)
}

// IsRole says whether a rule's member is meant by its role in the array: 3 or m3.
func IsRole(member string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(member, "m"))
	return err == nil && n >= 0
}

// mark says in a which members have rules, and takes notice of their roles.
func (f *faults) mark(a *Array) {
	for i := range a.Members {
		m := &a.Members[i]
		if d := f.name(m.Name(), m.Role); d != nil && d.Rules() > 0 {
			m.Flags = append(m.Flags, "inject")
		}
	}
	if n := len(f.set.List()); n > 0 {
		rules := "rules"
		if n == 1 {
			rules = "rule"
		}
		a.Findings = append(a.Findings, fmt.Sprintf("faults are injected: %d %s (graid inject %s)", n, rules, a.Name))
	}
}

// patient is an array some of whose members may keep requests waiting: who must not wait is not let in then, or one connection's
// requests would all wait behind the first.
type patient struct {
	*raid.Array
	faults *faults
}

// Do performs r, unless it must not wait and may have to.
func (p patient) Do(ctx context.Context, r block.Request) error {
	if r.Flags&block.NoWait != 0 && p.faults.set.MayWait() {
		return block.ErrWouldBlock
	}
	return p.Array.Do(ctx, r)
}

type injectRequest struct {
	Rules []string `json:"rules"`
}

type clearRequest struct {
	IDs []int `json:"ids"` // none: all
}

// The handlers never ask the array how it is: that may be what waits.

func (p *Process) listFaults(w http.ResponseWriter, _ *http.Request) {
	tell(w, FaultList{p.cfg.Name, p.faults.set.List()})
}

func (p *Process) inject(w http.ResponseWriter, r *http.Request) {
	var q injectRequest
	if !ask(w, r, &q) {
		return
	}
	rules, err := fault.Parse(strings.Join(q.Rules, "\n"))
	if err == nil {
		var added []fault.Entry
		added, err = p.faults.set.Add(rules...)
		p.logFaults(added)
	}
	p.answerFaults(w, r, err)
}

func (p *Process) clearFaults(w http.ResponseWriter, r *http.Request) {
	var q clearRequest
	if !ask(w, r, &q) {
		return
	}
	err := p.faults.set.Clear(q.IDs...)
	if err == nil {
		p.log.Info("faults cleared", "array", p.cfg.Name, "left", len(p.faults.set.List()))
	}
	p.answerFaults(w, r, err)
}

func (p *Process) answerFaults(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		tell(w, complaint{err.Error()})
		return
	}
	p.listFaults(w, r)
}

// logFaults writes down what was added, with the seeds that bring it back.
func (p *Process) logFaults(list []fault.Entry) {
	for _, e := range list {
		p.log.Warn("fault injected", "array", p.cfg.Name, "id", e.ID, "rule", e.Rule)
	}
}

// Faults lists the rules of an array's members.
func (f Folder) Faults(ctx context.Context, name string) (list FaultList, err error) {
	err = f.ask(ctx, name, http.MethodGet, "/inject", nil, &list)
	return list, err
}

// Inject adds rules, as fault.Parse reads them, and returns what there is then. A RuleError says that they do not fit, and none was added.
func (f Folder) Inject(ctx context.Context, name string, rules []string) (list FaultList, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/inject", injectRequest{rules}, &list)
	return list, err
}

// ClearFaults takes the rules of these numbers away, all if none is given, and returns what is left.
func (f Folder) ClearFaults(ctx context.Context, name string, ids []int) (list FaultList, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/inject/clear", clearRequest{ids}, &list)
	return list, err
}
