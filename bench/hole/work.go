package main

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
)

// work is a load.
type work struct {
	name  string
	size  int64
	depth int
	seq   bool
}

var works = []work{
	{"4K random, depth 16", 4 << 10, 16, false},
	{"64K random, depth 16", 64 << 10, 16, false},
	{"1M sequential, depth 4", 1 << 20, 4, true},
}

// run writes for that long, and makes it durable, and says how many bytes per second that was.
func (w work) run(t target, size int64, long time.Duration) (float64, error) {
	var all sync.WaitGroup
	var next, done atomic.Int64
	errs := make([]error, w.depth)
	began := time.Now()
	for i := range w.depth {
		all.Go(func() {
			buf := block.Alloc(w.size)
			rand.NewChaCha8([32]byte{byte(i)}).Read(buf)
			for time.Since(began) < long && errs[i] == nil {
				off := rand.Int64N(size/w.size) * w.size
				if w.seq {
					off = next.Add(w.size) % (size / w.size * w.size)
				}
				errs[i] = t.write(write{off, buf})
				done.Add(w.size)
			}
		})
	}
	all.Wait()
	err := errors.Join(append(errs, t.flush())...)
	return float64(done.Load()) / time.Since(began).Seconds(), err
}
