// Package nbdtest is a small NBD client for tests of the server: it sends whatever it is asked to, legal or not, and
// believes nothing it receives.
//
// Its numbers are written down from the protocol's text and shared with nobody, so that a wrong number in the server meets
// a right one here. Its requests may be in flight together.
package nbdtest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"graid/sched"
)

// Commands.
const (
	Read        uint16 = 0
	Write       uint16 = 1
	Disconnect  uint16 = 2
	Flush       uint16 = 3
	Trim        uint16 = 4
	Cache       uint16 = 5
	WriteZeroes uint16 = 6
	BlockStatus uint16 = 7
)

// Flags of commands.
const (
	FUA      uint16 = 1
	NoHole   uint16 = 2
	DF       uint16 = 4
	ReqOne   uint16 = 8
	FastZero uint16 = 16
)

// Options of a connection.
type Options struct {
	Export     string
	Structured bool // negotiate structured replies and base:allocation
}

// Reply is everything that the server said to one request.
type Reply struct {
	Errno   uint32
	Text    string
	Data    []byte   // of a read; holes are zeroes
	Holes   int      // hole chunks
	Extents []Extent // of a block status
	Err     error    // the connection broke, or the server broke the protocol
}

// Extent is one descriptor of base:allocation.
type Extent struct{ Len, State uint32 }

// Client is a connection in the transmission phase.
type Client struct {
	Size  uint64
	Flags uint16 // of the export

	nc         net.Conn
	r          *bufio.Reader
	structured bool
	writing    *sched.Mutex

	mu      sync.Mutex // guards what follows
	cookie  uint64
	pending map[uint64]*call
	broken  error
}

type call struct {
	cmd     uint16
	off     uint64
	reply   Reply
	seen    uint64 // bytes of content received
	content []span // where
	done    chan Reply
}

// span is bytes [lo, hi) of a request.
type span struct{ lo, hi uint64 }

var be = binary.BigEndian

// Dial connects and negotiates.
func Dial(network, address string, o Options) (*Client, error) {
	nc, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return New(nc, o)
}

// New negotiates on a connection.
func New(nc net.Conn, o Options) (*Client, error) {
	c := &Client{nc: nc, r: bufio.NewReaderSize(nc, 64<<10), structured: o.Structured, writing: sched.NewMutex(sched.Real), pending: map[uint64]*call{}}
	nc.SetDeadline(sched.Real.Wall().Add(20 * time.Second))
	if err := c.negotiate(o); err != nil {
		nc.Close()
		return nil, err
	}
	nc.SetDeadline(time.Time{})
	sched.Real.Go(c.receive)
	return c, nil
}

func (c *Client) negotiate(o Options) error {
	hello := make([]byte, 18)
	if _, err := io.ReadFull(c.r, hello); err != nil {
		return err
	}
	if string(hello) != "NBDMAGICIHAVEOPT\x00\x03" {
		return fmt.Errorf("greeting % x", hello)
	}
	c.nc.Write([]byte{0, 0, 0, 3})
	name := append(be.AppendUint32(nil, uint32(len(o.Export))), o.Export...)
	if o.Structured {
		if _, err := c.option(8, nil); err != nil {
			return err
		}
		const context = "base:allocation"
		b := be.AppendUint32(append([]byte{}, name...), 1)
		b = append(be.AppendUint32(b, uint32(len(context))), context...)
		if _, err := c.option(10, b); err != nil {
			return err
		}
	}
	infos, err := c.option(7, append(name, 0, 0))
	if err != nil {
		return err
	}
	for _, b := range infos {
		if len(b) == 12 && be.Uint16(b) == 0 {
			c.Size, c.Flags = be.Uint64(b[2:]), be.Uint16(b[10:])
			return nil
		}
	}
	return errors.New("no information about the export")
}

