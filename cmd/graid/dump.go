package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"graid/block"
	"graid/daemon"
	"graid/raid"
)

func dumpVerb() verb {
	return verb{
		name:  "dump",
		args:  "MEMBER...",
		short: "copy an array's content to a file or standard output; writes to no member",
		long: `Assembles the array read-only inside this one process and copies its content. Holes in the array stay holes in the
file. Works with as few members as the level can be read from, and then ends with status 3. Writes nothing to any member.`,
		flags: []flag{
			{name: "output", short: "o", value: "FILE", usage: "write to FILE, which must not exist yet (default: standard output)"},
			{name: "offset", value: "SIZE", usage: "start there (default: 0)"},
			{name: "length", value: "SIZE", usage: "copy so much (default: all that is left)"},
			{name: "force", short: "f", usage: "accept stale members and a dirty degraded array; replace FILE"},
			{name: "uuid", short: "u", value: "UUID", usage: "only this array, where members of several are given"},
			{name: "io", value: "MODE", usage: "how members are read: auto, buffered or direct (default: auto)"},
		},
		run: dump,
	}
}

func dump(c *call) (err error) {
	if len(c.args) == 0 {
		return usage("dump: name the members: graid dump [options] MEMBER...")
	}
	if err := c.once(c.args); err != nil {
		return err
	}
	job, err := dumpJob(c)
	if err != nil {
		return err
	}
	a, err := openReadOnly(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := job.within(a.Info().Size); err != nil {
		return err
	}
	out, err := job.open(c)
	if err != nil {
		return err
	}
	show := newMeter(c.err, job.length)
	err = copyArray(c.ctx, a, out, job.offset, job.length, show)
	show.end()
	if err = out.finish(err); err != nil {
		return err
	}
	s := a.Status()
	if s.Degraded > 0 {
		return &attention{fmt.Sprintf("the array is degraded: read from %d of its %d members", s.RaidDevices-s.Degraded, s.RaidDevices)}
	}
	return nil
}

// openReadOnly assembles the array in this process; what only just suffices is enough.
func openReadOnly(c *call) (*raid.Array, error) {
	mode, err := c.mode()
	if err != nil {
		return nil, err
	}
	uuid, err := c.uuid()
	if err != nil {
		return nil, err
	}
	members, err := daemon.OpenMembers(c.args, daemon.OpenOptions{ReadOnly: true, Mode: mode})
	if err != nil {
		return nil, err
	}
	return raid.Assemble(c.ctx, members, raid.Options{ReadOnly: true, Run: true, Force: c.has("force"), UUID: uuid})
}

// job is what to copy and where to.
type job struct {
	offset, length int64 // bytes; length -1 = to the end
	file           string
	force          bool
}

func dumpJob(c *call) (*job, error) {
	j := &job{length: -1, file: c.get("output"), force: c.has("force")}
	var err error
	if j.offset, err = c.size("offset"); err != nil {
		return nil, err
	}
	if c.given("length") {
		if j.length, err = c.size("length"); err != nil {
			return nil, err
		}
	}
	if j.file == "-" {
		j.file = ""
	}
	if j.file == "" {
		if isTerminal(c.out) {
			return nil, usage("dump: standard output is a terminal: name a file with -o FILE, or pipe it somewhere")
		}
		return j, nil
	}
	fi, err := os.Stat(j.file)
	if err != nil {
		if dir, err := os.Stat(filepath.Dir(j.file)); err != nil || !dir.IsDir() {
			return nil, fmt.Errorf("%s: there is no folder %s", j.file, filepath.Dir(j.file))
		}
		return j, nil
	}
	for _, m := range c.args {
		if f, err := os.Stat(m); err == nil && os.SameFile(f, fi) {
			return nil, usage("dump: %s: is a member of the array itself: name another file", j.file)
		}
	}
	switch {
	case fi.IsDir():
		return nil, fmt.Errorf("%s: is a folder: name a file in it", j.file)
	case !j.force && (fi.Mode().IsRegular() || isBlock(fi.Mode())): // a pipe or /dev/null has nothing to lose
		return nil, fmt.Errorf("%s: exists already: name another file, or replace it with --force", j.file)
	}
	return j, nil
}

func (j *job) within(size int64) error {
	if j.offset > size {
		return usage("dump: --offset: %s is beyond the end of the array, which has %s (%d bytes)", human(j.offset), human(size), size)
	}
	if j.length < 0 {
		j.length = size - j.offset
	}
	if j.length > size-j.offset {
		return usage("dump: --length: %s from %s on is beyond the end of the array, which has %s (%d bytes)",
			human(j.length), human(j.offset), human(size), size)
	}
	return nil
}

// sink takes the content in order.
type sink interface {
	write(p []byte) error
	skip(n int64) error     // so many zeroes
	finish(err error) error // err = what went wrong before; a file that is not complete does not stay
}

func (j *job) open(c *call) (sink, error) {
	if j.file == "" {
		return &stream{c.ctx, c.out}, nil
	}
	if fi, err := os.Stat(j.file); err == nil && !fi.Mode().IsRegular() {
		f, err := os.OpenFile(j.file, os.O_WRONLY, 0)
		if err != nil {
			return nil, sayPath(err)
		}
		return &device{stream{c.ctx, f}, f}, nil
	}
	// Under another name until it is whole: a file that is replaced stays as it was if anything goes wrong.
	f, err := os.CreateTemp(filepath.Dir(j.file), "."+filepath.Base(j.file)+".part-*")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", j.file, cause(err))
	}
	return &sparse{f: f, name: j.file, replace: j.force}, nil
}

