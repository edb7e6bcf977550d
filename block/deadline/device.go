// Package deadline is how long a device may take to read: a Device that gives up waiting, and says so.
//
//	Do ──▶ the next device reads into memory of the wrapper's own ──▶ in time: copied to the caller's
//	                                                              └─▶ not: Do returns a *Late; what comes is the Late's
//
// So what arrives late never goes to memory that is the caller's again. Only reads are given up: a write that nobody waits for may land whenever it
// likes. The package knows requests and time; what to do about a device that is late is its caller's to decide.
package deadline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/sched"
)

// Limit is how long reads may take. Several Devices may share one, and it may change at any time. The zero value is no limit.
type Limit struct{ d atomic.Int64 }

// Set has reads that begin from now on take at most d; 0: any time.
func (l *Limit) Set(d time.Duration) { l.d.Store(int64(max(0, d))) }

// Get is what was Set last.
func (l *Limit) Get() time.Duration { return time.Duration(l.d.Load()) }

// ErrOverdue is the error of a read that was not even begun, as an earlier one is overdue: whoever is stuck with one is stuck with all.
var ErrOverdue = fmt.Errorf("%w: an earlier read is overdue", block.ErrSlow)

// Device is the next device with a limit on reads.
//
// Without a limit it costs an atomic load. With one, a next device that is Inline is first asked for what it has at hand, in place; a read that has to
// wait costs a task and a copy, and allocates nothing once there were as many at a time before.
//
// While a read is overdue others fail at once, with ErrOverdue. So no more are abandoned than were under way at the same time, and nobody waits for a
// device that is known not to answer.
type Device struct {
	next  block.Device
	info  block.Info
	limit *Limit
	s     sched.Sched

	idle sync.Pool    // of *Late: reads that are over
	late atomic.Int64 // reads that are overdue
}

// Wrap puts a limit on next. Times are of s.
func Wrap(next block.Device, limit *Limit, s sched.Sched) *Device {
	return &Device{next: next, info: next.Info(), limit: limit, s: s}
}

// Info is the next device's.
func (d *Device) Info() block.Info { return d.info }

// Unwrap is the next device.
func (d *Device) Unwrap() block.Device { return d.next }

// Close closes the next device, which waits for reads that are overdue.
func (d *Device) Close() error { return d.next.Close() }

// Extents asks the next device, and has no limit.
func (d *Device) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	return block.Extents(ctx, d.next, off, n, list)
}

// Overdue is how many reads are under way that nobody waited for in the end.
func (d *Device) Overdue() int64 { return max(0, d.late.Load()) }

// Do performs r. The error of a read that takes longer than the limit is a block.ErrSlow: a *Late, or ErrOverdue.
func (d *Device) Do(ctx context.Context, r block.Request) error {
	limit := d.limit.Get()
	if limit == 0 || r.Op != block.Read || r.Len == 0 || r.Flags&block.NoWait != 0 || d.info.Check(r) != nil || ctx.Err() != nil {
		return d.next.Do(ctx, r)
	}
	if d.info.Inline {
		r.Flags |= block.NoWait
		if err := d.next.Do(ctx, r); err == nil || !errors.Is(err, block.ErrWouldBlock) {
			return err
		}
		r.Flags &^= block.NoWait
	}
	if d.late.Load() > 0 {
		return ErrOverdue
	}
	l := d.begin(r, limit)
	if !l.done.WaitFor(limit) {
		if l.state.CompareAndSwap(underWay, abandoned) {
			d.late.Add(1)
			return l
		}
		l.done.Wait() // it has ended just now
	}
	err := l.err
	if err == nil {
		copy(r.Buf, l.buf)
	}
	d.end(l)
	return err
}
