package oracle

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid"
	"graid/raid/md"
)

// ours is the life of an array under graid, up to where the kernel gets it.
func (h *handover) ours(t *testing.T, gr *graid, s spec, how string) {
	s = roomy(s)
	s.Name += "-our-" + how
	if !wanted(s.Name) {
		return
	}
	t.Run(s.Name, func(t *testing.T) {
		x := &handed{spec: s, how: how}
		h.members(t, x)
		switch how {
		case "logged":
			h.tear(t, x)
			h.kill(t, gr, x)
		case "replacing", "replaced":
			h.copyHalf(t, x)
		case "marred":
			h.mar(t, x)
		case "synced":
			h.syncHalf(t, x)
		case "flagged":
			a, _ := h.create(t, x)
			require.NoError(t, a.Close())
			x.flags, x.fail, x.faulty = "writemostly failfast", 0, 1
			h.adopted = append(h.adopted, x)
		}
	})
}

// tear copies members while two writes of a block have reached all of them but one, which is to have the parity of one and the data of the other.
func (h *handover) tear(t *testing.T, x *handed) {
	a, logs := h.create(t, x)
	members := h.paths(x.drives)
	sb := superblock(t, members[1])
	lo, hi := int64(sb.DataOffset)*md.Sector, int64(sb.DataOffset+sb.Size)*md.Sector
	held := logs[1].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off >= lo && r.Off < hi })
	n := int64(len(x.Sizes))
	chunk := x.Chunk << 10
	stripe := chunk * (n - 1)
	base := int64(len(x.data)) / stripe / 2 / n * n // parity of it is on the last member
	failed := make(chan error, 2)
	var writes []pending
	for _, off := range []int64{
		(base+n-2)*stripe + (n-2)*chunk, // parity on member 1, data on member 0
		(base + n - 1) * stripe,         // parity on member 0, data on member 1
	} {
		data := make([]byte, 4096)
		fillPattern(data, off/sector, 2)
		writes = append(writes, pending{off, data})
		go func() { failed <- block.WriteAt(context.Background(), a, data, off) }()
	}
	held.Await(2)
	torn := *x
	torn.Name += "-torn"
	torn.content = &content{data: bytes.Clone(x.data), pending: writes}
	torn.drives = h.copyAll(t, torn.Name, members)
	held.Release()
	for range writes {
		require.NoError(t, <-failed)
	}
	require.NoError(t, a.Close())
	for _, w := range writes {
		copy(x.data[w.off:], w.data)
	}
	copies := h.paths(torn.drives)
	require.False(t, superblock(t, copies[0]).Clean())
	for _, role := range []int{0, 2} {
		lost := torn
		lost.Name += map[int]string{0: "-lost0", 2: "-lost2"}[role]
		lost.content = &content{data: bytes.Clone(torn.data), pending: writes}
		lost.drives = h.copyAll(t, lost.Name, copies)
		lost.drives, lost.lost = slices.Delete(lost.drives, role, role+1), 1
		h.adopted = append(h.adopted, &lost)
	}
	torn.kept = []plant{torn.parityAt(t, copies, 0, 0)}
	h.adopted = append(h.adopted, &torn)
}

// kill serves the array, and kills the server while the middle of the array is written to.
func (h *handover) kill(t *testing.T, gr *graid, x *handed) {
	members := h.paths(x.drives)
	s := gr.serve(t, "handover", members...)
	var once sync.Once
	n, size := 0, int64(len(x.data))
	r := rand.New(rand.NewPCG(2, uint64(x.family)))
	p, err := x.scribbleIn(s.socket, "handover", size*7/16/sector*sector, size/8, r, 1<<20, func() {
		if n++; n >= 60 {
			once.Do(s.kill)
		}
	})
	require.Error(t, err, "the server was killed, and did not notice")
	if p != nil { // nil: it was flushing
		x.pending = append(x.pending, *p)
	}
	<-s.ended
	require.False(t, superblock(t, members[0]).Clean())
	x.Name += "-killed"
	x.kept, x.mended = []plant{x.parityAt(t, members, 0, 0)}, x.logged(t, members, -1)
	h.adopted = append(h.adopted, x)
}

