package multipath

import (
	"math/bits"

	"graid/block"
)

// chunk is memory of the map's own for what goes over a path that may keep it: nobody else's is lent to a request that may outlive its caller.
type chunk struct {
	b    []byte
	refs int
}

// chunks are chunks to use again, by the logarithm of their size. It is guarded by the map's mu.
type chunks struct {
	free [64][]*chunk
	kept int64
}

// chunksKept is how much memory is kept for later, bytes.
const chunksKept = 8 << 20

// get is a chunk of n bytes at least, with one reference.
func (c *chunks) get(n int64) *chunk {
	class := bits.Len64(uint64(max(n, 512) - 1))
	if l := len(c.free[class]); l > 0 {
		x := c.free[class][l-1]
		c.free[class] = c.free[class][:l-1]
		c.kept -= int64(len(x.b))
		x.refs = 1
		return x
	}
	return &chunk{b: block.Alloc(1 << class), refs: 1}
}

// drop takes a reference back.
func (c *chunks) drop(x *chunk) {
	if x == nil {
		return
	}
	if x.refs--; x.refs > 0 {
		return
	}
	if size := int64(len(x.b)); c.kept+size <= chunksKept {
		class := bits.Len64(uint64(size - 1))
		c.free[class] = append(c.free[class], x)
		c.kept += size
	}
}
