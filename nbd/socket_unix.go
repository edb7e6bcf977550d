//go:build unix

package nbd

import "syscall"

const canTry = true

// tryWrite writes to the descriptor of a socket, which the runtime keeps non-blocking.
func tryWrite(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, errWouldBlock
		default:
			return 0, err
		}
	}
}
