package main

import (
	"io"
	"os"

	"graid/daemon"
)

// isTerminal says whether w is a terminal: somebody reads along.
func isTerminal(w any) bool {
	f, ok := asFile(w)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull && isConsole(f)
}

// paint is the colours of one output: none unless it is a terminal, and none with NO_COLOR set.
type paint bool

func paintFor(w io.Writer) paint {
	if c, ok := w.(*colour); ok {
		return c.p
	}
	return paint(isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (p paint) with(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) good(s string) string { return p.with("32", s) }
func (p paint) warn(s string) string { return p.with("33", s) }
func (p paint) bad(s string) string  { return p.with("31", s) }
func (p paint) bold(s string) string { return p.with("1", s) }

// state colours the state of an array or of a member.
func (p paint) state(s string) string {
	switch s {
	case "clean", "active", "in_sync", "yes":
		return p.good(s)
	case "failed", "faulty", "missing", "no":
		return p.bad(s)
	case "degraded", "rebuilding", "readonly":
		return p.warn(s)
	}
	return s
}

// verdict colours the word for how an array is.
func (p paint) verdict(s string) string {
	switch s {
	case daemon.Healthy:
		return p.good(s)
	case daemon.AtRisk, daemon.Failed:
		return p.bad(s)
	}
	return p.warn(s)
}
