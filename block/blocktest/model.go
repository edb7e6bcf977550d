package blocktest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// model is what a device must hold: a plain array, and for every byte whether anything is promised of it.
type model struct {
	data    []byte
	unknown []bool // discarded and not rewritten since
	written []bool // by Write, not by WriteZeroes, since the start
}

// model runs random requests one after another on the device and on an array of bytes, and compares.
func (s *suite) model(t *testing.T) {
	d, info := s.device(t)
	m := &model{data: scratch(info.Size), unknown: make([]bool, info.Size), written: make([]bool, info.Size)}
	require.NoError(t, block.ReadAt(background, d, m.data, 0), "what a fresh device holds can be read")

	rng := s.rand(1)
	var history []string
	check := func(r block.Request, err error) {
		if err != nil {
			t.Fatalf("%v\nthe requests before it, last %d (seed %d):\n%s", err, len(history), s.seed, lines(history))
		}
	}
	steps := 1500
	if raceEnabled { // the model looks at every byte, which the detector makes slow
		steps = 250
	}
	for i := range steps {
		r := s.request(rng, info)
		history = append(history, r.String()+flagNames(r.Flags))
		history = history[max(0, len(history)-20):]
		check(r, m.step(d, info, rng, r))
		if i%50 == 0 {
			check(r, m.extents(d, info, rng))
		}
	}
	got := scratch(info.Size)
	require.NoError(t, block.ReadAt(background, d, got, 0))
	check(block.Request{}, m.compare(got, 0))
	check(block.Request{}, m.extentsOf(d, 0, info.Size))
}

func lines(list []string) string {
	var b bytes.Buffer
	for _, l := range list {
		fmt.Fprintln(&b, "  ", l)
	}
	return b.String()
}

func flagNames(f block.Flags) (s string) {
	if f&block.NoHole != 0 {
		s += " no-hole"
	}
	if f&block.Fast != 0 {
		s += " fast"
	}
	return s
}

// request is a random valid request: mostly small ones that touch the same places, and the edges of powers of two.
func (s *suite) request(rng *rand.Rand, info block.Info) block.Request {
	var r block.Request
	switch n := rng.IntN(100); {
	case n < 35:
		r.Op = block.Read
	case n < 75:
		r.Op = block.Write
	case n < 88:
		r.Op = block.WriteZeroes
	case n < 95:
		r.Op = block.Discard
	default:
		return block.Request{Op: block.Flush}
	}
	if r.Op != block.Read && rng.IntN(8) == 0 {
		r.Flags |= block.FUA
	}
	if r.Op == block.WriteZeroes {
		r.Flags |= []block.Flags{0, block.NoHole, block.Fast, block.Fast | block.NoHole}[rng.IntN(4)]
	}
	r.Off, r.Len = span(rng, info)
	if r.Op == block.Read || r.Op == block.Write {
		r.Buf = []byte{} // its memory is step's affair; here only to say that there is one
	}
	return r
}

// span is a random aligned range, at times empty, at times touching the end or an edge where tables and files change page.
func span(rng *rand.Rand, info block.Info) (off, n int64) {
	limits := []int64{4 << 10, 4 << 10, 4 << 10, 64 << 10, 64 << 10, 256 << 10}
	n = rng.Int64N(limits[rng.IntN(len(limits))] + 1)
	n = min(n/info.Block*info.Block, info.Size)
	off = rng.Int64N(info.Size - n + 1)
	switch rng.IntN(8) {
	case 0:
		off = info.Size - n
	case 1: // across or up to the edge of 64 KiB
		off = max(0, off&^(64<<10-1)-n/2)
	case 2: // whole pages
		off &^= 4<<10 - 1
		n = min((n+4<<10-1)&^(4<<10-1), (info.Size-off)/info.Block*info.Block)
	}
	return off / info.Block * info.Block, n
}

