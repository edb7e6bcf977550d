package md_test

import (
	"bytes"
	"context"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// disk is a device in memory that notes what is done to it.
type disk struct {
	bytes []byte
	block int64
	log   []block.Request
	bad   map[int64]bool // unreadable 4 KiB units
}

func newDisk(size, unit int64) *disk {
	return &disk{bytes: bytes.Repeat([]byte{0xa5}, int(size)), block: unit, bad: map[int64]bool{}}
}

func (d *disk) Info() block.Info {
	return block.Info{Name: "disk", Size: int64(len(d.bytes)), Block: d.block, Writable: true}
}

func (d *disk) Close() error { return nil }

func (d *disk) Do(_ context.Context, r block.Request) error {
	i := d.Info()
	if err := i.Check(r); err != nil {
		return err
	}
	d.log = append(d.log, block.Request{Op: r.Op, Off: r.Off, Len: r.Len})
	switch r.Op {
	case block.Read:
		for at := r.Off / 4096; at*4096 < r.End(); at++ {
			if d.bad[at] {
				return block.ErrMedia
			}
		}
		copy(r.Buf, d.bytes[r.Off:])
	case block.Write:
		copy(d.bytes[r.Off:], r.Buf)
	}
	return nil
}

var ctx = context.Background()

func at(t testing.TB, s string) time.Time {
	when, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return when
}

func draft(t testing.TB, s md.Spec, sizes ...int64) *md.Draft {
	s.Created = at(t, "2026-11-21T04:00:00Z")
	s.Rand = rand.New(rand.NewSource(7))
	s.RaidDevices = len(sizes) - s.Spares
	var members []md.NewMember
	for _, n := range sizes {
		members = append(members, md.NewMember{Size: n, Missing: n == 0})
	}
	d, err := s.Draft(members)
	require.NoError(t, err)
	return d
}

// TestWriteThenExamine writes a draft on devices that held something else, and reads it back; old superblocks are gone, and nothing but
// what belongs to md was touched.
func TestWriteThenExamine(t *testing.T) {
	for _, unit := range []int64{1, 512, 4096, 16384} {
		for _, v := range []md.Version{md.V10, md.V11, md.V12} {
			for _, bitmap := range []bool{false, true} {
				const size = 24 << 20
				d := draft(t, md.Spec{Level: 5, Layout: -1, Version: v, Chunk: 64 << 10, Bitmap: bitmap, Name: "n", Homehost: "h"}, size, size, size)
				dev := newDisk(size, unit)
				old := draft(t, md.Spec{Level: 1, Version: md.V10, Name: "old"}, size, size)
				require.NoError(t, md.WriteSuperblock(ctx, dev, old.Supers[0], 0))
				old = draft(t, md.Spec{Level: 1, Version: md.V11, Name: "old"}, size, size)
				require.NoError(t, md.WriteSuperblock(ctx, dev, old.Supers[0], 0))
				dev.log = nil
				require.NoError(t, d.Write(ctx, 1, dev))
				requireOrder(t, dev.log, d.Supers[1])

				e, err := md.Examine(ctx, "m1", dev)
				require.NoError(t, err)
				require.NoError(t, e.Err)
				require.Empty(t, e.Others)
				want := d.Supers[1].Clone()
				want.Checksum = e.SB.Checksum
				want.PPLOffset, want.PPLSize = e.SB.PPLOffset, e.SB.PPLSize // the bytes of the bitmap's offset
				require.Equal(t, want, e.SB)
				require.Equal(t, "h:n", e.SB.Name)
				require.EqualValues(t, 1, e.SB.Events)
				require.Equal(t, d.Bitmap, e.Bitmap)
				require.NoError(t, e.BitmapErr)
				require.Empty(t, e.BadBlocks)

				log := (int64(want.SuperOffset) + int64(want.BBLogOffset)) * 512
				require.Equal(t, bytes.Repeat([]byte{0xff}, 4096), dev.bytes[log:log+4096])
				lo, hi := int64(want.DataOffset)*512, int64(want.DataOffset+want.Size)*512
				if v == md.V10 {
					lo = 4096 // an old superblock was there
				} else {
					hi = size - 8192 // and here
				}
				require.Equal(t, int(hi-lo), bytes.Count(dev.bytes[lo:hi], []byte{0xa5}), "data was touched")

				again, err := md.ReadSuperblock(ctx, dev, v)
				require.NoError(t, err)
				require.Equal(t, e.SB, again)
				require.NoError(t, md.Wipe(ctx, dev))
				e, err = md.Examine(ctx, "m1", dev)
				require.NoError(t, err)
				require.Nil(t, e.SB)
				require.ErrorIs(t, e.Err, md.ErrNoSuperblock)
			}
		}
	}
}

// requireOrder wants the superblock last but for a flush, and a flush before it.
func requireOrder(t *testing.T, log []block.Request, s *md.Superblock) {
	var writes []block.Request
	for _, r := range log {
		if r.Op != block.Read {
			writes = append(writes, r)
		}
	}
	n := len(writes)
	require.Equal(t, block.Flush, writes[n-1].Op)
	require.Equal(t, block.Write, writes[n-2].Op)
	require.Less(t, writes[n-2].Off, int64(s.SuperOffset)*512+512)
	require.Greater(t, writes[n-2].End(), int64(s.SuperOffset)*512)
	require.Equal(t, block.Flush, writes[n-3].Op)
}

// TestWriteSuperblockTouchesItsSectorsOnly writes 512 bytes on a device that takes them, and one block on one that does not.
func TestWriteSuperblockTouchesItsSectorsOnly(t *testing.T) {
	d := draft(t, md.Spec{Level: 1}, 8<<20, 8<<20)
	for unit, want := range map[int64]int64{1: 512, 512: 512, 4096: 4096, 16384: 16384} {
		dev := newDisk(8<<20, unit)
		before := bytes.Clone(dev.bytes)
		require.NoError(t, md.WriteSuperblock(ctx, dev, d.Supers[0], 0))
		last := dev.log[len(dev.log)-1]
		require.Equal(t, want, last.Len)
		require.Zero(t, 4096/unit*unit-last.Off)
		require.True(t, bytes.Equal(before[:4096], dev.bytes[:4096]))
		require.True(t, bytes.Equal(before[4608:], dev.bytes[4608:]))
	}
}

// TestExamineTakesTheLatest finds superblocks at several places and takes the one created last.
func TestExamineTakesTheLatest(t *testing.T) {
	dev := newDisk(24<<20, 512)
	for _, v := range []md.Version{md.V12, md.V10, md.V11} {
		d := draft(t, md.Spec{Level: 1, Version: v, Name: v.String()}, 24<<20, 24<<20)
		if v == md.V10 {
			d.Supers[0].CTimeRaw++
		}
		require.NoError(t, md.WriteSuperblock(ctx, dev, d.Supers[0], 0))
	}
	e, err := md.Examine(ctx, "x", dev)
	require.NoError(t, err)
	require.Equal(t, md.V10, e.SB.Version)
	require.Len(t, e.Others, 2)
	d := md.Decide([]*md.Examined{e}, md.Policy{})[e.SB.SetUUID]
	require.Contains(t, d.Findings[0], "ignored")
}

// TestExamineOfDamage reports what is wrong and where, and gives up only when the device does.
func TestExamineOfDamage(t *testing.T) {
	d := draft(t, md.Spec{Level: 5, Layout: -1, Bitmap: true, Chunk: 64 << 10}, 24<<20, 24<<20)
	open := func(change func(*disk)) *md.Examined {
		dev := newDisk(24<<20, 512)
		require.NoError(t, d.Write(ctx, 0, dev))
		change(dev)
		e, err := md.Examine(ctx, "x", dev)
		require.NoError(t, err)
		return e
	}
	e := open(func(dev *disk) { dev.bytes[4096+72] ^= 1 })
	require.Nil(t, e.SB)
	require.ErrorContains(t, e.Err, "superblock 1.2: sb_csum at byte 4312 is")
	e = open(func(dev *disk) { dev.bytes = dev.bytes[:12<<20] })
	require.ErrorContains(t, e.Err, "is it truncated?")
	e = open(func(dev *disk) { dev.bytes[8192+8] ^= 1 })
	require.NotNil(t, e.SB)
	require.ErrorContains(t, e.BitmapErr, "bitmap: uuid")
	e = open(func(dev *disk) { dev.bytes[8192] ^= 1 })
	require.Nil(t, e.Bitmap)
	require.ErrorContains(t, e.BitmapErr, "bitmap: magic")

	dev := newDisk(24<<20, 512)
	require.NoError(t, d.Write(ctx, 0, dev))
	places := md.Places(24 << 20 / 512)
	for _, p := range places {
		dev.bad[int64(p.Sector)*512/4096] = p.Version != md.V12
	}
	seen, err := md.Examine(ctx, "x", dev)
	require.NoError(t, err, "unreadable where the superblocks of other versions would be, which is data")
	require.Equal(t, d.Supers[0].DeviceUUID, seen.SB.DeviceUUID)
	dev.bad = map[int64]bool{1: true}
	_, err = md.Examine(ctx, "x", dev)
	require.ErrorIs(t, err, block.ErrMedia)

	// A log that cannot be read right makes the member unusable: there are blocks in it that must not be believed.
	sb := d.Supers[0].Clone()
	sb.Features |= md.FeatureBadBlocks
	log := (int64(sb.SuperOffset) + int64(sb.BBLogOffset)) * 512
	e = open(func(dev *disk) {
		copy(dev.bytes[4096:], sb.Encode())
		copy(dev.bytes[log:], []byte{0, 0, 0, 0, 0, 0, 0, 0})
	})
	require.NotNil(t, e.SB)
	require.ErrorContains(t, e.Err, "bad block log")
	e = open(func(dev *disk) {
		copy(dev.bytes[4096:], sb.Encode())
		b, err := md.EncodeBadBlocks([]md.BadBlock{{Offset: 1 << 20, Length: 4096}})
		require.NoError(t, err)
		copy(dev.bytes[log:], b)
	})
	require.NoError(t, e.Err)
	require.Equal(t, []md.BadBlock{{Offset: 1 << 20, Length: 4096}}, e.BadBlocks)
}

// TestExamineOfSmallAndOddDevices reads devices that are too small, or no whole number of blocks.
func TestExamineOfSmallAndOddDevices(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 4096, 8191, 12287, 12288, 12289, 65536, 131071, 131072, 131073, 262144, 1<<20 + 511} {
		for _, unit := range []int64{1, 512} {
			e, err := md.Examine(ctx, "x", newDisk(size, unit))
			require.NoError(t, err, size)
			require.ErrorIs(t, e.Err, md.ErrNoSuperblock, size)
			require.NoError(t, md.Wipe(ctx, newDisk(size, unit)), size)
		}
	}
}

