package sim

import (
	"fmt"
	"strings"
	"time"

	"graid/block"
)

const (
	offset64 = 0xcbf29ce484222325
	prime64  = 0x100000001b3
)

// sum64 is the FNV-1a sum of s.
func sum64(s string) uint64 {
	sum := uint64(offset64)
	for i := range len(s) {
		sum = (sum ^ uint64(s[i])) * prime64
	}
	return sum
}

// traceKept is how many of the latest lines a world can show, unless it is told otherwise.
const traceKept = 200

// trace is what happened: a sum of everything, and the end of it in words.
type trace struct {
	sum   uint64
	lines []line
	n     int
}

// line is one thing that happened.
type line struct {
	at   time.Duration
	task int
	who  string
	what string // of what is not a request
	r    block.Request
	err  error
}

// mix takes words into the sum: FNV-1a, a word at a time.
func (w *World) mix(words ...uint64) {
	for _, x := range words {
		w.trace.sum = (w.trace.sum ^ x) * prime64
		w.trace.sum ^= w.trace.sum >> 29 // words are wider than FNV's bytes: let the high bits count
	}
}

// note takes a request that is over into the trace.
func (w *World) note(who string, name uint64, r block.Request, err error) {
	w.mix(name, uint64(r.Op)|uint64(r.Flags)<<8|uint64(block.Classify(err))<<16, uint64(r.Off), uint64(r.Len), uint64(w.now))
	r.Buf = nil
	w.keep(line{who: who, r: r, err: err})
}

// Log takes what into the trace: who judges uses it to tell what it does, which then is part of the hash.
func (w *World) Log(who, what string) {
	w.mix(sum64(who), sum64(what), uint64(w.now))
	w.keep(line{who: who, what: what})
}

func (w *World) keep(l line) {
	l.at = w.now
	if w.current != nil {
		l.task = w.current.id
	}
	w.trace.lines[w.trace.n%len(w.trace.lines)] = l
	w.trace.n++
}

// Keep has the world remember so many lines from now on.
func (w *World) Keep(lines int) { w.trace.lines, w.trace.n = make([]line, lines), 0 }

// Hash is a sum of everything that happened: equal worlds have equal ones.
func (w *World) Hash() uint64 { return w.trace.sum }

// Transcript is the last of what happened, one line each.
func (w *World) Transcript() string {
	var b strings.Builder
	for i := max(0, w.trace.n-len(w.trace.lines)); i < w.trace.n; i++ {
		l := &w.trace.lines[i%len(w.trace.lines)]
		fmt.Fprintf(&b, "%12v %4d %-5s ", l.at, l.task, l.who)
		if l.what != "" {
			b.WriteString(l.what)
		} else {
			b.WriteString(l.r.String())
			if l.err != nil {
				b.WriteString(": " + l.err.Error())
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Note takes a request of who's that is over, or begins, into the trace.
func (w *World) Note(who string, r block.Request, err error) { w.note(who, sum64(who), r, err) }
