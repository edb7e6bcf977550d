package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ErrTaken says that an array of this name runs.
var ErrTaken = errors.New("name taken")

// State is the content of NAME.json.
type State struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"`
	UUID    string    `json:"uuid"`
	Control string    `json:"control"` // path of the control socket
	URIs    []string  `json:"uris"`
	Members []string  `json:"members"`
	Started time.Time `json:"started"`
}

// Claim is the right to run an array under a name. It is a lock that the system takes back when the process dies, so a dead
// process's name is free again and what it left behind is swept away by the next claim.
type Claim struct {
	folder Folder
	name   string
	lock   *os.File
}

// Claim takes the name, or says that it is taken.
func (f Folder) Claim(name string) (*Claim, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if n := len(f.file(name, "sock")); n > maxSocketPath {
		return nil, fmt.Errorf("runtime folder %s: too long for a socket in it (%d bytes, the most is %d); set GRAID_RUNTIME_DIR to a shorter one",
			f.path, n, maxSocketPath)
	}
	path := f.file(name, "lock")
	for {
		lock, err := lockFile(path)
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("%w: an array called %s runs already: use another name, or `graid stop %s`", ErrTaken, name, name)
		}
		if err != nil {
			return nil, fmt.Errorf("runtime folder: %w", plainPath(err))
		}
		// Whoever held the lock before may have removed the file on leaving: then the lock is on a file nobody else will find.
		if !sameFile(lock, path) {
			lock.Close()
			continue
		}
		c := &Claim{folder: f, name: name, lock: lock}
		c.sweep()
		return c, nil
	}
}

// Taken says whether somebody holds the name now.
func (f Folder) Taken(name string) bool {
	if _, err := os.Stat(f.file(name, "lock")); err != nil {
		return false
	}
	c, err := f.Claim(name)
	if err == nil {
		c.Release()
	}
	return errors.Is(err, ErrTaken)
}

// sweep removes what a dead process of this name left behind.
func (c *Claim) sweep() {
	for _, kind := range []string{"sock", "nbd", "json", "log"} {
		os.Remove(c.folder.file(c.name, kind))
	}
}

// Release gives the name back and removes its files.
func (c *Claim) Release() {
	c.sweep()
	os.Remove(c.lock.Name()) // before the lock goes: afterwards the file may be somebody else's
	c.lock.Close()
}

// Log opens the file for what a background process has to say.
func (c *Claim) Log() (*os.File, error) {
	return os.OpenFile(c.folder.file(c.name, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// publish writes NAME.json, whole or not at all.
func (c *Claim) publish(s State) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(c.folder.path, c.name+".new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), c.folder.file(c.name, "json"))
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// state reads NAME.json; the zero State if there is none.
func (f Folder) state(name string) (s State) {
	b, err := os.ReadFile(f.file(name, "json"))
	if err == nil {
		_ = json.Unmarshal(b, &s)
	}
	return s
}

// LogPath is where the background process of this name writes.
func (f Folder) LogPath(name string) string { return filepath.Join(f.path, name+".log") }

func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}
