package raid

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/raid/md"
)

// logSizes are the partial parity logs that tests run with, sectors: a ring so small that it wraps all the time, mdadm's, and the place of one record.
var logSizes = []uint16{528, 2048, 24}

// newLoggedRig is a raid5 with a log of so many sectors on each of n members.
func newLoggedRig(t testing.TB, n int, spec md.Spec, sectors uint16) *rig {
	spec.Level, spec.PPL = 5, true
	g := newRig(t, spec, n)
	for i, d := range g.disks {
		sb := g.super(i)
		require.EqualValues(t, 2048, sb.PPLSize)
		sb.PPLSize = sectors
		require.NoError(t, md.WriteSuperblock(ctx, d, sb, 0))
	}
	return g
}

// record is the newest record of the log of member i, as a power cut would leave it at best.
func (g *rig) record(i int) *md.PPLHeader {
	h, _, err := md.ReadPPL(ctx, g.disks[i], g.super(i))
	require.NoError(g.t, err)
	return h
}

// inLog and inData say whether a request to a member is to its log, or to its data.
func (g *rig) inLog(r block.Request) bool {
	off, size := g.super(0).PPLPlace()
	return r.Op != block.Flush && off <= r.Off && r.Off < off+size
}

func (g *rig) inData(r block.Request) bool {
	return r.Op != block.Flush && r.Off >= int64(g.super(0).DataOffset)*md.Sector
}

// TestLoggedContent: what is written is read, whole and degraded, and members agree.
func TestLoggedContent(t *testing.T) {
	for _, size := range logSizes {
		for _, chunk := range []int64{4096, 64 << 10} {
			g := newLoggedRig(t, 4, md.Spec{Chunk: chunk}, size)
			a := g.open()
			require.Empty(t, a.Status().ReadOnlyWhy)
			require.Equal(t, "ppl", a.Status().ConsistencyPolicy)
			m := newModel(a)
			var wg sync.WaitGroup
			for k := range int64(4) {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(k), uint64(size)))
					require.NoError(t, m.run(rng, k*300<<10, (k+1)*300<<10, fewer(200)))
				})
			}
			wg.Wait()
			agrees(t, a)
			require.NoError(t, a.Fail(ctx, "m1"))
			require.NoError(t, m.run(rand.New(rand.NewPCG(1, 1)), 0, 1<<20, 200))
			m.same(t)
			require.NoError(t, a.Close())
		}
	}
}

// newCut opens the array with a power cut to come after so many requests to members, whatever they are.
func (g *rig) cutAfter(left int, dies int, at int) {
	var mu sync.Mutex
	for i, f := range g.faulty {
		f.Before(func(block.Request) error {
			mu.Lock()
			defer mu.Unlock()
			if i == dies && left < at {
				return block.ErrGone // for this life; after the power cut it is back, from the past
			}
			if left--; left == 0 {
				for _, f := range g.faulty {
					f.PowerOff()
				}
			}
			return nil
		})
	}
}

// intact checks that every sector that was not being written to is what it was. What was being written to, and a member is missing that had some of it, may be
// anything: no log can know.
func (w *witness) intact(a *Array) error {
	got := make([]byte, len(w.may)*512)
	if err := block.ReadAt(ctx, a, got, 0); err != nil {
		return err
	}
	for i, may := range w.may {
		if len(may) == 1 {
			one := &witness{may: [][]uint64{may}}
			if err := one.holds(got[i*512 : (i+1)*512]); err != nil {
				return fmt.Errorf("sector %d: %w", i, err)
			}
		}
	}
	return nil
}

func (w *witness) holds(sector []byte) error {
	for i := 0; i < len(sector); i += 8 {
		if v := binary.LittleEndian.Uint64(sector[i:]); v != w.may[0][0] {
			return fmt.Errorf("holds %d, is to hold %d", v, w.may[0][0])
		}
	}
	return nil
}

