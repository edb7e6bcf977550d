package raid

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/raid/md"
)

// TestArraysHoldWhatWasWritten runs clients side by side on every level against a flat model, then opens the array again: whole, and
// without each member that it tolerates to lose.
func TestArraysHoldWhatWasWritten(t *testing.T) {
	for i, l := range levels {
		t.Run(l.name, func(t *testing.T) {
			g := newRig(t, l.spec, l.n)
			a := g.open()
			m := newModel(a)
			m.storm(t, uint64(i), fewer(150), nil)
			m.same(t)
			agrees(t, a)
			require.NoError(t, a.Close())

			g.opts.Run = true
			again := &model{a: g.open(), want: m.want}
			again.same(t)
			require.NoError(t, again.a.Close())
			for role := range l.n {
				a, err := g.tryOpen(role)
				if a == nil {
					require.Error(t, err)
					require.False(t, again.a.geo.Redundant())
					continue
				}
				require.Equal(t, StateDegraded, a.Status().State)
				(&model{a: a, want: m.want}).same(t)
				require.NoError(t, a.Close())
			}
		})
	}
}

// TestDegradedArraysTakeWrites loses each member in turn while clients are at work, and checks the rest.
func TestDegradedArraysTakeWrites(t *testing.T) {
	for i, l := range levels {
		for role := range fewer(l.n) {
			g := newRig(t, l.spec, l.n)
			a := g.open()
			if !a.geo.Redundant() {
				require.NoError(t, a.Close())
				continue
			}
			m := newModel(a)
			m.storm(t, uint64(i*10+role), 60, func() {
				time.Sleep(time.Millisecond)
				require.NoError(t, a.Fail(ctx, g.faulty[role].Info().Name))
			})
			m.storm(t, uint64(i*10+role)+1000, 30, nil)
			m.same(t)
			require.Equal(t, StateDegraded, a.Status().State)
			require.NoError(t, a.Close())

			a = g.open() // with the failed member offered: it must not be believed
			require.Equal(t, 1, a.Status().Degraded, l.name)
			(&model{a: a, want: m.want}).same(t)
			require.NoError(t, a.Close())
		}
	}
}

// TestConformance runs the suite that every Device passes on arrays.
func TestConformance(t *testing.T) {
	for i, l := range levels {
		if i%4 != 0 && blocktest.Race {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T, size int64) block.Device {
				return inlineArray(t, l.spec, l.n, size)
			}, blocktest.Size(6<<20))
		})
	}
}

// inlineArray is an array of at least size bytes on plain memory members.
func inlineArray(t testing.TB, spec md.Spec, n int, size int64) *Array {
	if spec.Level != 10 {
		spec.Layout = -1
	}
	spec.RaidDevices, spec.Name = n, "t"
	var members []Member
	for i := range n {
		members = append(members, Member{Path: string(rune('a' + i)), Dev: mem.New(size+8<<20, mem.Options{})})
	}
	_, err := Create(ctx, spec, members, Options{})
	require.NoError(t, err)
	a, err := Assemble(ctx, members, Options{})
	require.NoError(t, err)
	return a
}

// TestReadOnlyWritesNothing opens, reads and closes read-only, degraded and dirty too, and compares every byte of every member.
func TestReadOnlyWritesNothing(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 4)
	a := g.open()
	m := newModel(a)
	m.storm(t, 1, 50, nil)
	require.NoError(t, a.Close())

	g.opts.ReadOnly, g.opts.Run = true, true
	before := snapshot(t, g.disks)
	for without := -1; without < 4; without++ {
		var out []int
		if without >= 0 {
			out = append(out, without)
		}
		a = g.open(out...)
		(&model{a: a, want: m.want}).same(t)
		require.ErrorIs(t, a.Do(ctx, block.Request{Op: block.Write, Len: 512, Buf: make([]byte, 512)}), block.ErrReadOnly)
		require.NoError(t, block.Sync(ctx, a))
		require.NoError(t, a.Close())
		require.Equal(t, before, snapshot(t, g.disks))
	}
}

func snapshot(t testing.TB, disks []*mem.Disk) [][]byte {
	var all [][]byte
	for _, d := range disks {
		b := make([]byte, d.Info().Size)
		require.NoError(t, block.ReadAt(ctx, d, b, 0))
		all = append(all, b)
	}
	return all
}

// TestExtentsNeverCallWrittenBytesAHole writes here and there and asks the array what is allocated.
func TestExtentsNeverCallWrittenBytesAHole(t *testing.T) {
	for _, l := range levels {
		g := newRig(t, l.spec, l.n)
		a := g.open()
		written := make([]byte, a.Info().Size)
		for off := int64(0); off < a.Info().Size-4096; off += 708 << 10 {
			buf := bytes.Repeat([]byte{1}, 4096)
			require.NoError(t, block.WriteAt(ctx, a, buf, off))
			copy(written[off:], buf)
		}
		require.Greater(t, unwritten(t, a, written), a.Info().Size/4, "%s: a mostly empty array has holes", l.name)
		if a.geo.Redundant() {
			require.NoError(t, a.Fail(ctx, "m0")) // what must be computed now is not known to be zero
			unwritten(t, a, written)
		}
		require.NoError(t, a.Close())
	}
}

// unwritten is how many bytes the array says are holes. None of them may have been written.
func unwritten(t *testing.T, a *Array, written []byte) (n int64) {
	list, err := a.Extents(ctx, 0, a.Info().Size, nil)
	require.NoError(t, err)
	var at int64
	for _, e := range list {
		if e.Hole || e.Zero {
			require.Equal(t, -1, bytes.IndexByte(written[at:at+e.Len], 1))
			n += e.Len
		}
		at += e.Len
	}
	require.Equal(t, a.Info().Size, at)
	for off := int64(0); off < a.Info().Size-4096; off += 4096 { // and each piece by itself
		list, err := a.Extents(ctx, off, 4096, list[:0])
		require.NoError(t, err)
		if written[off] == 1 {
			require.Equal(t, []block.Extent{{Len: 4096}}, list)
		}
	}
	return n
}
