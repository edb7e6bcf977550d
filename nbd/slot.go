package nbd

import (
	"sync"

	"graid/block"
)

// headroom is room for a reply's headers before its payload, so that both leave in one write and the payload is aligned
// for direct I/O. It also holds error replies.
const headroom = block.PageAlign

// slotSizes are the payloads that slots come in, bytes; a payload gets the smallest that holds it.
var slotSizes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 32 << 20}

// slot is one request in flight, with memory for its payload and its reply. It belongs to one task at a time: reader,
// worker, outbox.
type slot struct {
	c      *conn
	req    request
	joined []request // the writes that req is made of, if it is not one that was sent
	size   int       // of the payload area, bytes
	mem    []byte    // headroom, then the payload area, page-aligned
}

var slots [len(slotSizes)]sync.Pool

// newSlot is a slot for a payload of n bytes. The caller has made room for it in the budget.
func newSlot(c *conn, n int) *slot {
	for i, size := range slotSizes {
		if n > size {
			continue
		}
		s, ok := slots[i].Get().(*slot)
		if !ok {
			s = &slot{size: size, mem: block.Alloc(int64(headroom + size))}
		}
		s.c, s.joined = c, s.joined[:0]
		return s
	}
	return &slot{c: c, size: n, mem: block.Alloc(int64(headroom + n))}
}

// slotCost is what a payload of n bytes takes out of the budget, bytes.
func slotCost(n int) int64 {
	for _, size := range slotSizes {
		if n <= size {
			return int64(headroom + size)
		}
	}
	return int64(headroom + n)
}

// payload is the first n bytes of the payload area.
func (s *slot) payload(n int) []byte { return s.mem[headroom : headroom+n : headroom+n] }

// release gives the slot back, and its room in the budget.
func (s *slot) release() {
	s.c.budget.give(int64(len(s.mem)))
	s.recycle()
}

func (s *slot) recycle() {
	s.c = nil
	for i, size := range slotSizes {
		if s.size == size {
			slots[i].Put(s)
		}
	}
}
