package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"graid/block"
	"graid/block/unalign"
	"graid/nbd"
	"graid/raid/md"
	"graid/sched"
)

// Members that are exports of NBD servers. A member's path is then its URI, always written in the same way.

// remoteConnections is how many connections a member has, where its server allows several: large requests on one do not hold up those on the other,
// and when one is lost the other shows that the server is still the same.
const remoteConnections = 2

// remoteWait is how long a lost connection to a member may take to come back before the member has failed: everybody waits meanwhile.
const remoteWait = 5 * time.Second

// remoteBlock is the largest block that arrays have members with, bytes; what is larger is read, changed and written.
const remoteBlock = 4096

// remote is a member behind a network.
type remote struct {
	block.Device
	client *nbd.Client
	who    *identity
	lock   *os.File // nil = none
}

// Unwrap is the export itself.
func (r *remote) Unwrap() block.Device { return r.Device }

// Extents are the server's.
func (r *remote) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	return block.Extents(ctx, r.Device, off, n, list)
}

// Close takes leave of the server, and lets others have the member.
func (r *remote) Close() error {
	err := r.Device.Close()
	if r.lock != nil {
		os.Remove(r.lock.Name())
		os.Remove(filepath.Dir(r.lock.Name())) // goes if it was the last
		r.lock.Close()
		r.lock = nil
	}
	return err
}

// MemberPath is what the user calls a member, written in one way: the absolute path of a file, or the URI of an export with the absolute path of its socket.
func MemberPath(word string) (string, error) {
	if !nbd.IsURI(word) {
		return filepath.Abs(word)
	}
	u, err := nbd.ParseURI(word)
	if err != nil {
		return "", err
	}
	for _, path := range []*string{&u.Socket, &u.Certs} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return "", err
		}
	}
	return u.String(), nil
}

// IsRemote says whether a member is meant as the export of a server.
func IsRemote(word string) bool { return nbd.IsURI(word) }

// Short is what a member is called in a line of text: the last part of its path, or the server and the export of its URI.
func Short(member string) string {
	if u, err := nbd.ParseURI(member); nbd.IsURI(member) && err == nil {
		return u.Short()
	}
	return filepath.Base(member)
}

// sameRemote says whether two words are the URI of one export.
func sameRemote(a, b string) bool {
	a, err1 := MemberPath(a)
	b, err2 := MemberPath(b)
	return err1 == nil && err2 == nil && a == b
}

// openRemote connects to the export that a URI names.
func openRemote(word string, o OpenOptions) (*remote, error) {
	word, err := MemberPath(word)
	if err != nil {
		return nil, err
	}
	u, err := nbd.ParseURI(word)
	if err != nil {
		return nil, err
	}
	r := &remote{who: &identity{}}
	if o.Folder != nil && !o.ReadOnly {
		if r.lock, err = o.Folder.lockRemote(u); err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
	}
	c, err := nbd.Open(context.Background(), u, nbd.Options{ReadOnly: o.ReadOnly, Connections: remoteConnections, Reconnect: remoteWait, Verify: r.who.verify})
	if err != nil {
		r.Device = unconnected{}
		r.Close()
		return nil, advise(u, err)
	}
	r.client, r.Device = c, c
	if c.Info().Block > remoteBlock {
		r.Device = unalign.Wrap(c, sched.Real)
	}
	if !o.ReadOnly && !c.Info().Writable {
		r.Close()
		return nil, fmt.Errorf("%s: the server exports it read-only: use --readonly or --overlay, or have it exported for writing", word)
	}
	return r, nil
}

// unconnected is no device; it can be closed.
type unconnected struct{ block.Device }

func (unconnected) Close() error { return nil }

