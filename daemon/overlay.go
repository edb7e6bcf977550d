package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graid/block"
	"graid/block/file"
	"graid/block/overlay"
)

// cover lays a file in dir over a member, which is only read from then on. The file is found again the next time, so that an array
// goes on where it was; it belongs to the member as it is now, and to no other.
func cover(base block.Device, path, dir string) (block.Device, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("overlay: %w", plainPath(err))
	}
	abs, err := MemberPath(path)
	if err != nil {
		return nil, err
	}
	name, err := overlayName(dir, path)
	if err != nil {
		return nil, err
	}
	written := int64(0) // of an export, nothing tells one state from another
	if !IsRemote(path) {
		fi, err := os.Stat(path)
		if err != nil {
			return nil, plainPath(err)
		}
		written = lastWritten(fi)
	}
	whose := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", abs, base.Info().Size, written))
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		if err := file.Create(name, overlay.StoreSize(base)); err != nil {
			return nil, fmt.Errorf("overlay: %w", err)
		}
	}
	store, err := file.Open(name, file.Options{})
	if err != nil {
		return nil, fmt.Errorf("overlay: %w", err)
	}
	over, err := overlay.New(context.Background(), base, store, overlay.Options{Keep: true, ID: [16]byte(whose[:16])})
	if err != nil {
		store.Close()
		if errors.Is(err, overlay.ErrForeign) {
			return nil, fmt.Errorf("%s: has changed since %s was laid over it: remove that file to start anew", path, name)
		}
		return nil, err
	}
	return over, nil
}

// overlayName is the file in dir that is laid over the member at path.
func overlayName(dir, path string) (string, error) {
	abs, err := MemberPath(path)
	if err != nil {
		return "", err
	}
	where := sha256.Sum256([]byte(abs))
	return filepath.Join(dir, fmt.Sprintf("%s-%x.overlay", strings.ReplaceAll(Short(abs), "/", "-"), where[:4])), nil
}

// lastWritten tells one state of a file from another; of a disk, nothing does.
func lastWritten(fi fs.FileInfo) int64 {
	if !fi.Mode().IsRegular() {
		return 0
	}
	return fi.ModTime().UnixNano()
}
