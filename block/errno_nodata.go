//go:build unix && !freebsd

package block

import "syscall"

// errNoData is how Linux and Darwin report a sector that cannot be read (a "critical medium error").
const errNoData = syscall.ENODATA
