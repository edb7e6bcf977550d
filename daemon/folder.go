package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Folder is the runtime folder: where the running arrays of one user have their sockets.
type Folder struct{ path string }

// Where is the runtime folder that the environment asks for: $GRAID_RUNTIME_DIR, else $XDG_RUNTIME_DIR/graid, else
// /run/graid for root, else a folder of the user's own under the temporary folder.
func Where(getenv func(string) string, uid int, temp string) string {
	if dir := getenv("GRAID_RUNTIME_DIR"); dir != "" {
		return dir
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "graid")
	}
	if uid == 0 {
		return "/run/graid"
	}
	if uid < 0 { // Windows: the temporary folder is the user's own
		return filepath.Join(temp, "graid")
	}
	return filepath.Join(temp, fmt.Sprintf("graid-%d", uid))
}

// OpenFolder makes the folder if it is not there, with mode 0700, and refuses one that somebody else could tamper with.
func OpenFolder(path string) (Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Folder{}, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return Folder{}, fmt.Errorf("runtime folder: %w; set GRAID_RUNTIME_DIR to a folder of yours", plainPath(err))
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return Folder{}, fmt.Errorf("runtime folder: %w", plainPath(err))
	}
	if fi.Mode()&fs.ModeSymlink != 0 && !ownedByUs(fi) {
		return Folder{}, fmt.Errorf("runtime folder %s: is a link made by somebody else; set GRAID_RUNTIME_DIR to a folder of yours", path)
	}
	if fi, err = os.Stat(path); err != nil {
		return Folder{}, fmt.Errorf("runtime folder: %w", plainPath(err))
	}
	switch {
	case !fi.IsDir():
		return Folder{}, fmt.Errorf("runtime folder %s: is not a folder; set GRAID_RUNTIME_DIR to one", path)
	case !ownedByUs(fi):
		return Folder{}, fmt.Errorf("runtime folder %s: belongs to somebody else; set GRAID_RUNTIME_DIR to a folder of yours", path)
	case othersWrite(fi): // not ours to change: it may be /tmp itself
		return Folder{}, fmt.Errorf("runtime folder %s: others may write to it; `chmod 700` it, or set GRAID_RUNTIME_DIR to a folder of yours", path)
	}
	return Folder{path}, nil
}

// LookFolder is OpenFolder for who only looks: a folder that is not there has no arrays in it, and is not made.
func LookFolder(path string) (Folder, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Folder{path}, nil
	}
	return OpenFolder(path)
}

// Path is where the folder is.
func (f Folder) Path() string { return f.path }

func (f Folder) file(name, kind string) string { return filepath.Join(f.path, name+"."+kind) }

// Socket is where the array of this name listens for NBD when it is told no other address.
func (f Folder) Socket(name string) string { return f.file(name, "nbd") }

// MaxName is how long the name of a running array may be: it must fit into the path of a socket.
const MaxName = 64

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)

// CheckName refuses what cannot name a running array: names become file names and parts of URIs.
func CheckName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("name %q is longer than %d characters", name, MaxName)
	}
	if !nameForm.MatchString(name) {
		if base := filepath.Base(name); strings.ContainsRune(name, filepath.Separator) && nameForm.MatchString(base) {
			return fmt.Errorf("%q is a path, not an array's name: write a short one such as %s", name, base)
		}
		return fmt.Errorf("%q is no name for an array: use letters, digits, _ . + and -, as in md0", name)
	}
	return nil
}

// Names lists the arrays that run here or died, in order.
func (f Folder) Names() ([]string, error) {
	list, err := os.ReadDir(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("runtime folder: %w", plainPath(err))
	}
	var names []string
	for _, e := range list {
		name, ok := strings.CutSuffix(e.Name(), ".lock")
		if !ok { // of who died, the lock file may be gone
			name, ok = strings.CutSuffix(e.Name(), ".json")
		}
		if ok && CheckName(name) == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return slices.Compact(names), nil
}

// plainPath turns "open /x: permission denied" into "/x: permission denied": how it was tried does not help.
func plainPath(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}
