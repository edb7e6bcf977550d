package nbd_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

var be = binary.BigEndian

// What a conversation is judged by, from the protocol's text and the limits of the server in setup.answers.
const (
	maxOption  = 64 << 10
	maxMeta    = 1 << 20
	maxOptions = 32
	maxSkip    = 64 << 20
)

// stream is bytes that are taken off one after another.
type stream []byte

func (s *stream) take(n int) (b []byte, ok bool) {
	if len(*s) < n {
		return nil, false
	}
	b, *s = (*s)[:n], (*s)[n:]
	return b, true
}

// renumber gives the requests of a client's stream cookies of their own, so that each reply can be told whose it is.
func renumber(in []byte) []byte {
	in = append([]byte(nil), in...)
	left, cookie := stream(in), uint64(0)
	if structured, ok := options(&left, nil, nil, setup{}); ok {
		requests(&left, structured, setup{}, func(b []byte) {
			cookie++
			be.PutUint64(b[8:], cookie)
		})
	}
	return in
}

// options goes through the handshake of a client, with the server's replies when there are some, and says whether transmission begins.
func options(in, out *stream, t *testing.T, o setup) (structured, ok bool) {
	b, ok := in.take(4)
	if !ok || be.Uint32(b)&^3 != 0 {
		return false, false
	}
	padded := b[3]&2 == 0
	for range maxOptions {
		head, ok := in.take(16)
		if !ok || string(head[:8]) != "IHAVEOPT" {
			return false, false
		}
		code, n := be.Uint32(head[8:]), be.Uint32(head[12:])
		data, ok := in.take(int(n))
		if !ok || n > maxMeta || n > maxOption && code == 1 {
			return false, false
		}
		name := string(data)
		known := name == "disk" || name == "other" && !o.secret || name == "" && !o.secret
		switch {
		case code == 1 && !known:
			return false, false
		case code == 1:
			if size := 10; out != nil {
				if padded {
					size += 124
				}
				_, ok := out.take(size)
				require.True(t, ok, "EXPORT_NAME is not answered")
			}
			return structured, true
		}
		entered := code == 7 && out == nil && goes(data, o)
		if out != nil {
			entered = replies(t, out, code) == 1 && code == 7
			require.Equal(t, code == 7 && goes(data, o), entered, "GO with % x", data)
		}
		structured = structured || code == 8 && n == 0
		if entered || code == 2 {
			return structured, entered
		}
	}
	return false, false
}

// goes says whether GO with this data opens an export.
func goes(data []byte, o setup) bool {
	s := stream(data)
	head, ok := s.take(4)
	if !ok || uint64(be.Uint32(head)) > uint64(len(s)) {
		return false
	}
	name, _ := s.take(int(be.Uint32(head)))
	count, ok := s.take(2)
	known := string(name) == "disk" || (string(name) == "other" || len(name) == 0) && !o.secret
	return ok && known && len(s) == 2*int(be.Uint16(count))
}

// replies takes the replies to one option, up to the one that ends them, whose kind it returns.
func replies(t *testing.T, out *stream, code uint32) uint32 {
	for {
		head, ok := out.take(20)
		require.True(t, ok, "option %d is not answered", code)
		require.Equal(t, uint64(0x3e889045565a9), be.Uint64(head))
		require.Equal(t, code, be.Uint32(head[8:]))
		kind, n := be.Uint32(head[12:]), be.Uint32(head[16:])
		require.Less(t, n, uint32(maxOption))
		_, ok = out.take(int(n))
		require.True(t, ok)
		if kind == 1 || kind>>31 != 0 {
			return kind
		}
	}
}

// requests goes through the transmission phase of a client, calling each for each request that has to be answered, and says whether the connection
// ends in good order.
func requests(in *stream, structured bool, o setup, each func(b []byte)) bool {
	for {
		b, ok := in.take(28)
		if !ok {
			return true
		}
		if be.Uint32(b) != 0x25609513 {
			return false
		}
		cmd, n := be.Uint16(b[6:]), be.Uint32(b[24:])
		if cmd == 2 && (structured || b[5]&4 == 0) {
			return true
		}
		if cmd == 1 {
			if n > maxSkip {
				return false
			}
			if _, ok := in.take(int(n)); !ok {
				return true
			}
		}
		each(b)
	}
}

