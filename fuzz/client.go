package fuzz

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"time"

	"graid/block"
	"graid/raid"
)

// client is somebody who uses the array: one request at a time, on sectors that belong to it alone, which lie between those of others.
type client struct {
	*run
	a   *raid.Array
	rng *rand.Rand
	id  int
}

// spot draws a stretch of the client's own sectors; n is 0 when it has none.
func (c *client) spot() (lba, n int64) {
	all := int64(len(c.j.sectors))
	runs := (all + c.Run - 1) / c.Run
	mine := (runs - int64(c.id) + int64(c.Clients) - 1) / int64(c.Clients)
	if mine <= 0 {
		return 0, 0
	}
	lo := (c.rng.Int64N(mine)*int64(c.Clients) + int64(c.id)) * c.Run
	hi := min(lo+c.Run, all)
	if c.rng.IntN(4) == 0 {
		return lo, hi - lo
	}
	lba = lo + c.rng.Int64N(hi-lo)
	return lba, 1 + c.rng.Int64N(hi-lba)
}

// request does one, and judges it.
func (c *client) request() {
	lba, n := c.spot()
	m := &c.Mix
	pick := c.rng.IntN(m.read + m.write + m.fua + m.zeroes + m.discard + m.flush + m.pause)
	if n == 0 {
		pick = m.read + m.write + m.fua + m.zeroes + m.discard // has nothing: flushes, or pauses
		if m.flush+m.pause == 0 {
			return
		}
	}
	c.count++
	r := block.Request{Off: lba * sector, Len: n * sector}
	switch {
	case pick < m.read:
		r.Op, r.Buf = block.Read, bytes.Repeat([]byte{0xA5}, int(r.Len))
		if err := c.do(r); err == nil {
			c.judge(c.j.read(lba, r.Buf), r)
		}
	case pick < m.read+m.write+m.fua:
		r.Op, r.Buf = block.Write, make([]byte, r.Len)
		if pick >= m.read+m.write {
			r.Flags = block.FUA
		}
		c.j.write(lba, n, r.Buf)
		c.mutated(c.do(r), r, lba, n)
	case pick < m.read+m.write+m.fua+m.zeroes:
		r.Op = block.WriteZeroes
		c.j.write(lba, n, nil)
		c.mutated(c.do(r), r, lba, n)
	case pick < m.read+m.write+m.fua+m.zeroes+m.discard:
		r.Op = block.Discard
		c.j.discarded(lba, n)
		if c.do(r) != nil {
			c.j.failed(lba, n)
		}
	case pick < m.read+m.write+m.fua+m.zeroes+m.discard+m.flush:
		began := c.j.clock
		if c.do(block.Request{Op: block.Flush}) == nil {
			c.j.flushed(began)
		}
	default:
		c.host.Sleep(time.Duration(c.rng.Int64N(int64(c.Disk.Least) * 1000)))
	}
}

// mutated tells the judge how a write ended.
func (c *client) mutated(err error, r block.Request, lba, n int64) {
	if err != nil {
		c.j.failed(lba, n)
		return
	}
	c.j.acked(lba, n, r.Flags&block.FUA != 0)
}

// do performs r on the array. An error that must not be is the end of the world.
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

func (c *client) do(req block.Request) error { return c.run.do(c.a, req) }

func (r *run) judge(err error, req block.Request) {
	if err != nil {
		r.fail("%v returned wrong data: %w", req, err)
	}
}

// piece is how much verify reads at a time, bytes.
const piece = 96 << 10

// verify reads all of the array. Where it may not be readable, it is read sector by sector.
func (r *run) verify(a *raid.Array) {
	size := r.lay.size()
	for off := int64(0); off < size && r.err == nil && !r.broken; off += piece {
		req := block.Request{Op: block.Read, Off: off, Len: min(piece, size-off)}
		req.Buf = bytes.Repeat([]byte{0xA5}, int(req.Len))
		if r.do(a, req) == nil {
			r.judge(r.j.read(off/sector, req.Buf), req)
			continue
		}
		for at := off; at < off+req.Len && r.err == nil; at += 4096 {
			small := block.Request{Op: block.Read, Off: at, Len: min(4096, off+req.Len-at)}
			small.Buf = bytes.Repeat([]byte{0xA5}, int(small.Len))
			if r.do(a, small) == nil {
				r.judge(r.j.read(at/sector, small.Buf), small)
			}
		}
	}
}
