//go:build unix

package main

import (
	"os"
	"syscall"
)

// pollable is f, so that reads and writes can have deadlines.
func pollable(f *os.File) *os.File {
	fd := f.Fd()
	if syscall.SetNonblock(int(fd), true) != nil {
		return f
	}
	return os.NewFile(fd, f.Name())
}
