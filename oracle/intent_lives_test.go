package oracle

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid"
	"graid/raid/md"
)

// opened assembles members under graid, in this process.
func opened(t testing.TB, paths []string) (*raid.Array, meter) {
	t.Helper()
	list, logs := openAll(t, paths)
	a, err := raid.Assemble(context.Background(), list, raid.Options{Quiet: quiet})
	require.NoError(t, err)
	return a, logs
}

// write has data written under graid, and waits until superblocks call the array clean.
func (c *content) write(t testing.TB, a *raid.Array, off int64, data []byte) {
	t.Helper()
	copy(c.data[off:], data)
	require.NoError(t, block.WriteAt(context.Background(), a, data, off))
	for begin := time.Now(); a.Status().Dirty; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(begin), patience)
	}
}

// live is the life of an array under graid, up to where the kernel gets it.
func (in *intents) live(t *testing.T, gr *graid, s spec, how string, i int) {
	s.Name += "-our-" + how
	if !chosen(s.Name, i) {
		return
	}
	t.Run(s.Name, func(t *testing.T) {
		in.families++
		x := &intent{spec: s, how: how, lost: -1, family: in.families, drives: in.add(t, s, 0)}
		x.create(t, in.paths(x.drives))
		switch how {
		case "killed":
			in.kill(t, gr, x)
		case "torn":
			in.tear(t, x)
		default:
			in.miss(t, x)
		}
	})
}

// create makes the array, which then holds a pattern and has no bit set.
func (x *intent) create(t testing.TB, members []string) {
	list, _ := openAll(t, members)
	level := map[string]int{"raid1": 1, "raid5": 5, "raid6": 6, "raid10": 10}[x.Level]
	version := map[string]md.Version{"1.0": md.V10, "1.1": md.V11, "1.2": md.V12}[x.Metadata]
	_, err := raid.Create(context.Background(), md.Spec{
		Level: level, Layout: -1, Chunk: x.Chunk << 10, RaidDevices: len(members), Version: version, Bitmap: true, BitmapChunk: bitGrain,
		Name: "intent", Homehost: "oracle",
	}, list, raid.Options{})
	require.NoError(t, err)
	for _, m := range list {
		require.NoError(t, m.Dev.Close())
	}
	a, _ := opened(t, members)
	x.content = &content{data: make([]byte, a.Info().Size)}
	fillPattern(x.data, 0, 1)
	x.write(t, a, 0, x.data)
	require.NoError(t, a.Close())
	require.Zero(t, x.bits(t, members).Dirty(), "stopped, and bits are set")
}

// kill serves the array, and kills the server while the middle of the array is written to.
func (in *intents) kill(t *testing.T, gr *graid, x *intent) {
	members := in.paths(x.drives)
	s := gr.serve(t, "intent", members...)
	var once sync.Once
	n, size := 0, int64(len(x.data))
	r := rand.New(rand.NewPCG(1, uint64(x.family)))
	p, err := x.scribbleIn(s.socket, "intent", size*7/16/sector*sector, size/8, r, 1<<20, func() {
		if n++; n >= 60 {
			once.Do(s.kill)
		}
	})
	require.Error(t, err, "the server was killed, and did not notice")
	if p != nil { // nil: it was flushing
		x.pending = append(x.pending, *p)
	}
	<-s.ended
	x.sow(t, members)
	in.adopted = append(in.adopted, x)
}

// tear copies members while a write reaches all of them but one.
func (in *intents) tear(t *testing.T, x *intent) {
	members := in.paths(x.drives)
	sb := superblock(t, members[1])
	lo, hi := int64(sb.DataOffset)*md.Sector, int64(sb.DataOffset+sb.Size)*md.Sector
	a, logs := opened(t, members)
	held := logs[1].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off >= lo && r.Off < hi })
	off, data := x.middle(2)
	failed := make(chan error, 1)
	go func() { failed <- block.WriteAt(context.Background(), a, data, off) }()
	held.Await(1)
	x.pending = append(x.pending, pending{off, data})
	whole := *x
	x.drives = in.copyAll(t, x.Name+"-copy", members)
	held.Release()
	require.NoError(t, <-failed)
	require.NoError(t, a.Close())
	require.Zero(t, whole.bits(t, members).Dirty())

	members = in.paths(x.drives)
	require.False(t, superblock(t, members[0]).Clean())
	in.adopted = append(in.adopted, in.age(t, x))
	x.sow(t, members)
	in.adopted = append(in.adopted, x)
}

