package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"graid/block"
	"graid/block/file"
	"graid/multipath"
	"graid/nbd"
)

// MapPath is a path of a map as users write it: a device, and what the map should know of it.
type MapPath struct {
	Word     string // a file, a block device or the URI of an export; files absolute
	Priority int
	Weight   int
	Group    string
	Host     string
	Standby  bool
}

// ParsePath reads DEVICE[,prio=N][,weight=N][,group=NAME][,host=NAME][,standby]. A file's path becomes absolute.
func ParsePath(word string) (p MapPath, err error) {
	parts := strings.Split(word, ",")
	n := len(parts)
	for n > 1 && isPathOption(parts[n-1]) {
		n--
	}
	for _, o := range parts[n:] {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "prio":
			p.Priority, err = strconv.Atoi(v)
		case "weight":
			p.Weight, err = strconv.Atoi(v)
		case "group":
			p.Group = v
		case "host":
			p.Host = v
		case "standby":
			p.Standby = true
		}
		if err != nil {
			return p, fmt.Errorf("%s: %s: give a number, such as %s=50", word, o, k)
		}
	}
	p.Word = strings.Join(parts[:n], ",")
	if nbd.IsURI(p.Word) {
		_, err = nbd.ParseURI(p.Word)
		return p, err
	}
	p.Word, err = filepath.Abs(p.Word)
	return p, err
}

func isPathOption(s string) bool {
	k, _, valued := strings.Cut(s, "=")
	switch k {
	case "prio", "weight", "group", "host":
		return valued
	}
	return s == "standby"
}

// String is p as ParsePath reads it.
func (p MapPath) String() string {
	s := p.Word
	if p.Priority != 0 {
		s += fmt.Sprintf(",prio=%d", p.Priority)
	}
	if p.Weight != 0 {
		s += fmt.Sprintf(",weight=%d", p.Weight)
	}
	if p.Group != "" {
		s += ",group=" + p.Group
	}
	if p.Host != "" {
		s += ",host=" + p.Host
	}
	if p.Standby {
		s += ",standby"
	}
	return s
}

// patience of paths that are reached over a network.
const (
	pathHandshake = 5 * time.Second
	pathSilence   = 3 * time.Second
)

// path is p for a map with these options. A session waits for answers longer than the map does: what comes late is the proof that an old write
// has ended.
func (p MapPath) path(o multipath.Options, mode file.Mode) multipath.Path {
	m := multipath.Path{Name: p.Word, Host: p.Host, Group: p.Group, Priority: p.Priority, Weight: p.Weight, Standby: p.Standby}
	if !nbd.IsURI(p.Word) {
		m.Local = true
		m.Open = func(context.Context) (block.Device, error) {
			d, err := file.Open(p.Word, file.Options{Mode: mode})
			if err != nil {
				return nil, inUse(err)
			}
			return d, nil
		}
		return m
	}
	if u, err := nbd.ParseURI(p.Word); err == nil && m.Host == "" {
		if m.Host = u.Host; m.Host == "" {
			m.Host = u.Socket
		}
	}
	late := orElse(o.IOTimeout, 5*time.Second) + orElse(o.Quarantine, time.Minute)
	m.Open = func(ctx context.Context) (block.Device, error) {
		c, err := nbd.Dial(ctx, p.Word, nbd.Options{Connections: 1, Reconnect: -1, Timeout: late, Handshake: pathHandshake, Silence: pathSilence})
		if err != nil {
			return nil, err
		}
		return farewell{c}, nil
	}
	return m
}

func orElse(d, unset time.Duration) time.Duration {
	if d == 0 {
		return unset
	}
	return d
}

// farewell has a server that is shutting down say so in the words that multipath knows.
type farewell struct{ *nbd.Client }

func (f farewell) Unwrap() block.Device { return f.Client }

func (f farewell) Do(ctx context.Context, r block.Request) error {
	err := f.Client.Do(ctx, r)
	if errors.Is(err, nbd.ErrShutdown) {
		return fmt.Errorf("%w (%w)", err, syscall.ESHUTDOWN)
	}
	return err
}
