//go:build !unix

package parity

import "testing"

// fenced is memory of n bytes: this system has no fences to put around it.
func fenced(_ *testing.T, n int) []byte { return make([]byte, n) }
