package oracle

import (
	"context"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/file"
	"graid/raid"
	"graid/raid/md"
)

// filling is an array under graid, in this process, whose newest member waits in the middle of being filled.
type filling struct {
	*raid.Array
	held *blocktest.Hold
	done int64 // how much of the recovery was done when it began to wait, bytes
}

// superblock is what graid reads of a member.
func superblock(t testing.TB, path string) *md.Superblock {
	t.Helper()
	return examined(t, path).SB
}

func examined(t testing.TB, path string) *md.Examined {
	t.Helper()
	dev, err := file.Open(path, file.Options{ReadOnly: true, NoLock: true})
	require.NoError(t, err)
	defer dev.Close()
	e, err := md.Examine(context.Background(), path, dev)
	require.NoError(t, err)
	require.NotNil(t, e.SB, "%s: %v", path, e.Err)
	return e
}

// openAll opens members, each with a log of what it is asked.
func openAll(t testing.TB, paths []string) (list []raid.Member, logs []*blocktest.Faulty) {
	t.Helper()
	for _, path := range paths {
		dev, err := file.Open(path, file.Options{})
		require.NoError(t, err)
		f := blocktest.NewFaulty(dev, blocktest.FaultyOptions{Name: path})
		list, logs = append(list, raid.Member{Path: path, Dev: f}), append(logs, f)
	}
	return list, logs
}

// patience ends a wait for what must happen, on a machine that does much else besides.
const patience = 5 * time.Minute

// quiet is how long these arrays go unwritten before they are clean.
const quiet = 20 * time.Millisecond

// addHalfway adds a new member and returns when a write to the middle of it is about to be done. Just that one waits.
func addHalfway(t testing.TB, a *raid.Array, model *md.Superblock, path string) *filling {
	t.Helper()
	list, logs := openAll(t, []string{path})
	middle, once := int64(model.DataOffset+model.Size/2)*md.Sector, false
	held := logs[0].Hold(func(r block.Request) bool {
		if once || r.Op != block.Write || r.Off < middle || r.Off >= int64(model.DataOffset+model.Size)*md.Sector {
			return false
		}
		once = true
		return true
	})
	require.NoError(t, a.Add(context.Background(), list[0], raid.AddOptions{}))
	held.Await(1)
	return &filling{a, held, a.Status().Sync.Done}
}

// write has data written and waits until the superblocks call the array clean, and with that say how far the new member is.
func (f *filling) write(t testing.TB, c *content, off int64, generation uint32) {
	t.Helper()
	off = off / sector * sector
	data := make([]byte, 37*sector)
	fillPattern(data, off/sector, generation)
	copy(c.data[off:], data)
	require.NoError(t, block.WriteAt(context.Background(), f, data, off))
	for f.Status().Dirty {
		time.Sleep(time.Millisecond)
	}
}

// stop lets the piece that waits be done, and none after it, and stops the array.
func (f *filling) stop(t testing.TB) {
	t.Helper()
	f.Limit(0, 1)
	f.held.Release()
	for f.Status().Sync.Done == f.done {
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, "recover", f.Status().Sync.Action)
	require.NoError(t, f.Close())
}

// resume assembles members, the last of which is half filled, and has graid do the rest: it writes nothing below where superblocks say that it
// is filled. Afterwards all are in sync, and any single one can be done without.
func resume(t *testing.T, gr *graid, c *content, members []string) {
	last := len(members) - 1
	sb := superblock(t, members[last])
	require.NotZero(t, sb.Features&md.FeatureRecovery, "it is not being filled: the test itself is wrong")
	lo := int64(sb.DataOffset) * md.Sector
	hi := lo + int64(sb.RecoveryOffset)*md.Sector
	end := lo + int64(sb.Size)*md.Sector

	list, logs := openAll(t, members)
	a, err := raid.Assemble(context.Background(), list, raid.Options{Quiet: quiet})
	require.NoError(t, err)
	require.NoError(t, a.Wait(context.Background()))
	s := a.Status()
	require.NoError(t, a.Close())
	require.Zero(t, s.Degraded)
	for _, m := range s.Members {
		require.Equal(t, raid.MemberInSync, m.State, m.Path)
	}
	first, next := end, lo
	for _, r := range logs[last].Log() {
		if r.Op.Mutates() && r.Off >= lo && r.Off < end {
			first, next = min(first, r.Off), max(next, r.End())
		}
	}
	require.Equal(t, hi, first, "filled from elsewhere than superblocks say")
	require.GreaterOrEqual(t, next, end, "not filled to the end")

	for i, path := range members {
		sb := superblock(t, path)
		require.Zero(t, sb.Features&(md.FeatureRecovery|md.FeatureRecoveryBitmap), path)
		require.Zero(t, sb.RecoveryOffset, path)
		require.True(t, sb.Clean(), path)
		require.NoError(t, gr.dump(c.judge, slices.Delete(slices.Clone(members), i, i+1)...), "dump without %s", path)
	}
}

// copyAll copies members, as they are, into new drives, and returns their numbers.
func (f *fleet) copyAll(t testing.TB, name string, members []string) (numbers []int) {
	t.Helper()
	s := spec{Name: name}
	for _, path := range members {
		info, err := os.Stat(path)
		require.NoError(t, err)
		s.Sizes = append(s.Sizes, info.Size())
	}
	numbers = f.add(t, s, 0)
	for i, path := range f.paths(numbers) {
		require.NoError(t, copyFile(path, members[i]))
	}
	return numbers
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
