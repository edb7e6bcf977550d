package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"graid/daemon"
)

func watchVerb() verb {
	return verb{
		name:  "watch",
		args:  "[NAME]",
		short: "status, live, until q or Ctrl-C",
		long:  `Shows what "graid status" shows, with progress bars, once a second until q or Ctrl-C.`,
		run:   watch,
	}
}

// watchEvery is how often watch looks again.
const watchEvery = time.Second

func watch(c *call) error {
	if !isTerminal(c.out) {
		return errors.New("watch: standard output is not a terminal: use `graid status`")
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	if in, ok := c.in.(*os.File); ok {
		if restore, err := keysAtOnce(in); err == nil {
			defer restore()
			go func() {
				key := make([]byte, 1)
				for {
					if n, err := in.Read(key); err != nil || n == 0 {
						return
					}
					if key[0] == 'q' || key[0] == 'Q' || key[0] == 3 {
						cancel()
						return
					}
				}
			}()
		}
	}
	const enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l" // another screen, no cursor; and back
	io.WriteString(c.out, enter)
	defer io.WriteString(c.out, leave)
	for {
		list, err := running(c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		draw(c.out, list)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// draw shows one picture, in one write so that it does not flicker.
func draw(w io.Writer, list []daemon.Answer) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "graid  %s  (q ends)\n\n", time.Now().Format(time.DateTime))
	if len(list) == 0 {
		b.WriteString("no arrays are running\n")
	}
	for _, a := range list {
		switch {
		case a.Err != nil:
			fmt.Fprintf(&b, "%s  no answer\n", a.Name)
		case a.Died != nil:
			printDead(&b, *a.Died)
		case a.Map != nil:
			printMap(&colour{&b, paintFor(w)}, *a.Map)
		default:
			_ = printStatus(&colour{&b, paintFor(w)}, a.Array)
		}
	}
	clean := strings.ReplaceAll(b.String(), "\n", "\x1b[K\n") // what is left of the line before goes
	io.WriteString(w, "\x1b[H"+clean+"\x1b[J")
}

// colour is a writer whose colours were decided elsewhere.
type colour struct {
	io.Writer
	p paint
}

// bar is done of total in so many columns: [=====>      ].
func bar(done, total int64, columns int) string {
	n := int(float64(columns) * float64(done) / float64(total))
	n = min(max(n, 0), columns)
	tip := ""
	if n < columns {
		tip = ">"
	}
	return "[" + strings.Repeat("=", n) + tip + strings.Repeat(".", columns-n-len(tip)) + "]"
}
