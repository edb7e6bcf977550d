package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"graid/daemon"
)

// verb is one word of the command line and what it does.
type verb struct {
	name  string
	args  string // what follows the options, as help shows it
	short string // one line for the list of verbs
	long  string // paragraphs for `graid help VERB`
	notes string // what follows the options there, as it is
	flags []flag
	words []string // arguments that look like options and are none
	run   func(c *call) error
}

// flag is an option of a verb. Without a value it is a switch.
type flag struct {
	name  string
	short string // one letter, or ""
	value string // what its value is called in help; "" = a switch
	usage string
	list  bool // may be given more than once
	quiet bool // not shown in help
	on    bool // a switch that is on unless --NAME=false
}

// std is where a run reads and writes.
type std struct {
	in       io.Reader
	out, err io.Writer
}

// call is one use of a verb.
type call struct {
	std
	ctx  context.Context
	verb *verb
	args []string // positional

	on    map[string]bool     // switches
	value map[string][]string // options with a value
}

func (c *call) has(name string) bool { return c.on[name] }

func (c *call) given(name string) bool { return c.on[name] || len(c.value[name]) > 0 }

func (c *call) list(name string) []string { return c.value[name] }

// get is the last value given for the option, or "".
func (c *call) get(name string) string {
	v := c.value[name]
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

// size reads the option as a SIZE in bytes; none given is 0.
func (c *call) size(name string) (int64, error) {
	if !c.given(name) {
		return 0, nil
	}
	n, err := parseSize(c.get(name))
	if err != nil {
		return 0, usage("--%s: %v", name, err)
	}
	return n, nil
}

// count reads the option as a small number; none given is none.
func (c *call) count(name string, none int) (int, error) {
	if !c.given(name) {
		return none, nil
	}
	n, err := strconv.Atoi(c.get(name))
	if err != nil || n < 0 || n > 1<<16 {
		return 0, usage("--%s: %q is not a number of devices: give one such as 4", name, c.get(name))
	}
	return n, nil
}

// oneOf reads the option as one of the words; none given is the first of them.
func (c *call) oneOf(name string, words ...string) (string, error) {
	if !c.given(name) {
		return words[0], nil
	}
	got := c.get(name)
	for _, w := range words {
		if got == w {
			return w, nil
		}
	}
	return "", usage("--%s: %q is none of %s", name, got, strings.Join(words, ", "))
}

// usageError is a wrong use of the command line.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usage(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// attention is not a failure: it was done, but somebody should look. An empty message was said already.
type attention struct{ msg string }

func (e *attention) Error() string { return e.msg }

// fail is a failure told by somebody else with this exit status; its message is complete.
type failure struct {
	status int
	msg    string
}

func (e *failure) Error() string { return e.msg }

// report says on one line what went wrong, if anything did, and returns the exit status.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	status := exitFailed
	var asked *usageError
	var look *attention
	var told *failure
	switch {
	case errors.As(err, &asked), errors.As(err, new(*daemon.RuleError)):
		status = exitUsage
	case errors.As(err, &look):
		status = exitAttention
	case errors.As(err, &told):
		status = told.status
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	if msg := oneLine(err.Error()); msg != "" {
		fmt.Fprintln(w, "graid: "+msg)
	}
	return status
}

// oneLine makes a message fit for a line of its own, whatever a path or a peer put into it.
func oneLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ' '
		case r < ' ' || r == 0x7f:
			return '?'
		}
		return r
	}, s)
}
