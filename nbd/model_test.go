package nbd_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/nbd/nbdtest"
)

// slow is a device that the server must hand to workers.
type slow struct{ *mem.Disk }

func (d *slow) Info() block.Info {
	i := d.Disk.Info()
	i.Inline = false
	return i
}

// moody is an Inline device that would have to wait for every third request, and says so after half of the buffer was used.
type moody struct {
	*mem.Disk
	asked atomic.Int64
}

func (d *moody) Do(ctx context.Context, r block.Request) error {
	if r.Flags&block.NoWait != 0 && d.asked.Add(1)%3 == 0 {
		if r.Op == block.Read {
			copy(r.Buf[:r.Len/2], bytes.Repeat([]byte{0xEE}, int(r.Len/2)))
		}
		return block.ErrWouldBlock
	}
	return d.Disk.Do(ctx, r)
}

// TestModel has several connections do random requests, legal and not, on a region of their own each; the regions share
// blocks at their edges. Every reply is compared with a flat model, and in the end so is the device, read by another client.
func TestModel(t *testing.T) {
	for _, o := range []struct {
		name string
		dev  block.Device
	}{
		{"inline 512", mem.New(1<<20, mem.Options{})},
		{"inline 1", mem.New(1<<20, mem.Options{Block: 1})},
		{"moody 512", &moody{Disk: mem.New(1<<20, mem.Options{})}},
		{"moody 1", &moody{Disk: mem.New(1<<20, mem.Options{Block: 1})}},
		{"workers 4096", &slow{mem.New(1<<20, mem.Options{Block: 4096, Align: 4096})}},
	} {
		t.Run(o.name, func(t *testing.T) {
			path := start(t, one(o.dev))
			const clients, region = 4, 200_001
			model := make([]byte, clients*region)
			var tasks sync.WaitGroup
			for i := range clients {
				c := dial(t, path, i%2 == 0)
				tasks.Go(func() {
					m := &machine{c: c, structured: i%2 == 0, lo: i * region, model: model[i*region : (i+1)*region]}
					if err := m.run(rand.New(rand.NewPCG(1, uint64(i)))); err != nil {
						t.Errorf("client %d: %v", i, err)
					}
				})
			}
			tasks.Wait()
			got := bytes.Repeat([]byte{0xA5}, len(model))
			_, err := dial(t, path, true).ReadAt(got, 0)
			require.NoError(t, err)
			require.True(t, bytes.Equal(model, got), "the device differs from the model")
		})
	}
}

type machine struct {
	c          *nbdtest.Client
	structured bool
	lo         int
	model      []byte
}

// run sends batches of requests that do not overlap within a batch, so that each has one right answer.
func (m *machine) run(rng *rand.Rand) error {
	for range 60 {
		var checks []func() error
		for at := 0; at < len(m.model) && len(checks) < 16; {
			at += rng.IntN(4000)
			n := 1 + rng.IntN(1<<(1+rng.IntN(16)))
			if rng.IntN(3) == 0 {
				at = at + (512-(at+m.lo)%512)%512
				n = n&^511 + 512
			}
			if at+n > len(m.model) {
				break
			}
			checks = append(checks, m.step(rng, at, n))
			at += n
		}
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// step starts one request on [at, at+n) and returns what checks its reply.
func (m *machine) step(rng *rand.Rand, at, n int) func() error {
	off, want := uint64(m.lo+at), m.model[at:at+n]
	flags := uint16(0)
	if rng.IntN(4) == 0 {
		flags = nbdtest.FUA
	}
	errno := func(what string, wait <-chan nbdtest.Reply, errno uint32) func() error {
		return func() error {
			if r := <-wait; r.Err != nil || r.Errno != errno {
				return fmt.Errorf("%s [%d,+%d): errno %d %s %v", what, off, n, r.Errno, r.Text, r.Err)
			}
			return nil
		}
	}
	switch op := rng.IntN(10); {
	case op < 3:
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		return errno("write", m.c.Start(nbdtest.Write, flags, off, uint32(n), want), 0)
	case op == 3:
		clear(want)
		return errno("zero", m.c.Start(nbdtest.WriteZeroes, flags|nbdtest.NoHole*uint16(rng.IntN(2)), off, uint32(n), nil), 0)
	case op == 4:
		return errno("flush", m.c.Start(nbdtest.Flush, flags, 0, 0, nil), 0)
	case op == 5 && m.structured:
		return m.status(off, want, m.c.Start(nbdtest.BlockStatus, 0, off, uint32(n), nil))
	case op == 6:
		return errno("write past the end", m.c.Start(nbdtest.Write, 0, 1<<20-1, uint32(n)+1, make([]byte, n+1)), 28)
	case op == 7:
		return errno("unknown command", m.c.Start(77, 0, off, uint32(n), nil), 22)
	}
	copied := bytes.Clone(want)
	wait := m.c.Start(nbdtest.Read, flags, off, uint32(n), nil)
	return func() error {
		if r := <-wait; r.Err != nil || r.Errno != 0 || !bytes.Equal(r.Data, copied) {
			return fmt.Errorf("read [%d,+%d): errno %d %s %v, or wrong bytes", off, n, r.Errno, r.Text, r.Err)
		}
		return nil
	}
}

// status checks that nothing is called zero that is not.
func (m *machine) status(off uint64, want []byte, wait <-chan nbdtest.Reply) func() error {
	want = bytes.Clone(want)
	return func() error {
		r := <-wait
		if r.Err != nil || r.Errno != 0 {
			return fmt.Errorf("status [%d,+%d): errno %d %s %v", off, len(want), r.Errno, r.Text, r.Err)
		}
		for _, e := range r.Extents {
			if int(e.Len) > len(want) {
				return fmt.Errorf("status [%d,+%d): extents beyond it", off, len(want))
			}
			if part := want[:e.Len]; e.State&2 != 0 && !bytes.Equal(part, make([]byte, len(part))) {
				return fmt.Errorf("status [%d,+%d): bytes called zero that are not", off, len(want))
			}
			want = want[e.Len:]
		}
		if len(want) > 0 {
			return fmt.Errorf("status at %d: %d bytes missing", off, len(want))
		}
		return nil
	}
}
