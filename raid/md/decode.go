package md

import (
	"encoding/binary"
	"fmt"
)

// Decode reads the superblock that starts b, which was read at sector at of a device of devSectors: 4096 bytes, of which it may be the
// first so many. It checks all that Linux checks before it uses a member. The error is ErrNoSuperblock when there is none at this
// place, else a *FormatError.
func Decode(b []byte, at, devSectors uint64) (*Superblock, error) {
	if len(b) < Sector {
		return nil, &FormatError{"superblock", "length", int64(at) * Sector, fmt.Sprintf("%d bytes", len(b)), "4096: is the device truncated?"}
	}
	if len(b) < maxSuper {
		b = append(make([]byte, 0, maxSuper), b...)[:maxSuper]
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch uint32(Magic) {
	case binary.LittleEndian.Uint32(b):
	case binary.BigEndian.Uint32(b):
		order = binary.BigEndian
	default:
		return nil, ErrNoSuperblock
	}
	major := order.Uint32(b[offMajor:])
	for _, p := range Places(devSectors) {
		switch {
		case p.Sector != at:
		case major == 0 && p.Version == V090:
			return decode090(b, order, at)
		case major == 1 && p.Version != V090 && order == binary.LittleEndian:
			return decode1(p.Version, b, at, devSectors)
		}
	}
	return nil, &FormatError{"superblock", "major_version", int64(at)*Sector + offMajor, fmt.Sprint(major),
		fmt.Sprintf("a version that lies at sector %d of a device of %d", at, devSectors)}
}
