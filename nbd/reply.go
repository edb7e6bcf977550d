package nbd

import "graid/block"

// replyLen is room for any reply without payload, bytes.
const replyLen = chunkLen + 6 + maxText

// putReply writes the reply without content to q into b and returns its length. With structured replies a READ never
// gets a simple reply, and errors bring their text; other commands keep the shorter form.
func (c *conn) putReply(b []byte, q request, f fault) int {
	switch {
	case !c.structured, f.errno == 0 && q.cmd != cmdRead:
		putSimple(b, f.errno, q.cookie)
		return simpleLen
	case f.errno == 0:
		putChunk(b, chunkDone, chunkNone, q.cookie, 0)
		return chunkLen
	}
	text := clip(f.text, maxText)
	putChunk(b, chunkDone, chunkError, q.cookie, 6+len(text))
	be.PutUint32(b[chunkLen:], f.errno)
	be.PutUint16(b[chunkLen+4:], uint16(len(text)))
	return chunkLen + 6 + copy(b[chunkLen+6:], text)
}

// dataHead is the length of what goes before the payload of a READ, bytes.
func (c *conn) dataHead() int {
	if c.structured {
		return dataLen
	}
	return simpleLen
}

// putData writes the head of the reply to a READ whose payload is in b already, behind dataHead bytes. The read has
// succeeded by then: a reply is never begun that may have to be taken back.
func (c *conn) putData(b []byte, q request) {
	if !c.structured {
		putSimple(b, 0, q.cookie)
		return
	}
	putChunk(b, chunkDone, chunkOffsetData, q.cookie, len(b)-chunkLen)
	be.PutUint64(b[chunkLen:], q.off)
}

// putHole answers a READ whose whole range reads as zeroes.
func (c *conn) putHole(b []byte, q request) int {
	putChunk(b, chunkDone, chunkOffsetHole, q.cookie, 12)
	be.PutUint64(b[chunkLen:], q.off)
	be.PutUint32(b[chunkLen+8:], q.len)
	return chunkLen + 12
}

// isHole says whether the range of a READ is known to be zeroes. Asking costs the device a look at its maps, so after
// a miss only every 16th large read asks: sparse regions are long.
func (c *conn) isHole(q request) bool {
	if !c.structured || !c.vol.holes || q.flags&cmdDF != 0 || c.misses.Load()&15 != 0 && c.misses.Add(1) != 0 {
		return false
	}
	list, err := block.Extents(c.ctx, c.vol.dev, int64(q.off), int64(q.len), nil)
	if err != nil || len(list) != 1 || !list[0].Zero {
		c.misses.Add(1)
		return false
	}
	return true
}