// step does r on the device and in the model.
func (m *model) step(d block.Device, info block.Info, rng *rand.Rand, r block.Request) error {
	lo, hi := r.Off, r.End()
	switch r.Op {
	case block.Flush:
		return d.Do(background, r)
	case block.Read:
		b := guarded(rng, info, r.Len)
		r.Buf = b.mem
		if err := d.Do(background, r); err != nil {
			return err
		}
		if err := b.check(r); err != nil {
			return err
		}
		return m.compare(b.mem, lo)
	case block.Write:
		b := guarded(rng, info, r.Len)
		for i := range b.mem {
			b.mem[i] = byte(1 + rng.UintN(255))
		}
		if rng.IntN(6) == 0 {
			clear(b.mem) // written zeroes are data too
		}
		copy(m.data[lo:hi], b.mem)
		r.Buf = b.mem
		if err := d.Do(background, r); err != nil {
			return err
		}
		if err := b.check(r); err != nil {
			return err
		}
		if !bytes.Equal(b.mem, m.data[lo:hi]) {
			return fmt.Errorf("%v: the device changed the memory that it was to write from", r)
		}
		fill(b.mem, 0xEE) // nobody may look at it any more
		m.mark(lo, hi, false, true)
	case block.WriteZeroes:
		err := d.Do(background, r)
		if r.Flags&block.Fast != 0 && err != nil {
			if block.Classify(err) != block.Caller {
				return err
			}
			return m.same(d, lo, hi)
		}
		if err != nil {
			return err
		}
		clear(m.data[lo:hi])
		m.mark(lo, hi, false, false)
	case block.Discard:
		if err := d.Do(background, r); err != nil {
			return err
		}
		m.mark(lo, hi, true, false)
	}
	return nil
}

func (m *model) mark(lo, hi int64, unknown, written bool) {
	for i := lo; i < hi; i++ {
		m.unknown[i], m.written[i] = unknown, written
	}
}

// same reads [lo, hi) and finds the model's content.
func (m *model) same(d block.Device, lo, hi int64) error {
	b := scratch(hi - lo)
	if err := block.ReadAt(background, d, b, lo); err != nil {
		return err
	}
	return m.compare(b, lo)
}

// compare finds in b, read at off, what the model promises.
func (m *model) compare(b []byte, off int64) error {
	if bytes.Equal(b, m.data[off:off+int64(len(b))]) {
		return nil
	}
	for i := range b {
		at := off + int64(i)
		if b[i] != m.data[at] && !m.unknown[at] {
			return fmt.Errorf("byte %d reads as %#02x, not %#02x (read [%d,+%d))", at, b[i], m.data[at], off, len(b))
		}
	}
	return nil
}

// extents compares a random range of block status with the model.
func (m *model) extents(d block.Device, info block.Info, rng *rand.Rand) error {
	off, n := span(rng, info)
	return m.extentsOf(d, off, n)
}

func (m *model) extentsOf(d block.Device, off, n int64) error {
	first := block.Extent{Len: 12345} // what was in the list stays
	list, err := block.Extents(background, d, off, n, []block.Extent{first})
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0].Len < first.Len {
		return fmt.Errorf("extents [%d,+%d): the list that was there is gone: %v", off, n, list)
	}
	list[0].Len -= first.Len // it may have been joined with the first
	at := off
	for i, e := range list {
		if e.Len <= 0 && i > 0 {
			return fmt.Errorf("extents [%d,+%d): an extent of %d bytes: %v", off, n, e.Len, list)
		}
		for end := at + e.Len; at < end && at < off+n; at++ {
			known := !m.unknown[at]
			if known && m.data[at] != 0 && (e.Zero || e.Hole && m.written[at]) {
				return fmt.Errorf("extents [%d,+%d): byte %d is %#02x, in an extent called hole %v zero %v", off, n, at, m.data[at], e.Hole, e.Zero)
			}
		}
	}
	if sum := total(list); sum != n {
		return fmt.Errorf("extents [%d,+%d) add up to %d bytes: %v", off, n, sum, list)
	}
	return nil
}

func total(list []block.Extent) (n int64) {
	for _, e := range list {
		n += e.Len
	}
	return n
}

// memory lent to a device, with memory around it that is not lent.
type lent struct{ all, mem []byte }

const guard = 64 // bytes on either side

// guarded is n bytes for info: as badly aligned as it allows.
func guarded(rng *rand.Rand, info block.Info, n int64) lent {
	shift := int64(block.PageAlign)
	if info.Align <= 1 && rng.IntN(2) == 0 {
		shift = guard + rng.Int64N(block.PageAlign-guard)
	}
	all := scratch(shift + n + guard)
	return lent{all: all, mem: all[shift : shift+n : shift+n]}
}

// check says whether what lies around the memory is untouched.
func (l lent) check(r block.Request) error {
	before := l.all[:bytesBefore(l)]
	after := l.all[bytesBefore(l)+len(l.mem):]
	for _, b := range [][]byte{before, after} {
		for _, v := range b {
			if v != 0xA5 {
				return fmt.Errorf("%v: the device wrote outside the memory that it was lent", r)
			}
		}
	}
	return nil
}

func bytesBefore(l lent) int { return len(l.all) - guard - len(l.mem) }
