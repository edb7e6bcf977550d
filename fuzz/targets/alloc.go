// Package targets holds the fuzz targets that belong to no single decoder: whole devices, sets of superblocks, the runtime folder, what users
// type. The decoders have theirs beside them. It also knows the one limit that all share: how much memory a few bytes may take.
//
// Run.sh runs every target of the module; the corpora in testdata/fuzz are replayed by each test run.
package targets

import (
	"runtime"
	"testing"
)

// The limit of what a decoder may allocate, bytes: perUnit for each unit of its input begun.
const (
	unit    = 4 << 10
	perUnit = 1 << 20
)

// Allocates fails t where decode, which is given so many bytes, allocates more than the limit. It counts what the whole process allocates, so
// where the count is too high it counts again: what others allocate beside it does not strike every time. Decode must do the same each time.
func Allocates(t testing.TB, input int, decode func()) {
	t.Helper()
	limit := uint64(max(1, (input+unit-1)/unit)) * perUnit
	var least uint64
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decode()
		runtime.ReadMemStats(&after)
		if least = after.TotalAlloc - before.TotalAlloc; least <= limit {
			return
		}
	}
	t.Fatalf("%d bytes of input make it allocate %d bytes, the most is %d", input, least, limit)
}
