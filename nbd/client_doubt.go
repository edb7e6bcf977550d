package nbd

import (
	"context"

	"graid/block"
)

// Doubt is a change that a server was sent and never answered: it may have landed, it may land at any time from now on, or never.
type Doubt struct {
	Op       block.Op
	Off, Len int64
	Session  Session // that it was sent in; to Fence it takes the doubt away

	link   uint64
	cookie uint64
}

var opsOf = map[uint16]block.Op{cmdWrite: block.Write, cmdTrim: block.Discard, cmdWriteZeroes: block.WriteZeroes}

// Doubts are the changes that nobody knows the end of. All is true if there were too many to tell apart: then any part of the device may change.
func (c *Client) Doubts() (list []Doubt, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(list, c.doubts...), c.vague
}

// doubt notes a change that was sent on l and whose caller was told that it failed, or that will be sent again.
func (c *Client) doubt(l *link, q request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.doubts) == maxDoubts {
		c.vague = true
		return
	}
	c.doubts = append(c.doubts, Doubt{opsOf[q.cmd], int64(q.off), int64(q.len), l.session, l.serial, q.cookie})
}

// witness takes a doubt away: the server answered, late.
func (c *Client) witness(l *link, q request) {
	if !changes(q.cmd) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, d := range c.doubts {
		if d.link == l.serial && d.cookie == q.cookie {
			c.doubts = append(c.doubts[:i], c.doubts[i+1:]...)
			return
		}
	}
}

// Extents asks the server what [off, off+n) consists of. A server that does not say, or says it in too many pieces, has it all allocated.
func (c *Client) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	r := block.Request{Op: block.Read, Off: off, Len: n}
	if err := c.info.CheckRange(off, n); err != nil {
		return list, block.Blame(c.info.Name, r, err)
	}
	if err := ctx.Err(); err != nil {
		return list, block.Blame(c.info.Name, r, err)
	}
	if !c.gate.Enter() {
		return list, block.Blame(c.info.Name, r, block.ErrClosed)
	}
	defer c.gate.Leave()
	end := off + n
	at := off &^ (c.info.Block - 1)
	for asked := 0; c.caps.allocation && at < end && asked < maxStatusAsks; asked++ {
		var found []block.Extent
		most := min((end-at+c.info.Block-1)&^(c.info.Block-1), maxRange)
		if err := c.perform(order{cmd: cmdBlockStatus, off: at, len: most}, &found); err != nil {
			return list, block.Blame(c.info.Name, r, err)
		}
		for _, e := range found {
			lo, hi := max(at, off), min(at+e.Len, end)
			at += e.Len
			if lo < hi {
				e.Len = hi - lo
				list = block.Append(list, e)
				n -= e.Len
			}
		}
	}
	return block.Append(list, block.Extent{Len: n}), nil
}

// maxStatusAsks is how often one call of Extents asks: who answers in crumbs is not asked for ever.
const maxStatusAsks = 4096
