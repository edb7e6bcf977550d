package oracle

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid"
	"graid/raid/md"
)

// resolve has graid finish what the kernel left, and then the kernel look at it.
func (h *handover) resolve(t *testing.T, gr *graid, x *handed) {
	members := h.paths(x.drives)
	switch x.how {
	case "logged":
		require.False(t, superblock(t, members[0]).Clean(), "the power cut found nothing dirty: the test itself is wrong")
		h.replay(t, gr, h.without(t, x))
		x.kept, x.mended = []plant{x.parityAt(t, members, 0, 0)}, x.logged(t, members, -1)
		h.replay(t, gr, x)
	case "replacing", "replaced":
		h.replace(t, gr, x)
	case "marred":
		h.forgive(t, gr, x)
	case "synced":
		h.sync(t, gr, x)
	case "flagged":
		h.takeOver(t, gr, x)
	}
}

// parityAt plants wrong parity where the array's left-symmetric stripe has it, within bytes from the start of its chunk.
func (x *handed) parityAt(t testing.TB, members []string, stripe, within int64) plant {
	t.Helper()
	n := int64(len(x.Sizes))
	path := members[n-1-stripe%n]
	p := plant{path: path, off: int64(superblock(t, path).DataOffset)*md.Sector + stripe*x.Chunk<<10 + within, array: -1}
	p.wrong = bytesAt(t, p.path, p.off, sector)
	p.flip(t)
	return p
}

// logged plants wrong parity where the newest records of the logs say that it may be wrong: at the start of every entry. With the role lost only where that
// is neither what was written nor parity, so that it must be computed from what is repaired.
func (x *handed) logged(t testing.TB, members []string, lost int64) (list []plant) {
	t.Helper()
	n, chunk := int64(len(x.Sizes)), x.Chunk<<10
	for role, path := range members {
		e := examined(t, path)
		require.NotNil(t, e.PPL, "%s: no record in its log", path)
		for _, entry := range e.PPL.Entries {
			require.EqualValues(t, role, entry.ParityDisk, "%s has another's entry", path)
			at := int64(entry.DataSector) * sector
			stripe, parity := at/chunk/(n-1), int64(role)
			modified := (parity + 1 + at/chunk%(n-1)) % n
			require.Equal(t, n-1-stripe%n, parity)
			if entry.DataSize == 0 || lost >= 0 && (lost == parity || lost == modified || entry.DataSize != entry.PPSize) {
				continue
			}
			list = append(list, x.parityAt(t, members, stripe, at%chunk))
		}
	}
	return list
}

// without makes a copy of an array that a member of is lost as well: what it held that nobody was writing is still known.
func (h *handover) without(t *testing.T, x *handed) *handed {
	y := *x
	y.Name += "-lost"
	y.content = &content{data: bytes.Clone(x.data), pending: slices.Clone(x.pending)}
	y.drives = h.copyAll(t, y.Name, h.paths(x.drives))
	members := h.paths(y.drives)
	for role := range int64(len(members)) {
		if y.mended = y.logged(t, members, role); y.mended != nil {
			y.drives, y.lost = slices.Delete(y.drives, int(role), int(role)+1), 1
			return &y
		}
	}
	t.Fatal("the logs have no entry: the test itself is wrong")
	return nil
}

// replay has graid make parity true by the log, and nothing else.
func (h *handover) replay(t *testing.T, gr *graid, x *handed) {
	members := h.paths(x.drives)
	require.NotEmpty(t, x.mended)
	list, _ := openAll(t, members)
	a, err := raid.Assemble(context.Background(), list, raid.Options{Quiet: quiet, Run: true})
	require.NoError(t, err)
	require.NoError(t, a.Wait(context.Background()))
	require.Equal(t, x.lost, a.Status().Degraded)
	require.NoError(t, a.Close())
	for _, p := range x.mended {
		require.False(t, p.there(t), "byte %d of %s has not been repaired, which the log names", p.off, p.path)
	}
	for _, p := range x.kept {
		require.True(t, p.there(t), "byte %d of %s has been written: a resync of all of it", p.off, p.path)
	}
	x.mended = nil
	require.NoError(t, gr.dump(x.content.judge, members...))
	h.adopted = append(h.adopted, x)
}

// replace has graid copy the rest, from where the kernel was, and no more.
func (h *handover) replace(t *testing.T, gr *graid, x *handed) {
	members := h.paths(x.drives)
	target := len(members) - 1
	sb := superblock(t, members[target])
	require.NotZero(t, sb.Features&md.FeatureReplacement, "no replacement: the test itself is wrong")
	require.NotZero(t, sb.RecoveryOffset)
	a, logs := opened(t, members)
	require.NoError(t, a.Wait(context.Background()))
	s := a.Status()
	require.Zero(t, s.Degraded)
	require.NoError(t, a.Close())
	lo := int64(sb.DataOffset) * md.Sector
	first, end := lo+int64(sb.Size)*md.Sector, lo+int64(sb.Size)*md.Sector
	for _, r := range logs[target].Log() {
		if r.Op.Mutates() && r.Off >= lo && r.Off < end {
			first = min(first, r.Off)
		}
	}
	require.Equal(t, lo+int64(sb.RecoveryOffset)*md.Sector, first, "copied from elsewhere than superblocks say")
	h.inPlace(t, x)
	h.complete(t, gr, x)
	h.adopted = append(h.adopted, x)
}

