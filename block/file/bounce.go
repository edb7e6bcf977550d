package file

import (
	"sync"

	"graid/block"
)

// bounceSize is how much of a request with unfit memory goes to the system at once, bytes.
const bounceSize = 256 << 10

// bounces are buffers that direct I/O takes, for requests whose own memory it does not.
type bounces struct {
	align int64
	pool  sync.Pool // of *bounce
}

type bounce struct{ mem []byte }

func (p *bounces) get() *bounce {
	if b, ok := p.pool.Get().(*bounce); ok {
		return b
	}
	return &bounce{mem: block.Alloc(bounceSize)} // aligned to PageAlign, which is enough for every device known
}

func (p *bounces) put(b *bounce) { p.pool.Put(b) }
