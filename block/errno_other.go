//go:build !unix && !windows

package block

import "syscall"

func classifyErrno(syscall.Errno) Class { return Path }
