package raid

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/raid/md"
	"graid/raid/plan"
)

func TestOutvoted(t *testing.T) {
	for _, c := range []struct {
		copies string // one byte each
		wrong  []int
		ok     bool
	}{
		{"aa", []int{}, true},
		{"ab", nil, false},
		{"aab", []int{2}, true},
		{"baa", []int{0}, true},
		{"abc", nil, false},
		{"aabb", nil, false},
		{"aabc", nil, false}, // most, but no more than half
		{"abab", nil, false},
		{"bacaa", []int{0, 2}, true},
	} {
		var list [][]byte
		for i := range c.copies {
			list = append(list, []byte(c.copies[i:i+1]))
		}
		wrong, ok := outvoted(list)
		require.Equal(t, c.ok, ok, c.copies)
		if ok {
			require.Equal(t, c.wrong, append([]int{}, wrong...), c.copies)
		}
	}
}

// wise are the arrays that can say who is wrong.
var wise = func() (list []struct {
	name string
	n    int
	spec md.Spec
}) {
	add := func(n int, spec md.Spec) {
		list = append(list, struct {
			name string
			n    int
			spec md.Spec
		}{fmt.Sprintf("level %d layout %#x of %d", spec.Level, spec.Layout, n), n, spec})
	}
	for _, layout := range []int{0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 18, 19, 20} {
		add(5, md.Spec{Level: 6, Chunk: 4096, Layout: layout})
	}
	add(4, md.Spec{Level: 6, Chunk: 16384, Layout: 2})
	add(7, md.Spec{Level: 6, Chunk: 16384, Layout: 2})
	add(3, md.Spec{Level: 1})
	add(6, md.Spec{Level: 1})
	add(3, md.Spec{Level: 10, Chunk: 4096, Layout: 0x103})
	add(5, md.Spec{Level: 10, Chunk: 4096, Layout: 0x103})
	add(4, md.Spec{Level: 10, Chunk: 4096, Layout: 0x301})
	add(4, md.Spec{Level: 10, Chunk: 4096, Layout: 0x10301})
	return list
}()

// areas is what members have in the first MiB of their data areas.
func areas(g *rig) (list [][]byte) {
	for _, d := range g.disks {
		b := make([]byte, 1<<20)
		require.NoError(g.t, block.ReadAt(ctx, d, b, 1<<20))
		list = append(list, b)
	}
	return list
}

// spoil inverts a sector of a member's data area.
func spoil(g *rig, member int, row int64) {
	b := make([]byte, 512)
	require.NoError(g.t, block.ReadAt(ctx, g.disks[member], b, 1<<20+row))
	for i := range b {
		b[i] ^= 0xFF
	}
	require.NoError(g.t, block.WriteAt(ctx, g.disks[member], b, 1<<20+row))
}

func work(t testing.TB, a *Array, begin error) Status {
	require.NoError(t, begin)
	require.NoError(t, a.Wait(ctx))
	return a.Status()
}

// TestWhoIsWrong spoils a sector of each member in turn. A check names the member and the bytes of the array, for which what a reader sees differ is
// the oracle, and changes nothing; a repair that locates brings back what was there, which by md's rules it would not.
func TestWhoIsWrong(t *testing.T) {
	for i, l := range wise {
		if blocktest.Race && i%4 != 0 {
			continue
		}
		g := newRig(t, l.spec, l.n)
		fill(t, g)
		a := g.open()
		rng := rand.New(rand.NewPCG(11, uint64(i)))
		want, before := newModel(a).load(t).want, areas(g)
		for role := range l.n {
			g.events = nil
			row := rng.Int64N(100) * 512
			spoil(g, role, row)
			spoilt := areas(g)
			s := work(t, a, a.Check())
			require.Len(t, s.Mismatches, 1, "%s, m%d", l.name, role)
			m := s.Mismatches[0]
			require.Equal(t, []int{role}, m.Wrong, "%s, row %d: %s", l.name, row, m.Text)
			require.EqualValues(t, 512, m.Sync.Len())
			require.Equal(t, spoilt, areas(g), "a check changes nothing")
			if l.spec.Level == 6 {
				require.Equal(t, row, m.Sync.Lo)
				var seen []plan.Span
				if at := differs(newModel(a).load(t).want, want); at >= 0 {
					seen = []plan.Span{{Lo: at, Hi: at + 512}}
				}
				require.Equal(t, seen, m.Array, "%s, m%d: %s", l.name, role, m.Text)
				require.Equal(t, seen == nil, strings.Contains(m.Text, "no data of the array"), m.Text)
			} else {
				require.Equal(t, []plan.Span{m.Sync}, m.Array)
				require.Contains(t, a.bytesOf(role, plan.Span{Lo: row, Hi: row + 512}), m.Sync)
			}
			for _, e := range g.events {
				if e.Kind == EventMismatch {
					require.Equal(t, fmt.Sprintf("m%d", role), e.Member)
					require.Equal(t, m.Text, e.Detail)
				}
			}
			s = work(t, a, a.RepairWith(RepairOptions{Locate: true}))
			require.Equal(t, before, areas(g), "%s: m%d has again what it had", l.name, role)
			require.False(t, s.Mismatches[0].Left)
			require.Zero(t, s.LeftSectors)
			require.Positive(t, s.MismatchSectors)
		}
		require.Zero(t, work(t, a, a.Check()).MismatchSectors)
		require.NoError(t, a.Close())
	}
}