// conversation judges what a server said to a client that sent in: every option and request is answered as the protocol has it, once, and nothing
// else is said.
func conversation(t *testing.T, in, out []byte, o setup) {
	c, s := stream(in), stream(out)
	hello, ok := s.take(18)
	require.True(t, ok)
	require.Equal(t, "NBDMAGICIHAVEOPT\x00\x03", string(hello))
	structured, ok := options(&c, &s, t, o)
	if !ok {
		require.Empty(t, s, "said after the end of the handshake")
		return
	}
	asked := map[uint64][]byte{}
	orderly := requests(&c, structured, o, func(b []byte) { asked[be.Uint64(b[8:])] = b })
	read := map[uint64]int{}
	for len(s) > 0 {
		head, ok := s.take(16)
		require.True(t, ok)
		cookie := be.Uint64(head[8:])
		q := asked[cookie]
		require.NotNil(t, q, "a reply to %d, which was not asked or is answered already", cookie)
		done, errno := true, be.Uint32(head[4:])
		if be.Uint32(head) == 0x668e33ef {
			require.True(t, structured)
			done, errno = chunk(t, &s, head, q, read)
		} else {
			require.Equal(t, uint32(0x67446698), be.Uint32(head))
			if be.Uint16(q[6:]) == 0 && errno == 0 {
				require.False(t, structured)
				data, ok := s.take(int(be.Uint32(q[24:])))
				require.True(t, ok)
				read[cookie] = len(data)
			}
		}
		if done {
			delete(asked, cookie)
			answered(t, q, errno, read[cookie], o)
		}
	}
	if orderly {
		require.Empty(t, asked, "requests without a reply")
	}
}

// chunk takes the rest of a chunk, and says whether it is the last, and the error it tells.
func chunk(t *testing.T, s *stream, head, q []byte, read map[uint64]int) (done bool, errno uint32) {
	size, ok := s.take(4)
	require.True(t, ok)
	b, ok := s.take(int(be.Uint32(size)))
	require.True(t, ok)
	off, n := be.Uint64(q[16:]), uint64(be.Uint32(q[24:]))
	switch kind := be.Uint16(head[6:]); kind {
	case 0:
		require.Empty(t, b)
	case 1:
		require.GreaterOrEqual(t, be.Uint64(b), off)
		require.LessOrEqual(t, be.Uint64(b)+uint64(len(b)-8), off+n)
		read[be.Uint64(q[8:])] += len(b) - 8
	case 2:
		require.Len(t, b, 12)
		read[be.Uint64(q[8:])] += int(be.Uint32(b[8:]))
	case 5:
		require.Equal(t, uint16(7), be.Uint16(q[6:]))
		require.Equal(t, uint32(1), be.Uint32(b))
		require.NotZero(t, len(b)/8)
		var sum uint64
		for b = b[4:]; len(b) > 0; b = b[8:] {
			require.NotZero(t, be.Uint32(b))
			sum += uint64(be.Uint32(b))
		}
		require.LessOrEqual(t, sum, n)
	case 1<<15 + 1:
		require.Len(t, b, 6+int(be.Uint16(b[4:])))
		require.NotZero(t, be.Uint32(b))
		errno = be.Uint32(b)
	default:
		require.Fail(t, "chunk", "kind %d", kind)
	}
	return be.Uint16(head[4:]) == 1, errno
}

// answered judges the end of one request: it succeeds if and only if it is one that the export can do.
func answered(t *testing.T, q []byte, errno uint32, read int, o setup) {
	require.Contains(t, []uint32{0, 1, 22, 28, 95}, errno)
	cmd, off, n := be.Uint16(q[6:]), be.Uint64(q[16:]), uint64(be.Uint32(q[24:]))
	if errno != 0 {
		require.False(t, cmd == 0 && be.Uint16(q[4:]) == 0 && off <= diskSize && n <= diskSize-off && n <= 8<<10, "a read that is fine fails with %d", errno)
		return
	}
	require.LessOrEqual(t, cmd, uint16(7))
	if cmd == 3 {
		require.Zero(t, off|n)
		return
	}
	require.False(t, off > diskSize || n > diskSize-off, "command %d at %d, +%d, is beyond the end and succeeds", cmd, off, n)
	if cmd == 0 {
		require.Equal(t, n, uint64(read))
	}
	require.False(t, o.readOnly && (cmd == 1 || cmd == 4 || cmd == 6), "an export that is read-only was changed")
}
