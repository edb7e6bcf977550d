package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// routes is what the control socket answers. Bodies are JSON both ways; an error is {"error": "one line"}.
func (p *Process) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.Array(), nil) })
	m.HandleFunc("GET /events", p.follow)
	m.HandleFunc("POST /fail", p.fail)
	m.HandleFunc("POST /fail/detached", p.failDetached)
	m.HandleFunc("POST /add", p.add)
	m.HandleFunc("POST /remove", p.remove)
	m.HandleFunc("POST /replace", p.replace)
	m.HandleFunc("GET /badblocks", p.badBlocks)
	m.HandleFunc("POST /bitmap", p.setBitmap)
	m.HandleFunc("POST /flag", p.setFlag)
	m.HandleFunc("POST /scrub", p.scrub)
	m.HandleFunc("POST /scrub/wait", p.scrubWait)
	m.HandleFunc("POST /idle", p.idle)
	m.HandleFunc("POST /limit", p.limit)
	m.HandleFunc("POST /wait", p.wait)
	m.HandleFunc("GET /inject", p.listFaults)
	m.HandleFunc("POST /inject", p.inject)
	m.HandleFunc("POST /inject/clear", p.clearFaults)
	m.HandleFunc("POST /stop", p.stop)
	return m
}

type failRequest struct {
	Member string `json:"member"`
}

type stopRequest struct {
	Force bool `json:"force"`
}

type complaint struct {
	Error string `json:"error"`
}

// maxBody is the most a request to the control socket may carry, bytes.
const maxBody = 64 << 10

func (p *Process) fail(w http.ResponseWriter, r *http.Request) {
	var q failRequest
	if !ask(w, r, &q) {
		return
	}
	path, err := p.member(q.Member)
	if err == nil {
		err = p.array.Fail(r.Context(), path)
		p.settle()
	}
	answer(w, p.Array(), err)
}

func (p *Process) wait(w http.ResponseWriter, r *http.Request) {
	err := p.array.Wait(r.Context())
	answer(w, p.Array(), err)
}

func (p *Process) stop(w http.ResponseWriter, r *http.Request) {
	var q stopRequest
	if !ask(w, r, &q) {
		return
	}
	before := p.Array()
	answer(w, before, p.Stop(q.Force))
}

// member finds the member that the user means: by its path, by being the same file, or by a last part that only one has.
func (p *Process) member(asked string) (string, error) {
	var all, same []string
	for _, m := range p.array.Status().Members {
		if m.Path == "" {
			continue
		}
		if m.Path == asked {
			return asked, nil
		}
		all = append(all, m.Path)
		if sameNode(m.Path, asked) || Short(m.Path) == asked || IsRemote(m.Path) && strings.HasSuffix(asked, "/"+Short(m.Path)) {
			same = append(same, m.Path)
		}
	}
	return theOne(asked, "member", p.cfg.Name, all, same)
}

// theOne is the only one of same, of all that whose has of a kind, and otherwise what to say about asked.
func theOne(asked, kind, whose string, all, same []string) (string, error) {
	switch len(same) {
	case 1:
		return same[0], nil
	case 0:
		return "", fmt.Errorf("%s: not a %s of %s; its %ss are %s", asked, kind, whose, kind, strings.Join(all, ", "))
	}
	return "", fmt.Errorf("%s: could be any of %s: write the whole path", asked, strings.Join(same, ", "))
}

func sameNode(a, b string) bool {
	if IsRemote(a) || IsRemote(b) {
		return sameRemote(a, b)
	}
	fa, err1 := os.Stat(a)
	fb, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(fa, fb)
}

func ask(w http.ResponseWriter, r *http.Request, q any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(q); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		tell(w, complaint{"the request is not understood: " + err.Error()})
		return false
	}
	return true
}

func answer(w http.ResponseWriter, a Array, err error) {
	switch {
	case err == nil:
		tell(w, a)
		return
	case errors.Is(err, ErrBusy):
		w.WriteHeader(http.StatusConflict)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
	tell(w, complaint{err.Error()})
}

func tell(w http.ResponseWriter, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // who asked has gone: nothing to do about it
}
