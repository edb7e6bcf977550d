// Package memory reads memory as fast as this machine can.
package memory

import "golang.org/x/sys/cpu"

//go:noescape
func readAVX512(b *byte, n int)

//go:noescape
func readAVX2(b *byte, n int)

// Read loads all of b, a multiple of 512 bytes, and does nothing with it.
func Read(b []byte) {
	if cpu.X86.HasAVX512F {
		readAVX512(&b[0], len(b))
	} else {
		readAVX2(&b[0], len(b))
	}
}
