package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"graid/multipath"
)

// MapOrder is what is asked of a running map.
type MapOrder struct {
	Do    string `json:"do"` // fail, reinstate, drain, prefer, add, remove, switch-group, release, fail-queued
	Path  string `json:"path,omitempty"`
	Group string `json:"group,omitempty"`
	Force bool   `json:"force,omitempty"`
}

// found is what a control socket answers to GET /status: of an array, or of a map.
type found struct {
	Array
	Map *Map `json:"map,omitempty"`
}

// ErrIsMap says that the name is a map's, where an array's was wanted.
var ErrIsMap = errors.New("is a multipath map")

func (p *MapProcess) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, nil) })
	m.HandleFunc("POST /map", p.order)
	m.HandleFunc("GET /history", func(w http.ResponseWriter, _ *http.Request) { tell(w, p.dev.History()) })
	m.HandleFunc("GET /explain", func(w http.ResponseWriter, _ *http.Request) { tell(w, p.dev.Explain()) })
	m.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		var q stopRequest
		if ask(w, r, &q) {
			p.answer(w, p.Stop(q.Force))
		}
	})
	m.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, fmt.Errorf("%w, and that is for arrays: see `graid help multipath`", ErrIsMap))
	})
	return m
}

func (p *MapProcess) answer(w http.ResponseWriter, err error) {
	if err != nil {
		answer(w, Array{}, err)
		return
	}
	m := p.Map()
	tell(w, found{Array: Array{Name: p.cfg.Name, PID: m.PID}, Map: &m})
}

// order does what is asked.
func (p *MapProcess) order(w http.ResponseWriter, r *http.Request) {
	var q MapOrder
	if !ask(w, r, &q) {
		return
	}
	p.answer(w, p.obey(q))
}

func (p *MapProcess) obey(q MapOrder) error {
	switch q.Do {
	case "switch-group":
		return p.dev.SwitchGroup(q.Group)
	case "fail-queued":
		p.dev.FailQueued()
		return nil
	case "add":
		w, err := ParsePath(q.Path)
		if err != nil {
			return err
		}
		return p.dev.Add(w.path(p.cfg.Options, p.cfg.Mode))
	case "prefer":
		if q.Path == "none" {
			return p.dev.Prefer("")
		}
	}
	path, err := p.path(q.Path)
	if err != nil {
		return err
	}
	switch q.Do {
	case "fail":
		return p.dev.Fail(path)
	case "reinstate":
		return p.dev.Reinstate(path)
	case "drain":
		return p.dev.Drain(path)
	case "prefer":
		return p.dev.Prefer(path)
	case "remove":
		return p.dev.Remove(path, q.Force)
	case "release":
		return p.dev.Release(path)
	}
	return fmt.Errorf("%q is nothing that a map does", q.Do)
}

// Map asks a running map how it is.
func (f Folder) Map(ctx context.Context, name string) (Map, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	return f.mapOf(ctx, name, http.MethodGet, "/status", nil)
}

// Order has a running map do something, and says how it is then.
func (f Folder) Order(ctx context.Context, name string, q MapOrder) (Map, error) {
	return f.mapOf(ctx, name, http.MethodPost, "/map", q)
}

func (f Folder) mapOf(ctx context.Context, name, method, path string, body any) (Map, error) {
	var x found
	if err := f.ask(ctx, name, method, path, body, &x); err != nil {
		return Map{}, err
	}
	if x.Map == nil {
		return Map{}, fmt.Errorf("%s: is an array, not a multipath map: see `graid detail %s`", name, name)
	}
	return *x.Map, nil
}

// MapHistory is what happened to a running map, oldest first.
func (f Folder) MapHistory(ctx context.Context, name string) (list []multipath.Event, err error) {
	if _, err := f.Map(ctx, name); err != nil {
		return nil, err
	}
	err = f.ask(ctx, name, http.MethodGet, "/history", nil, &list)
	return list, err
}

// Explain is why a running map does what it does, a sentence a line.
func (f Folder) Explain(ctx context.Context, name string) (list []string, err error) {
	if _, err := f.Map(ctx, name); err != nil {
		return nil, err
	}
	err = f.ask(ctx, name, http.MethodGet, "/explain", nil, &list)
	return list, err
}
