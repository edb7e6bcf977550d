//go:build race

package parity

// With the race detector the byte loops take forty times as long, and it knows nothing of assembly.
const slow = true
