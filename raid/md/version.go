package md

import "fmt"

// Sector is the unit of every address on disk, bytes, whatever the device's own block is.
const Sector = 512

// MaxSector is md's "no such sector": a resync offset of MaxSector says that nothing is left to resync.
const MaxSector = ^uint64(0)

// Version is a superblock's version. 1.x does not store its minor number: the place where a superblock lies says it.
type Version uint8

// The versions. VDefault is what mdadm chooses, 1.2; it is never the version of a decoded superblock.
const (
	VDefault Version = iota
	V090
	V10
	V11
	V12
)

var versionNames = [...]string{"default", "0.90", "1.0", "1.1", "1.2"}

func (v Version) String() string {
	if int(v) < len(versionNames) {
		return versionNames[v]
	}
	return fmt.Sprintf("version(%d)", uint8(v))
}

// ParseVersion reads "0.90", "0", "1.0", "1.1", "1.2", "1" or "default"; the last two are the default, as for mdadm.
func ParseVersion(s string) (Version, error) {
	switch s {
	case "0", "0.90":
		return V090, nil
	case "", "1", "default":
		return VDefault, nil
	case "1.0":
		return V10, nil
	case "1.1":
		return V11, nil
	case "1.2":
		return V12, nil
	}
	return 0, fmt.Errorf("metadata %q is not known: give 1.0, 1.1 or 1.2", s)
}

// Place is where a superblock of one version lies on a device.
type Place struct {
	Version Version
	Sector  uint64
}

const (
	minDevice   = 24  // sectors: no 1.x superblock fits a smaller device
	reserved090 = 128 // sectors: 0.90 keeps the last whole 64 KiB, aligned to as much
)

// Places are the places of a device of so many sectors at which a superblock may be; none on a device too small for any.
func Places(devSectors uint64) []Place {
	var p []Place
	for _, v := range []Version{V12, V11, V10, V090} {
		if at, ok := v.place(devSectors); ok {
			p = append(p, Place{v, at})
		}
	}
	return p
}

// place is the sector of a superblock of version v, and whether the device is large enough to have one.
func (v Version) place(devSectors uint64) (uint64, bool) {
	switch v {
	case V090:
		if devSectors < 2*reserved090 {
			return 0, false
		}
		return devSectors&^(reserved090-1) - reserved090, true
	case V10:
		return (devSectors - 16) &^ 7, devSectors >= minDevice
	case V11:
		return 0, devSectors >= minDevice
	default:
		return 8, devSectors >= minDevice
	}
}