// TestMdadmExamines lets mdadm explain members that were drafted and written here.
func TestMdadmExamines(t *testing.T) {
	if _, err := exec.LookPath("mdadm"); err != nil {
		t.Skip("mdadm is not installed")
	}
	const size = 64 << 20
	for _, c := range []struct {
		spec md.Spec
		want []string
	}{
		{md.Spec{Level: 5, Layout: -1, Name: "five", Homehost: "host", Bitmap: true},
			[]string{"Version : 1.2", "Name : host:five", "Raid Level : raid5", "Chunk Size : 512K", "Layout : left-symmetric", "State : active",
				"Internal Bitmap : 8 sectors from superblock", "Feature Map : 0x1", "Bad Block Log : 512 entries available at offset 16 sectors",
				"Array State : AAAA", "Device Role : Active device 1", "Events : 1"}},
		{md.Spec{Level: 1, Version: md.V10, AssumeClean: true}, []string{"Version : 1.0", "raid1", "State : clean", "offset -8 sectors"}},
		{md.Spec{Level: 10, Layout: 0x10201, Version: md.V11}, []string{"Version : 1.1", "Layout : offset=2", "raid10"}},
		{md.Spec{Level: 0, Layout: -1}, []string{"Feature Map : 0x1000", "Layout : original", "State : clean"}},
		{md.Spec{Level: md.LevelLinear}, []string{"linear", "State : clean"}},
		{md.Spec{Level: 6, Layout: 18}, []string{"raid6", "Layout : left-symmetric-6"}},
		{md.Spec{Level: 4}, []string{"raid4"}},
	} {
		d := draft(t, c.spec, size, size, size, size)
		dev := newDisk(size, 512)
		require.NoError(t, d.Write(ctx, 1, dev))
		path := filepath.Join(t.TempDir(), "member")
		require.NoError(t, os.WriteFile(path, dev.bytes, 0o600))
		out, err := exec.Command("mdadm", "--examine", path).CombinedOutput()
		require.NoError(t, err, "%s", out)
		c.want = append(c.want, "- correct", "Array UUID : "+d.Supers[1].SetUUID.String(), "Device UUID : "+d.Supers[1].DeviceUUID.String(),
			"Raid Devices : 4", "Creation Time : "+at(t, "2026-11-21T04:00:00Z").Local().Format("Mon Jan _2 15:04:05 2006"))
		for _, w := range c.want {
			require.Contains(t, string(out), w)
		}
		if !c.spec.Bitmap {
			continue
		}
		at := (d.Supers[1].SuperOffset + uint64(d.Supers[1].BitmapOffset)) * 512 // in a file mdadm takes a bitmap to be at the start
		require.NoError(t, os.WriteFile(path, dev.bytes[at:at+4096], 0o600))
		out, err = exec.Command("mdadm", "--examine-bitmap", path).CombinedOutput()
		require.NoError(t, err, "%s", out)
		for _, w := range []string{"Magic : 6d746962", "Version : 4", "UUID : " + d.Supers[1].SetUUID.String(), "Chunksize : 64 MB", "1 bits (chunks), 1 dirty (100.0%)"} {
			require.Contains(t, string(out), w)
		}
	}
}
