package nbd_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/nbd/nbdtest"
)

// TestPowerCut has several clients write, zero, trim, flush and send what is illegal, to a disk with a cache that a power cut loses, and cuts the
// power before one of the requests that the disk gets: each in turn. What the disk holds then is what it may hold: of what a client was told
// is durable, by FUA or by a flush of any client that came after the reply, nothing is lost; what was never written is nowhere. Only what
// nobody flushed may be as it was before, sector by sector.
func TestPowerCut(t *testing.T) {
	seeds, step := uint64(6), 7
	if n, err := strconv.Atoi(os.Getenv("GRAID_POWER_CUTS")); err == nil { // seeds, each cut everywhere
		seeds, step = uint64(n), 1
	}
	cuts := 0
	for seed := range seeds {
		for _, inline := range []bool{true, false} {
			for at := 1 + int(seed)%step; ; at += step {
				reached, err := powerCut(t, seed, at, inline)
				require.NoError(t, err, "seed %d, inline %v, cut before request %d of the disk", seed, inline, at)
				if !reached {
					break
				}
				cuts++
			}
		}
	}
	require.Greater(t, cuts, 100)
	t.Logf("%d power cuts", cuts)
}

const (
	cutClients = 3
	cutRegion  = 16 << 10 // bytes of each client
	cutSector  = blocktest.Sector
)

// thorough forgets every byte that it is told to discard, and no other.
type thorough struct{ *mem.Disk }

func (d *thorough) Do(ctx context.Context, r block.Request) error {
	if r.Op == block.Discard {
		r.Op = block.WriteZeroes
	}
	return d.Disk.Do(ctx, r)
}

