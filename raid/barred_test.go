package raid

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// refuse has member i refuse writes to rows of its data area for its medium, until the function it returns is called.
func refuse(g *rig, i int, rows plan.Span) (heal func()) {
	var healed atomic.Bool
	refused := refuses(rows)
	g.faulty[i].Before(func(r block.Request) error {
		if healed.Load() {
			return nil
		}
		return refused(r)
	})
	return func() { healed.Store(true) }
}

// refuses is the rule for that.
func refuses(rows plan.Span) func(block.Request) error {
	return func(r block.Request) error {
		if (r.Op == block.Write || r.Op == block.WriteZeroes) && r.Off < 1<<20+rows.Hi && r.End() > 1<<20+rows.Lo {
			return block.ErrMedia
		}
		return nil
	}
}

// other is content that differs from want in every byte.
func other(want []byte) []byte {
	b := bytes.Clone(want)
	for i := range b {
		b[i] ^= 0x5a
	}
	return b
}

// pieces reads n bytes, where they are not all of one kind sector by sector, and asks of each piece whether it is right.
func pieces(t *testing.T, a *Array, n int, right func(off int, got []byte, err error) bool) {
	const large = 16 << 10
	for off := 0; off < n; off += large {
		got := make([]byte, large)
		if err := block.ReadAt(ctx, a, got, int64(off)); err == nil && right(off, got, nil) {
			continue
		}
		for at := off; at < off+large; at += 512 {
			err := block.ReadAt(ctx, a, got[:512], int64(at))
			require.True(t, right(at, got[:512], err), "at %d: %v", at, err)
		}
	}
}

// unwritable are the arrays that have somebody else to ask.
var unwritable = []struct {
	n    int
	spec md.Spec
}{
	{2, md.Spec{Level: 1}}, {3, md.Spec{Level: 1}}, {3, md.Spec{Level: 4, Chunk: 4096}}, {4, md.Spec{Level: 5, Chunk: 8192}}, {5, md.Spec{Level: 6, Chunk: 4096}},
	{4, md.Spec{Level: 10, Chunk: 4096, Layout: 0x102}}, {3, md.Spec{Level: 10, Chunk: 4096, Layout: 0x201}}, {4, md.Spec{Level: 10, Chunk: 4096, Layout: 0x10201}},
}

