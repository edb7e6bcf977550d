package daemon

import (
	"context"
	"fmt"
	"net/http"
)

// Flags of a member that can be set, by md's words for them.
const (
	WriteMostly = "writemostly"
	FailFast    = "failfast"
)

type flagRequest struct {
	Member string `json:"member"`
	Flag   string `json:"flag"`
	On     bool   `json:"on"`
}

func (p *Process) setFlag(w http.ResponseWriter, r *http.Request) {
	var q flagRequest
	if !ask(w, r, &q) {
		return
	}
	path, err := p.member(q.Member)
	if err == nil {
		switch q.Flag {
		case WriteMostly:
			err = p.array.SetWriteMostly(path, q.On)
		case FailFast:
			err = p.array.SetFailFast(path, q.On)
		default:
			err = fmt.Errorf("%q is no flag of a member", q.Flag)
		}
	}
	answer(w, p.Array(), err)
}

// SetFlag asks the array to set a flag of a member, or to clear it.
func (f Folder) SetFlag(ctx context.Context, name, member, flag string, on bool) (Array, error) {
	return f.call(ctx, name, http.MethodPost, "/flag", flagRequest{member, flag, on})
}
