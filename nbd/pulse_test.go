package nbd_test

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/nbd"
	"graid/nbd/nbdtest"
	"graid/sched"
)

// clocks is a machine whose clocks can be set forward, as they are found after a pause.
type clocks struct {
	sched.Sched
	now, wall atomic.Int64
}

func (c *clocks) Now() time.Duration { return c.Sched.Now() + time.Duration(c.now.Load()) }
func (c *clocks) Wall() time.Time    { return c.Sched.Wall().Add(time.Duration(c.wall.Load())) }

// TestPause: after a pause of the process, or of the machine, what a client had asked before is not done: its connection is
// closed with all that is unread. With the limit out of the way it is done. Who connects afterwards is served.
func TestPause(t *testing.T) {
	for _, a := range []struct {
		name      string
		now, wall time.Duration
		inline    bool
		limit     time.Duration
		dropped   bool
	}{
		{"of the process", 6 * time.Second, 6 * time.Second, true, 0, true},
		{"of the process, with workers", 6 * time.Second, 6 * time.Second, false, 0, true},
		{"of the machine", 0, 6 * time.Second, true, 0, true},
		{"within the limit", 1500 * time.Millisecond, 1500 * time.Millisecond, true, 0, false},
		{"with the limit off", 6 * time.Second, 6 * time.Second, true, time.Hour, false},
	} {
		t.Run(a.name, func(t *testing.T) {
			disk := newTap(a.inline)
			clock := &clocks{Sched: sched.Real}
			s := one(disk)
			s.Sched, s.Limits.Pause = clock, a.limit
			path := start(t, s)
			for _, cmd := range []uint16{nbdtest.Write, nbdtest.Trim, nbdtest.WriteZeroes} {
				c := dial(t, path, true)
				require.NoError(t, c.Sync())
				clock.now.Add(int64(a.now))
				clock.wall.Add(int64(a.wall))
				payload := map[uint16][]byte{nbdtest.Write: make([]byte, 512)}[cmd]
				r := c.Do(cmd, 0, 0, 512, payload)
				require.Equal(t, a.dropped, r.Err != nil, "command %d: %v", cmd, r.Err)
			}
			require.Equal(t, a.dropped, len(disk.log) == 0, "what was asked after the pause")
			require.NoError(t, dial(t, path, true).Sync())
		})
	}
}

// TestPauseMeanwhile: what waits for a worker, or for the rest of its payload, during the pause is not done either.
func TestPauseMeanwhile(t *testing.T) {
	disk := blocktest.NewFaulty(&slow{mem.New(1<<20, mem.Options{})}, blocktest.FaultyOptions{})
	clock := &clocks{Sched: sched.Real}
	s := one(disk)
	s.Sched, s.Limits.Workers = clock, 1
	c := dial(t, start(t, s), true)
	hold := disk.Hold(func(r block.Request) bool { return r.Op == block.Read })
	c.Start(nbdtest.Read, 0, 0, 512, nil)
	hold.Await(1)
	write := c.Start(nbdtest.Write, 0, 0, 512, make([]byte, 512))
	flush := c.Start(nbdtest.Flush, 0, 0, 0, nil) // when it is in the queue, so is the write
	for c.Do(nbdtest.Cache, 0, 0, 512, nil).Errno != 0 {
	}
	clock.now.Add(int64(6 * time.Second))
	hold.Release()
	require.Error(t, (<-write).Err)
	require.Error(t, (<-flush).Err)
	require.Eventually(t, func() bool { return len(s.Clients()) == 0 }, 10*time.Second, time.Millisecond)
	require.Zero(t, disk.Count(block.Write))
}

// TestPauseIsNoticed: nobody has to ask anything for the connections to be dropped.
func TestPauseIsNoticed(t *testing.T) {
	clock := &clocks{Sched: sched.Real}
	s := one(mem.New(1<<20, mem.Options{}))
	s.Sched, s.Limits = clock, nbd.Limits{Pause: 200 * time.Millisecond}
	path := start(t, s)
	dial(t, path, true)
	require.Len(t, s.Clients(), 1)
	clock.now.Add(int64(time.Hour))
	require.Eventually(t, func() bool { return len(s.Clients()) == 0 }, 10*time.Second, time.Millisecond)
}

// TestPauseInABatch: what came in one piece with a change during which the pause was, and was to be done in place, is not done.
func TestPauseInABatch(t *testing.T) {
	disk := blocktest.NewFaulty(mem.New(1<<20, mem.Options{}), blocktest.FaultyOptions{Inline: true})
	clock := &clocks{Sched: sched.Real}
	disk.Before(func(block.Request) error {
		clock.now.Add(int64(6 * time.Second))
		return nil
	})
	s := one(disk)
	s.Sched = clock
	nc, err := net.Dial("unix", start(t, s))
	require.NoError(t, err)
	defer nc.Close()
	handshake(t, nc)
	_, err = nc.Write(bytes.Repeat(append(encode(t, "req:0:WRITE:1:0:512"), make([]byte, 512)...), 2))
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, nc)
	require.Equal(t, 1, disk.Count(block.Write))
}
