package md_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// good is a superblock 1.2 of a raid5 on a device of 24 MiB, as bytes, and what makes its checksum right again.
func good(t testing.TB) []byte {
	b := make([]byte, 4096)
	copy(b, draft(t, md.Spec{Level: 5, Layout: -1, Chunk: 64 << 10, Bitmap: true}, 24<<20, 24<<20, 24<<20).Supers[1].Encode())
	return b
}

func sum(b []byte) {
	binary.LittleEndian.PutUint32(b[216:], 0)
	var total uint64
	n := 256 + 2*int(min(binary.LittleEndian.Uint32(b[220:]), 1920))
	for i := 0; i+4 <= n; i += 4 {
		total += uint64(binary.LittleEndian.Uint32(b[i:]))
	}
	if n%4 == 2 {
		total += uint64(binary.LittleEndian.Uint16(b[n-2:]))
	}
	binary.LittleEndian.PutUint32(b[216:], uint32(total)+uint32(total>>32))
}

// TestDecodeRefuses changes one field at a time, with a right checksum: every check that Linux makes has its line here.
func TestDecodeRefuses(t *testing.T) {
	u32 := func(off int, v uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[off:], v) }
	}
	u64 := func(off int, v uint64) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint64(b[off:], v) }
	}
	for _, c := range []struct {
		change func([]byte)
		field  string // "" = accepted
	}{
		{u32(16, 1), ""},
		{u32(224, 4096), ""}, // logical_block_size of Linux 6.19
		{u32(224, 3000), "logical_block_size"},
		{u32(224, 256), "logical_block_size"},
		{u32(4, 2), "major_version"},
		{u32(4, 0), "major_version"}, // 0.90 does not lie here
		{u32(220, 1921), "max_dev"},
		{u32(220, 1<<31), "max_dev"},
		{u32(220, 129), ""}, // the checksum ends with half a word
		{u64(144, 0), "super_offset"},
		{u32(8, 1<<13), "feature_map"},
		{u32(8, 1<<31), "feature_map"},
		{u32(8, 0x1000), "feature_map"}, // raid0's layout on a raid5
		{u32(8, 0x401), "feature_map"},
		{u32(8, 0xc00), "feature_map"},
		{func(b []byte) { u32(8, 0x400)(b); u32(96, 0x7000|8<<16)(b) }, "ppl offset"},
		{func(b []byte) { u32(8, 0xc00)(b); u32(96, 8|8<<16)(b) }, "feature_map"},
		{func(b []byte) { u32(8, 0x600)(b); u32(96, 8|8<<16)(b) }, "feature_map"},
		{u32(12, 1), "pad0"},
		{u32(252, 1), "padding"},
		{u32(228, 1<<31), "padding"},
		{u64(136, 9), "data_size"},
		{u64(136, 1<<40), "data_size"},
		{u64(136, ^uint64(0)), "data_size"},
		{u64(128, 8), "data_offset"},
		{u64(128, ^uint64(0)), "data_size"},
		{u64(80, 1<<40), "size"},
		{u32(96, 0), "bitmap_offset"},
		{u32(96, 4096), "bitmap_offset"},
		{u32(96, 0x80000000), "bitmap_offset"},
		{u32(184, 9<<16), "bblog_size"},
		{func(b []byte) { u32(8, 9)(b); u32(188, 0)(b) }, "bblog_offset"},
		{func(b []byte) { u32(8, 9)(b); u32(188, 0x7fffffff)(b) }, "bblog_offset"},
		{u32(88, 0), "chunksize"},
		{u32(92, 0), "raid_disks"},
		{u32(92, 1<<31), "raid_disks"},
		{u32(92, 1<<20), "raid_disks"},
		{func(b []byte) { u32(8, 5)(b); u32(112, 0x80000000)(b) }, "delta_disks"},
		{func(b []byte) { u32(8, 0x41)(b); u32(124, 0x80000000)(b) }, "new_offset"},
	} {
		b := good(t)
		c.change(b)
		sum(b)
		s, err := md.Decode(b, 8, 24<<11)
		if c.field == "" {
			require.NoError(t, err)
			require.Equal(t, b[:len(s.Encode())], s.Encode())
			continue
		}
		var format *md.FormatError
		require.ErrorAs(t, err, &format, c.field)
		require.Equal(t, c.field, format.Field, err.Error())
		require.NotContains(t, err.Error(), "\n")
	}

	// Any single bit of what the checksum covers.
	clean := good(t)
	for bit := 64; bit < 8*512; bit++ {
		b := append([]byte(nil), clean...)
		b[bit/8] ^= 1 << (bit % 8)
		_, err := md.Decode(b, 8, 24<<11)
		require.Error(t, err, "bit %d", bit)
	}
	_, err := md.Decode(clean[:100], 8, 24<<11)
	require.ErrorContains(t, err, "truncated")
	_, err = md.Decode(clean, 0, 24<<11)
	require.ErrorContains(t, err, "super_offset")
	_, err = md.Decode(make([]byte, 4096), 8, 24<<11)
	require.ErrorIs(t, err, md.ErrNoSuperblock)
}