// miss removes a member, which misses what is written then, and may be half-way back.
func (in *intents) miss(t *testing.T, x *intent) {
	members := in.paths(x.drives)
	x.lost, x.apart = 1, x.how == "away"
	away := members[x.lost]
	a, _ := opened(t, members)
	require.NoError(t, a.Fail(context.Background(), away))
	require.NoError(t, a.Remove(context.Background(), away))
	off, data := x.middle(2)
	x.write(t, a, off, data)
	require.NoError(t, a.Close())
	x.sow(t, members)
	in.adopted = append(in.adopted, x)
	if x.apart {
		return
	}
	f, m := comeBack(t, x, members)
	if x.how == "returning" { // what superblocks say when nobody has closed it
		x.drives = in.copyAll(t, x.Name+"-copy", members)
		copies := in.paths(x.drives)
		x.kept, x.mended = moved(x.kept, members, copies), moved(x.mended, members, copies)
	}
	f.stop(t)
	_, written := m.moved(superblock(t, away))
	require.LessOrEqual(t, written, x.bits(t, members).Dirty()*bitGrain, "more was copied than bits are set")
	sb := superblock(t, in.paths(x.drives)[x.lost])
	require.Equal(t, byBits, sb.Features&byBits)
	require.Zero(t, sb.RecoveryOffset)
}

// comeBack re-adds the member that was away, and holds it in the middle.
func comeBack(t *testing.T, x *intent, members []string) (*filling, meter) {
	a, _ := opened(t, slices.Delete(slices.Clone(members), x.lost, x.lost+1))
	list, logs := openAll(t, members[x.lost:x.lost+1])
	sb := superblock(t, members[x.lost])
	middle, once := int64(sb.DataOffset+sb.Size/2)*md.Sector, false
	held := logs[0].Hold(func(r block.Request) bool {
		if once || r.Op != block.Write || r.End() <= middle || r.Off >= int64(sb.DataOffset+sb.Size)*md.Sector {
			return false
		}
		once = true
		return true
	})
	require.NoError(t, a.Add(context.Background(), list[0], raid.AddOptions{ReAdd: true}))
	held.Await(1)
	return &filling{a, held, a.Status().Sync.Done}, logs
}

// resolve has graid put in order what the kernel left.
func (in *intents) resolve(t *testing.T, gr *graid, x *intent) {
	members := in.paths(x.drives)
	switch {
	case strings.HasPrefix(x.how, "pristine"):
		in.begin(t, x, members)
		return
	case x.how == "left":
		require.False(t, superblock(t, members[0]).Clean(), "the power cut found nothing dirty: the test itself is wrong")
		in.mend(t, gr, in.age(t, x))
	case !x.apart:
		require.Equal(t, byBits, superblock(t, members[x.lost]).Features&byBits)
	}
	x.sow(t, members)
	in.mend(t, gr, x)
}

// mend has graid resync, or re-add, by the bits.
func (in *intents) mend(t *testing.T, gr *graid, x *intent) {
	members := in.paths(x.drives)
	if x.apart && x.Level != "raid1" { // by the command
		s := gr.serve(t, "intent", slices.Delete(slices.Clone(members), x.lost, x.lost+1)...)
		gr.run(t, done, "add", "intent", members[x.lost])
		gr.run(t, done, "wait", "intent")
		gr.run(t, done, "stop", "intent")
		s.wait(t)
	} else {
		x.mendHere(t, members)
	}
	x.reaped(t, members)
	require.Zero(t, x.bits(t, members).Dirty())
	require.NoError(t, gr.dump(x.allowing(x.kept).judge, members...))
	x.apart = false
	in.adopted = append(in.adopted, x)
}

// mendHere is mend by the library.
func (x *intent) mendHere(t *testing.T, members []string) {
	set := x.bits(t, members).Dirty()
	if x.how == "stale" {
		set = x.bits(t, members).Total()
	}
	here := slices.Clone(members)
	if x.apart {
		here = slices.Delete(here, x.lost, x.lost+1)
	}
	a, m := opened(t, here)
	if x.apart {
		list, logs := openAll(t, members[x.lost:x.lost+1])
		m = append(m, logs...)
		require.NoError(t, a.Add(context.Background(), list[0], raid.AddOptions{ReAdd: true}))
	}
	require.NoError(t, a.Wait(context.Background()))
	require.Zero(t, a.Status().Degraded)
	require.NoError(t, a.Close())
	read, _ := m.moved(superblock(t, members[0]))
	// What differs is read twice, first to see that it does.
	require.LessOrEqual(t, read, 2*set*bitGrain+lookout, "a member was read where no bit is set")
	require.GreaterOrEqual(t, read, set*bitGrain/4, "bits are set, and nobody looked")
}

// begin writes to an array that mdadm has just made: every bit is set, and none of them means anything if it was made clean.
func (in *intents) begin(t *testing.T, x *intent, members []string) {
	b, sb := x.bits(t, members), superblock(t, members[0])
	require.Equal(t, b.Total(), b.Dirty())
	require.Zero(t, b.Events)
	require.Zero(t, sb.Events)
	require.Equal(t, x.how == "pristine", sb.Clean())
	a, m := opened(t, members)
	require.NoError(t, a.Wait(context.Background()))
	read, _ := m.moved(sb)
	require.Equal(t, x.how == "pristine", read < lookout, "%d bytes were read to resync", read)
	require.NoError(t, block.ReadAt(context.Background(), a, x.data, 0)) // zeroes, or the junk that was there
	off, data := x.middle(1)
	x.write(t, a, off, data)
	require.NoError(t, a.Close())
	require.Zero(t, x.bits(t, members).Dirty())
	x.alike(t, members, nil)
	in.adopted = append(in.adopted, x)
}
