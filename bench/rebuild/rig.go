//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"graid/block"
	"graid/block/delay"
	"graid/block/file"
	"graid/block/mem"
	"graid/raid"
	"graid/raid/md"
	"graid/sched"
)

var ctx = context.Background()

// rig is an array whose last member is lost and filled again and again.
type rig struct {
	*raid.Array
	name    string
	members []raid.Member
	spare   []block.Device // as large as members, for the copies
	rows    int64          // bytes of each member that recovery is about
	reads   int            // how many members it reads
	slow    bool           // members are as disks are: what can overlap should
	off     int64          // of the data area
	events  chan raid.Event
}

// disk is what a member of the kind "disks" is like: an SSD behind SATA, say, of which memory copies are a small part.
var disk = delay.Model{Latency: 100 * time.Microsecond, Rate: 200e6, Depth: 32}

// lasting is a device that the array does not close.
type lasting struct{ block.Device }

func (lasting) Close() error { return nil }

func (d lasting) Unwrap() block.Device { return d.Device }

func newRig(s shape, kind string, size int64, dir string) (*rig, error) {
	r := &rig{events: make(chan raid.Event, 1000), slow: kind == "disks"}
	if r.slow {
		size /= 8
	}
	for i := range 2 * s.n {
		path := filepath.Join(dir, fmt.Sprintf("%s %d %s", s.name, i, kind))
		dev, err := open(kind, path, size)
		if err != nil {
			return nil, err
		}
		if i < s.n {
			r.members = append(r.members, raid.Member{Path: path, Dev: lasting{dev}})
		} else {
			r.spare = append(r.spare, dev)
		}
	}
	s.spec.RaidDevices, s.spec.AssumeClean = s.n, true
	d, err := raid.Create(ctx, s.spec, r.members, raid.Options{})
	if err != nil {
		return nil, err
	}
	r.Array, err = raid.Assemble(ctx, r.members, raid.Options{OnEvent: func(e raid.Event) { r.events <- e }})
	if err != nil {
		return nil, err
	}
	sb := d.Supers[0]
	r.rows, r.off = int64(sb.Size)*md.Sector, int64(sb.DataOffset)*md.Sector
	r.reads = s.n - 1
	if s.spec.Level == 6 {
		r.reads = s.n - 2 // one parity is enough for one member
	}
	return r, r.fill()
}

func open(kind, path string, size int64) (block.Device, error) {
	switch kind {
	case "memory":
		return mem.New(size, mem.Options{Name: path}), nil
	case "disks":
		return delay.Wrap(mem.New(size, mem.Options{Name: path}), disk, 1, sched.Real), nil
	}
	if err := create(path, size); err != nil {
		return nil, err
	}
	return file.Open(path, file.Options{})
}

// fill writes the whole array, and what copies go to: nobody shall meet a page that is not there yet.
func (r *rig) fill() error {
	buf := block.Alloc(1 << 20)
	rand.NewChaCha8([32]byte{}).Read(buf)
	for _, dev := range append([]block.Device{r.Array}, r.spare...) {
		for off := int64(0); off < dev.Info().Size; off += int64(len(buf)) {
			if err := block.WriteAt(ctx, dev, buf[:min(int64(len(buf)), dev.Info().Size-off)], off); err != nil {
				return err
			}
		}
	}
	return nil
}

// recover has the last member lost and filled again.
func (r *rig) recover() (time.Duration, error) {
	if err := r.lose(); err != nil {
		return 0, err
	}
	return r.await()
}

// lose has the last member fail, and come back as a new one. It is being filled then.
func (r *rig) lose() error {
	last := r.members[len(r.members)-1]
	if err := r.Fail(ctx, last.Path); err != nil {
		return err
	}
	if err := r.Remove(ctx, last.Path); err != nil {
		return err
	}
	return r.Add(ctx, last, raid.AddOptions{Anew: true})
}

// await returns how long recovery took, when it is done.
func (r *rig) await() (time.Duration, error) {
	var began time.Time
	for e := range r.events {
		switch e.Kind {
		case raid.EventRebuildStart:
			began = e.At
		case raid.EventRebuildEnd:
			return e.At.Sub(began), r.Wait(ctx)
		case raid.EventUncorrectable:
			return 0, fmt.Errorf("%s: %s", e.Kind, e.Detail)
		}
	}
	return 0, nil
}

func (r *rig) close() {
	r.Array.Close()
	for _, m := range r.members {
		m.Dev.(lasting).Device.Close()
	}
	for _, dev := range r.spare {
		dev.Close()
	}
}