// TestDecodeBigEndian swaps the words of a 0.90 superblock of Linux: it decodes to the same, but for the order of bytes.
func TestDecodeBigEndian(t *testing.T) {
	for _, v := range vectors(t) {
		little, raw := v.decode(t)
		if little.Version != md.V090 {
			continue
		}
		b := make([]byte, 4096)
		for w := 0; w < 1024; w++ {
			binary.BigEndian.PutUint32(b[4*w:], binary.LittleEndian.Uint32(raw[4*w:]))
		}
		for _, w := range []int{39, 41} { // 64-bit numbers have their high word first
			lo := binary.LittleEndian.Uint32(raw[4*w:])
			hi := binary.LittleEndian.Uint32(raw[4*w+4:])
			binary.BigEndian.PutUint32(b[4*w:], hi)
			binary.BigEndian.PutUint32(b[4*w+4:], lo)
		}
		big, err := md.Decode(b, v.SBSector, v.DevSectors)
		require.NoError(t, err, v.Name)
		require.True(t, big.BigEndian)
		big.BigEndian = false
		require.Equal(t, little, big, v.Name)

		raw[4*33] ^= 1 // not clean any more
		_, err = md.Decode(raw, v.SBSector, v.DevSectors)
		require.ErrorContains(t, err, "sb_csum")
	}
}

// TestResync090 believes a checkpoint only when it is as new as the superblock.
func TestResync090(t *testing.T) {
	for _, c := range []struct {
		state, checkpoint, at uint32
		want                  uint64
	}{{1, 34, 0xffffffff, md.MaxSector}, {0, 34, 0xffffffff, 0}, {0, 34, 64, 64}, {0, 33, 64, 0}, {1, 33, 64, md.MaxSector}} {
		for _, v := range vectors(t) {
			if v.Name != "k61.r1_0.90.0" {
				continue
			}
			_, b := v.decode(t)
			for w, x := range map[int]uint32{33: c.state, 41: c.checkpoint, 43: c.at, 38: 0} {
				binary.LittleEndian.PutUint32(b[4*w:], x)
			}
			var total uint64
			for w := 0; w < 1024; w++ {
				total += uint64(binary.LittleEndian.Uint32(b[4*w:]))
			}
			binary.LittleEndian.PutUint32(b[4*38:], uint32(total)+uint32(total>>32))
			s, err := md.Decode(b, v.SBSector, v.DevSectors)
			require.NoError(t, err)
			require.EqualValues(t, 34, s.Events)
			require.Equal(t, c.want, s.ResyncOffset)
		}
	}
}

