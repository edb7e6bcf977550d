package main

import (
	"fmt"
	"io"
	"time"

	"graid/daemon"
)

// meter shows progress on a terminal and nothing anywhere else.
type meter struct {
	w           io.Writer
	on          bool
	done, total int64
	start, last time.Time
}

func newMeter(w io.Writer, total int64) *meter {
	return &meter{w: w, on: isTerminal(w) && total > 0, total: total, start: time.Now()}
}

func (m *meter) add(n int64) {
	m.done += n
	if now := time.Now(); m.on && now.Sub(m.last) >= 200*time.Millisecond {
		m.last = now
		m.show(now.Sub(m.start))
	}
}

func (m *meter) show(took time.Duration) {
	text := fmt.Sprintf("%5.1f%%  %s of %s", 100*float64(m.done)/float64(m.total), human(m.done), human(m.total))
	if s := took.Seconds(); s > 0.5 && m.done > 0 {
		speed := float64(m.done) / s
		text += fmt.Sprintf("  %s/s  %s left", human(int64(speed)), daemon.Span(time.Duration(float64(m.total-m.done)/speed*1e9)))
	}
	fmt.Fprintf(m.w, "\r%s\x1b[K", text)
}

// end takes the line away: what was said about progress is of no use any more.
func (m *meter) end() {
	if m.on && !m.last.IsZero() {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}
