package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"
)

// client is the least of an NBD client that can write and read: what the demo does I/O with, as anybody's client would. One request
// at a time.
type client struct {
	conn   net.Conn
	size   int64
	cookie uint64
}

// Of the NBD protocol: its magic numbers, options and commands.
const (
	nbdMagic    = 0x4e42444d41474943 // "NBDMAGIC"
	nbdOption   = 0x49484156454f5054 // "IHAVEOPT"
	nbdAnswer   = 0x3e889045565a9
	nbdRequest  = 0x25609513
	nbdSimple   = 0x67446698
	nbdOptGo    = 7
	nbdAck      = 1
	nbdInfo     = 3
	nbdRead     = 0
	nbdWrite    = 1
	nbdGoodbye  = 2
	nbdFlush    = 3
	nbdMaxReply = 64 << 10
)

// dialNBD opens the export that a URI names: nbd+unix:///export?socket=/path or nbd://host:port/export.
func dialNBD(uri string) (*client, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	network, at := "tcp", u.Host
	if u.Scheme == "nbd+unix" {
		network, at = "unix", u.Query().Get("socket")
	}
	conn, err := net.Dial(network, at)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn}
	if err := c.hello(u.Path[min(1, len(u.Path)):]); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", uri, err)
	}
	return c, nil
}

// hello goes from accept to transmission by way of the GO option.
func (c *client) hello(export string) error {
	var greeting struct {
		Magic, Option uint64
		Flags         uint16
	}
	if err := binary.Read(c.conn, binary.BigEndian, &greeting); err != nil {
		return err
	}
	if greeting.Magic != nbdMagic || greeting.Option != nbdOption {
		return errors.New("not an NBD server")
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(greeting.Flags&3))
	b = binary.BigEndian.AppendUint64(b, nbdOption)
	b = binary.BigEndian.AppendUint32(b, nbdOptGo)
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(export)+2))
	b = binary.BigEndian.AppendUint32(b, uint32(len(export)))
	b = append(append(b, export...), 0, 0)
	if _, err := c.conn.Write(b); err != nil {
		return err
	}
	for {
		var h struct {
			Magic        uint64
			Option, Kind uint32
			Len          uint32
		}
		if err := binary.Read(c.conn, binary.BigEndian, &h); err != nil {
			return err
		}
		if h.Magic != nbdAnswer || h.Len > nbdMaxReply {
			return errors.New("not an answer to an option")
		}
		data := make([]byte, h.Len)
		if _, err := io.ReadFull(c.conn, data); err != nil {
			return err
		}
		switch {
		case h.Kind == nbdAck:
			return nil
		case h.Kind == nbdInfo && len(data) >= 12 && binary.BigEndian.Uint16(data) == 0:
			c.size = int64(binary.BigEndian.Uint64(data[2:]))
		case h.Kind>>31 != 0:
			return fmt.Errorf("the server refuses: %s", oneLine(string(data)))
		}
	}
}

func (c *client) do(command uint16, off int64, n uint32, out, in []byte) error {
	c.cookie++
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 28+len(out)), nbdRequest)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, command)
	b = binary.BigEndian.AppendUint64(b, c.cookie)
	b = binary.BigEndian.AppendUint64(b, uint64(off))
	b = binary.BigEndian.AppendUint32(b, n)
	if _, err := c.conn.Write(append(b, out...)); err != nil || command == nbdGoodbye {
		return err
	}
	var h struct {
		Magic, Error uint32
		Cookie       uint64
	}
	if err := binary.Read(c.conn, binary.BigEndian, &h); err != nil {
		return err
	}
	switch {
	case h.Magic != nbdSimple || h.Cookie != c.cookie:
		return errors.New("not a reply to this request")
	case h.Error != 0:
		return fmt.Errorf("the server answers with error %d", h.Error)
	}
	_, err := io.ReadFull(c.conn, in)
	return err
}

func (c *client) read(p []byte, off int64) error {
	return c.do(nbdRead, off, uint32(len(p)), nil, p)
}

func (c *client) write(p []byte, off int64) error {
	return c.do(nbdWrite, off, uint32(len(p)), p, nil)
}

func (c *client) flush() error { return c.do(nbdFlush, 0, 0, nil, nil) }

// close takes leave as the protocol asks, and waits until the server has noticed.
func (c *client) close() error {
	err := c.do(nbdGoodbye, 0, 0, nil, nil)
	_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.Copy(io.Discard, c.conn)
	return errors.Join(err, c.conn.Close())
}
