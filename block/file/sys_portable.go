//go:build !linux

package file

import (
	"errors"
	"os"
)

var errNotHere = errors.New("not on this system")

// directAlign is what direct I/O asks of memory and of offsets, bytes.
func directAlign(_ *os.File, logical int64) (mem, off int64) {
	if rawDisks {
		return logical, logical
	}
	return 4096, 4096
}

func capabilities(*os.File, bool) (discard, zeroes bool) { return false, false }

// syncData is a full sync: on Darwin it reaches the platter (F_FULLFSYNC), on Windows it empties the disk's cache.
func syncData(f *os.File, _ uintptr) error { return f.Sync() }

func writeDurable(uintptr, []byte, int64) error        { return errNotHere }
func readCached(uintptr, []byte, int64) error          { return errNotHere }
func discardRange(_ uintptr, _ bool, _, _ int64) error { return errNotHere }
func punch(_ uintptr, _, _ int64) error                { return errNotHere }
func zeroRange(_ uintptr, _ bool, _, _ int64) error    { return errNotHere }
func isUnsupported(err error) bool                     { return errors.Is(err, errNotHere) }
