package blocktest

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"graid/block"
)

// Sector is the unit in which a power cut keeps or loses what was written, bytes.
const Sector = 512

// cache remembers, for every sector changed since the last flush, each content that it had since: the first is durable,
// the last is what the next device holds.
type cache struct {
	name string

	mu       sync.Mutex // guards what follows, and keeps it in step with the next device
	versions map[int64][][]byte
	off      bool // after a power cut
}

func newCache(name string) *cache { return &cache{name: name, versions: map[int64][][]byte{}} }

// do performs r on next and keeps what it replaces.
func (c *cache) do(ctx context.Context, next block.Device, r block.Request) error {
	if r.Op == block.Read {
		return next.Do(ctx, r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off { // cut while r was on its way here
		return block.Blame(c.name, r, block.ErrGone)
	}
	if r.Op == block.Flush {
		err := next.Do(ctx, r)
		if err == nil {
			clear(c.versions)
		}
		return err
	}
	info := next.Info()
	if info.Check(r) != nil || r.Len == 0 {
		return next.Do(ctx, r)
	}
	if err := c.note(ctx, next, r, false); err != nil {
		return err
	}
	err := next.Do(ctx, r)
	// Also after an error: what a failed write left is one more content that the sector may have.
	if noteErr := c.note(ctx, next, r, err == nil && r.Flags&block.FUA != 0); err == nil {
		err = noteErr
	}
	return err
}

// note appends what the sectors of r hold now to their versions; durable makes it the only one.
func (c *cache) note(ctx context.Context, next block.Device, r block.Request, durable bool) error {
	info := next.Info()
	unit := max(Sector, info.Block)
	lo := r.Off / unit * unit
	hi := min((r.End()+unit-1)/unit*unit, info.Size)
	now := block.Alloc(hi - lo)
	if err := block.ReadAt(ctx, next, now, lo); err != nil {
		return err
	}
	for at := lo; at < hi; at += Sector {
		content := now[at-lo : min(at-lo+Sector, hi-lo)]
		old := c.versions[at]
		switch {
		case durable: // all of the sector, also where the request was a part of it
			delete(c.versions, at)
		case len(old) == 0 || !bytes.Equal(old[len(old)-1], content):
			c.versions[at] = append(old, bytes.Clone(content))
		}
	}
	return nil
}

// survive writes to image, a copy of the next device, one of the contents of each changed sector.
func (c *cache) survive(rng *rand.Rand, image block.Device) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := image.Info()
	unit := max(Sector, info.Block)
	for _, at := range slices.Sorted(maps.Keys(c.versions)) {
		choice := c.versions[at]
		content := choice[rng.IntN(len(choice))]
		// Sectors are smaller than the blocks of some devices, so each goes in by way of its block.
		lo := at / unit * unit
		whole := block.Alloc(min(unit, info.Size-lo))
		if err := block.ReadAt(context.Background(), image, whole, lo); err != nil {
			return err
		}
		copy(whole[at-lo:], content)
		if err := block.WriteAt(context.Background(), image, whole, lo); err != nil {
			return err
		}
	}
	return nil
}

// Crash cuts the power of a Volatile device: each sector that was changed since the last flush is left with one of the
// contents that it had since, independently of the others, as rng decides, and every request from now on, held ones too,
// is answered ErrGone. The next device holds the outcome: wrap it again to go on.
func (f *Faulty) Crash(rng *rand.Rand) error {
	f.PowerOff()
	return f.Survivors(rng, f.next)
}

// PowerOff makes every request from now on fail with ErrGone and leaves the content of the next device as it is.
func (f *Faulty) PowerOff() {
	f.mu.Lock()
	f.off = true
	f.mu.Unlock()
	if f.cache != nil {
		f.cache.mu.Lock()
		f.cache.off = true
		f.cache.mu.Unlock()
	}
}

// Survivors makes image, a copy of the next device as it is now, what a power cut now might leave, and leaves the Faulty
// as it is: one moment gives as many outcomes as wanted. Image may be the next device itself once the power is off.
func (f *Faulty) Survivors(rng *rand.Rand, image block.Device) error {
	if f.cache == nil {
		return nil
	}
	return f.cache.survive(rng, image)
}

// Unflushed is how many sectors a power cut now might leave with something else than what a read returns.
func (f *Faulty) Unflushed() int {
	if f.cache == nil {
		return 0
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	n := 0
	for _, v := range f.cache.versions {
		if len(v) > 1 {
			n++
		}
	}
	return n
}
