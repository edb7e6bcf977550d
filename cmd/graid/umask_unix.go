//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// umask is what new files of this process are not allowed. It can only be read by setting it; no other file is being made.
func umask() fs.FileMode {
	m := syscall.Umask(0o077)
	syscall.Umask(m)
	return fs.FileMode(m) & fs.ModePerm
}