// powerCut is one history, cut before the at-th request that the disk gets; it says whether there were so many.
func powerCut(t *testing.T, seed uint64, at int, inline bool) (reached bool, err error) {
	image := mem.New(cutClients*cutRegion, mem.Options{})
	disk := blocktest.NewFaulty(&thorough{image}, blocktest.FaultyOptions{Volatile: true, Inline: inline})
	var mu sync.Mutex
	count := 0
	disk.Before(func(block.Request) error {
		mu.Lock()
		defer mu.Unlock()
		if count++; count == at {
			disk.PowerOff()
			reached = true
		}
		return nil
	})
	s := one(disk)
	path := start(t, s)
	h := &history{}
	var tasks sync.WaitGroup
	for i := range cutClients {
		c, err := nbdtest.Dial("unix", path, nbdtest.Options{Export: "disk", Structured: i%2 == 0})
		require.NoError(t, err)
		defer c.Close()
		tasks.Go(func() {
			m := &writer{h: h, c: c, lo: i * cutRegion, sectors: make([]sector, cutRegion/cutSector)}
			h.join(m)
			m.run(rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
	tasks.Wait()
	disk.PowerOff()
	if err := disk.Survivors(rand.New(rand.NewPCG(seed, uint64(at))), image); err != nil {
		return reached, err
	}
	got := make([]byte, cutClients*cutRegion)
	if err := block.ReadAt(ctx, image, got, 0); err != nil {
		return reached, err
	}
	return reached, h.judge(got)
}

// history orders what clients sent and were told.
type history struct {
	mu      sync.Mutex
	clock   int
	flushed int // everything acknowledged before it is durable
	writers []*writer
}

func (h *history) join(w *writer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writers = append(h.writers, w)
}

func (h *history) tick() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	return h.clock
}

// flush is told of one that was sent at that time and succeeded.
func (h *history) flush(sent int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushed = max(h.flushed, sent)
}

// version is a content that a sector was given. Trimmed ones may be lost or kept, whatever is flushed.
type version struct {
	value byte
	acked int // 0 = it was not
	fua   bool
	trim  bool
}

type sector []version

// writer is one client. Its sectors hold one byte all over, so that one that is torn or mixed up shows.
type writer struct {
	h       *history
	c       *nbdtest.Client
	lo      int
	sectors []sector
	next    byte
}

// run sends rounds of requests that do not overlap within a round, until the power is off.
func (w *writer) run(rng *rand.Rand) {
	for range 12 {
		var waits []func() bool
		for at := 0; at < len(w.sectors); {
			at += rng.IntN(4)
			n := 1 + rng.IntN(6)
			if at+n > len(w.sectors) {
				break
			}
			waits = append(waits, w.start(rng, at, n))
			at += n
		}
		on := true
		for _, wait := range waits {
			on = wait() && on
		}
		if !on {
			return
		}
		if rng.IntN(3) == 0 {
			sent := w.h.tick()
			if r := w.c.Do(nbdtest.Flush, 0, 0, 0, nil); r.Err != nil || r.Errno != 0 {
				return
			}
			w.h.flush(sent)
		}
	}
}

// start sends one request; what it returns waits for the reply and says whether the power is on.
func (w *writer) start(rng *rand.Rand, at, n int) func() bool {
	off, size := uint64(w.lo+at*cutSector), uint32(n*cutSector)
	v := version{fua: rng.IntN(4) == 0}
	flags := uint16(0)
	if v.fua {
		flags = nbdtest.FUA
	}
	var reply <-chan nbdtest.Reply
	switch op := rng.IntN(12); {
	case op == 0: // illegal: nothing may change
		wrong := []func() <-chan nbdtest.Reply{
			func() <-chan nbdtest.Reply {
				return w.c.Start(nbdtest.Write, 0x8000, off, size, bytes.Repeat([]byte{0xEE}, int(size)))
			},
			func() <-chan nbdtest.Reply {
				return w.c.Start(nbdtest.Write, 0, 1<<40, size, bytes.Repeat([]byte{0xEE}, int(size)))
			},
			func() <-chan nbdtest.Reply { return w.c.Start(nbdtest.Trim, nbdtest.FastZero, off, size, nil) },
			func() <-chan nbdtest.Reply { return w.c.Start(nbdtest.WriteZeroes, nbdtest.DF, off, size, nil) },
			func() <-chan nbdtest.Reply { return w.c.Start(99, 0, off, size, nil) },
			func() <-chan nbdtest.Reply { return w.c.Start(nbdtest.Trim, 0, cutClients*cutRegion-1, 2, nil) },
		}[rng.IntN(6)]()
		return func() bool { r := <-wrong; return r.Err == nil && (r.Errno == 22 || r.Errno == 28) }
	case op < 3:
		w.add(at, n, version{trim: true})
		reply = w.c.Start(nbdtest.Trim, flags, off, size, nil)
		v.trim = true
	case op < 5:
		w.add(at, n, v)
		reply = w.c.Start(nbdtest.WriteZeroes, flags|nbdtest.NoHole*uint16(rng.IntN(2)), off, size, nil)
	default:
		w.next = w.next%200 + 1
		v.value = w.next
		w.add(at, n, v)
		reply = w.c.Start(nbdtest.Write, flags, off, size, bytes.Repeat([]byte{v.value}, int(size)))
	}
	return func() bool {
		r := <-reply
		if r.Err != nil || r.Errno != 0 {
			return false
		}
		acked := w.h.tick()
		for i := at; i < at+n; i++ {
			w.sectors[i][len(w.sectors[i])-1].acked = acked
		}
		return true
	}
}

func (w *writer) add(at, n int, v version) {
	for i := at; i < at+n; i++ {
		w.sectors[i] = append(w.sectors[i], v)
	}
}

// judge looks at every sector after the power cut.
func (h *history) judge(got []byte) error {
	for _, w := range h.writers {
		for i, s := range w.sectors {
			at := w.lo + i*cutSector
			b := got[at : at+cutSector]
			if !bytes.Equal(b, bytes.Repeat(b[:1], cutSector)) {
				return fmt.Errorf("sector at %d is mixed", at)
			}
			if allowed := s.allowed(h.flushed); !bytes.Contains(allowed, b[:1]) {
				return fmt.Errorf("sector at %d holds %d; it may hold %v: %+v, flushed %d", at, b[0], allowed, s, h.flushed)
			}
		}
	}
	return nil
}

// allowed are the contents that a sector may have: the last one that is durable, and what was sent after it.
func (s sector) allowed(flushed int) []byte {
	list := []byte{0}
	for _, v := range s {
		if !v.trim && v.acked > 0 && (v.fua || v.acked < flushed) {
			list = list[:0]
		}
		list = append(list, v.value)
	}
	return list
}
