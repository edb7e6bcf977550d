package raid

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
)

// witness knows what each sector may hold after a power cut: what it durably had, or any of what was written since the last flush.
type witness struct {
	may   [][]uint64 // by sector; the last is what a read returns now
	stamp uint64
}

func (w *witness) write(a *Array, rng *rand.Rand) error {
	n := 1 + rng.IntN(24)
	first := rng.IntN(len(w.may) - n)
	r := block.Request{Op: block.Write, Off: int64(first) * 512, Len: int64(n) * 512, Buf: make([]byte, n*512)}
	if rng.IntN(6) == 0 {
		r.Flags = block.FUA
	}
	for i := range n {
		w.stamp++
		for b := r.Buf[i*512 : (i+1)*512]; len(b) > 0; b = b[8:] {
			binary.LittleEndian.PutUint64(b, w.stamp)
		}
		w.may[first+i] = append(w.may[first+i], w.stamp) // from now on: it may land even if the write is never acknowledged
	}
	if err := a.Do(ctx, r); err != nil {
		return err
	}
	if r.Flags&block.FUA != 0 {
		w.settle(first, first+n)
	}
	return nil
}

// settle says that the newest content of sectors lo to hi is durable.
func (w *witness) settle(lo, hi int) {
	for i := lo; i < hi; i++ {
		w.may[i] = w.may[i][len(w.may[i])-1:]
	}
}

// check reads everything and says which sector has what it must not.
func (w *witness) check(a *Array) error {
	got := make([]byte, len(w.may)*512)
	if err := block.ReadAt(ctx, a, got, 0); err != nil {
		return err
	}
	for i, may := range w.may {
		sector := got[i*512 : (i+1)*512]
		v := binary.LittleEndian.Uint64(sector)
		ok := bytes.Equal(sector, bytes.Repeat(sector[:8], 64))
		found := false
		for _, m := range may {
			found = found || m == v
		}
		if !ok || !found {
			return fmt.Errorf("sector %d holds %d (whole: %v), may hold %v", i, v, ok, may)
		}
	}
	return nil
}

// TestPowerCuts cuts the power of all members at a random request, keeps any subset of what was not flushed, and opens the array again: what was
// acknowledged and flushed is there, resync makes the members agree without changing what reads return, and losing a member at the same time
// loses nothing where the level can know better.
func TestPowerCuts(t *testing.T) {
	cuts := uint64(fewer(8))
	if testing.Short() {
		cuts = 3
	}
	for i, l := range levels {
		for seed := range cuts {
			t.Run(fmt.Sprintf("%s/%d", l.name, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				g := newRig(t, l.spec, l.n)
				w := &witness{may: make([][]uint64, 1500)}
				for i := range w.may {
					w.may[i] = []uint64{0}
				}
				for range 3 { // lives
					g.life(t, w, rng)
				}
			})
		}
	}
}

// life opens the array, writes until the power goes, and judges what is left.
func (g *rig) life(t *testing.T, w *witness, rng *rand.Rand) {
	a := g.open()
	require.NoError(t, w.check(a))
	left := 20 + rng.IntN(400) // member requests until the cut
	dies, at := rng.IntN(2*len(g.disks)), rng.IntN(400)
	var mu sync.Mutex
	for i, f := range g.faulty {
		f.Before(func(block.Request) error {
			mu.Lock()
			defer mu.Unlock()
			if i == dies && left < at && a.geo.Redundant() {
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
	for {
		if rng.IntN(8) == 0 {
			if block.Sync(ctx, a) != nil {
				break
			}
			w.settle(0, len(w.may))
			if rng.IntN(2) == 0 {
				a.settle(true)
			}
		} else if w.write(a, rng) != nil {
			break
		}
	}
	for i, f := range g.faulty {
		require.NoError(t, f.Survivors(rng, g.disks[i]))
	}
	_ = a.Close()

	saved := g.disks
	if a.Status().Degraded > 0 || lostOnDisk(g) {
		g.reborn(t, w)
		return
	}
	for missing := range g.disks { // lost at the same instant
		g.disks, g.opts.Run = clones(saved), true
		a, err := g.tryOpen(missing)
		if err != nil {
			require.True(t, g.spec.Level <= 0 || g.spec.Level >= 4 && g.spec.Level <= 6, "%v", err)
			continue // no redundancy, or a parity array that may have torn stripes: refused, which is honest
		}
		require.NoError(t, w.check(a), "without m%d", missing)
		require.NoError(t, a.Close())
	}
	g.disks, g.opts.Run = saved, false
	a = g.open()
	require.NoError(t, w.check(a))
	seen := newModel(a).load(t)
	require.NoError(t, a.Wait(ctx))
	agrees(t, a)
	seen.same(t)
	require.NoError(t, a.Close())
	w.adopt(seen.want) // it is durable now
}

// lostOnDisk says whether any member has written down that another one failed.
func lostOnDisk(g *rig) bool {
	for i := range g.disks {
		for role := range g.disks {
			if g.super(i).Roles[role] != uint16(role) {
				return true
			}
		}
	}
	return false
}

// reborn opens an array one of whose members died before the power was cut, with that member back as it was. It must not be believed; where
// the rest may have torn stripes the array must ask for force, and where it does not the content is judged as ever.
func (g *rig) reborn(t *testing.T, w *witness) {
	a, err := g.tryOpen()
	if err != nil {
		require.Contains(t, []int{4, 5, 6}, g.spec.Level)
		require.ErrorContains(t, err, "--force")
		g.opts.Force = true
		a = g.open()
		g.opts.Force = false
		w.adopt(newModel(a).load(t).want)
		require.NoError(t, a.Close())
	} else {
		require.NoError(t, w.check(a))
		w.adopt(newModel(a).load(t).want)
		require.NoError(t, a.Close())
	}
	// Whole again for the next life: a new array, with the content put back.
	for i := range g.disks {
		g.disks[i] = mem.New(memberSize, mem.Options{})
	}
	_, err = Create(ctx, g.spec, g.wrap(), Options{})
	require.NoError(t, err)
	a = g.open()
	content := make([]byte, len(w.may)*512)
	for i := range w.may {
		for b := content[i*512 : (i+1)*512]; len(b) > 0; b = b[8:] {
			binary.LittleEndian.PutUint64(b, w.may[i][0])
		}
	}
	require.NoError(t, block.WriteAt(ctx, a, content, 0))
	require.NoError(t, a.Close())
}

// adopt takes what is there for the truth.
func (w *witness) adopt(content []byte) {
	for i := range w.may {
		w.may[i] = []uint64{binary.LittleEndian.Uint64(content[i*512:])}
	}
}
