//go:build !(linux || darwin || windows || freebsd || netbsd || dragonfly || aix)

package file

import "os"

// openDirect says that this system has no direct I/O.
func openDirect(string, int) (*os.File, error) { return nil, errNoDirect }
