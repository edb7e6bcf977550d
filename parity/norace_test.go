//go:build !race

package parity

const slow = false
