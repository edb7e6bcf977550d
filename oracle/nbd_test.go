package oracle

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"syscall"
)

// A client of the NBD protocol of our own, a request at a time: the programs that exist do not tell which of their writes were
// acknowledged when the server died. It shares nothing with graid's server, so that the two cannot be wrong together.
type nbdClient struct {
	conn   net.Conn
	in     *bufio.Reader
	size   int64
	flags  uint16
	cookie uint64
}

const (
	nbdRead = iota
	nbdWrite
	nbdDisconnect
	nbdFlush
	nbdTrim
	nbdCache
	nbdWriteZeroes
)

const (
	nbdFUA          = 1 << 0 // of a request
	nbdCanFUA       = 1 << 3 // of an export
	nbdCanZeroes    = 1 << 6
	nbdOptionMagic  = 0x49484156454f5054
	nbdReplyMagic   = 0x3e889045565a9
	nbdSimpleReply  = 0x67446698
	nbdRequestMagic = 0x25609513
)

// dialNBD connects to an export on a unix socket and negotiates simple replies.
func dialNBD(socket, export string) (*nbdClient, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	c := &nbdClient{conn: conn, in: bufio.NewReader(conn)}
	if err := c.negotiate(export); err != nil {
		conn.Close()
		return nil, fmt.Errorf("nbd handshake: %w", err)
	}
	return c, nil
}

func (c *nbdClient) negotiate(export string) error {
	hello := make([]byte, 18)
	if _, err := io.ReadFull(c.in, hello); err != nil {
		return err
	}
	if string(hello[:16]) != "NBDMAGICIHAVEOPT" {
		return fmt.Errorf("greeted with %q", hello)
	}
	be := binary.BigEndian
	p := be.AppendUint32(nil, 3) // fixed newstyle, no zeroes
	p = be.AppendUint64(p, nbdOptionMagic)
	p = be.AppendUint32(p, 7) // GO
	p = be.AppendUint32(p, uint32(4+len(export)+2))
	p = be.AppendUint32(p, uint32(len(export)))
	p = append(p, export...)
	p = be.AppendUint16(p, 0)
	if _, err := c.conn.Write(p); err != nil {
		return err
	}
	for {
		head := make([]byte, 20)
		if _, err := io.ReadFull(c.in, head); err != nil {
			return err
		}
		data := make([]byte, be.Uint32(head[16:]))
		if _, err := io.ReadFull(c.in, data); err != nil {
			return err
		}
		switch kind := be.Uint32(head[12:]); {
		case be.Uint64(head) != nbdReplyMagic:
			return fmt.Errorf("option reply with magic %x", head[:8])
		case kind == 1: // ACK
			return nil
		case kind == 3 && len(data) == 12 && be.Uint16(data) == 0:
			c.size, c.flags = int64(be.Uint64(data[2:])), be.Uint16(data[10:])
		case kind>>31 != 0:
			return fmt.Errorf("refused: %#x %q", kind, data)
		}
	}
}

// do sends one request and waits for its reply. p is what is written, or where it is read to.
func (c *nbdClient) do(kind, flags uint16, off int64, length int, p []byte) error {
	be := binary.BigEndian
	c.cookie++
	q := be.AppendUint32(make([]byte, 0, 28+len(p)), nbdRequestMagic)
	q = be.AppendUint16(q, flags)
	q = be.AppendUint16(q, kind)
	q = be.AppendUint64(q, c.cookie)
	q = be.AppendUint64(q, uint64(off))
	q = be.AppendUint32(q, uint32(length))
	if kind == nbdWrite {
		q = append(q, p...)
	}
	if _, err := c.conn.Write(q); err != nil {
		return err
	}
	head := make([]byte, 16)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return err
	}
	if be.Uint32(head) != nbdSimpleReply || be.Uint64(head[8:]) != c.cookie {
		return fmt.Errorf("nbd: reply %x to request %d", head, c.cookie)
	}
	if code := be.Uint32(head[4:]); code != 0 {
		return nbdError(code)
	}
	if kind == nbdRead {
		_, err := io.ReadFull(c.in, p[:length])
		return err
	}
	return nil
}

// nbdError is an error that the server answered with: the request failed, the connection lives.
type nbdError uint32

func (e nbdError) Error() string { return "nbd: the server says " + syscall.Errno(e).Error() }

func (c *nbdClient) close() {
	be := binary.BigEndian
	q := be.AppendUint32(nil, nbdRequestMagic)
	q = be.AppendUint16(q, 0)
	q = be.AppendUint16(q, nbdDisconnect)
	c.conn.Write(append(q, make([]byte, 20)...))
	c.conn.Close()
}
