package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"graid/raid"
	"graid/raid/md"
)

// Changed is what a change of members came to.
type Changed struct {
	Array   Array    `json:"array"`
	Members []string `json:"members"` // the paths of those that were added, removed or failed
}

// AddOptions are what Folder.Add may be told.
type AddOptions struct {
	Force       bool `json:"force"` // even if they are in another array or hold something else
	WriteMostly bool `json:"write_mostly"`
	FailFast    bool `json:"failfast"`
	ReAdd       bool `json:"re_add"` // only as the members that they were
	Anew        bool `json:"anew"`   // as spares, even if they could be brought up to date
}

type addRequest struct {
	Members []string `json:"members"`
	AddOptions
}

type removeRequest struct {
	Member string `json:"member"`
}

// What may stand for members that are to be removed.
const (
	AllFailed   = "failed"   // all that are faulty
	AllDetached = "detached" // all whose file or device is not there any more
)

// failDetached marks the members faulty whose file or device is not there any more.
func (p *Process) failDetached(w http.ResponseWriter, r *http.Request) {
	var q struct{}
	if !ask(w, r, &q) {
		return
	}
	failed, err := p.disown(context.WithoutCancel(r.Context()))
	answerChange(w, Changed{p.Array(), failed}, err)
}

func (p *Process) disown(ctx context.Context) (failed []string, err error) {
	p.changing <- struct{}{}
	defer func() { <-p.changing }()
	paths, err := p.meant(AllDetached)
	if err != nil {
		return nil, err
	}
	before := p.Array()
	for _, path := range paths {
		if stateOf(before, path) == raid.MemberFaulty {
			continue
		}
		if err = p.array.Fail(ctx, path); err != nil {
			break
		}
		failed = append(failed, path)
	}
	if len(failed) > 0 {
		p.settle()
	}
	return failed, err
}

func (p *Process) add(w http.ResponseWriter, r *http.Request) {
	var q addRequest
	if !ask(w, r, &q) {
		return
	}
	added, err := p.enrol(context.WithoutCancel(r.Context()), q) // half a member helps nobody who has gone
	answerChange(w, Changed{p.Array(), added}, err)
}

func (p *Process) remove(w http.ResponseWriter, r *http.Request) {
	var q removeRequest
	if !ask(w, r, &q) {
		return
	}
	removed, err := p.dismiss(context.WithoutCancel(r.Context()), q.Member)
	answerChange(w, Changed{p.Array(), removed}, err)
}

func answerChange(w http.ResponseWriter, c Changed, err error) {
	if err == nil {
		tell(w, c)
		return
	}
	if len(c.Members) > 0 {
		err = fmt.Errorf("%w; done already: %s", err, strings.Join(c.Members, ", "))
	}
	answer(w, c.Array, err)
}

// enrol opens devices as the array's other members were opened, and adds them. It returns those that were added.
func (p *Process) enrol(ctx context.Context, q addRequest) (added []string, err error) {
	p.changing <- struct{}{}
	defer func() { <-p.changing }()
	if q.ReAdd {
		return p.readmit(ctx, q)
	}
	return p.admit(ctx, q)
}

// admit is enrol for who has the token of changes.
func (p *Process) admit(ctx context.Context, q addRequest) (added []string, err error) {
	if err := strangers(p.Array(), q.Members); err != nil {
		return nil, err
	}
	forget := newOverlays(p.cfg.Open.Overlay, q.Members)
	members, err := OpenMembers(q.Members, p.cfg.Open)
	if err == nil && !q.Force {
		err = p.vet(ctx, members)
	}
	if err != nil {
		CloseMembers(members)
		forget(nil)
		return nil, err
	}
	notes := notices(members)
	for _, m := range members {
		p.meet(m.Path, m.Dev)
	}
	if _, err = p.faults.wrap(members, nil); err != nil {
		CloseMembers(members)
		forget(nil)
		return nil, err
	}
	for i, m := range members {
		if err = p.array.Add(ctx, m, raid.AddOptions{Force: q.Force, WriteMostly: q.WriteMostly, FailFast: q.FailFast, ReAdd: q.ReAdd, Anew: q.Anew}); err != nil {
			for _, m := range members[i:] {
				p.faults.unname(m.Path)
			}
			CloseMembers(members[i:])
			break
		}
		added = append(added, m.Path)
		p.recognise(ctx, m.Path)
	}
	forget(added)
	if len(added) > 0 {
		wide(members[:len(added)])
		p.notice(notes)
		p.settle()
		p.publish()
	}
	return added, err
}

