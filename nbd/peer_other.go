//go:build !linux

package nbd

import (
	"net"
	"time"
)

func credentials(*net.UnixConn) (pid, uid int) { return -1, -1 }

func userTimeout(*net.TCPConn, time.Duration) error { return nil }
