package raid

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// writes is one write of each kind to an array of four with chunks of 4 KiB, and what the log has to say of it.
var loggedWrites = []struct {
	name     string
	off, len int64
	zero     bool
	entries  []md.PPLEntry // but for the checksums
}{
	{"a part of a chunk", 512, 1024, false, []md.PPLEntry{{DataSector: 1, PPSize: 1024, DataSize: 1024, ParityDisk: 3}}},
	{"a chunk", 4096, 4096, false, []md.PPLEntry{{DataSector: 8, PPSize: 4096, DataSize: 4096, ParityDisk: 3}}},
	{"two chunks", 0, 8192, false, []md.PPLEntry{{DataSector: 0, PPSize: 4096, DataSize: 8192, ParityDisk: 3}}},
	{"a stripe", 0, 12288, false, []md.PPLEntry{{DataSector: 0, DataSize: 12288, ParityDisk: 3}}},
	{"zeroes", 12288, 12288, true, []md.PPLEntry{{DataSector: 24, DataSize: 12288, ParityDisk: 2}}},
	{"zeroes in a chunk", 12288, 512, true, []md.PPLEntry{{DataSector: 24, PPSize: 512, DataSize: 512, ParityDisk: 2}}},
	{"parts of two chunks", 3584, 1024, false, []md.PPLEntry{
		{DataSector: 8, PPSize: 512, DataSize: 512, ParityDisk: 3}, {DataSector: 7, PPSize: 512, DataSize: 512, ParityDisk: 3},
	}},
	{"the rows of a stripe that all of it has, and more", 2048, 10240, false, []md.PPLEntry{
		{DataSector: 8, PPSize: 2048, DataSize: 4096, ParityDisk: 3}, {DataSector: 4, DataSize: 6144, ParityDisk: 3},
	}},
}

