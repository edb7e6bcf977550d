package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// AnswerTime is how long a running array may take to say how it is.
const AnswerTime = 3 * time.Second

// maxAnswer is the most that an array may say at once, bytes: many times what one of the most members has to say.
const maxAnswer = 4 << 20

// ErrNotRunning says that no array of this name runs.
var ErrNotRunning = errors.New("no such array runs")

// Answer is what one name in the runtime folder turned out to be: a running array, one that does not answer (Err), or
// what a dead process left behind (Died).
type Answer struct {
	Name  string
	Array Array
	Map   *Map // it is no array
	Err   error
	Died  *State
}

// All asks every array at once; who has not answered within AnswerTime is said not to.
func (f Folder) All(ctx context.Context) ([]Answer, error) {
	names, err := f.Names()
	if err != nil {
		return nil, err
	}
	found := make([]*Answer, len(names))
	var g sync.WaitGroup
	for i, name := range names {
		g.Add(1)
		go func() {
			defer g.Done()
			found[i] = f.one(ctx, name)
		}()
	}
	g.Wait()
	var list []Answer
	for _, a := range found {
		if a != nil {
			list = append(list, *a)
		}
	}
	return list, nil
}

func (f Folder) one(ctx context.Context, name string) *Answer {
	x, err := f.found(ctx, name)
	if err == nil {
		return &Answer{Name: name, Array: x.Array, Map: x.Map}
	}
	if !errors.Is(err, ErrNotRunning) {
		return &Answer{Name: name, Err: err}
	}
	if left := f.Died(name); left != nil {
		return &Answer{Name: name, Died: left}
	}
	return nil // starting or stopping at this moment, or nothing
}

// Status asks one array.
func (f Folder) Status(ctx context.Context, name string) (Array, error) {
	x, err := f.found(ctx, name)
	if err == nil && x.Map != nil {
		return Array{}, fmt.Errorf("%s: %w, and that is for arrays: see `graid help multipath`", name, ErrIsMap)
	}
	return x.Array, err
}

// Look asks one array or map.
func (f Folder) Look(ctx context.Context, name string) (Answer, error) {
	x, err := f.found(ctx, name)
	return Answer{Name: name, Array: x.Array, Map: x.Map}, err
}

func (f Folder) found(ctx context.Context, name string) (x found, err error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	err = f.ask(ctx, name, http.MethodGet, "/status", nil, &x)
	return x, err
}

// Fail asks the array to mark a member faulty.
func (f Folder) Fail(ctx context.Context, name, member string) (Array, error) {
	return f.call(ctx, name, http.MethodPost, "/fail", failRequest{member})
}

// Wait returns when the array has no background work left.
func (f Folder) Wait(ctx context.Context, name string) (Array, error) {
	return f.call(ctx, name, http.MethodPost, "/wait", nil)
}

// Stop asks the array to stop; when it returns without an error the name and the members are free.
func (f Folder) Stop(ctx context.Context, name string, force bool) error {
	_, err := f.call(ctx, name, http.MethodPost, "/stop", stopRequest{force})
	return err
}

func (f Folder) call(ctx context.Context, name, method, path string, body any) (a Array, err error) {
	err = f.ask(ctx, name, method, path, body, &a)
	return a, err
}

// ask sends body to an array and reads the answer into result.
func (f Folder) ask(ctx context.Context, name, method, path string, body, result any) error {
	if err := CheckName(name); err != nil {
		return err
	}
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://graid"+path, send)
	if err != nil {
		return err
	}
	answer, err := f.transport(name).RoundTrip(r)
	if err != nil {
		return f.silence(ctx, name, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		var c complaint
		if err := json.NewDecoder(io.LimitReader(answer.Body, maxBody)).Decode(&c); err != nil || c.Error == "" {
			return fmt.Errorf("%s: its server answered %s", name, answer.Status)
		}
		err := fmt.Errorf("%s: %s", name, c.Error)
		if answer.StatusCode == http.StatusUnprocessableEntity {
			return &RuleError{err.Error()}
		}
		return err
	}
	limited := &io.LimitedReader{R: answer.Body, N: maxAnswer}
	if err := json.NewDecoder(limited).Decode(result); err != nil {
		if limited.N == 0 {
			return fmt.Errorf("%s: its server's answer is longer than %d bytes: that is no graid", name, maxAnswer)
		}
		return f.silence(ctx, name, err)
	}
	return nil
}

// silence explains why an array did not answer.
func (f Folder) silence(ctx context.Context, name string, err error) error {
	var op *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: its server (pid %d) does not answer within %v", name, f.state(name).PID, AnswerTime)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, os.ErrPermission):
		if left := f.Died(name); left != nil {
			return fmt.Errorf("%s: %w: its server (pid %d) died: `graid status %s` says how to start it again", name, ErrNotRunning, left.PID, name)
		}
		return fmt.Errorf("%s: %w: `graid status` lists those that do", name, ErrNotRunning)
	case errors.Is(err, io.EOF), errors.As(err, &op):
		return fmt.Errorf("%s: its server ended without an answer", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// transport reaches the control socket of the array, once per call.
func (f Folder) transport(name string) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", f.file(name, "sock"))
	}}
}