// TestNobodyCanBeNamed: two are wrong, or too few are here to tell. A repair that locates leaves that alone, and mends it by md's rules if it is told to.
func TestNobodyCanBeNamed(t *testing.T) {
	for _, c := range []struct {
		name    string
		spec    md.Spec
		n       int
		wrong   []int
		without []int
		text    string
	}{
		{"two of raid6", md.Spec{Level: 6, Chunk: 4096}, 6, []int{0, 3}, nil, "more than one member is wrong: array bytes ["},
		{"two of three", md.Spec{Level: 1}, 3, []int{0, 2}, nil, "no majority says which is right"},
		{"one of two that are left", md.Spec{Level: 1}, 3, []int{0}, []int{1}, "copies of 512 bytes at 8192 differ; left alone"},
		{"three of six", md.Spec{Level: 10, Chunk: 4096, Layout: 0x106}, 6, []int{0, 1, 2}, nil, "no majority"},
	} {
		g := newRig(t, c.spec, c.n)
		fill(t, g)
		for i, m := range c.wrong {
			require.NoError(t, block.WriteAt(ctx, g.disks[m], bytes.Repeat([]byte{0xE1, byte(i), byte(7 * i)}, 512)[:512], 1<<20+8192))
		}
		g.opts.Run = true
		a := g.open(c.without...)
		before := areas(g)
		s := work(t, a, a.RepairWith(RepairOptions{Locate: true}))
		require.Len(t, s.Mismatches, 1, c.name)
		require.Contains(t, s.Mismatches[0].Text, c.text)
		require.Contains(t, s.Mismatches[0].Text, "; left alone")
		require.Empty(t, s.Mismatches[0].Wrong)
		require.True(t, s.Mismatches[0].Left)
		require.EqualValues(t, 1, s.LeftSectors)
		require.Equal(t, before, areas(g), c.name)
		s = work(t, a, a.RepairWith(RepairOptions{Locate: true, Rest: true}))
		require.Zero(t, s.LeftSectors)
		agrees(t, a)
		require.NoError(t, a.Close())
	}
	for _, l := range levels {
		if g := newRig(t, l.spec, l.n); l.spec.Level == 5 || l.name == "raid1" {
			a := g.open()
			require.ErrorContains(t, a.RepairWith(RepairOptions{Locate: true}), "three copies")
			require.NoError(t, a.Close())
		}
	}
}

// TestTwoOfFive: whoever is in the minority is named.
func TestTwoOfFive(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 5)
	fill(t, g)
	before := areas(g)
	spoil(g, 0, 4096)
	require.NoError(t, block.WriteAt(ctx, g.disks[3], bytes.Repeat([]byte{1}, 512), 1<<20+4096))
	a := g.open()
	s := work(t, a, a.RepairWith(RepairOptions{Locate: true}))
	require.Equal(t, []int{0, 3}, s.Mismatches[0].Wrong)
	require.Equal(t, "copies of 512 bytes at 4096 differ: m0, m3 are wrong; rewritten from the others", s.Mismatches[0].Text)
	require.Equal(t, before, areas(g))
	require.NoError(t, a.Close())
}

// TestLargeBlocks: members that take whole blocks of 4 KiB get whole blocks.
func TestLargeBlocks(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 6, Chunk: 4096, Layout: -1}, {Level: 1, Layout: -1}} {
		g := &rig{t: t}
		spec.RaidDevices = 4
		for range 4 {
			g.disks = append(g.disks, mem.New(memberSize, mem.Options{Block: 4096}))
		}
		_, err := Create(ctx, spec, g.wrap(), Options{})
		require.NoError(t, err)
		fill(t, g)
		before := areas(g)
		b := make([]byte, 4096)
		require.NoError(t, block.ReadAt(ctx, g.disks[2], b, 1<<20+8192))
		b[700] ^= 1
		require.NoError(t, block.WriteAt(ctx, g.disks[2], b, 1<<20+8192))
		spoilt := areas(g)
		a := g.open()
		s := work(t, a, a.Check())
		require.Equal(t, []int{2}, s.Mismatches[0].Wrong)
		require.Equal(t, plan.Span{Lo: 8192, Hi: 12288}, s.Mismatches[0].Sync)
		require.Equal(t, spoilt, areas(g))
		work(t, a, a.RepairWith(RepairOptions{Locate: true}))
		require.Equal(t, before, areas(g))
		require.NoError(t, a.Close())
	}
}

