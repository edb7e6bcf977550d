package raid

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/raid/md"
	"graid/raid/plan"
)

var ctx = context.Background()

// rig is an array on memory members that fail when told to.
type rig struct {
	t      testing.TB
	spec   md.Spec
	disks  []*mem.Disk
	faulty []*blocktest.Faulty
	opts   Options

	mu     sync.Mutex
	events []Event
}

// levels are the arrays that most tests run on: every personality, small.
var levels = []struct {
	name string
	n    int
	spec md.Spec
}{
	{"linear", 3, md.Spec{Level: -1}},
	{"raid0", 3, md.Spec{Level: 0, Chunk: 4096}},
	{"raid1", 2, md.Spec{Level: 1}},
	{"raid1x3", 3, md.Spec{Level: 1}},
	{"raid4", 3, md.Spec{Level: 4, Chunk: 4096}},
	{"raid5", 4, md.Spec{Level: 5, Chunk: 4096}},
	{"raid5x3", 3, md.Spec{Level: 5, Chunk: 16384}},
	{"raid6", 4, md.Spec{Level: 6, Chunk: 4096}},
	{"raid6x6", 6, md.Spec{Level: 6, Chunk: 4096, Layout: 8}},
	{"raid10n2", 4, md.Spec{Level: 10, Chunk: 4096, Layout: 0x102}},
	{"raid10n2x3", 3, md.Spec{Level: 10, Chunk: 4096, Layout: 0x102}},
	{"raid10f2", 3, md.Spec{Level: 10, Chunk: 4096, Layout: 0x201}},
	{"raid10o2", 4, md.Spec{Level: 10, Chunk: 4096, Layout: 0x10201}},
}

const memberSize = 4 << 20

// fewer is n, or a part of it under the race detector, which makes everything ten times slower and wants other interleavings, not more content.
func fewer(n int) int {
	if blocktest.Race {
		return max(1, n/4)
	}
	return n
}

// newRig makes members and creates an array on them; it is not assembled yet.
func newRig(t testing.TB, spec md.Spec, n int) *rig {
	g := &rig{t: t, spec: spec, opts: Options{Quiet: time.Hour}}
	if g.spec.Layout == 0 && spec.Level != 10 {
		g.spec.Layout = -1
	}
	g.spec.Name, g.spec.Homehost, g.spec.RaidDevices = "t", "rig", n
	g.spec.Created = time.Unix(1_700_000_000, 0)
	for range n {
		g.disks = append(g.disks, mem.New(memberSize, mem.Options{}))
	}
	_, err := Create(ctx, g.spec, g.wrap(), Options{})
	require.NoError(t, err)
	return g
}

// wrap puts fresh Faulty devices over the disks.
func (g *rig) wrap() []Member {
	g.faulty = nil
	var members []Member
	for i, d := range g.disks {
		f := blocktest.NewFaulty(keepOpen{d}, blocktest.FaultyOptions{Name: fmt.Sprintf("m%d", i), Inline: i%2 == 0, Volatile: true})
		g.faulty = append(g.faulty, f)
		members = append(members, Member{Path: fmt.Sprintf("m%d", i), Dev: f})
	}
	return members
}

// keepOpen is a disk that outlives the array: closing it does nothing.
type keepOpen struct{ *mem.Disk }

func (keepOpen) Close() error { return nil }

// open assembles the array, from all members but those left out.
func (g *rig) open(without ...int) *Array {
	a, err := g.tryOpen(without...)
	require.NoError(g.t, err)
	return a
}

func (g *rig) tryOpen(without ...int) (*Array, error) {
	members := g.wrap()
	for _, i := range without {
		members[i].Dev = nil
	}
	opts := g.opts
	opts.OnEvent = func(e Event) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.events = append(g.events, e)
	}
	return Assemble(ctx, members, opts)
}