// TestUnwritableIsRecorded: a member that refuses some sectors stays, and its log names them, and no others. They come from redundancy, in this life and the next, and
// are struck off when a write of them succeeds.
func TestUnwritableIsRecorded(t *testing.T) {
	rows := plan.Span{Lo: 24 << 10, Hi: 32 << 10}
	for _, l := range unwritable {
		g := newRig(t, l.spec, l.n)
		want := other(fill(t, g))
		a := g.open()
		refuse(g, 1, rows)
		require.NoError(t, block.WriteAt(ctx, a, want, 0))
		require.Zero(t, a.Status().Degraded, "raid%d", l.spec.Level)
		holds(t, a, want)
		require.Equal(t, []md.BadBlock{{Offset: 1<<20 + rows.Lo, Length: rows.Len()}}, logOf(g, 1), "raid%d", l.spec.Level)
		require.NotZero(t, g.super(1).Features&md.FeatureBadBlocks)
		require.NotZero(t, g.count(EventBadBlock))
		require.Contains(t, g.detail(EventBadBlock), "could not be written")
		require.EqualValues(t, rows.Len(), a.Status().Members[1].BadBlocks)
		for _, b := range a.BadBlocks() {
			require.Equal(t, "m1", b.Member)
			require.False(t, b.Lost)
		}
		writes := g.faulty[1].Count(block.Write)
		holds(t, a, want)
		require.Equal(t, writes, g.faulty[1].Count(block.Write), "readers do not try again what was refused")
		require.NoError(t, a.Check())
		require.NoError(t, a.Wait(ctx))
		require.Zero(t, a.Status().MismatchSectors)
		require.Zero(t, a.Status().Degraded)
		require.NoError(t, a.Close())

		a = g.open()
		heal := refuse(g, 1, rows)
		holds(t, a, want)
		want = other(want)
		require.NoError(t, block.WriteAt(ctx, a, want, 0))
		holds(t, a, want)
		require.NotEmpty(t, logOf(g, 1))
		heal()
		if l.n%2 == 0 {
			require.NoError(t, a.Repair())
			require.NoError(t, a.Wait(ctx))
		} else {
			want = other(want)
			require.NoError(t, block.WriteAt(ctx, a, want, 0))
		}
		require.Empty(t, a.BadBlocks())
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Close())
		require.Empty(t, logOf(g, 1))
		require.Zero(t, g.super(1).Features&md.FeatureBadBlocks)
		a = g.open()
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// TestUnwritableSurvivesACut: what is acknowledged and flushed is there after a power cut, whatever caches kept of the rest.
func TestUnwritableSurvivesACut(t *testing.T) {
	rows := plan.Span{Lo: 24 << 10, Hi: 32 << 10}
	for i, l := range unwritable {
		for seed := uint64(i); seed < uint64(i+fewer(8)); seed++ {
			g := newRig(t, l.spec, l.n)
			old := fill(t, g)
			want := other(old)
			a := g.open()
			heal := refuse(g, 1, rows)
			r := block.Request{Op: block.Write, Flags: block.FUA, Len: int64(len(want)), Buf: bytes.Clone(want)}
			require.NoError(t, a.Do(ctx, r))
			rng := rand.New(rand.NewPCG(seed, 1))
			cut := func() {
				for _, f := range g.faulty {
					require.NoError(t, f.Crash(rng))
				}
			}
			if seed%2 == 1 { // taken after all, but only into a cache; then it is struck off, and that is cut short
				heal()
				old = bytes.Repeat([]byte{3}, len(want))
				require.NoError(t, block.WriteAt(ctx, a, old, 0))
				logged := false
				g.faulty[1].Before(func(r block.Request) error {
					if r.Op == block.Flush && logged {
						cut()
					}
					logged = logged || r.Op == block.Write && r.Off < 1<<20
					return nil
				})
				a.meta.Lock()
				_ = a.record()
				a.unlock()
				require.True(t, logged)
			} else {
				cut()
			}
			_ = a.Close()
			a = g.open()
			require.NoError(t, a.Wait(ctx))
			require.Zero(t, a.Status().Degraded)
			lost := 0
			pieces(t, a, len(want), func(off int, got []byte, err error) bool {
				if err != nil && l.spec.Level != 1 && l.spec.Level != 10 {
					lost++ // of rows that were being written before the cut nobody knows what the sum is
					return true
				}
				return err == nil && (bytes.Equal(got, want[off:off+len(got)]) || seed%2 == 1 && bytes.Equal(got, old[off:off+len(got)]))
			})
			require.LessOrEqual(t, lost, int(rows.Len()/512))
			require.NoError(t, a.Close())
		}
	}
}

// TestUnwritableAndNothingElse: where nobody else has what a member refuses, or its log cannot say so, it fails as before, or the error is told where that would not
// help. Nothing is recorded, and nothing is read as what it is not.
func TestUnwritableAndNothingElse(t *testing.T) {
	rows := plan.Span{Lo: 24 << 10, Hi: 32 << 10}
	change := func(g *rig, i int, edit func(sb *md.Superblock)) {
		sb := g.super(i)
		edit(sb)
		require.NoError(t, md.WriteSuperblock(ctx, g.disks[i], sb, 0))
	}
	for _, tc := range []struct {
		name   string
		n      int
		spec   md.Spec
		before func(g *rig) // the array is opened
		during func(g *rig, a *Array)
		told   bool // by an error
		faulty bool // member 1 is
		broken bool
	}{
		{name: "no log", n: 3, spec: md.Spec{Level: 5, Chunk: 4096}, faulty: true,
			before: func(g *rig) { change(g, 1, func(sb *md.Superblock) { sb.BBLogOffset, sb.BBLogSize = 0, 0 }) }},
		{name: "log is full", n: 2, spec: md.Spec{Level: 1}, faulty: true,
			before: func(g *rig) {
				var list []md.BadBlock
				for i := range int64(512) {
					list = append(list, md.BadBlock{Offset: 3<<20 + i*1024, Length: 512})
				}
				change(g, 1, func(sb *md.Superblock) {
					sb.Features |= md.FeatureBadBlocks
					require.NoError(t, md.WriteBadBlocks(ctx, g.disks[1], sb, list))
				})
			}},
		{name: "fails fast", n: 2, spec: md.Spec{Level: 1}, faulty: true,
			before: func(g *rig) { change(g, 1, func(sb *md.Superblock) { sb.DevFlags |= md.FailFast }) }},
		{name: "log cannot be written", n: 4, spec: md.Spec{Level: 6, Chunk: 4096}, faulty: true,
			during: func(g *rig, a *Array) {
				g.faulty[1].Before(func(r block.Request) error {
					if r.Op == block.Write && (r.Off < 1<<20+rows.Hi && r.End() > 1<<20+rows.Lo || r.Off < 1<<20) {
						return block.ErrMedia
					}
					return nil
				})
			}},
		{name: "last copy", n: 2, spec: md.Spec{Level: 1}, told: true,
			during: func(g *rig, a *Array) { require.NoError(t, a.Fail(ctx, "m0")) }},
		{name: "every copy", n: 2, spec: md.Spec{Level: 1}, told: true,
			during: func(g *rig, a *Array) { refuse(g, 0, rows) }},
		{name: "raid10, last copy", n: 4, spec: md.Spec{Level: 10, Chunk: 4096, Layout: 0x102}, told: true,
			during: func(g *rig, a *Array) { require.NoError(t, a.Fail(ctx, "m0")) }},
		{name: "raid5, one is missing", n: 3, spec: md.Spec{Level: 5, Chunk: 4096}, told: true, broken: true, faulty: true,
			during: func(g *rig, a *Array) { require.NoError(t, a.Fail(ctx, "m0")) }},
		{name: "raid6, one is missing and one refuses too", n: 4, spec: md.Spec{Level: 6, Chunk: 4096}, told: true, broken: true, faulty: true,
			during: func(g *rig, a *Array) {
				refuse(g, 2, rows)
				require.NoError(t, a.Fail(ctx, "m0"))
			}},
		{name: "raid5, forced", n: 3, spec: md.Spec{Level: 5, Chunk: 4096}, faulty: true,
			during: func(g *rig, a *Array) { a.doubt.Store(true) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, tc.spec, tc.n)
			old := fill(t, g)
			want := other(old)
			if tc.before != nil {
				tc.before(g)
			}
			a := g.open()
			refuse(g, 1, rows)
			if tc.during != nil {
				tc.during(g, a)
			}
			logged := len(logOf(g, 1))
			err := block.WriteAt(ctx, a, want, 0)
			require.Equal(t, tc.told, err != nil, "%v", err)
			s := a.Status()
			require.Equal(t, tc.faulty, s.Members[1].State == MemberFaulty)
			require.Equal(t, tc.broken, s.State == StateFailed)
			require.Len(t, logOf(g, 1), logged)
			pieces(t, a, len(want), func(off int, got []byte, err error) bool {
				if err != nil {
					return tc.told
				}
				return bytes.Equal(got, want[off:off+len(got)]) || tc.told && bytes.Equal(got, old[off:off+len(got)])
			})
			_ = a.Close()
		})
	}
}

