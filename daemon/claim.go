package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
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
	Command []string  `json:"command"` // what to give graid to have it run again as it did
	Started time.Time `json:"started"`
}

// Claim is the right to run an array under a name. It is a lock that the system takes back when the process dies, so a dead
// process's name is free again. What it left behind tells of its death until another runs under the name, or Forget.
type Claim struct {
	folder Folder
	name   string
	lock   *os.File
	died   *State // who had the name before and did not give it back; nil = nobody

	mu        sync.Mutex // guards what follows
	published bool
	released  bool
}

// glance is how long somebody who only looks whether an array died may have its name, at most.
const glance = 300 * time.Millisecond

// Claim takes the name, or says that it is taken.
func (f Folder) Claim(name string) (*Claim, error) {
	for end := time.Now().Add(glance); ; time.Sleep(10 * time.Millisecond) {
		c, err := f.claim(name)
		if !errors.Is(err, ErrTaken) || time.Now().After(end) {
			return c, err
		}
	}
}

func (f Folder) claim(name string) (*Claim, error) {
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
		c.sweep("sock", "nbd")
		if s := f.state(name); s.Name != "" {
			c.died = &s
		}
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

// Died is what a process left behind that ran under the name and died; nil if there is none, or somebody has the name.
func (f Folder) Died(name string) *State {
	c, err := f.claim(name)
	if err != nil {
		return nil
	}
	defer c.Release()
	return c.died
}

// Forget takes away what a dead process of this name left behind, and returns it; nil if there is nothing.
func (f Folder) Forget(name string) (*State, error) {
	c, err := f.Claim(name)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	c.sweep("json", "log")
	return c.died, nil
}

func (c *Claim) sweep(kinds ...string) {
	for _, kind := range kinds {
		os.Remove(c.folder.file(c.name, kind))
	}
}

// Release gives the name back and removes its files, but not what tells of a process that died if nothing has run since.
func (c *Claim) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
	c.sweep("sock", "nbd")
	if c.published || c.died == nil {
		c.sweep("json", "log")
	}
	os.Remove(c.lock.Name()) // before the lock goes: afterwards the file may be somebody else's
	c.lock.Close()
}

// Log opens the file for what a background process has to say.
func (c *Claim) Log() (*os.File, error) {
	return os.OpenFile(c.folder.file(c.name, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// publish writes NAME.json, whole or not at all; nothing once the name was given back.
func (c *Claim) publish(s State) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		return nil
	}
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
		return err
	}
	c.published = true
	return nil
}

// state reads NAME.json; the zero State if there is none.
func (f Folder) state(name string) (s State) {
	b, err := os.ReadFile(f.file(name, "json"))
	if err == nil {
		_ = json.Unmarshal(b, &s)
	}
	return s
}

// PID is the process that runs under the name, as far as it said so; 0 if it did not.
func (f Folder) PID(name string) int { return f.state(name).PID }

// LogPath is where the background process of this name writes.
func (f Folder) LogPath(name string) string { return filepath.Join(f.path, name+".log") }

func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}