// TestBadBlocks goes both ways, and ends where the log does.
func TestBadBlocks(t *testing.T) {
	list := []md.BadBlock{{Offset: 3048 * 512, Length: 4096}, {Offset: 3056 * 512, Length: 4096}, {Offset: 1 << 40, Length: 512}}
	b, err := md.EncodeBadBlocks(list)
	require.NoError(t, err)
	require.Len(t, b, 4096)
	require.Equal(t, uint64(3048<<10|8), binary.LittleEndian.Uint64(b))
	require.Equal(t, ^uint64(0), binary.LittleEndian.Uint64(b[24:]))
	got, err := md.DecodeBadBlocks(b, 0)
	require.NoError(t, err)
	require.Equal(t, list, got)
	got, err = md.DecodeBadBlocks(b[:8], 3)
	require.NoError(t, err)
	require.Equal(t, []md.BadBlock{{Offset: 3048 * 4096, Length: 8 * 4096}}, got)

	b, err = md.EncodeBadBlocks([]md.BadBlock{{Offset: 0, Length: 1025 * 512}})
	require.NoError(t, err)
	got, err = md.DecodeBadBlocks(b, 0)
	require.NoError(t, err)
	require.Equal(t, []md.BadBlock{{Length: 512 * 512}, {Offset: 512 * 512, Length: 512 * 512}, {Offset: 1024 * 512, Length: 512}}, got)

	_, err = md.EncodeBadBlocks([]md.BadBlock{{Length: 512 * 512 * 512}})
	require.NoError(t, err)
	_, err = md.EncodeBadBlocks([]md.BadBlock{{Length: 512*512*512 + 512}})
	require.ErrorContains(t, err, "full")
	_, err = md.EncodeBadBlocks([]md.BadBlock{{Offset: 100, Length: 512}})
	require.ErrorContains(t, err, "whole sectors")
	_, err = md.DecodeBadBlocks(make([]byte, 8), 0)
	require.ErrorContains(t, err, "length of 1")
}

// TestBitmap keeps to its rules: what is not known is dirty, and bits that lag behind the array are not believed.
func TestBitmap(t *testing.T) {
	m := &md.Bitmap{Version: 4, SyncSize: 1000, ChunkSize: 4096, DaemonSleep: 5, Events: 7}
	require.EqualValues(t, 125, m.Total())
	require.True(t, m.Bit(3))
	b := m.Encode()
	require.Len(t, b, 4096)
	m, err := md.DecodeBitmap(b)
	require.NoError(t, err)
	require.EqualValues(t, 125, m.Dirty())
	m.ClearAll()
	require.Zero(t, m.Dirty())
	m.Bits[15] = 0xff // three of these are beyond the end
	require.EqualValues(t, 5, m.Dirty())
	m.SetAll()
	require.EqualValues(t, 125, m.Dirty())
	require.False(t, m.Stale(7))
	require.True(t, m.Stale(8))
	m.State |= md.BitmapStale
	require.True(t, m.Stale(7))
	for off, v := range map[int]uint32{0: 0, 4: 7, 52: 511, 56: 0, 60: 16384} {
		c := append([]byte(nil), b...)
		binary.LittleEndian.PutUint32(c[off:], v)
		_, err = md.DecodeBitmap(c)
		require.Error(t, err, off)
	}
	_, err = md.DecodeBitmap(b[:255])
	require.Error(t, err)
	s := draft(t, md.Spec{Level: 1}, 24<<20, 24<<20).Supers[0]
	s.BitmapOffset = 8
	m.UUID = s.SetUUID
	require.NoError(t, m.Check(s))
	m.SyncSize = 1 << 40
	require.ErrorContains(t, m.Check(s), "sync_size")
	m.SyncSize, m.Version = 1000, 6
	require.ErrorContains(t, m.Check(s), "lockless")
}

