package daemon

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"graid/raid"
)

// ReplaceOptions are what Folder.Replace may be told.
type ReplaceOptions struct {
	With  string `json:"with"`  // a spare, or a device that is made one; "" = any spare
	Force bool   `json:"force"` // even if that device is in another array or holds something else
}

type replaceRequest struct {
	Member string `json:"member"`
	ReplaceOptions
}

func (p *Process) replace(w http.ResponseWriter, r *http.Request) {
	var q replaceRequest
	if !ask(w, r, &q) {
		return
	}
	pair, err := p.exchange(context.WithoutCancel(r.Context()), q)
	answerChange(w, Changed{p.Array(), pair}, err)
}

// exchange has a member replaced, and returns it and who replaces it. After an error it returns the device that was made a spare all the same.
func (p *Process) exchange(ctx context.Context, q replaceRequest) (pair []string, err error) {
	p.changing <- struct{}{}
	defer func() { <-p.changing }()
	path, err := p.member(q.Member)
	if err != nil {
		return nil, err
	}
	a := p.Array()
	if err := replaceable(a, path, q.With); err != nil {
		return nil, err
	}
	with := q.With
	if m := a.Member(with); m != nil {
		with = m.Name()
	} else if with != "" {
		added, err := p.admit(ctx, addRequest{[]string{with}, AddOptions{Force: q.Force, Anew: true}})
		if err != nil {
			return added, err
		}
		defer func() {
			if err != nil {
				pair = added
			}
		}()
	}
	if err := p.array.Replace(ctx, path, with); err != nil {
		return nil, err
	}
	p.publish()
	return []string{path, follower(p.Array(), path, *a.Member(path).Role)}, nil
}

// follower is the path of who replaces, or has replaced, the member at path in this role.
func follower(a Array, path string, role int) (with string) {
	for _, m := range a.Members {
		if m.Role != nil && *m.Role == role && m.Name() != path {
			with = m.Name()
		}
	}
	return with
}

// replaceable refuses before anything is added what the array would refuse after it.
func replaceable(a Array, path, with string) error {
	m, short := a.Member(path), Short(path)
	switch t := a.Replacement(*m); {
	case t != nil:
		return fmt.Errorf("%s: is being replaced by %s already: `graid wait %s` waits for the end", path, Short(t.Name()), a.Name)
	case a.ReadOnly:
		return fmt.Errorf("%s: the array is read-only", path)
	case a.ConsistencyPolicy == "none":
		return fmt.Errorf("%s: %s takes no spares, so none can replace it: stop the array, copy the member, and assemble it with the copy", path, a.Level)
	case m.State == raid.MemberFaulty:
		return fmt.Errorf("%s: is faulty: a spare takes its place without being told: `graid add %s` gives the array one", path, a.Name)
	case m.State != raid.MemberInSync:
		return fmt.Errorf("%s: is a %s: only a member in sync can be replaced", path, m.State)
	}
	spares := 0
	for _, o := range a.Members {
		switch {
		case o.State == raid.MemberSpare:
			spares++
		case o.Role != nil && (o.State == raid.MemberMissing || o.State == raid.MemberFaulty):
			return fmt.Errorf("%s: m%d is missing, and a spare goes there first: `graid add %s` gives the array one, then replace %s", path, *o.Role, a.Name, short)
		}
	}
	switch s := a.Member(with); {
	case with == "" && spares == 0:
		return fmt.Errorf("%s: there is no spare to replace it: name a device: `graid replace %s %s --with DEVICE`", path, a.Name, short)
	case s != nil && s.State != raid.MemberSpare:
		return fmt.Errorf("%s: is no spare of %s that could replace %s, but %s", with, a.Name, short, strings.ReplaceAll(s.State, "_", " "))
	}
	return nil
}

// Replace asks the array to have a spare filled from a member, and take its place then. Changed has both.
func (f Folder) Replace(ctx context.Context, name, member string, o ReplaceOptions) (c Changed, err error) {
	err = f.ask(ctx, name, http.MethodPost, "/replace", replaceRequest{member, o}, &c)
	return c, err
}
