package parity

import (
	"os"
	"slices"
)

// level is a set of instructions that kernels are written for.
type level uint8

const (
	generic level = iota
	sse2
	avx2
	avx512
	gfni
	neon
)

// String is what the environment variable calls it.
func (l level) String() string {
	return [...]string{"generic", "sse2", "avx2", "avx512", "gfni", "neon"}[l]
}

// variable forces a level, for tests and comparisons. What this machine lacks, and what nobody knows, is ignored.
const variable = "GRAID_PARITY"

// used is the level in use. It changes in tests only.
var used = choose(os.Getenv(variable), available())

// choose takes the level that was asked for by name, or else the last and best one there is.
func choose(name string, have []level) level {
	for _, l := range have {
		if l.String() == name {
			return l
		}
	}
	return have[len(have)-1]
}

// Kernels names the sets of instructions that this machine has kernels for, from the slowest to the fastest, and the one in use. The
// environment variable GRAID_PARITY chooses another.
func Kernels() (names []string, inUse string) {
	for _, l := range available() {
		names = append(names, l.String())
	}
	return slices.Clip(names), used.String()
}
