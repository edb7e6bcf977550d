package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// output is standard output that remembers what went wrong: a verb that told nobody what it was asked for has failed, however well the
// rest went. The first failure ends the verb as Ctrl-C would, so that it cleans up behind it.
type output struct {
	w   io.Writer
	end func()

	mu  sync.Mutex // a verb that was interrupted does not wait for its last write
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.mu.Lock()
		o.err = cmp.Or(o.err, fmt.Errorf("standard output: %w", cause(err)))
		o.mu.Unlock()
		o.end()
	}
	return n, err
}

// verdict is what to report of a verb that came to err: what happened to its output goes first. If who read it has gone, as `head` does,
// there is nobody to tell.
func (o *output) verdict(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err == nil:
		return err
	case errors.Is(o.err, syscall.EPIPE):
		return &failure{exitFailed, ""}
	}
	return o.err
}

// asFile is the file that w writes to, if it is one.
func asFile(w any) (*os.File, bool) {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, ok := w.(*os.File)
	return f, ok
}

// endings are the signals that end graid in an orderly way. One that is ignored, as SIGHUP is under nohup, stays so.
func endings() (list []os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// outlivePipes makes a write to a pipe that nobody reads any more an error instead of the end of the process, which would leave behind
// what it has begun. Unlike an ignored signal, this is not passed on to processes that are started.
func outlivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