// TestManyMismatches: a list has an end, and says how many more there are; each is told.
func TestManyMismatches(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	fill(t, g)
	for i := range int64(MaxMismatches + 3) {
		spoil(g, 1, 8192*i)
	}
	a := g.open()
	s := work(t, a, a.Check())
	require.Len(t, s.Mismatches, MaxMismatches)
	require.Equal(t, 3, s.MoreMismatches)
	require.Equal(t, MaxMismatches+3, g.count(EventMismatch))
	require.Equal(t, []plan.Span{{Lo: 16384, Hi: 16384 + 512}, {Lo: 16384 + 4096, Hi: 16384 + 4096 + 512}}, s.Mismatches[1].Array, "both chunks of the stripe are in doubt")
	s = work(t, a, a.Repair())
	require.Equal(t, 3, s.MoreMismatches)
	s = work(t, a, a.Check())
	require.Empty(t, s.Mismatches)
	require.Zero(t, s.MoreMismatches)
	require.NoError(t, a.Close())
}

// TestDataOf: rows of all members are the bytes of the array that a plan finds there.
func TestDataOf(t *testing.T) {
	for _, l := range levels {
		if l.spec.Level < 4 || l.spec.Level == 10 {
			continue
		}
		a := newRig(t, l.spec, l.n).open()
		for _, rows := range []plan.Span{{Lo: 0, Hi: 512}, {Lo: 1024, Hi: 4096}, {Lo: 3584, Hi: 4608}, {Lo: 4096, Hi: 3 * 16384}, {Lo: 16384 - 512, Hi: 16384 + 512}} {
			var want []plan.Span
			for role := range l.n {
				want = append(want, a.bytesOf(role, rows)...)
			}
			slices.SortFunc(want, func(a, b plan.Span) int { return int(a.Lo - b.Lo) })
			var one []plan.Span
			for _, s := range want {
				if n := len(one); n > 0 && one[n-1].Hi == s.Lo {
					one[n-1].Hi = s.Hi
				} else {
					one = append(one, s)
				}
			}
			require.Equal(t, one, dataOf(a.geo, rows), "%s %v", l.name, rows)
		}
		long := capped(dataOf(a.geo, plan.Span{Lo: 512, Hi: 1 << 20}))
		require.LessOrEqual(t, len(long), maxRanges)
		require.Equal(t, (1<<20)/a.geo.Chunk*a.geo.Stripe, long[len(long)-1].Hi)
		require.NoError(t, a.Close())
	}
}

// moody is a member that lies about a sector when it is in the mood.
type moody struct {
	block.Device
	at  int64
	lie func(n int64) bool // of the n-th read there
	n   atomic.Int64
}

func (d *moody) Do(ctx context.Context, r block.Request) error {
	err := d.Device.Do(ctx, r)
	if r.Op == block.Read && r.Off <= d.at && d.at < r.End() {
		if n := d.n.Add(1); d.lie(n) {
			r.Buf[d.at-r.Off] ^= byte(n)
		}
	}
	return err
}

// TestUnsteadyMember: what differs once is no mismatch, and nothing is written because of it; who answered differently is told. Who never answers the
// same is not overwritten for it either.
func TestUnsteadyMember(t *testing.T) {
	for _, c := range []struct {
		name   string
		lie    func(n int64) bool
		differ int
	}{
		{"at first", func(n int64) bool { return n == 1 }, 0},
		{"the second time", func(n int64) bool { return n == 2 }, 0},
		{"always otherwise", func(int64) bool { return true }, 1},
		{"beside one that is wrong", func(n int64) bool { return n == 2 }, 1},
	} {
		g := newRig(t, md.Spec{Level: 6, Chunk: 4096}, 5)
		fill(t, g)
		before := areas(g)
		if c.name == "beside one that is wrong" {
			spoil(g, 1, 65536)
		}
		members := g.wrap()
		liar := &moody{Device: members[2].Dev, at: 1<<20 + 8192 + 700, lie: func(int64) bool { return false }}
		members[2].Dev = liar
		var unsteady, rebuilt []Event
		a, err := Assemble(ctx, members, Options{OnEvent: func(e Event) {
			switch e.Kind {
			case EventUnsteady:
				unsteady = append(unsteady, e)
			case EventRebuildEnd:
				rebuilt = append(rebuilt, e)
			}
		}})
		require.NoError(t, err)
		liar.n.Store(0)
		liar.lie = c.lie
		s := work(t, a, a.RepairWith(RepairOptions{Locate: true}))
		require.Len(t, s.Mismatches, c.differ, c.name)
		if c.name == "beside one that is wrong" {
			require.Equal(t, []int{1}, s.Mismatches[0].Wrong)
		} else if c.differ > 0 {
			require.Contains(t, s.Mismatches[0].Text, "m2 is wrong: ")
			require.Contains(t, s.Mismatches[0].Text, "; m2 answered otherwise when read again; left alone")
			require.Equal(t, "repair done, mismatches in 8 sectors; 1 of them left alone", rebuilt[0].Detail)
		}
		if c.name != "the second time" { // nobody looks twice at what agrees
			require.Len(t, unsteady, 1, c.name)
			require.Equal(t, "m2", unsteady[0].Member)
			require.Contains(t, unsteady[0].Detail, "512 bytes at 8704: ")
		}
		require.Equal(t, before, areas(g), c.name)
		require.NoError(t, a.Close())
	}
}