// TestUnwritableByTurns: of two members that have refused the same rows one after another, there is always one that has them, also on the media: one log
// shrinks before the other one grows.
func TestUnwritableByTurns(t *testing.T) {
	rows := plan.Span{Lo: 24 << 10, Hi: 32 << 10}
	for _, l := range unwritable {
		if l.spec.Level == 6 {
			continue // there both may be recorded
		}
		g := newRig(t, l.spec, l.n)
		want := other(fill(t, g))
		a := g.open()
		for turn := range 6 {
			i := turn % 2
			refused := refuses(rows)
			var both atomic.Bool
			at := g.super(i)
			log := int64(at.SuperOffset)*md.Sector + int64(at.BBLogOffset)*md.Sector
			g.faulty[i].Before(func(r block.Request) error {
				if r.Op == block.Write && r.Off == log {
					both.Store(both.Load() || len(logOf(g, 1-i)) > 0)
				}
				return refused(r)
			})
			g.faulty[1-i].Before(nil)
			want = other(want)
			require.NoError(t, block.WriteAt(ctx, a, want, 0))
			require.False(t, both.Load())
			require.Zero(t, a.Status().Degraded, "raid%d turn %d", l.spec.Level, turn)
			holds(t, a, want)
			for _, b := range a.BadBlocks() {
				require.False(t, b.Lost)
			}
			require.Len(t, logOf(g, i), 1)
			require.Empty(t, logOf(g, 1-i))
		}
		require.NoError(t, a.Close())
	}
}

