package fuzz

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"

	"graid/block"
	"graid/raid"
)

// client is somebody who uses the array, one request at a time.
type client struct {
	*run
	a *raid.Array
}

// perform does o, and judges it.
func (c *client) perform(o Op) {
	o.N = min(o.N, int64(len(c.j.sectors))-o.LBA)
	if o.N <= 0 && bytes.IndexByte([]byte(onSectors), o.Kind) >= 0 {
		return // of a case that was made smaller
	}
	c.count++
	r := block.Request{Op: block.Write, Off: o.LBA * sector, Len: o.N * sector}
	switch o.Kind {
	case opRead:
		c.read(c.a, r.Off, r.Len)
	case opWrite, opFUA:
		if r.Buf = c.buffer(r.Len); o.Kind == opFUA {
			r.Flags = block.FUA
		}
		c.write(o, r)
		c.buffers = append(c.buffers, r.Buf)
	case opZeroes:
		r.Op = block.WriteZeroes
		c.write(o, r)
	case opDiscard:
		r.Op = block.Discard
		c.h.spare(o.LBA, o.N)
		c.write(o, r)
	case opFlush:
		began := c.j.begin()
		if c.do(c.a, block.Request{Op: block.Flush}) == nil {
			c.j.flushed(began)
		}
	case opPause:
		c.host.Sleep(o.Pause)
	}
}

// write does r, a write of some kind, and tells the judges.
func (c *client) write(o Op, r block.Request) {
	v, began := c.j.write(o.LBA, o.N, r.Buf)
	end := c.h.begin(call{lba: o.LBA, n: o.N, began: began, v: v})
	how := done
	switch err := c.do(c.a, r); {
	case err != nil:
		c.h.spare(o.LBA, o.N)
		how = failed
	case o.Kind == opDiscard:
		how = maybe
	case o.Kind == opFUA:
		how = durable
	}
	c.j.wrote(o.LBA, o.N, began, how)
	if how <= durable {
		c.mended(o.LBA, o.N)
	}
	end(c.j.clock)
}

// read does a read of [off, off+n), and judges it. It says whether it succeeded.
func (r *run) read(a *raid.Array, off, n int64) bool {
	req := block.Request{Op: block.Read, Off: off, Len: n, Buf: r.buffer(n)}
	defer func() { r.buffers = append(r.buffers, req.Buf) }()
	c := call{lba: off / sector, n: n / sector, began: r.j.begin()}
	r.j.reading++
	err := r.do(a, req)
	if r.j.reading--; err != nil {
		return false
	}
	c.got = make([]version, c.n)
	err = r.j.read(c.lba, req.Buf, c.began, func(lba int64, v version) {
		if c.got[lba-c.lba] = v; v == garbage {
			r.h.spare(lba, 1)
		}
	})
	if err != nil {
		r.fail("%v returned wrong data: %w", req, err)
	}
	r.h.begin(c)(r.j.clock)
	return true
}

// buffer is n bytes of memory that hold nothing in particular.
func (r *run) buffer(n int64) []byte {
	for i, b := range r.buffers {
		if int64(cap(b)) >= n {
			r.buffers = slices.Delete(r.buffers, i, i+1)
			for at := int64(0); at < n; at += int64(copy(b[at:n], scratch)) {
			}
			return b[:n]
		}
	}
	return bytes.Repeat(scratch[:1], int(max(n, 4096)))[:n]
}

// scratch is what memory holds that nobody has written to.
var scratch = bytes.Repeat([]byte{0xA5}, 4096)

// do performs req on the array. An error that must not be is the end of the world.
func (r *run) do(a *raid.Array, req block.Request) error {
	err := a.Do(ctx, req)
	r.w.Note("array", req, err)
	if err != nil {
		r.seen["error "+block.Classify(err).String()]++
		ours := block.Classify(err) == block.Caller && !(r.Beyond && errors.Is(err, block.ErrReadOnly)) // a last copy may take no writes any more
		if ours || !r.mayFail() {
			r.fail("%w", err)
		}
	}
	return err
}

// piece is how much verify reads at a time, bytes.
const piece = 96 << 10

// verify reads all of the array. Where it may not be readable, it is read in small pieces.
func (r *run) verify(a *raid.Array) {
	size := r.size()
	for off := int64(0); off < size && r.err == nil && !r.broken; off += piece {
		n := min(piece, size-off)
		if r.read(a, off, n) {
			continue
		}
		for at := off; at < off+n && r.err == nil; at += 4096 {
			r.read(a, at, min(4096, off+n-at))
		}
	}
}

// glance looks at what the last crash left open, now with this neighbourhood and now with that, so that whatever has a say in which
// copy is read gives different answers.
func (r *run) glance(a *raid.Array, rng *rand.Rand) {
	suspects := slices.Clone(r.j.suspects)
	for range min(8, len(suspects)) {
		unit, size := r.unit(), r.size()/sector
		lba := suspects[rng.IntN(len(suspects))]
		lo := max(0, lba-rng.Int64N(40)) / unit * unit
		hi := min(size, (lba+rng.Int64N(16)+unit)/unit*unit)
		if lba >= hi || r.err != nil || r.broken {
			return
		}
		r.read(a, lo*sector, (hi-lo)*sector)
	}
}
