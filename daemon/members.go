package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"graid/block"
	"graid/block/file"
	"graid/nbd"
	"graid/raid"
)

// OpenOptions are how members are opened.
type OpenOptions struct {
	ReadOnly bool
	Mode     file.Mode
	Overlay  string  // a folder: writes go to files there, the members stay as they are
	NoLock   bool    // with ReadOnly: look even if somebody else has it
	Folder   *Folder // where members behind a network are locked; nil = they are not
}

// CheckKinds refuses URIs that cannot be members, by what is written alone.
func CheckKinds(words []string) error {
	for _, w := range words {
		if _, err := nbd.ParseURI(w); nbd.IsURI(w) && err != nil {
			return err
		}
		if scheme, _, ok := strings.Cut(w, "://"); ok && !nbd.IsURI(w) {
			return fmt.Errorf("%s: %s:// is none of the kinds of URI that can be members: nbd, nbds, nbd+unix, nbds+unix", w, scheme)
		}
	}
	return nil
}

// CheckMembers refuses, before anything is opened, what cannot be a member, and one file given twice.
func CheckMembers(paths []string) error {
	if err := CheckKinds(paths); err != nil {
		return err
	}
	seen := make([]fs.FileInfo, 0, len(paths))
	var files []string
	remotes := map[string]string{}
	for _, p := range paths {
		if nbd.IsURI(p) {
			place, err := MemberPath(p)
			if err != nil {
				return err
			}
			if before, twice := remotes[place]; twice {
				return fmt.Errorf("%s: is the same export as %s: a member can be given only once", p, before)
			}
			remotes[place] = p
			continue
		}
		fi, err := os.Stat(p)
		if err != nil {
			return plainPath(err)
		}
		if fi.IsDir() {
			return fmt.Errorf("%s: is a folder: give the files in it, or `graid scan` it", p)
		}
		for j, s := range seen {
			if os.SameFile(s, fi) {
				if files[j] == p {
					return fmt.Errorf("%s: given twice", p)
				}
				return fmt.Errorf("%s: is the same file as %s: a member can be given only once", p, files[j])
			}
		}
		seen, files = append(seen, fi), append(files, p)
	}
	return nil
}

// OpenMembers opens what the paths name, each for this process alone, or none of them.
func OpenMembers(paths []string, o OpenOptions) ([]raid.Member, error) {
	if err := CheckMembers(paths); err != nil {
		return nil, err
	}
	var list []raid.Member
	for _, p := range paths {
		m, err := openMember(p, o)
		if err != nil {
			CloseMembers(list)
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// CloseMembers closes the devices of members.
func CloseMembers(list []raid.Member) {
	for _, m := range list {
		if m.Dev != nil {
			m.Dev.Close()
		}
	}
}

func openMember(path string, o OpenOptions) (raid.Member, error) {
	if nbd.IsURI(path) {
		return openRemoteMember(path, o)
	}
	d, err := file.Open(path, file.Options{ReadOnly: o.ReadOnly || o.Overlay != "", Mode: o.Mode, NoLock: o.NoLock})
	if err != nil {
		return raid.Member{}, inUse(err)
	}
	if o.Overlay == "" || o.ReadOnly {
		return raid.Member{Path: path, Dev: d}, nil
	}
	over, err := cover(d, path, o.Overlay)
	if err != nil {
		d.Close()
		return raid.Member{}, err
	}
	return raid.Member{Path: path, Dev: over}, nil
}

func openRemoteMember(path string, o OpenOptions) (raid.Member, error) {
	base := o
	base.ReadOnly = o.ReadOnly || o.Overlay != ""
	r, err := openRemote(path, base)
	if err != nil || o.Overlay == "" || o.ReadOnly {
		return raid.Member{Path: path, Dev: r}, err
	}
	over, err := cover(r, path, o.Overlay)
	if err != nil {
		r.Close()
		return raid.Member{}, err
	}
	return raid.Member{Path: path, Dev: over}, nil
}

// notices is what there is to say about how the members could be opened: that direct I/O was wanted and cannot be had, for example.
func notices(members []raid.Member) (list []string) {
	for _, m := range members {
		if d, ok := block.As[*file.Device](m.Dev); ok && d.Notice() != "" {
			list = append(list, m.Path+": "+d.Notice())
		}
	}
	return list
}

// inUse says what to do about a member that somebody else holds.
func inUse(err error) error {
	if errors.Is(err, file.ErrInUse) && !errors.Is(err, file.ErrTwice) {
		return fmt.Errorf("%w: stop the array that it is a member of (`graid status` shows yours), or unmount it", err)
	}
	return err
}
