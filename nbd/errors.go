package nbd

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"unicode/utf8"

	"graid/block"
)

// faultOf is what a client is told about an error of the device. ENOTSUP is for FAST_ZERO alone: on anything else it
// would tell the client that the export lied about what it can do.
func faultOf(q request, err error) fault {
	f := fault{errno: errnoIO, text: textOf(err)}
	switch {
	case errors.Is(err, block.ErrUnsupported) || errors.Is(err, syscall.EOPNOTSUPP):
		f.errno = errnoInvalid
		if q.flags&cmdFastZero != 0 {
			f.errno = errnoNotSup
		}
	case errors.Is(err, block.ErrReadOnly) || errors.Is(err, syscall.EROFS):
		f.errno = errnoPerm
	case errors.Is(err, block.ErrNoSpace) || errors.Is(err, syscall.ENOSPC):
		f.errno = errnoNoSpace
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		f.errno = errnoShutdown
	case block.Classify(err) == block.Caller:
		f.errno = errnoInvalid
	}
	return f
}

// textOf is the root cause, which has the fewest names in it; if it looks like it holds a path, only the class is told.
func textOf(err error) string {
	class := block.Classify(err)
	for {
		next := errors.Unwrap(err)
		if next == nil {
			break
		}
		err = next
	}
	text := err.Error()
	if strings.ContainsAny(text, "/\\\n\x00") || !utf8.ValidString(text) {
		return class.String() + " error"
	}
	return clip(text, maxText)
}
