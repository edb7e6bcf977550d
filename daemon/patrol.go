package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Where a check stopped outlives the array's process in a small file of the machine's, by the array's UUID. Not in superblocks: md has no place for it there,
// and what says how far a resync is would have Linux make a resync of it. Losing the file costs a check that begins anew, and nothing else; so it is
// not flushed, and what cannot be written is only logged.

// WhereState is the folder for what is to outlive processes, and reboots, that the environment asks for: $GRAID_STATE_DIR, else
// $XDG_STATE_HOME/graid, else /var/lib/graid for root, else .local/state/graid of the user's home; "" where there is none.
func WhereState(getenv func(string) string, uid int) string {
	if dir := getenv("GRAID_STATE_DIR"); dir != "" {
		return dir
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "graid")
	}
	if uid == 0 {
		return "/var/lib/graid"
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "graid")
	}
	return ""
}

// checkEvery is how often it is written down how far a check is.
const checkEvery = 30 * time.Second

// checkPlace is what the file says.
type checkPlace struct {
	UUID string    `json:"uuid"`
	At   int64     `json:"at_bytes"` // of the sync space: everything before it was looked at
	Of   int64     `json:"of_bytes"`
	When time.Time `json:"when"`
}

// placeFile is the file of the array with that UUID; "" if nothing is to be kept.
func (p *Process) placeFile(uuid string) string {
	if p.cfg.State == "" {
		return ""
	}
	return filepath.Join(p.cfg.State, strings.ReplaceAll(uuid, ":", "")+".check")
}

// recallCheck has the next check that resumes begin where one stopped when another process served the array. A file that is of something else, or
// makes no sense, is as good as none.
func (p *Process) recallCheck() {
	s := p.array.Status()
	text, err := os.ReadFile(p.placeFile(s.UUID.String()))
	var at checkPlace
	if err != nil || json.Unmarshal(text, &at) != nil || at.UUID != s.UUID.String() || at.Of != s.Sync.Total {
		return
	}
	p.array.GoOnAt(at.At)
}

// keepCheck writes down that a check that resumes is to begin at that place; 0: at the beginning.
func (p *Process) keepCheck(at int64) {
	s := p.array.Status()
	file := p.placeFile(s.UUID.String())
	if file == "" || len(s.ReadOnlyWhy) > 0 {
		return
	}
	p.placing.Lock()
	defer p.placing.Unlock()
	if err := writePlace(file, checkPlace{s.UUID.String(), at, s.Sync.Total, time.Now().UTC()}); err != nil {
		p.log.Warn("state folder", "array", p.cfg.Name, "err", fmt.Errorf("the place of the check is not kept: %w", plainPath(err)))
	}
}

// writePlace replaces the file, or removes it where there is nothing to remember.
func writePlace(file string, at checkPlace) error {
	if at.At == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
