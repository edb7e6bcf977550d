package block

import "syscall"

// Windows system error codes, from winerror.h.
const (
	errWriteProtect     syscall.Errno = 19
	errNotReady         syscall.Errno = 21
	errCRC              syscall.Errno = 23
	errSectorNotFound   syscall.Errno = 27
	errInvalidParameter syscall.Errno = 87
	errIODevice         syscall.Errno = 1117
	errDeviceGone       syscall.Errno = 433
)

func classifyErrno(no syscall.Errno) Class {
	switch no {
	case errWriteProtect, errInvalidParameter, syscall.EINVAL, syscall.EROFS:
		return Caller
	case errCRC, errSectorNotFound, errIODevice, syscall.EIO:
		return Media
	case errNotReady, errDeviceGone, syscall.ENODEV, syscall.ENXIO:
		return Gone
	}
	return Path
}
