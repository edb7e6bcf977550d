package nbd

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"graid/block"
)

// ErrShutdown is what a server says that is about to end: another way to the device may do better. It is a Path error.
var ErrShutdown = fmt.Errorf("%w: the server is shutting down", block.ErrPath)

// refusalOf is what a server's refusal of a command means here. The request was checked before it was sent, so "invalid" and "not permitted"
// are not the caller's fault: they are this device's last word on these bytes.
func refusalOf(cmd uint16, f fault) error {
	err, what := block.ErrPath, fmt.Sprintf("error %d", f.errno)
	optional := cmd == cmdTrim || cmd == cmdWriteZeroes || cmd == cmdBlockStatus
	switch f.errno {
	case errnoIO:
		err, what = block.ErrMedia, "input/output error"
	case errnoPerm:
		err, what = block.ErrMedia, "not permitted"
	case errnoInvalid:
		err, what = block.ErrMedia, "invalid argument"
		if optional {
			err = block.ErrUnsupported
		}
	case errnoOverflow:
		err, what = block.ErrMedia, "too large"
		if optional {
			err = block.ErrUnsupported
		}
	case errnoNotSup:
		err, what = block.ErrUnsupported, "not supported"
	case errnoNoSpace:
		err, what = block.ErrNoSpace, "no space left"
	case errnoNoMemory:
		what = "out of memory"
	case errnoShutdown:
		err, what = ErrShutdown, ""
	}
	if f.text != "" {
		what = f.text
	}
	if what == "" {
		return err
	}
	return fmt.Errorf("%w: the server says: %s", err, what)
}

// printable is a server's text, fit to be shown: one line, valid, not endless.
func printable(b []byte) string {
	s := strings.ToValidUTF8(string(b), "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	return clip(strings.TrimSpace(s), maxText)
}