// TestUnwritableTwice: rows of which two members refuse something at different times are recorded for one of a raid5, and for two of a raid6; the next one fails.
func TestUnwritableTwice(t *testing.T) {
	rows := plan.Span{Lo: 24 << 10, Hi: 32 << 10}
	for _, tc := range []struct {
		n    int
		spec md.Spec
	}{{4, md.Spec{Level: 5, Chunk: 64 << 10}}, {5, md.Spec{Level: 6, Chunk: 64 << 10}}} {
		g := newRig(t, tc.spec, tc.n)
		want := fill(t, g)
		a := g.open()
		spare := tc.spec.Level - 4
		for i := range spare {
			refuse(g, i, rows)
		}
		want = other(want)
		require.NoError(t, block.WriteAt(ctx, a, want, 0))
		require.Zero(t, a.Status().Degraded)
		holds(t, a, want)
		for i := range spare {
			require.Len(t, logOf(g, i), 1)
		}
		refuse(g, spare, rows)
		old := want
		want = other(want)
		require.Error(t, block.WriteAt(ctx, a, want, 0))
		require.Equal(t, MemberFaulty, a.Status().Members[spare].State)
		pieces(t, a, len(want), func(off int, got []byte, err error) bool {
			return err != nil || bytes.Equal(got, want[off:off+len(got)]) || bytes.Equal(got, old[off:off+len(got)])
		})
		_ = a.Close()
	}
}

// TestUnwritableWhileFilled: what a member refuses while it is being filled is recorded too, and it becomes one of the array.
func TestUnwritableWhileFilled(t *testing.T) {
	rows := plan.Span{Lo: 24 << 10, Hi: 32 << 10}
	for _, l := range unwritable {
		for _, replace := range []bool{false, true} {
			g := newRig(t, l.spec, l.n)
			want := fill(t, g)
			a := g.open()
			n := g.another(memberSize)
			refuse(g, l.n, rows)
			if replace {
				require.NoError(t, a.Add(ctx, n, AddOptions{}))
				require.NoError(t, a.Replace(ctx, "m1", n.Path))
			} else {
				require.NoError(t, a.Fail(ctx, "m1"))
				require.NoError(t, a.Add(ctx, n, AddOptions{}))
			}
			require.NoError(t, a.Wait(ctx))
			require.Zero(t, a.Status().Degraded, "%v", g.events)
			require.Equal(t, n.Path, a.Status().Members[1].Path, "raid%d %v %v", l.spec.Level, replace, g.events)
			require.Equal(t, []md.BadBlock{{Offset: 1<<20 + rows.Lo, Length: rows.Len()}}, logOf(g, l.n), "raid%d %v", l.spec.Level, replace)
			holds(t, a, want)
			require.NoError(t, a.Close())
			a = g.open()
			holds(t, a, want)
			require.NoError(t, a.Close())
		}
	}
}