// TestWriteHole cuts the power of all members at a random request, keeps any subset of what was not flushed, and takes away any one member, or none: everything
// that was not being written is intact, whole or computed, and nobody has to force anything.
func TestWriteHole(t *testing.T) {
	seeds := uint64(fewer(12))
	if testing.Short() {
		seeds = 2
	}
	var resyncs, cleans int
	for n, size := range logSizes {
		if blocktest.Race && n > 0 {
			break // more of the same for ten times the price
		}
		for seed := range seeds {
			t.Run(fmt.Sprintf("%d/%d", size, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, uint64(n)))
				g := newLoggedRig(t, 3+rng.IntN(2), md.Spec{Chunk: 4096 << rng.IntN(3), AssumeClean: true, Layout: rng.IntN(6)}, size)
				w := &witness{may: make([][]uint64, 1500)}
				for i := range w.may {
					w.may[i] = []uint64{0}
				}
				for range 4 {
					r, c := g.holeLife(t, w, rng)
					resyncs, cleans = resyncs+r, cleans+c
				}
			})
		}
	}
	t.Logf("%d starts found the array clean by its log, %d had to resync it", cleans, resyncs)
	require.Greater(t, cleans, resyncs)
}

// holeLife is rig.life for an array that has a log.
func (g *rig) holeLife(t *testing.T, w *witness, rng *rand.Rand) (resyncs, cleans int) {
	a := g.open()
	require.NoError(t, w.check(a))
	dies, at := rng.IntN(2*len(g.disks)), rng.IntN(400)
	g.cutAfter(20+rng.IntN(400), dies, at)
	for {
		if rng.IntN(8) == 0 {
			if block.Sync(ctx, a) != nil {
				break
			}
			w.settle(0, len(w.may))
			if rng.IntN(4) == 0 {
				a.settle(true)
			}
		} else if w.write(a, rng) != nil {
			break
		}
	}
	for i, f := range g.faulty {
		require.NoError(t, f.Survivors(rng, g.disks[i]))
	}
	degraded := lostOnDisk(g)
	_ = a.Close()

	saved := g.disks
	if degraded {
		a := g.open() // without force
		require.NoError(t, w.intact(a))
		require.NoError(t, a.Close())
		g.again(t, w)
		return 0, 0
	}
	for missing := range g.disks { // lost at the same instant
		g.disks, g.opts.Run = clones(saved), true
		a := g.open(missing)
		require.NoError(t, w.intact(a), "without m%d", missing)
		if rng.IntN(2) == 0 { // it can be used at once, and go down again
			left := *w
			left.may = append([][]uint64(nil), w.may...)
			for n := rng.IntN(10); n > 0; n-- {
				require.NoError(t, left.write(a, rng))
			}
			for i, f := range g.faulty {
				require.NoError(t, f.Crash(rng), "%d", i)
			}
			_ = a.Close()
			a = g.open(missing)
			require.NoError(t, left.intact(a), "without m%d, again", missing)
		}
		require.NoError(t, a.Close())
	}
	g.disks, g.opts.Run = saved, false
	dirty := !g.super(0).Clean()
	a = g.open()
	if dirty {
		if a.busy() {
			resyncs++
		} else {
			cleans++
		}
	}
	require.NoError(t, w.check(a))
	seen := newModel(a).load(t)
	require.NoError(t, a.Wait(ctx))
	agrees(t, a)
	seen.same(t)
	require.NoError(t, a.Close())
	w.adopt(seen.want)
	return resyncs, cleans
}

// again makes a new array of g's, with the content that w has for certain.
func (g *rig) again(t *testing.T, w *witness) {
	fresh := newLoggedRig(t, len(g.disks), g.spec, g.super(0).PPLSize)
	g.disks = fresh.disks
	a := g.open()
	for i := range w.may {
		w.may[i] = w.may[i][len(w.may[i])-1:]
		b := make([]byte, 512)
		for k := 0; k < 512; k += 8 {
			binary.LittleEndian.PutUint64(b[k:], w.may[i][0])
		}
		require.NoError(t, block.WriteAt(ctx, a, b, int64(i)*512))
	}
	require.NoError(t, a.Close())
}
