package block

import "syscall"

// errNoData stands for the unreadable sector of other systems; FreeBSD says EIO, which is listed already.
const errNoData = syscall.EINTEGRITY