// TestUnwritableTwinOfTheOnlyOne: a replacement that lacks what only the member has that it is to replace, because somebody else was lost meanwhile, does not take over.
func TestUnwritableTwinOfTheOnlyOne(t *testing.T) {
	rows := plan.Span{Lo: 24 << 10, Hi: 32 << 10}
	for _, l := range unwritable {
		if l.spec.Level == 6 || l.spec.Level == 1 && l.n == 3 || l.spec.Layout == 0x201 {
			continue // there others have it
		}
		g := newRig(t, l.spec, l.n)
		want := fill(t, g)
		a := g.open()
		n := g.another(memberSize)
		begun, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		g.faulty[l.n].Before(func(r block.Request) error {
			if r.Op == block.Write && r.Off >= 3<<20 {
				once.Do(func() { close(begun) })
				<-release
			}
			return refuses(rows)(r)
		})
		require.NoError(t, a.Add(ctx, n, AddOptions{}))
		require.NoError(t, a.Replace(ctx, "m1", n.Path))
		<-begun
		require.NoError(t, a.Fail(ctx, "m0"))
		close(release)
		require.NoError(t, a.Wait(ctx))
		holds(t, a, want)
		require.Equal(t, MemberInSync, a.stateOf("m1"), "raid%d", l.spec.Level)
		require.Equal(t, MemberFaulty, a.stateOf(n.Path))
		require.NoError(t, a.Close())
	}
}

// TestUnwritableStorm has clients write everywhere while one member refuses here and there, and the array is taken apart and put together in between.
func TestUnwritableStorm(t *testing.T) {
	for _, l := range unwritable[fewer(4)-1:] {
		g := newRig(t, l.spec, l.n)
		a := g.open()
		m := newModel(a)
		for life := range fewer(4) {
			rng := rand.New(rand.NewPCG(uint64(life), uint64(l.spec.Level)))
			var bad []int64
			for range 40 {
				bad = append(bad, 1<<20+rng.Int64N(1<<11)*512)
			}
			g.faulty[1].Before(func(r block.Request) error {
				if r.Op == block.Write || r.Op == block.WriteZeroes {
					for _, s := range bad {
						if r.Off <= s && s < r.End() {
							return block.ErrMedia
						}
					}
				}
				return nil
			})
			m.storm(t, uint64(life), fewer(50), nil)
			m.same(t)
			require.Zero(t, a.Status().Degraded)
			require.NoError(t, a.Close())
			a = g.open()
			m.a = a
			m.same(t)
		}
		require.NoError(t, a.Close())
	}
}

// TestUnwritableForcedUnitAccess: what was written with FUA where a raid6 has it from parity alone is there when the array is forced without yet another member.
func TestUnwritableForcedUnitAccess(t *testing.T) {
	for seed := range uint64(4) {
		g := newRig(t, md.Spec{Level: 6, Chunk: 4096}, 5)
		want := fill(t, g)
		a := g.open()
		refuse(g, 1, plan.Span{Lo: 0, Hi: 4 << 20})
		// All of it is in its log, and the rest of the rows only in caches.
		want = other(want)
		require.NoError(t, block.WriteAt(ctx, a, want, 0))
		require.NoError(t, block.Sync(ctx, a))
		want = other(want)
		require.NoError(t, block.WriteAt(ctx, a, want, 0))
		mine := a.bytesOf(1, plan.Span{Lo: 0, Hi: 256 << 10})
		require.NotEmpty(t, mine)
		for _, s := range mine {
			require.NoError(t, a.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Off: s.Lo, Len: s.Len(), Buf: want[s.Lo:s.Hi]}))
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, f := range g.faulty {
			require.NoError(t, f.Crash(rng))
		}
		_ = a.Close()
		g.opts.Force = true
		a = g.open(2)
		for _, s := range mine {
			got := make([]byte, s.Len())
			require.NoError(t, block.ReadAt(ctx, a, got, s.Lo))
			require.True(t, bytes.Equal(want[s.Lo:s.Hi], got), "seed %d at %d", seed, s.Lo)
		}
		require.NoError(t, a.Close())
	}
}
