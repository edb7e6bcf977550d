package md

import (
	"errors"
	"fmt"
)

// ErrNoSuperblock says that there is no md superblock at any of the places where one may be.
var ErrNoSuperblock = errors.New("no md superblock: not a member of an array")

// FormatError says which field of which structure on disk is wrong, and why.
type FormatError struct {
	Structure string // "superblock 1.2"
	Field     string // "sb_csum"
	Offset    int64  // of the field, bytes from the start of the device for a superblock, of the structure otherwise
	Got       string
	Want      string // what would have been right
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: %s at byte %d is %s, want %s", e.Structure, e.Field, e.Offset, e.Got, e.Want)
}
