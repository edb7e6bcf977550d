package nbdtest

import (
	"fmt"
	"io"
)

// maxChunk is the most that a chunk without content may carry, bytes: extents or a text.
const maxChunk = 64 << 10

// one receives one simple reply or one chunk, and completes the call that it ends.
func (c *Client) one() error {
	head := make([]byte, 16, 20)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return err
	}
	cookie := be.Uint64(head[8:])
	c.mu.Lock()
	k := c.pending[cookie]
	c.mu.Unlock()
	if k == nil {
		return fmt.Errorf("reply to cookie %d, which is not in flight: % x", cookie, head)
	}
	done := true
	var err error
	switch be.Uint32(head) {
	case 0x67446698:
		err = c.simple(k, be.Uint32(head[4:]))
	case 0x668e33ef:
		if !c.structured {
			return fmt.Errorf("structured reply, not negotiated")
		}
		head = head[:20]
		if _, err := io.ReadFull(c.r, head[16:]); err != nil {
			return err
		}
		done = be.Uint16(head[4:]) == 1
		err = c.chunk(k, be.Uint16(head[6:]), be.Uint32(head[16:]))
	default:
		err = fmt.Errorf("reply magic % x", head)
	}
	if err != nil || !done {
		return err
	}
	if k.cmd == Read && k.reply.Errno == 0 && k.seen != uint64(len(k.reply.Data)) {
		return fmt.Errorf("read of %d bytes ended after %d", len(k.reply.Data), k.seen)
	}
	if k.cmd == BlockStatus && k.reply.Errno == 0 && len(k.reply.Extents) == 0 {
		return fmt.Errorf("block status without extents")
	}
	if c.remove(cookie) {
		k.done <- k.reply
	}
	return nil
}

func (c *Client) simple(k *call, errno uint32) error {
	k.reply.Errno = errno
	if k.cmd != Read {
		return nil
	}
	if c.structured {
		return fmt.Errorf("simple reply to a read, structured replies were negotiated")
	}
	if errno != 0 {
		return nil
	}
	n, err := io.ReadFull(c.r, k.reply.Data)
	k.seen = uint64(n)
	return err
}

// chunk takes the payload of one chunk; n is its length, bytes.
func (c *Client) chunk(k *call, kind uint16, n uint32) error {
	if kind == 1 { // data goes straight to its place
		off, err := c.place(k, n, 8)
		if err != nil {
			return err
		}
		if err := k.cover(off, uint64(n-8)); err != nil {
			return err
		}
		_, err = io.ReadFull(c.r, k.reply.Data[off:off+uint64(n-8)])
		return err
	}
	if n > maxChunk {
		return fmt.Errorf("chunk of kind %d with %d bytes", kind, n)
	}
	if kind == 2 {
		return c.hole(k, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return err
	}
	switch {
	case kind == 0 && n == 0:
	case kind == 5 && k.cmd == BlockStatus && n >= 12 && n%8 == 4 && be.Uint32(b) == 1:
		for b = b[4:]; len(b) > 0; b = b[8:] {
			k.reply.Extents = append(k.reply.Extents, Extent{be.Uint32(b), be.Uint32(b[4:])})
		}
	case kind == 1<<15+1 && n >= 6 && int(be.Uint16(b[4:])) == len(b)-6 && be.Uint32(b) != 0:
		k.reply.Errno, k.reply.Text = be.Uint32(b), string(b[6:])
	default:
		return fmt.Errorf("chunk of kind %d: % x", kind, b)
	}
	return nil
}

func (c *Client) hole(k *call, n uint32) error {
	off, err := c.place(k, n, 12)
	if err != nil {
		return err
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(c.r, b); err != nil {
		return err
	}
	size := uint64(be.Uint32(b))
	if off+size > uint64(len(k.reply.Data)) {
		return fmt.Errorf("hole [%d,+%d) beyond the request", off, size)
	}
	clear(k.reply.Data[off : off+size])
	k.reply.Holes++
	return k.cover(off, size)
}

// cover notes that content has come for [off, off+n) of the request. None may come twice.
func (k *call) cover(off, n uint64) error {
	for _, c := range k.content {
		if off < c.hi && c.lo < off+n {
			return fmt.Errorf("content for [%d,+%d) of the request, where some has come already", off, n)
		}
	}
	k.content = append(k.content, span{off, off + n})
	k.seen += n
	return nil
}

// place reads the offset of a content chunk and returns where in the request it is.
func (c *Client) place(k *call, n, least uint32) (uint64, error) {
	b := make([]byte, 8)
	if k.cmd != Read || n < least || (least == 12 && n != 12) {
		return 0, fmt.Errorf("content chunk of %d bytes for command %d", n, k.cmd)
	}
	if _, err := io.ReadFull(c.r, b); err != nil {
		return 0, err
	}
	off := be.Uint64(b) - k.off
	if off > uint64(len(k.reply.Data)) || (least == 8 && uint64(n-8) > uint64(len(k.reply.Data))-off) {
		return 0, fmt.Errorf("content chunk at %d, +%d, beyond the request", be.Uint64(b), n)
	}
	return off, nil
}