func (g *rig) count(kind string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// super is the superblock that member i durably has.
func (g *rig) super(i int) *md.Superblock {
	// What a power cut leaves at worst is the oldest content: ask the disk after dropping everything unflushed is not possible
	// on a live Faulty, so every test that looks at durability checks Unflushed itself.
	sb, err := md.ReadSuperblock(ctx, g.disks[i], md.V12)
	require.NoError(g.t, err)
	return sb
}

// agrees checks redundancy through the level's own comparison, over all of the sync space.
func agrees(t testing.TB, a *Array) {
	v := a.view.Load().View
	o := a.getOp()
	defer a.putOp(o)
	o.view = *a.view.Load()
	for at := int64(0); at < a.geo.SyncSize; {
		o.plan.Reset()
		n, err := a.level.Sync(&o.plan, plan.Span{Lo: at, Hi: a.geo.SyncSize}, plan.Check, &v)
		require.NoError(t, err)
		o.provide()
		o.perform(o.plan.Reads, 0)
		require.False(t, o.failed)
		require.Zero(t, o.calc(), "mismatch in [%d,+%d)", at, n)
		at += n
	}
}

// model is the flat device that an array should be, and what may be written to it at once: clients own disjoint stretches.
type model struct {
	a    *Array
	want []byte
}

func newModel(a *Array) *model {
	a.Limit(1<<40, 0) // background work does not hold back: tests wait for it
	return &model{a: a, want: make([]byte, a.Info().Size)}
}

// load reads what is there, for arrays that have content already.
func (m *model) load(t testing.TB) *model {
	require.NoError(t, block.ReadAt(ctx, m.a, m.want, 0))
	return m
}

// run does n random requests in [lo, hi) and checks every read. It returns the first error of the array that mayFail does not excuse.
func (m *model) run(rng *rand.Rand, lo, hi int64, n int) error {
	unit := max(m.a.Info().Block, 512)
	for range n {
		size := unit * (1 + rng.Int64N(min(48, (hi-lo)/unit)))
		off := lo + unit*rng.Int64N((hi-lo-size)/unit+1)
		r := block.Request{Off: off, Len: size}
		switch k := rng.IntN(20); {
		case k < 9:
			r.Op, r.Buf = block.Read, bytes.Repeat([]byte{0xA5}, int(size))
		case k < 17:
			r.Op, r.Buf = block.Write, make([]byte, size)
			for i := range r.Buf {
				r.Buf[i] = byte(rng.Uint32())
			}
			if k == 16 {
				r.Flags = block.FUA
			}
		case k == 17:
			r.Op = block.WriteZeroes
		case k == 18:
			r.Op = block.Discard
		default:
			r = block.Request{Op: block.Flush}
		}
		sent := bytes.Clone(r.Buf)
		if err := m.a.Do(ctx, r); err != nil {
			return err
		}
		switch r.Op {
		case block.Read:
			if !bytes.Equal(r.Buf, m.want[off:off+size]) {
				return fmt.Errorf("%v: wrong data, first at %d", r, off+differs(r.Buf, m.want[off:off+size]))
			}
		case block.Write:
			if !bytes.Equal(sent, r.Buf) {
				return fmt.Errorf("%v: the caller's buffer was changed", r)
			}
			copy(m.want[off:], r.Buf)
		case block.WriteZeroes:
			clear(m.want[off : off+size])
		case block.Discard:
			if err := block.ReadAt(ctx, m.a, m.want[off:off+size], off); err != nil {
				return err
			}
		}
	}
	return nil
}

func differs(a, b []byte) int64 {
	for i := range a {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return -1
}

// storm runs clients side by side, each in a stretch of its own that cuts through chunks and stripes, and meanwhile does what it is given.
func (m *model) storm(t testing.TB, seed uint64, requests int, meanwhile func()) {
	const clients = 6
	errs := make([]error, clients)
	var wg sync.WaitGroup
	stretch := int64(len(m.want)) / clients / 512 * 512
	for c := range clients {
		wg.Go(func() {
			lo := int64(c) * stretch
			errs[c] = m.run(rand.New(rand.NewPCG(seed, uint64(c))), lo, lo+stretch, requests)
		})
	}
	if meanwhile != nil {
		meanwhile()
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// same checks the whole content.
func (m *model) same(t testing.TB) {
	got := bytes.Repeat([]byte{0xA5}, len(m.want))
	require.NoError(t, block.ReadAt(ctx, m.a, got, 0))
	require.EqualValues(t, -1, differs(got, m.want), "first difference")
}
