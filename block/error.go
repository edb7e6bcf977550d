package block

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"syscall"
)

// Class says whose fault an error is, and so who acts on it.
type Class uint8

// The classes of errors.
const (
	None   Class = iota // no error
	Caller              // the request was wrong: returned to whoever asked, never fails a device
	Media               // these bytes of this device: read around, rewrite, count
	Path                // the way there: try another way; what is not known to be the device's own verdict is this
	Gone                // no way left, not coming back
)

var classNames = [...]string{"none", "caller", "media", "path", "gone"}

func (c Class) String() string { return classNames[c] }

// Sentinels, one or more per class. Wrap them with %w; test with errors.Is or Classify.
var (
	ErrInvalid     = errors.New("invalid request")                  // Caller
	ErrRange       = errors.New("out of range")                     // Caller
	ErrReadOnly    = errors.New("read-only")                        // Caller
	ErrUnsupported = errors.New("operation not supported")          // Caller
	ErrWouldBlock  = errors.New("would have to wait")               // Caller: ask again without NoWait
	ErrNoSpace     = errors.New("no space left on backing storage") // Path: not the medium's verdict, and not the caller's fault
	ErrMedia       = errors.New("unreadable or unwritable medium")  // Media
	ErrPath        = errors.New("path error")                       // Path
	ErrSlow        = errors.New("no answer in time")                // Path: no verdict at all; what was asked for may come yet
	ErrGone        = errors.New("device gone")                      // Gone
	ErrClosed      = errors.New("device closed")                    // Gone
)

// Error names the device and the request that an error belongs to. It is added once, by the layer that knows the name.
type Error struct {
	Dev string
	Req Request
	Err error
}

func (e *Error) Error() string { return e.Dev + ": " + e.Req.String() + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Classify is the single place that decides what an error means. What it does not know is a Path error, as for Linux
// blk_path_error: only what is known to be the target's own verdict is not worth another path.
func Classify(err error) Class {
	switch {
	case err == nil:
		return None
	case is(err, ErrInvalid, ErrRange, ErrReadOnly, ErrUnsupported, ErrWouldBlock, context.Canceled, context.DeadlineExceeded):
		return Caller
	case is(err, ErrMedia):
		return Media
	case is(err, ErrGone, ErrClosed, fs.ErrClosed, net.ErrClosed):
		return Gone
	case is(err, ErrPath, ErrSlow, ErrNoSpace, io.ErrUnexpectedEOF):
		return Path
	}
	var no syscall.Errno
	if errors.As(err, &no) {
		return classifyErrno(no)
	}
	return Path
}

func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// Blame is err as an Error of the device of that name, without the request's memory, which is nobody's to keep. No error
// stays none.
func Blame(dev string, r Request, err error) error {
	if err == nil {
		return nil
	}
	r.Buf = nil
	return &Error{Dev: dev, Req: r, Err: err}
}
