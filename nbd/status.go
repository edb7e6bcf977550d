package nbd

import "graid/block"

// The window in which a device is asked for extents grows from the first to the second, bytes: a client that wants one
// extent does not pay for four gigabytes of them.
const (
	statusFirst = 1 << 20
	statusMost  = 128 << 20
)

// statusLen is the payload area that the reply to q needs, bytes.
func statusLen(q request) int {
	if q.cmd == cmdBlockStatus {
		return 4 + 8*maxExtents
	}
	return 0
}

// status answers BLOCK_STATUS for base:allocation: one chunk, at least one extent, never more than was asked about.
func (c *conn) status(s *slot) []byte {
	q := s.req
	most := maxExtents
	if q.flags&cmdReqOne != 0 {
		most = 1
	}
	list, err := extents(c, int64(q.off), int64(q.len), most)
	if err != nil {
		return s.mem[:c.putReply(s.mem, q, faultOf(q, err))]
	}
	b := s.mem[headroom-chunkLen : headroom+4+8*len(list)]
	putChunk(b, chunkDone, chunkBlockStatus, q.cookie, len(b)-chunkLen)
	p := b[chunkLen:]
	be.PutUint32(p, allocationID)
	for i, e := range list {
		be.PutUint32(p[4+8*i:], uint32(e.Len))
		be.PutUint32(p[8+8*i:], state(e))
	}
	return b
}

// extents are the first extents of [off, off+n), most at most. The last is whole only if more follow it.
func extents(c *conn, off, n int64, most int) ([]block.Extent, error) {
	var list []block.Extent
	window := int64(statusFirst)
	for done := int64(0); done < n && len(list) <= most; window = min(2*window, statusMost) {
		part := min(window, n-done)
		from, err := block.Extents(c.ctx, c.vol.dev, off+done, part, nil)
		if err != nil {
			return nil, err
		}
		for _, e := range from {
			list = block.Append(list, e)
		}
		done += part
	}
	return list[:min(len(list), most)], nil
}

func state(e block.Extent) uint32 {
	var bits uint32
	if e.Hole {
		bits |= stateHole
	}
	if e.Zero {
		bits |= stateZero
	}
	return bits
}
