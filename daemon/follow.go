package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// follow streams events as server-sent events, from number ?since= on, until the client goes or the array stops; with ?follow=false those that
// there are. Each has its number as id.
func (p *Process) follow(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	next, _ := strconv.ParseInt(q.Get("since"), 10, 64)
	if last, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		next = last + 1
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for last := q.Get("follow") == "false"; ; {
		list, after, more := p.ring.since(next)
		for _, e := range list {
			b, err := json.Marshal(e)
			if err != nil {
				return
			}
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.Number, e.Event, b)
		}
		next = after
		if flush.Flush() != nil || last {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		case <-p.done:
			last = true // that it stopped is told before it is done
		}
	}
}

// Events tells of what happens to an array, from event number from on, until it stops or ctx ends. Each is an Event in JSON.
func (f Folder) Events(ctx context.Context, name string, from int64, tell func(id int64, event json.RawMessage)) error {
	return f.stream(ctx, name, fmt.Sprintf("/events?since=%d", from), tell)
}

// History tells of what has happened to an array, as far as its process remembers.
func (f Folder) History(ctx context.Context, name string, tell func(id int64, event json.RawMessage)) error {
	return f.stream(ctx, name, "/events?follow=false", tell)
}

func (f Folder) stream(ctx context.Context, name, path string, tell func(id int64, event json.RawMessage)) error {
	if err := CheckName(name); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://graid"+path, nil)
	if err != nil {
		return err
	}
	answer, err := f.transport(name).RoundTrip(r)
	if err != nil {
		return f.silence(ctx, name, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: its server answered %s", name, answer.Status)
	}
	lines := bufio.NewScanner(answer.Body) // of lines that have a limit
	var id int64
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "id":
			id, _ = strconv.ParseInt(value, 10, 64)
		case "data":
			tell(id, json.RawMessage(value))
		}
	}
	if err := lines.Err(); err != nil {
		return f.silence(ctx, name, err)
	}
	return nil
}
