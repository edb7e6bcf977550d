//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package main

import (
	"errors"
	"os"
)

// keysAtOnce is not possible here: Ctrl-C ends what q would.
func keysAtOnce(*os.File) (restore func(), err error) { return nil, errors.ErrUnsupported }

// isConsole says whether f, a character device, is a terminal: it cannot be told from others here.
func isConsole(*os.File) bool { return true }
