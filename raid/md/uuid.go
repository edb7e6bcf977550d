package md

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// UUID identifies an array or a member: 16 raw bytes in the order they have on disk.
type UUID [16]byte

// String is the form of Linux md and mdadm: four groups of eight hex digits, "xxxxxxxx:xxxxxxxx:xxxxxxxx:xxxxxxxx".
func (u UUID) String() string {
	s := hex.EncodeToString(u[:])
	return s[:8] + ":" + s[8:16] + ":" + s[16:24] + ":" + s[24:]
}

// ParseUUID reads 32 hex digits; colons, dashes and dots between them do not matter, as for mdadm.
func ParseUUID(s string) (u UUID, err error) {
	b, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(s))
	if err != nil || len(b) != len(u) {
		return u, fmt.Errorf("%q is not a UUID: give 32 hex digits, as in a1b2c3d4:00112233:44556677:8899aabb", s)
	}
	return UUID(b), nil
}
