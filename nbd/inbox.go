package nbd

import "net"

// inbox is what the client sent and nobody looked at yet.
type inbox struct {
	nc   net.Conn
	buf  []byte
	r, w int  // buf[r:w] is unread
	lean bool // payloads go elsewhere: read little ahead, or they are copied on the way
	most int  // what buf may grow to, bytes; it does when one read call fills it
}

func (in *inbox) buffered() int { return in.w - in.r }

// more makes one read call, for at least n bytes in a row from r on to have room. Slices from next are invalid afterwards.
func (in *inbox) more(n int) error {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	if in.r+n > len(in.buf) {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	room := in.buf[in.w:]
	if lean := max(n-in.buffered(), 4096); in.lean && len(room) > lean {
		room = room[:lean]
	}
	m, err := in.nc.Read(room)
	in.w += m
	if in.w == len(in.buf) && !in.lean && len(in.buf) < in.most {
		in.grow(in.most)
	}
	if m > 0 {
		return nil
	}
	return err
}

// next takes n buffered bytes; they are valid until more is called.
func (in *inbox) next(n int) []byte {
	b := in.buf[in.r : in.r+n : in.r+n]
	in.r += n
	return b
}

// take copies what is buffered to p, up to its length, and says how much that was.
func (in *inbox) take(p []byte) int {
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	return n
}

// grow makes the buffer n bytes long.
func (in *inbox) grow(n int) {
	b := make([]byte, n)
	in.w = copy(b, in.buf[in.r:in.w])
	in.buf, in.r = b, 0
}