// copyHalf has graid replace a member, as far as the middle.
func (h *handover) copyHalf(t *testing.T, x *handed) {
	n := len(x.Sizes)
	target := h.drives[x.drives[n]]
	all := x.drives
	x.drives = all[:n]
	a, _ := h.create(t, x)
	x.drives = all
	members := h.paths(x.drives)
	sb := superblock(t, members[0])
	list, logs := openAll(t, []string{target})
	middle, once := int64(sb.DataOffset+sb.Size/2)*md.Sector, false
	held := logs[0].Hold(func(r block.Request) bool {
		if once || r.Op != block.Write || r.Off < middle || r.Off >= int64(sb.DataOffset+sb.Size)*md.Sector {
			return false
		}
		once = true
		return true
	})
	require.NoError(t, a.Add(context.Background(), list[0], raid.AddOptions{}))
	require.NoError(t, a.Replace(context.Background(), members[x.other], target))
	held.Await(1)
	f := &filling{a, held, a.Status().Sync.Done}
	f.write(t, x.content, int64(len(x.data))/8, 2)                    // where it is copied already
	f.write(t, x.content, int64(len(x.data))-int64(len(x.data))/8, 3) // where it is not
	x.filling, x.faulty = 1, 1
	killed := *x
	killed.Name += "-killed"
	killed.drives = h.copyAll(t, killed.Name, members)
	f.Limit(0, 1)
	f.held.Release()
	for begin := time.Now(); f.Status().Sync.Done == f.done; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(begin), patience)
	}
	require.NoError(t, f.Close())
	sb = superblock(t, target)
	require.NotZero(t, sb.Features&md.FeatureReplacement)
	require.NotZero(t, sb.RecoveryOffset)
	if x.Level == "raid5" {
		spoilt := *x
		spoilt.Name, spoilt.spoilt = x.Name+"-spoilt", true
		spoilt.drives = h.copyAll(t, spoilt.Name, members)
		spoil(t, h.drives[spoilt.drives[n]])
		h.adopted = append(h.adopted, &spoilt)
	}
	h.adopted = append(h.adopted, &killed, x)
}

// mar has graid fill a member while another one cannot be read at one place: that place of the new one is what its bad block log names.
func (h *handover) mar(t *testing.T, x *handed) {
	a, logs := h.create(t, x)
	members := h.paths(x.drives)
	one := x.spec
	one.Name, one.Sizes = x.Name+"-new", x.Sizes[:1]
	fresh := h.add(t, one, 0xA5)
	sb := superblock(t, members[x.other])
	at := int64(sb.DataOffset)*md.Sector + marredAt
	for role, log := range logs {
		if role != x.other {
			log.Before(func(r block.Request) error {
				if r.Op == block.Read && r.Off < at+marredLen && r.End() > at {
					return block.ErrMedia
				}
				return nil
			})
		}
	}
	require.NoError(t, a.Fail(context.Background(), members[x.other]))
	list, _ := openAll(t, h.paths(fresh))
	require.NoError(t, a.Add(context.Background(), list[0], raid.AddOptions{}))
	require.NoError(t, a.Wait(context.Background()))
	require.Zero(t, a.Status().Degraded)
	require.NoError(t, a.Close())
	x.drives[x.other] = fresh[0]
	x.bad = x.badAt(superblock(t, h.drives[fresh[0]]))
	h.adopted = append(h.adopted, x)
}

// syncHalf has graid resync an array of junk, as far as the middle.
func (h *handover) syncHalf(t *testing.T, x *handed) {
	h.create(t, x)
	members := h.paths(x.drives)
	sb := superblock(t, members[0])
	list, logs := openAll(t, members)
	middle, once := int64(sb.DataOffset+sb.Size/2)*md.Sector, false
	held := logs[0].Hold(func(r block.Request) bool {
		if once || r.Op == block.Flush || r.Off < middle || r.Off >= middle+1<<20 { // assembly looks for a superblock further on
			return false
		}
		once = true
		return true
	})
	a, err := raid.Assemble(context.Background(), list, raid.Options{Quiet: quiet})
	require.NoError(t, err)
	held.Await(1)
	done := a.Status().Sync.Done
	a.Limit(0, 1)
	held.Release()
	for begin := time.Now(); a.Status().Sync.Done == done; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(begin), patience)
	}
	x.content = &content{data: make([]byte, a.Info().Size)}
	fillPattern(x.data, 0, 1)
	require.NoError(t, block.WriteAt(context.Background(), a, x.data, 0))
	require.NoError(t, a.Close())
	x.halves(t, members)
	h.adopted = append(h.adopted, x)
}