// option sends one and collects its replies up to the acknowledgement.
func (c *Client) option(code uint32, data []byte) (replies [][]byte, err error) {
	b := append([]byte("IHAVEOPT"), 0, 0, 0, 0)
	be.PutUint32(b[8:], code)
	b = be.AppendUint32(b, uint32(len(data)))
	if _, err := c.nc.Write(append(b, data...)); err != nil {
		return nil, err
	}
	for {
		head := make([]byte, 20)
		if _, err := io.ReadFull(c.r, head); err != nil {
			return nil, err
		}
		n := be.Uint32(head[16:])
		if be.Uint64(head) != 0x3e889045565a9 || be.Uint32(head[8:]) != code || n > 64<<10 {
			return nil, fmt.Errorf("reply to option %d: % x", code, head)
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return nil, err
		}
		switch kind := be.Uint32(head[12:]); {
		case kind == 1:
			return replies, nil
		case kind >= 1<<31:
			return nil, fmt.Errorf("option %d refused: %#x %s", code, kind, body)
		}
		replies = append(replies, body)
	}
}

// Start sends a request and returns where its reply will come.
func (c *Client) Start(cmd, flags uint16, off uint64, n uint32, payload []byte) <-chan Reply {
	k := &call{cmd: cmd, off: off, done: make(chan Reply, 1)}
	if cmd == Read && n <= 64<<20 {
		k.reply.Data = make([]byte, n)
		for i := range k.reply.Data {
			k.reply.Data[i] = 0xA5
		}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	cookie, err := c.add(k)
	if err != nil {
		k.done <- Reply{Err: err}
		return k.done
	}
	b := be.AppendUint32(make([]byte, 0, 28+len(payload)), 0x25609513)
	b = be.AppendUint16(b, flags)
	b = be.AppendUint16(b, cmd)
	b = be.AppendUint64(b, cookie)
	b = be.AppendUint64(b, off)
	b = append(be.AppendUint32(b, n), payload...)
	if _, err := c.nc.Write(b); err != nil && c.remove(cookie) {
		k.done <- Reply{Err: err}
	}
	return k.done
}

func (c *Client) add(k *call) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return 0, c.broken
	}
	c.cookie++
	c.pending[c.cookie] = k
	return c.cookie, nil
}

func (c *Client) remove(cookie uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.pending[cookie]
	delete(c.pending, cookie)
	return ok
}

// Do sends a request and waits for its reply.
func (c *Client) Do(cmd, flags uint16, off uint64, n uint32, payload []byte) Reply {
	return <-c.Start(cmd, flags, off, n, payload)
}

// ReadAt, WriteAt and Sync are the usual ones; a refusal is an error.
func (c *Client) ReadAt(p []byte, off int64) (int, error) {
	r := c.Do(Read, 0, uint64(off), uint32(len(p)), nil)
	return copy(p, r.Data), r.error()
}

// WriteAt stores p.
func (c *Client) WriteAt(p []byte, off int64) (int, error) {
	return len(p), c.Do(Write, 0, uint64(off), uint32(len(p)), p).error()
}

// Sync flushes.
func (c *Client) Sync() error { return c.Do(Flush, 0, 0, 0, nil).error() }

func (r Reply) error() error {
	if r.Err == nil && r.Errno != 0 {
		return fmt.Errorf("errno %d: %s", r.Errno, r.Text)
	}
	return r.Err
}

// Disconnect tells the server and returns when it has closed the connection.
func (c *Client) Disconnect() error {
	if r := c.Do(Disconnect, 0, 0, 0, nil); !errors.Is(r.Err, io.EOF) {
		return fmt.Errorf("after DISC: %w", r.Err)
	}
	return c.nc.Close()
}

// Close drops the connection without a word.
func (c *Client) Close() error { return c.nc.Close() }

// Conn is the connection, for sending what no client should.
func (c *Client) Conn() net.Conn { return c.nc }

func (c *Client) receive() {
	var err error
	for err == nil {
		err = c.one()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
	for cookie, k := range c.pending {
		delete(c.pending, cookie)
		k.done <- Reply{Err: err}
	}
}
