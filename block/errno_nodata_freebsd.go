package block

import "syscall"

// errNoData stands for the unreadable sector of other systems; FreeBSD says EIO, which is listed already.
const errNoData = syscall.Errno(97) // EINTEGRITY, which package syscall does not name
