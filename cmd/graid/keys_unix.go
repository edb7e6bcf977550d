//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// keysAtOnce makes the terminal hand over keys without waiting for a line, and not show them. Ctrl-C stays a signal.
func keysAtOnce(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, getTerm)
	if err != nil {
		return nil, err
	}
	raw := *old
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, setTerm, &raw); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTerm, old) }, nil
}

// isConsole says whether f, a character device, is a terminal.
func isConsole(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), getTerm)
	return err == nil
}