// TestNames says mdadm's words both ways.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		level  int
		word   string
		layout uint32
		name   string
	}{
		{5, "ls", 2, "left-symmetric"}, {5, "left-asymmetric", 0, "left-asymmetric"}, {5, "ra", 1, "right-asymmetric"}, {5, "rs", 3, "right-symmetric"},
		{5, "parity-first", 4, "parity-first"}, {5, "Parity-Last", 5, "parity-last"}, {6, "ddf-N-restart", 9, "ddf-N-restart"},
		{6, "left-symmetric-6", 18, "left-symmetric-6"}, {10, "n2", 0x102, "near=2"}, {10, "f3", 0x301, "far=3"}, {10, "o2", 0x10201, "offset=2"},
		{0, "original", 1, "original"}, {0, "alternate", 2, "alternate"},
	} {
		got, err := md.ParseLayout(c.level, c.word)
		require.NoError(t, err)
		require.Equal(t, c.layout, got, c.word)
		require.Equal(t, c.name, md.LayoutName(c.level, got))
	}
	require.Equal(t, "near=2, far=2", md.LayoutName(10, 0x202))
	require.Equal(t, "far=2, improved", md.LayoutName(10, 0x40201))
	require.Equal(t, "layout(0x0)", md.LayoutName(10, 0))
	require.Equal(t, "", md.LayoutName(1, 0))
	for _, c := range []struct {
		level int
		word  string
	}{{5, "n2"}, {5, "left-symmetric-6"}, {10, "n"}, {10, "n0"}, {10, "x2"}, {10, ""}, {10, "n300"}, {1, "ls"}, {0, "ls"}} {
		_, err := md.ParseLayout(c.level, c.word)
		require.Error(t, err, c.word)
	}
	for word, want := range map[string]int{"raid5": 5, "RAID5": 5, "5": 5, "linear": -1, "stripe": 0, "mirror": 1, "raid10": 10, "0": 0} {
		got, err := md.ParseLevel(word)
		require.NoError(t, err)
		require.Equal(t, want, got, word)
	}
	for _, word := range []string{"", "raid", "2", "raid7", "-5", "five", "raid-5", "05x"} {
		_, err := md.ParseLevel(word)
		require.Error(t, err, word)
	}
	for _, v := range []md.Version{md.V090, md.V10, md.V11, md.V12} {
		got, err := md.ParseVersion(v.String())
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	_, err := md.ParseVersion("1.3")
	require.Error(t, err)
	require.Equal(t, []string{"bitmap", "raid0_layout", "bit20"}, (md.FeatureBitmap | md.FeatureRaid0Layout | 1<<20).Names())
	u, err := md.ParseUUID("98d22a51:906f4feb-99875401.d16283b9")
	require.NoError(t, err)
	require.Equal(t, "98d22a51:906f4feb:99875401:d16283b9", u.String())
}