// reachable refuses exports that cannot be connected to now.
func reachable(members []string) error {
	for _, m := range members {
		if !IsRemote(m) {
			continue
		}
		r, err := openRemote(m, OpenOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		r.Close()
	}
	return nil
}

// advise says what to do about a server that cannot be used.
func advise(u nbd.URI, err error) error {
	var no *net.DNSError
	text := err.Error()
	switch {
	case errors.As(err, &no):
		return fmt.Errorf("%w: check the host's name", err)
	case strings.Contains(text, "cannot be reached"):
		return fmt.Errorf("%w: check that the server runs, and its address", err)
	case strings.Contains(text, "no such export"):
		return fmt.Errorf("%w: `nbdinfo --list` of the server names those it has", err)
	}
	return err
}

// lockRemote has an export for this process alone, as far as this user's processes on this machine go: servers do not keep others out.
func (f Folder) lockRemote(u nbd.URI) (*os.File, error) {
	dir := filepath.Join(f.path, "members")
	u.Certs, u.Name, u.Trusted, u.TLS = "", "", false, false // the same export all the same
	sum := sha256.Sum256([]byte(u.String()))
	path := filepath.Join(dir, fmt.Sprintf("%x.lock", sum[:12]))
	for {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, plainPath(err)
		}
		lock, err := lockFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // who left last took the folder away
		}
		if errors.Is(err, errLocked) {
			return nil, errors.New("in use by an array that runs here: `graid status` shows which; stop it first")
		}
		if err != nil {
			return nil, plainPath(err)
		}
		if sameFile(lock, path) {
			return lock, nil
		}
		lock.Close() // who had it before removed the file on leaving
	}
}

// identity is what a member's superblock says of whose it is. An address may come to lead to another device, or to an old copy of this one; what was
// once seen there must be there whenever it is connected to again.
type identity struct {
	mu         sync.Mutex // guards what follows
	known      bool
	set, owner md.UUID
}

// learn takes what is on the device now for who it is.
func (i *identity) learn(ctx context.Context, dev block.Device) error {
	i.mu.Lock()
	i.known = false
	i.mu.Unlock()
	return i.verify(ctx, dev)
}

// verify refuses a device that is not the one known, or makes it known.
func (i *identity) verify(ctx context.Context, dev block.Device) error {
	info := dev.Info()
	e, err := md.Examine(ctx, info.Name, unalign.Wrap(dev, sched.Real))
	if err != nil {
		return fmt.Errorf("superblock: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case !i.known && e.SB == nil: // no member yet
	case !i.known:
		i.known, i.set, i.owner = true, e.SB.SetUUID, e.SB.DeviceUUID
	case e.SB == nil:
		return fmt.Errorf("another device is there now: it has no superblock, and was the member %s of array %s", i.owner, i.set)
	case e.SB.SetUUID != i.set || e.SB.DeviceUUID != i.owner:
		return fmt.Errorf("another device is there now: it is the member %s of array %s, and was %s of %s", e.SB.DeviceUUID, e.SB.SetUUID, i.owner, i.set)
	}
	return nil
}

// detached says whether a member's file is gone, or its server out of reach.
func (p *Process) detached(path string) bool {
	if !IsRemote(path) {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	}
	p.mu.Lock()
	r := p.remotes[path]
	p.mu.Unlock()
	return r != nil && r.client.Connected() == 0
}

// meet remembers the members that are behind a network.
func (p *Process) meet(path string, dev block.Device) {
	if r, ok := block.As[*remote](dev); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.remotes == nil {
			p.remotes = map[string]*remote{}
		}
		p.remotes[path] = r
	}
}

// recognise takes for who a member is what the array has just written there.
func (p *Process) recognise(ctx context.Context, path string) {
	p.mu.Lock()
	r := p.remotes[path]
	p.mu.Unlock()
	if r == nil {
		return
	}
	if err := r.who.learn(ctx, r.Device); err != nil {
		p.log.Warn("identity of a member", "array", p.cfg.Name, "member", path, "err", err)
	}
}

// Remote is a member's server, as it is now.
type Remote struct {
	Connections int `json:"connections"` // that there are now
	Most        int `json:"most"`        // that there may be
}

// reach says in a which members are behind a network, and whether they can be reached.
func (p *Process) reach(a *Array) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range a.Members {
		if r := p.remotes[a.Members[i].Name()]; r != nil {
			a.Members[i].Remote = &Remote{r.client.Connected(), r.client.Width()}
		}
	}
}
