package crash

import (
	"fmt"
	"strconv"
	"strings"
)

// state is the text of the state being judged: shape, history, and for each crash when it came, what it kept of each loose write, and what was
// lost with it; kill says that members kept their power.
func (e *enumerator) state() string {
	s := e.Name + ": " + e.h.text
	for _, c := range e.path {
		s += fmt.Sprintf(" / %d %x %d %d", c.at, c.keep, c.lost, c.bad)
		if c.kill {
			s += " kill"
		}
	}
	return s
}

// parseState takes a text apart.
func parseState(text string) (shape, history string, path []cut, err error) {
	shape, rest, ok := strings.Cut(text, ": ")
	parts := strings.Split(rest, " / ")
	if !ok {
		return "", "", nil, fmt.Errorf("state %q: give shape: history / moment [kept] lost bad", text)
	}
	for _, part := range parts[1:] {
		at, rest, _ := strings.Cut(part, " [")
		kept, rest, ok := strings.Cut(rest, "] ")
		c := cut{}
		if c.at, err = strconv.Atoi(at); err == nil && ok {
			_, err = fmt.Sscan(rest, &c.lost, &c.bad)
			c.kill = strings.HasSuffix(rest, " kill")
		}
		if err != nil || !ok {
			return "", "", nil, fmt.Errorf("state %q: %q is no crash: give moment [kept] lost bad", text, part)
		}
		for _, w := range strings.Fields(kept) {
			set, err := strconv.ParseUint(w, 16, 64)
			if err != nil {
				return "", "", nil, err
			}
			c.keep = append(c.keep, set)
		}
		path = append(path, c)
	}
	return shape, parts[0], path, nil
}

// Replay judges the one state of that text again. Its error is what is wrong with it.
func Replay(text string) error {
	shape, history, path, err := parseState(text)
	if err != nil {
		return err
	}
	for _, s := range Shapes {
		if s.Name == shape {
			g, err := newGround(s)
			if err != nil {
				return err
			}
			return newEnumerator(g, Scope{}).replay(history, path)
		}
	}
	return fmt.Errorf("no shape %q", shape)
}

func (e *enumerator) replay(history string, path []cut) error {
	h, err := e.live(history)
	if err != nil {
		return err
	}
	e.h, e.suspect, e.rotten, e.forced = h, e.touched(h), h.rotten, false
	from, t, before := h.from, h.tape, (*run)(nil)
	var p promise
	for _, c := range path {
		e.path = append(e.path, c)
		m, err := momentAt(t, c)
		if err != nil {
			return err
		}
		if before == nil {
			p = h.promised(e.ground, m.from, m.to, true)
		}
		e.materialize(from, t, *m, c.keep)
		im := e.snapshot(&image{}, from)
		r := e.recover(c.loss, e.suspect)
		if r.wrong != nil {
			return r.wrong
		}
		if err := e.verdict(&r.outcome, &p, m, before); err != nil {
			return err
		}
		if c.loss == (loss{}) && e.Losses > 0 && r.left == 0 && e.rotten == 0 {
			if err := e.afterwards(from, &r); err != nil {
				return err
			}
		}
		r.tape.keys(e.ground)
		next := &r.tape
		if c.kill {
			next = r.after(t, m, c.keep)
			e.materialize(from, t, *m, make([]uint64, len(c.keep)))
			im = e.snapshot(&image{}, from)
		}
		from, t, before, e.forced = im, next, &r, r.forced
	}
	return nil
}

// momentAt finds the moment of c.
func momentAt(t *tape, c cut) (*moment, error) {
	for _, m := range t.moments() {
		if m.from == c.at && len(m.loose) == len(c.keep) {
			return &m, nil
		}
	}
	return nil, fmt.Errorf("no moment %d with %d writes that may be lost: not the code that the state was found with?", c.at, len(c.keep))
}
