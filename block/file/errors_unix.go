//go:build unix

package file

import (
	"errors"
	"syscall"
)

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

func isInvalid(err error) bool { return errors.Is(err, syscall.EINVAL) }
