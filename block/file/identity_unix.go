//go:build unix

package file

import (
	"os"
	"syscall"
)

// identify is the number of a disk, or of a file's inode.
func (d *Device) identify(st os.FileInfo) Identity {
	s, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return Identity{Path: absolute(d.path)}
	case d.disk:
		return Identity{Disk: true, Dev: uint64(s.Rdev)}
	}
	return Identity{Dev: uint64(s.Dev), Ino: uint64(s.Ino)}
}
