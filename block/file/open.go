//go:build !linux

package file

import "os"

// openFile opens d's path the way d.direct says.
func (d *Device) openFile(flags int, _ Options) (*os.File, error) {
	if !d.direct {
		f, err := os.OpenFile(d.path, flags, 0)
		return f, refuse(d.path, err)
	}
	f, err := openDirect(d.path, flags)
	if isInvalid(err) {
		return nil, errNoDirect
	}
	return f, refuse(d.path, err)
}
