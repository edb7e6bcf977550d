package oracle

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
)

// content is what an array must hold: what was written and acknowledged, and writes that were on their way when the server died.
type content struct {
	data    []byte
	pending []pending // they do not overlap in any sector
}

// pending is a write that nobody acknowledged: each sector of it may be old or new.
type pending struct {
	off  int64
	data []byte
}

// judge compares an array's content with what it must be.
func (c *content) judge(r io.Reader) error {
	got, err := io.ReadAll(io.LimitReader(r, int64(len(c.data))+1))
	if err != nil {
		return err
	}
	if len(got) != len(c.data) {
		return fmt.Errorf("%d bytes, want %d", len(got), len(c.data))
	}
	allowed := map[int64][]byte{} // by sector: what it also may be
	for _, p := range c.pending {
		first, last := p.off/sector, (p.off+int64(len(p.data))-1)/sector
		span := slices.Clone(c.data[first*sector : (last+1)*sector])
		copy(span[p.off-first*sector:], p.data)
		for n := first; n <= last; n++ {
			allowed[n] = span[(n-first)*sector:][:sector]
		}
	}
	for n := int64(0); n*sector < int64(len(got)); n++ {
		g, w := got[n*sector:min((n+1)*sector, int64(len(got)))], c.data[n*sector:min((n+1)*sector, int64(len(got)))]
		if !slices.Equal(g, w) && !slices.Equal(g, allowed[n]) {
			state := "acknowledged"
			if allowed[n] != nil {
				state = "or what was on its way"
			}
			return fmt.Errorf("sector %d: there is %s, want %s, %s", n, describe(g), describe(w), state)
		}
	}
	return nil
}

// writers is how many write at the same time, each in a region of its own, one request at a time: so at most one is unacknowledged
// in each region, whatever happens.
const writers = 4

// scribble writes at random through NBD, aligned and not, until every writer did count requests or the server is gone. It keeps
// c up to date. acked is called after every acknowledged request with their number so far.
func (c *content) scribble(socket, export string, seed uint64, count int, acked func(int)) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		total atomic.Int64
	)
	region := int64(len(c.data)) / writers / sector * sector
	for w := range int64(writers) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p, err := c.scribbleIn(socket, export, w*region, region, rand.New(rand.NewPCG(seed, uint64(w))), count, func() { acked(int(total.Add(1))) })
			mu.Lock()
			defer mu.Unlock()
			if p != nil {
				c.pending = append(c.pending, *p)
			}
			if err != nil {
				errs = append(errs, err)
			}
		}()
	}
	wg.Wait()
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

func (c *content) scribbleIn(socket, export string, lo, size int64, r *rand.Rand, count int, acked func()) (*pending, error) {
	client, err := dialNBD(socket, export)
	if err != nil {
		return nil, err
	}
	defer client.close()
	for i := range count {
		off, n := span(r, size)
		off += lo
		kind, flags := uint16(nbdWrite), uint16(0)
		data := make([]byte, (n+2*sector)/sector*sector)
		fillPattern(data, off/sector, uint32(1000+i))
		data = data[off%sector:][:n]
		if client.flags&nbdCanZeroes != 0 && r.IntN(8) == 0 {
			kind = nbdWriteZeroes
			clear(data)
		}
		if client.flags&nbdCanFUA != 0 && r.IntN(8) == 0 {
			flags = nbdFUA
		}
		if err := client.do(kind, flags, off, int(n), data); err != nil {
			return &pending{off, data}, err
		}
		copy(c.data[off:], data)
		acked()
		if r.IntN(16) == 0 {
			if err := client.do(nbdFlush, 0, 0, 0, nil); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// span chooses a piece of size bytes: sectors, pages, whole chunks and odd bytes.
func span(r *rand.Rand, size int64) (off, n int64) {
	unit := []int64{1, 1, sector, 4096, 4096, 65536}[r.IntN(6)]
	n = min((1+r.Int64N(16))*unit, size)
	if unit == 1 {
		n = 1 + r.Int64N(min(20000, size))
	}
	return r.Int64N((size-n)/unit+1) * unit, n
}
