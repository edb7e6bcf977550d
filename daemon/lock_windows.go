package daemon

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// maxSocketPath is what fits into sockaddr_un, bytes.
const maxSocketPath = 107

var errLocked = errors.New("locked")

const (
	errorSharingViolation syscall.Errno = 32
	fileFlagDeleteOnClose               = 0x04000000
)

// lockFile opens the file for this process alone: it shares only deletion, so a second open fails while the first lives.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS,
		syscall.FILE_ATTRIBUTE_NORMAL|fileFlagDeleteOnClose, 0)
	if err == errorSharingViolation {
		return nil, errLocked
	}
	if err != nil {
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// ownedByUs is always so: the temporary folder and XDG_RUNTIME_DIR are in the user's profile, which others cannot enter.
func ownedByUs(fs.FileInfo) bool { return true }

func othersWrite(fs.FileInfo) bool { return false }
