package file

import (
	"os"
	"syscall"
)

// identify is the volume's and the file's number.
func (d *Device) identify(os.FileInfo) Identity {
	var info syscall.ByHandleFileInformation
	if syscall.GetFileInformationByHandle(syscall.Handle(d.fd), &info) != nil {
		return Identity{Path: absolute(d.path)}
	}
	return Identity{Dev: uint64(info.VolumeSerialNumber), Ino: uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow)}
}
