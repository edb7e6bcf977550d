package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"graid/block"
	"graid/daemon"
	"graid/raid"
	"graid/raid/md"
)

func zeroSuperblockVerb() verb {
	return verb{
		name:  "zero-superblock",
		args:  "DEVICE...",
		short: "take the superblocks off devices that are members no more",
		long: `Shows the superblocks that lie at any of the four places where one may be, those of 1.2, 1.1, 1.0 and 0.90, and overwrites them with
zeroes: the device is no member any more, and what else it holds stays. A device that is in use, or that has no superblock, is
refused, and so is a damaged one without --force; nothing is written before all devices passed.`,
		flags: []flag{
			{name: "force", short: "f", usage: "zero damaged superblocks too, and mind no device that has none"},
			{name: "dry-run", usage: "show what there is and write nothing"},
			{name: "json", usage: "print JSON"},
		},
		run: zeroSuperblock,
	}
}

// marked is a device and the superblocks on it.
type marked struct {
	Path   string  `json:"path"`
	Found  []found `json:"found"`
	Zeroed bool    `json:"zeroed"`

	dev block.Device
}

// found is a superblock at one place, whole or damaged.
type found struct {
	Metadata  string  `json:"metadata"`
	Offset    int64   `json:"offset_bytes"`
	Error     *string `json:"error"` // null = it is whole
	ArrayUUID string  `json:"array_uuid"`
	Name      string  `json:"name"`
	Level     string  `json:"level"`
	Role      *int    `json:"role"` // null = a spare, or not known
	Events    uint64  `json:"events"`
}

func zeroSuperblock(c *call) error {
	if len(c.args) == 0 {
		return usage("zero-superblock: name at least one device: graid zero-superblock DEVICE...")
	}
	if err := c.once(c.args); err != nil {
		return err
	}
	if err := daemon.CheckMembers(c.args); err != nil {
		return err
	}
	if err := c.notRunning(c.args); err != nil {
		return err
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	opened, err := daemon.OpenMembers(c.args, daemon.OpenOptions{Folder: &folder})
	if err != nil {
		return err
	}
	defer daemon.CloseMembers(opened)
	var list []marked
	for _, m := range opened {
		f, err := superblocks(c.ctx, m)
		if err != nil {
			return err
		}
		list = append(list, marked{Path: m.Path, Found: f, dev: m.Dev})
	}
	err = c.zeroable(list)
	if err == nil && !c.has("dry-run") {
		err = wipe(c.ctx, list)
	}
	return errors.Join(c.showMarked(list), err)
}

// notRunning refuses what is a member of a running array, one that failed too: locks do not tell on every system.
func (c *call) notRunning(paths []string) error {
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	all, err := folder.All(c.ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		for _, p := range paths {
			switch m := a.Array.Member(p); {
			case m == nil:
			case m.State == raid.MemberFaulty || m.State == raid.MemberSpare:
				return fmt.Errorf("%s: in use: it is a %s member of %s: `graid remove %s %s` first", p, m.State, a.Name, a.Name, daemon.Short(p))
			default:
				return fmt.Errorf("%s: in use: it is a member of %s, which runs: `graid stop %s` first", p, a.Name, a.Name)
			}
		}
	}
	return nil
}

// superblocks is what lies at the places where a superblock may be.
func superblocks(ctx context.Context, m raid.Member) ([]found, error) {
	list := []found{}
	size := m.Dev.Info().Size
	for _, p := range md.Places(uint64(size) / md.Sector) {
		at := int64(p.Sector) * md.Sector
		b := make([]byte, min(superblockMax, size-at))
		if err := block.ReadAt(ctx, m.Dev, b, at); err != nil {
			return nil, fmt.Errorf("%s: superblock %s: %w", m.Path, p.Version, err)
		}
		sb, err := md.Decode(b, p.Sector, uint64(size)/md.Sector)
		if errors.Is(err, md.ErrNoSuperblock) {
			continue
		}
		f := found{Metadata: p.Version.String(), Offset: at}
		if err != nil {
			text := err.Error()
			f.Error = &text
		} else {
			f.ArrayUUID, f.Name, f.Level, f.Events = sb.SetUUID.String(), sb.Name, md.LevelName(sb.Level), sb.Events
			if role := sb.Role(); role >= 0 {
				f.Role = &role
			}
		}
		list = append(list, f)
	}
	return list, nil
}

// superblockMax is what a superblock may take, bytes.
const superblockMax = 4096

// zeroable refuses devices that nobody may have meant.
func (c *call) zeroable(list []marked) error {
	if c.has("force") || c.has("dry-run") {
		return nil
	}
	for _, d := range list {
		if len(d.Found) == 0 {
			return fmt.Errorf("%s: has no superblock: check the path, or leave it out; nothing was zeroed", d.Path)
		}
		for _, f := range d.Found {
			if f.Error != nil {
				return fmt.Errorf("%s: superblock %s at %d is damaged: --force zeroes it all the same; nothing was zeroed", d.Path, f.Metadata, f.Offset)
			}
		}
	}
	return nil
}

// wipe zeroes what was found, durably.
func wipe(ctx context.Context, list []marked) error {
	for i := range list {
		d := &list[i]
		if len(d.Found) == 0 {
			continue
		}
		err := md.Wipe(ctx, d.dev)
		if err == nil {
			err = d.dev.Do(ctx, block.Request{Op: block.Flush})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.Path, err)
		}
		d.Zeroed = true
	}
	return nil
}

func (c *call) showMarked(list []marked) error {
	if c.has("json") {
		return printJSON(c.out, list)
	}
	for _, d := range list {
		for _, f := range d.Found {
			fmt.Fprintf(c.out, "%s: %s\n", d.Path, oneLine(f.String()))
		}
		if len(d.Found) == 0 {
			fmt.Fprintf(c.out, "%s: no superblock\n", d.Path)
		}
		if d.Zeroed {
			io.WriteString(c.out, d.Path+": zeroed\n")
		}
	}
	return nil
}

func (f found) String() string {
	s := fmt.Sprintf("superblock %s at %d: ", f.Metadata, f.Offset)
	if f.Error != nil {
		return s + "damaged: " + *f.Error
	}
	role := "spare"
	if f.Role != nil {
		role = fmt.Sprintf("m%d", *f.Role)
	}
	return s + fmt.Sprintf("%s of %s array %q (%s), event %d", role, f.Level, f.Name, f.ArrayUUID, f.Events)
}