// inPlace is about an array in which the new member has taken over the role of the old one, which goes.
func (h *handover) inPlace(t testing.TB, x *handed) {
	n := len(x.Sizes)
	sb := superblock(t, h.drives[x.drives[n]])
	require.Zero(t, sb.Features&(md.FeatureReplacement|md.FeatureRecovery), "not in place")
	x.drives[x.other] = x.drives[n]
	x.drives = x.drives[:n]
}

// junkAt is what a bad block reads as.
func (h *handover) junkAt(t testing.TB, x *handed) {
	path := h.drives[x.drives[x.other]]
	writeAt(t, path, int64(superblock(t, path).DataOffset)*md.Sector+marredAt, bytes.Repeat([]byte{0xBB}, marredLen))
}

// forgive has graid read past a bad block, and make it good: once by writing to the array, and for the kernel by a check.
func (h *handover) forgive(t *testing.T, gr *graid, x *handed) {
	h.junkAt(t, x)
	members := h.paths(x.drives)
	a, _ := opened(t, members)
	list := a.BadBlocks()
	require.Len(t, list, 1)
	require.Equal(t, members[x.other], list[0].Member)
	require.EqualValues(t, []int64{marredAt, marredLen}, []int64{list[0].Offset, list[0].Length})
	require.False(t, list[0].Lost)
	got := make([]byte, len(x.data))
	require.NoError(t, block.ReadAt(context.Background(), a, got, 0))
	require.NoError(t, x.content.judge(bytes.NewReader(got)))
	require.NoError(t, a.Check())
	require.NoError(t, a.Wait(context.Background()))
	require.Empty(t, a.BadBlocks())
	require.NoError(t, a.Close())
	require.Empty(t, examined(t, members[x.other]).BadBlocks)
	h.complete(t, gr, x)
	h.adopted = append(h.adopted, x)
}

// halves plants what is wrong below where a resync stopped, which must be left alone, and above it.
func (x *handed) halves(t testing.TB, members []string) {
	sb := superblock(t, members[0])
	require.False(t, sb.Clean())
	require.NotZero(t, sb.ResyncOffset)
	for _, pos := range []int64{4096, int64(sb.ResyncOffset)*md.Sector - sector, int64(sb.ResyncOffset) * md.Sector, int64(sb.Size)*md.Sector - sector} {
		role, off, array := x.redundancy(pos)
		p := plant{path: members[role], off: int64(superblock(t, members[role]).DataOffset)*md.Sector + off, array: array}
		p.wrong = bytesAt(t, p.path, p.off, sector)
		p.flip(t)
		if pos < int64(sb.ResyncOffset)*md.Sector {
			x.kept = append(x.kept, p)
		} else {
			x.mended = append(x.mended, p)
		}
	}
}

// sync has graid resync the rest.
func (h *handover) sync(t *testing.T, gr *graid, x *handed) {
	members := h.paths(x.drives)
	x.halves(t, members)
	a, _ := opened(t, members)
	require.NoError(t, a.Wait(context.Background()))
	require.NoError(t, a.Close())
	require.True(t, superblock(t, members[0]).Clean())
	for _, p := range x.kept {
		require.True(t, p.there(t), "byte %d of %s was resynced again", p.off, p.path)
	}
	for _, p := range x.mended {
		require.False(t, p.there(t), "byte %d of %s was not resynced", p.off, p.path)
	}
	x.mended = nil
	h.adopted = append(h.adopted, x)
}

// takeOver has the spare take over, with all flags as they were.
func (h *handover) takeOver(t *testing.T, gr *graid, x *handed) {
	members := h.paths(x.drives)
	a, _ := opened(t, members)
	s := a.Status()
	require.Equal(t, len(members), len(s.Members))
	for _, m := range s.Members {
		about := m.Path == members[x.other]
		require.Equal(t, about, m.WriteMostly, m.Path)
		require.Equal(t, about, m.FailFast, m.Path)
		require.Equal(t, m.Path == members[len(members)-1], m.State == raid.MemberSpare, m.Path)
	}
	require.NoError(t, a.Fail(context.Background(), members[0]))
	require.NoError(t, a.Wait(context.Background()))
	off, data := x.middle(2)
	x.write(t, a, off, data)
	require.Zero(t, a.Status().Degraded)
	require.NoError(t, a.Close())
	x.drives[0] = x.drives[len(members)-1]
	x.drives, x.flags = x.drives[:len(x.Sizes)], "writemostly failfast"
	require.NoError(t, os.Remove(members[0]))
	h.complete(t, gr, x)
	h.adopted = append(h.adopted, x)
}
