//go:build !linux

package nbd

import (
	"errors"
	"time"
)

// userTimeout is for Linux; elsewhere the deadlines of requests notice a silent server.
func userTimeout(uintptr, time.Duration) error { return nil }

func bindTo(uintptr, string) error {
	return errors.New("not possible on this system: give a source address instead")
}
