//go:build unix

package block

import "syscall"

func classifyErrno(no syscall.Errno) Class {
	switch no {
	case syscall.EINVAL, syscall.EROFS, syscall.EPERM, syscall.EBADF, syscall.EFAULT, syscall.EOPNOTSUPP, syscall.ERANGE:
		return Caller
	case syscall.EIO, errNoData, syscall.EILSEQ, syscall.EBADMSG:
		return Media
	case syscall.ENODEV, syscall.ENXIO:
		return Gone
	}
	return Path
}
