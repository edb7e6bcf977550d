package delay

import (
	"context"
	"sync"
	"time"

	"graid/block"
	"graid/sched"
)

// Wrap is next, as slow as m. Times are of s; the seed is of the jitter.
func Wrap(next block.Device, m Model, seed uint64, s sched.Sched) block.Device {
	d := &device{next: next, info: next.Info(), s: s, queue: NewQueue(m, seed)}
	d.info.Inline = false
	return d
}

type device struct {
	next block.Device
	info block.Info
	s    sched.Sched

	mu    sync.Mutex // guards what follows
	queue *Queue
}

func (d *device) Info() block.Info     { return d.info }
func (d *device) Unwrap() block.Device { return d.next }
func (d *device) Close() error         { return d.next.Close() }

// Do performs r once its time has passed. What is not a request, or is one of nothing, is refused or done at once.
func (d *device) Do(ctx context.Context, r block.Request) error {
	if d.info.Check(r) == nil && (r.Op == block.Flush || r.Len > 0) && ctx.Err() == nil {
		if r.Flags&block.NoWait != 0 {
			return block.ErrWouldBlock
		}
		d.s.Sleep(d.take(r))
	}
	return d.next.Do(ctx, r)
}

// take is how long r has to wait from now.
func (d *device) take(r block.Request) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.s.Now()
	return d.queue.Take(now, Moves(r)) - now
}

// Moves is how many bytes go over the wire for r.
func Moves(r block.Request) int64 {
	if r.Op == block.Read || r.Op == block.Write {
		return r.Len
	}
	return 0
}

// Extents asks the next device, and takes no time.
func (d *device) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	return block.Extents(ctx, d.next, off, n, list)
}