// strangers refuses paths of what is a member already, in whatever state.
func strangers(a Array, paths []string) error {
	for _, path := range paths {
		switch m := a.Member(path); {
		case m == nil:
		case m.State == raid.MemberFaulty:
			return fmt.Errorf("%s: is a faulty member of %s: `graid remove %s %s` first, then add it", path, a.Name, a.Name, Short(path))
		default:
			return fmt.Errorf("%s: is a member of %s already (%s)", path, a.Name, strings.ReplaceAll(m.State, "_", " "))
		}
	}
	return nil
}

// vet refuses what holds something that is known. What carries a superblock is the array's to judge: it knows its own.
func (p *Process) vet(ctx context.Context, members []raid.Member) error {
	for _, m := range members {
		e, err := md.Examine(ctx, m.Path, m.Dev)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
		if e.SB != nil || p.cfg.Vet == nil {
			continue
		}
		if err := p.cfg.Vet(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// newOverlays returns what takes away the files in dir that have been laid over paths since, but for those of members that are to stay.
func newOverlays(dir string, paths []string) (forget func(stay []string)) {
	if dir == "" {
		return func([]string) {}
	}
	absent := map[string]string{}
	for _, path := range paths {
		name, err := overlayName(dir, path)
		if _, gone := os.Lstat(name); err == nil && errors.Is(gone, fs.ErrNotExist) {
			absent[path] = name
		}
	}
	return func(stay []string) {
		for path, name := range absent {
			if !slices.Contains(stay, path) {
				os.Remove(name)
			}
		}
	}
}

// settleTime is how long an array may take to give a spare its role, for who wants to know what becomes of it.
const settleTime = 2 * time.Second

// settle returns when it is decided what becomes of spares that have come.
func (p *Process) settle() {
	for end := time.Now().Add(settleTime); undecided(p.Array()) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// undecided says whether a spare is about to take over a role. A check or repair makes way for that.
func undecided(a Array) bool {
	return wanted(a) && (a.Sync.Action == "recover" || a.Sync.Action == "check" || a.Sync.Action == "repair")
}

// wanted says whether there is a spare, a role for it, and nobody being filled.
func wanted(a Array) bool {
	spare, open := false, false
	for _, m := range a.Members {
		switch {
		case m.State == raid.MemberRebuilding:
			return false // others wait until that is done
		case m.State == raid.MemberSpare:
			spare = true
		case m.Role != nil && m.State != raid.MemberInSync && m.State != raid.MemberReplacement:
			open = true
		}
	}
	return spare && open
}

// dismiss removes the member, or the members, that the user means, and returns those that were removed.
func (p *Process) dismiss(ctx context.Context, asked string) (removed []string, err error) {
	p.changing <- struct{}{}
	defer func() { <-p.changing }()
	paths, err := p.meant(asked)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if err = p.release(ctx, path); err != nil {
			if m := stateOf(p.Array(), path); m == raid.MemberInSync || m == raid.MemberRebuilding || m == raid.MemberReplacement {
				err = fmt.Errorf("%w: `graid fail %s %s`", err, p.cfg.Name, Short(path))
			}
			break
		}
		removed = append(removed, path)
	}
	if len(removed) > 0 {
		p.publish()
	}
	return removed, err
}

// meant is the members that asked stands for: one, or all of a kind.
func (p *Process) meant(asked string) (paths []string, err error) {
	if asked != AllFailed && asked != AllDetached {
		path, err := p.member(asked)
		return []string{path}, err
	}
	for _, m := range p.Array().Members {
		if m.Path == nil {
			continue
		}
		gone := m.State == raid.MemberFaulty
		if asked == AllDetached {
			gone = p.detached(*m.Path)
		}
		if gone {
			paths = append(paths, *m.Path)
		}
	}
	return paths, nil
}

// stateOf is the state of the member at path; "" if there is none.
func stateOf(a Array, path string) string {
	for _, m := range a.Members {
		if m.Name() == path {
			return m.State
		}
	}
	return ""
}

// enrolled is the members that the array's next start needs: not those that failed and whose role another has.
func enrolled(a Array) (paths []string) {
	for _, m := range a.Members {
		if m.Path != nil && (m.Role != nil || m.State != raid.MemberFaulty) {
			paths = append(paths, *m.Path)
		}
	}
	return paths
}

// Add asks the array to take devices as new members.
func (f Folder) Add(ctx context.Context, name string, members []string, o AddOptions) (c Changed, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/add", addRequest{members, o}, &c)
	return c, err
}

// FailDetached asks the array to mark the members faulty whose file or device is not there any more.
func (f Folder) FailDetached(ctx context.Context, name string) (c Changed, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/fail/detached", struct{}{}, &c)
	return c, err
}

// Remove asks the array to let go of a member that failed, or of a spare; or of AllFailed or AllDetached.
func (f Folder) Remove(ctx context.Context, name, member string) (c Changed, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/remove", removeRequest{member}, &c)
	return c, err
}