// TestSpecRefuses names what is impossible.
func TestSpecRefuses(t *testing.T) {
	const m = 24 << 20
	for _, c := range []struct {
		spec  md.Spec
		sizes []int64
		want  string
	}{
		{md.Spec{Level: 5}, []int64{m}, "needs 2 or more"},
		{md.Spec{Level: 6}, []int64{m, m, m}, "needs 4 or more"},
		{md.Spec{Level: 10, Layout: 0x103}, []int64{m, m}, "needs 3 or more"},
		{md.Spec{Level: 3}, []int64{m, m}, "level 3"},
		{md.Spec{Level: 5, Chunk: 5000}, []int64{m, m}, "multiple of 4K"},
		{md.Spec{Level: 5, Chunk: 12 << 10}, []int64{m, m}, "power of two"},
		{md.Spec{Level: 0, Layout: 1, Chunk: -4096}, []int64{m, m}, "multiple of 4K"},
		{md.Spec{Level: 5, Layout: 6}, []int64{m, m}, "layout 0x6"},
		{md.Spec{Level: 10, Layout: 1 << 19}, []int64{m, m}, "layout 0x80000"},
		{md.Spec{Level: 1, Version: md.V090}, []int64{m, m}, "only read"},
		{md.Spec{Level: 0, Layout: -1, Bitmap: true}, []int64{m, m}, "leave the bitmap out"},
		{md.Spec{Level: 1, Version: md.V10, DataOffset: 1 << 20}, []int64{m, m}, "leave the data offset out"},
		{md.Spec{Level: 1, DataOffset: 4097}, []int64{m, m}, "multiple of 4K"},
		{md.Spec{Level: 1, DataOffset: 4096}, []int64{m, m}, "data offset"},
		{md.Spec{Level: 1, Size: 1 << 30}, []int64{m, m}, "has room for"},
		{md.Spec{Level: 1, Name: strings.Repeat("x", 33)}, []int64{m, m}, "too long"},
		{md.Spec{Level: 1}, []int64{m, 4096}, "too small"},
		{md.Spec{Level: 1}, []int64{m, 1 << 20}, "too small"},
		{md.Spec{Level: 5, Layout: -1, Chunk: 32 << 20, DataOffset: 1 << 20}, []int64{m, m}, "not even one chunk"},
		{md.Spec{Level: 5, Layout: -1}, []int64{m, 0, 0}, "cannot do without"},
		{md.Spec{Level: 0, Layout: -1}, []int64{m, 0}, "cannot do without"},
		{md.Spec{Level: 1}, []int64{0, 0}, "cannot do without"},
		{md.Spec{Level: 6, Layout: -1}, []int64{m, m, m, 0}, "two missing"},
		{md.Spec{Level: 0, Layout: -1, Spares: 1}, []int64{m, m, m}, "no use for spares"},
		{md.Spec{Level: 1, Bitmap: true, BitmapChunk: 5000}, []int64{m, m}, "bitmap chunk"},
		{md.Spec{Level: 1, Bitmap: true, BitmapChunk: 4096, Version: md.V10}, []int64{1 << 40, 1 << 40}, "no room"},
	} {
		c.spec.Created = at(t, "2026-11-21T04:00:00Z")
		c.spec.RaidDevices = len(c.sizes) - c.spec.Spares
		var members []md.NewMember
		for _, n := range c.sizes {
			members = append(members, md.NewMember{Size: n, Missing: n == 0})
		}
		_, err := c.spec.Draft(members)
		require.ErrorContains(t, err, c.want)
	}
	_, err := md.Spec{Level: 1, RaidDevices: 2}.Draft(make([]md.NewMember, 2))
	require.ErrorContains(t, err, "time of creation")
}

// TestDraftOfLargeAndPartialArrays covers what no vector has: real disks, spares, missing members.
func TestDraftOfLargeAndPartialArrays(t *testing.T) {
	d := draft(t, md.Spec{Level: 5, Layout: -1, Bitmap: true, Spares: 1}, 1<<40, 1<<40, 0, 1<<40)
	s := d.Supers[0]
	require.Nil(t, d.Supers[2])
	require.EqualValues(t, 264192, s.DataOffset)
	require.EqualValues(t, 64<<20, d.Bitmap.ChunkSize)
	require.Equal(t, []uint16{0, 1, md.EntrySpare, md.EntrySpare}, s.Roles[:4])
	require.Equal(t, md.RoleSpare, d.Supers[3].Role())
	require.True(t, s.Clean()) // a missing member leaves nothing to compare with
	require.False(t, draft(t, md.Spec{Level: 5, Layout: -1}, 1<<30, 1<<30).Supers[0].Clean())
	require.True(t, draft(t, md.Spec{Level: 5, Layout: -1, AssumeClean: true}, 1<<30, 1<<30).Supers[0].Clean())
	require.Zero(t, draft(t, md.Spec{Level: 5, Layout: -1, AssumeClean: true, Bitmap: true}, 1<<30, 1<<30).Bitmap.Dirty())
	require.Contains(t, draft(t, md.Spec{Level: 5, Layout: -1}, 1<<30, 2<<30).Warnings[0], "more than 1%")
	require.Len(t, draft(t, md.Spec{Level: 1}, make129()...).Supers[0].Roles, 384)
}

func make129() []int64 {
	list := make([]int64, 129)
	for i := range list {
		list[i] = 1 << 30
	}
	return list
}
