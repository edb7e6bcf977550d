package multipath

import (
	"errors"
	"syscall"

	"graid/block"
)

// Errors of a map.
var (
	// ErrNoPath is a request's for which there was no path, for as long as requests wait. It is a block.ErrGone.
	ErrNoPath = errors.New("no path")
	// ErrOther refuses a path that leads to another medium.
	ErrOther = errors.New("not the same medium")
	// ErrKilled is that of a waiting request that FailQueued ended.
	ErrKilled = errors.New("failed by the administrator while it waited")
	errLate   = errors.New("no answer in time")
	errBroken = errors.New("the path failed meanwhile")
)

// verdict is what the answer to a request says of the path.
type verdict uint8

const (
	fine     verdict = iota
	target           // the target refuses: no other path would do better
	doubtful         // the medium or the way: another path is asked
	busy             // asked again after a while
	leaving          // the target is about to stop
	broken           // the way
)

// judge is where errors become verdicts.
func judge(err error) verdict {
	switch {
	case err == nil:
		return fine
	case errors.Is(err, block.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return target
	case errors.Is(err, syscall.ESHUTDOWN):
		return leaving
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ENOMEM):
		return busy
	}
	switch block.Classify(err) {
	case block.Caller:
		return target
	case block.Media:
		return doubtful
	}
	return broken
}

// lands says whether a request that ended with err on z may still land later.
func (z *session) lands(err error) bool {
	if z.local || judge(err) != broken {
		return false
	}
	var s settled
	return !errors.As(err, &s) || !s.Settled()
}
