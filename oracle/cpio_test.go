package oracle

import (
	"fmt"
	"io"
	"path"
)

// archive writes a cpio archive in the "newc" form, which is what the kernel unpacks as its first root file system.
// It is not compressed: unpacking under emulation would cost more than reading.
type archive struct {
	w    io.Writer
	off  int64
	ino  int
	made map[string]bool // folders written so far
	err  error
}

const (
	modeDir  = 0o040755
	modeFile = 0o100755
)

func newArchive(w io.Writer) *archive {
	return &archive{w: w, made: map[string]bool{".": true, "/": true}}
}

// file adds a file and the folders above it. name is an absolute path in the guest.
func (a *archive) file(name string, data []byte) {
	name = path.Clean(name)[1:]
	a.folder(path.Dir(name))
	a.entry(name, modeFile, data)
}

func (a *archive) folder(name string) {
	if a.made[name] {
		return
	}
	a.folder(path.Dir(name))
	a.made[name] = true
	a.entry(name, modeDir, nil)
}

func (a *archive) entry(name string, mode int, data []byte) {
	a.ino++
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name))
	a.pad()
	a.write(data)
	a.pad()
}

// close writes the trailer and reports the first error of all.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}

func (a *archive) write(p []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(p)
	a.off, a.err = a.off+int64(n), err
}

func (a *archive) pad() {
	a.write(make([]byte, (4-a.off%4)%4))
}