// TestRecordComesFirst: when anything of a write reaches a member, the member that has the parity of the rows durably has the record that says so; and the
// partial parity in it is the sum of what the write leaves alone.
func TestRecordComesFirst(t *testing.T) {
	for _, size := range logSizes {
		g := newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, size)
		a := g.open()
		require.NoError(t, block.WriteAt(ctx, a, noise(1, 1<<20), 0))
		for _, c := range loggedWrites {
			before := newModel(a).load(t).want
			var mu sync.Mutex
			seen, unflushed := 0, false
			for i, f := range g.faulty {
				f.Before(func(r block.Request) error {
					if r.Op == block.Read {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					if g.inLog(r) {
						require.EqualValues(t, c.entries[0].ParityDisk, i, c.name)
						require.NotZero(t, r.Flags&block.FUA, c.name)
					}
					if !g.inData(r) || seen > 0 {
						return nil
					}
					seen++
					parity := int(c.entries[0].ParityDisk)
					unflushed = g.faulty[parity].Unflushed() > 0
					h, at, err := md.ReadPPL(ctx, g.disks[parity], g.super(parity))
					require.NoError(t, err)
					require.Len(t, h.Entries, len(c.entries), c.name)
					for k, e := range h.Entries {
						pp := make([]byte, e.PPSize)
						require.NoError(t, block.ReadAt(ctx, g.disks[parity], pp, at))
						at += int64(e.PPSize)
						require.Equal(t, md.ChecksumPPL(pp), e.Checksum, c.name)
						require.Equal(t, untouched(before, e), pp, c.name)
						e.Checksum = 0
						require.Equal(t, c.entries[k], e, c.name)
					}
					return nil
				})
			}
			r := block.Request{Op: block.Write, Off: c.off, Len: c.len, Buf: noise(2, c.len)}
			if c.zero {
				r.Op, r.Buf = block.WriteZeroes, nil
			}
			require.NoError(t, a.Do(ctx, r), c.name)
			require.Equal(t, 1, seen, c.name)
			require.False(t, unflushed, "%s: the record need not be on the media", c.name)
			for _, f := range g.faulty {
				f.Before(nil)
			}
			require.NoError(t, block.Sync(ctx, a))
		}
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// untouched is the sum of what e's write leaves alone, in an array of four with chunks of 4 KiB that has content.
func untouched(content []byte, e md.PPLEntry) []byte {
	pp := make([]byte, e.PPSize)
	if e.PPSize == 0 {
		return pp
	}
	off := int64(e.DataSector) * md.Sector
	base, modified := off/12288*12288, int64(e.DataSize/e.PPSize)
	for chunk := range int64(3) {
		if first := (off - base) / 4096; first <= chunk && chunk < first+modified {
			continue
		}
		for i := range pp {
			pp[i] ^= content[base+chunk*4096+off%4096+int64(i)]
		}
	}
	return pp
}

func noise(seed uint64, n int64) []byte {
	rng := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestRecordsFollowEachOther: no record takes the place of the newest one before what was written under that is durable.
func TestRecordsFollowEachOther(t *testing.T) {
	for _, size := range logSizes {
		g := newLoggedRig(t, 4, md.Spec{Chunk: 16 << 10, AssumeClean: true}, size)
		a := g.open()
		require.NoError(t, write(a, 0, 512, 1))
		var mu sync.Mutex
		dirty := map[int]bool{} // members that have something in their caches, by any write
		var early atomic.Int64
		wraps, last := 0, int64(-1)
		for i, f := range g.faulty {
			f.Before(func(r block.Request) error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case r.Op == block.Flush:
					dirty[i] = false
				case r.Op == block.Write && g.inData(r):
					dirty[i] = true
				case r.Op == block.Write && g.inLog(r):
					if i == 3 && r.Off < last {
						wraps++
					}
					if i == 3 {
						last = r.Off
					}
					for _, d := range dirty {
						if d {
							early.Add(1)
						}
					}
				}
				return nil
			})
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 100 { // all of them in stripe 0, whose parity m3 has
			require.NoError(t, write(a, rng.Int64N(90)*512, 512*(1+rng.Int64N(6)), 3))
		}
		require.Zero(t, early.Load())
		if size == 528 {
			require.Positive(t, wraps, "the ring is to wrap")
		}
		if size == 24 {
			off, _ := g.super(3).PPLPlace()
			require.Equal(t, off, last, "the one place")
		}
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// TestManyShareARecord: those who come while a write is under way wait for it, and then share one record.
func TestManyShareARecord(t *testing.T) {
	g := newLoggedRig(t, 4, md.Spec{Chunk: 64 << 10, AssumeClean: true}, 2048)
	a := g.open()
	require.NoError(t, write(a, 0, 4096, 1))
	held := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Write && g.inData(r) }) // m0 and m2 are Inline
	before := len(g.faulty[3].Log())
	var wg sync.WaitGroup
	wg.Go(func() { require.NoError(t, write(a, 64<<10, 4096, 2)) })
	held.Await(1)
	for i := range int64(12) {
		wg.Go(func() { require.NoError(t, write(a, (i+1)*4096, 4096, 3)) })
	}
	require.Eventually(t, func() bool {
		a.ppl.mu.Lock()
		defer a.ppl.mu.Unlock()
		q := a.ppl.logs[3].queue
		return len(q) == 1 && q[0].users == 12 && q[0].filling == 0
	}, 10*time.Second, time.Millisecond)
	held.Release()
	wg.Wait()
	n := 0
	for _, r := range g.faulty[3].Log()[before:] {
		if r.Op == block.Write && g.inLog(r) {
			n++
		}
	}
	require.Equal(t, 2, n)
	require.Len(t, g.record(3).Entries, 12)
	require.NoError(t, a.Close())
}

// TestNoWaitAtTheLog: whoever cannot wait is told so before anything is changed.
func TestNoWaitAtTheLog(t *testing.T) {
	g := newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, 2048)
	a := g.open()
	require.NoError(t, write(a, 0, 4096, 1))
	r := block.Request{Op: block.Write, Flags: block.NoWait, Len: 4096, Buf: make([]byte, 4096)}
	require.ErrorIs(t, a.Do(context.Background(), r), block.ErrWouldBlock)
	require.ErrorIs(t, write(a, 100, 100, 1), block.ErrInvalid, "an entry counts in sectors")
	require.NoError(t, a.Close())
}