func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// dumpChunk is how much is read at once, bytes.
const dumpChunk = 4 << 20

// copyArray copies [off, off+n) of dev to out. Reading runs one piece ahead of writing.
func copyArray(ctx context.Context, dev block.Device, out sink, off, n int64, show *meter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type piece struct {
		buf  []byte // nil = zeroes
		n    int64
		give []byte // back to the reader
		err  error
	}
	free, pieces := make(chan []byte, 3), make(chan piece)
	for range cap(free) {
		free <- block.Alloc(dumpChunk)
	}
	go func() {
		defer close(pieces)
		send := func(p piece) bool {
			select {
			case pieces <- p:
				return p.err == nil
			case <-ctx.Done():
				return false
			}
		}
		grain := max(dev.Info().Block, 1)
		for end := off + n; off < end; {
			if ctx.Err() != nil {
				return
			}
			take := min(end-off, dumpChunk-off%dumpChunk)
			lo := off - off%grain
			hi := min((off+take+grain-1)/grain*grain, dev.Info().Size)
			if zero(ctx, dev, lo, hi-lo) {
				if !send(piece{n: take}) {
					return
				}
				off += take
				continue
			}
			var b []byte
			select {
			case b = <-free:
			case <-ctx.Done():
				return
			}
			err := block.ReadAt(ctx, dev, b[:hi-lo], lo)
			if !send(piece{b[off-lo : off-lo+take], take, b, err}) {
				return
			}
			off += take
		}
	}()
	for p := range pieces {
		err := p.err
		switch {
		case err != nil:
		case p.buf == nil:
			err = out.skip(p.n)
		default:
			err = out.write(p.buf)
		}
		if err != nil {
			cancel()
			for range pieces { // until the reader has let go of the array
			}
			return err
		}
		if p.give != nil {
			free <- p.give
		}
		show.add(p.n)
	}
	return ctx.Err()
}

// zero says whether [off, off+n) is known to read as zeroes.
func zero(ctx context.Context, dev block.Device, off, n int64) bool {
	list, err := block.Extents(ctx, dev, off, n, nil)
	return err == nil && len(list) == 1 && list[0].Zero
}

// stream is a sink that takes bytes one after the other. It may be a pipe that nobody reads: ctx ends the wait.
type stream struct {
	ctx context.Context
	w   io.Writer
}

var zeroes [64 << 10]byte

func (s *stream) write(p []byte) error {
	done := make(chan error, 1)
	go func() {
		_, err := s.w.Write(p)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *stream) skip(n int64) error {
	for n > 0 {
		k := min(n, int64(len(zeroes)))
		if err := s.write(zeroes[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

func (s *stream) finish(err error) error { return err }

// device is a stream into something that has a name and stays whatever happens.
type device struct {
	stream
	f *os.File
}

func (d *device) finish(err error) error {
	if fi, e := d.f.Stat(); e == nil && isBlock(fi.Mode()) {
		err = errors.Join(err, d.f.Sync())
	}
	return errors.Join(err, d.f.Close())
}
