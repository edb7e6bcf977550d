package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"graid/block"
	"graid/block/file"
	"graid/block/mem"
	"graid/raid"
	"graid/raid/md"
)

var ctx = context.Background()

const (
	roles      = 6
	dataRoles  = roles - 2
	chunk      = 64 << 10
	stripe     = dataRoles * chunk
	memberSize = 96 << 20
	logSize    = 16 << 20 // of each member: what data offsets that mdadm chooses leave free
)

// kind is what members and their logs are.
type kind struct {
	name   string
	dir    string // "" = memory
	direct bool
}

func (k kind) open(dir, name string, size int64) (block.Device, error) {
	if k.dir == "" {
		return mem.New(size, mem.Options{Name: name}), nil
	}
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeroes := make([]byte, 1<<20)
	for off := int64(0); off < size && err == nil; off += int64(len(zeroes)) {
		_, err = f.Write(zeroes) // nobody shall meet a block that is not allocated yet
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	mode := file.Buffered
	if k.direct {
		mode = file.Direct
	}
	return file.Open(path, file.Options{Mode: mode})
}

// rig is an array and, by role, the log that stands for a part of that member's headroom.
type rig struct {
	*raid.Array
	logs []block.Device
	dir  string
}

func newRig(k kind) (*rig, error) {
	dir, err := os.MkdirTemp(k.dir, "graid-hole-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir}
	var members []raid.Member
	for i := range roles {
		dev, err := k.open(dir, fmt.Sprint("m", i), memberSize)
		if err != nil {
			return nil, err
		}
		members = append(members, raid.Member{Path: fmt.Sprint("m", i), Dev: dev})
		log, err := k.open(dir, fmt.Sprint("log", i), logSize)
		if err != nil {
			return nil, err
		}
		r.logs = append(r.logs, log)
	}
	spec := md.Spec{Level: 6, Layout: -1, Chunk: chunk, RaidDevices: roles, AssumeClean: true}
	if _, err := raid.Create(ctx, spec, members, raid.Options{}); err != nil {
		return nil, err
	}
	r.Array, err = raid.Assemble(ctx, members, raid.Options{})
	return r, err
}

func (r *rig) close() {
	r.Array.Close()
	for _, l := range r.logs {
		l.Close()
	}
	os.RemoveAll(r.dir)
}
