package md_test

import (
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/fuzz/targets"
	"graid/raid/md"
)

// FuzzBitmap: a bit that was read is what the disk says, one that was not is set; and what can be used is encoded to what it was.
func FuzzBitmap(f *testing.F) {
	for i, v := range vectors(f) {
		if v.Bitmap != "" && i%8 == 0 {
			f.Add(unpack(f, v.Bitmap)[:1024])
		}
	}
	for _, m := range []md.Bitmap{
		{Version: 4, SyncSize: 1 << 20, ChunkSize: 512, DaemonSleep: 5},
		{Version: 6, SyncSize: 8, ChunkSize: 4096, DaemonSleep: 5},
		{Version: 5, SyncSize: 9, ChunkSize: 4096, DaemonSleep: 5, Nodes: 4, ClusterName: "c"},
	} {
		b := m.Encode()[:300]
		f.Add(clip(b, 300))
		le.PutUint64(b[40:], ^uint64(0)) // sectors
		f.Add(clip(b, 300))
		le.PutUint32(b[52:], 0) // no chunk
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = clip(b, 4096)
		var m *md.Bitmap
		var err error
		targets.Allocates(t, len(b), func() { m, err = md.DecodeBitmap(b) })
		require.True(t, (m == nil) == (err != nil))
		if m == nil {
			return
		}
		require.LessOrEqual(t, len(m.Bits), len(b))
		require.GreaterOrEqual(t, m.Dirty(), int64(0))
		require.LessOrEqual(t, m.Dirty(), int64(8*len(m.Bits)))
		for _, i := range []int64{-1, 0, 7, 8, int64(len(m.Bits)) * 8, 1 << 62} {
			known := i >= 0 && i/8 < int64(len(m.Bits))
			require.Equal(t, !known || b[256+i/8]>>(i%8)&1 != 0, m.Bit(i), "bit %d", i)
		}
		s := &md.Superblock{Version: md.V12, SetUUID: m.UUID, SuperOffset: 8, BitmapOffset: 8, DataOffset: 2048}
		if m.Check(s) != nil {
			return
		}
		require.LessOrEqual(t, m.Len(), int64(2048-16)*512)
		require.LessOrEqual(t, m.Dirty(), m.Total())
		again, err := md.DecodeBitmap(m.Encode())
		require.NoError(t, err)
		require.Equal(t, m.Bits, again.Bits[:len(m.Bits)])
		for _, unknown := range again.Bits[len(m.Bits):] {
			require.Equal(t, byte(0xff), unknown)
		}
		again.Bits = m.Bits
		require.Equal(t, m, again)
	})
}

// FuzzBadBlocks: what is read are ranges that a device can have, and with sectors for units they are written as the same sectors.
func FuzzBadBlocks(f *testing.F) {
	log, err := md.EncodeBadBlocks([]md.BadBlock{{Offset: 512, Length: 512 * 700}, {Offset: 1 << 50, Length: 512}})
	require.NoError(f, err)
	f.Add(log[:64], uint8(0))
	f.Add(log[:24], uint8(32))
	f.Add(log[:20], uint8(255))
	f.Add(make([]byte, 8), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, shift uint8) {
		b = clip(b, 4096)
		var list []md.BadBlock
		var err error
		targets.Allocates(t, len(b), func() { list, err = md.DecodeBadBlocks(b, shift) })
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(list), len(b)/8)
		for _, bad := range list {
			require.GreaterOrEqual(t, bad.Offset, int64(0))
			require.Greater(t, bad.Length, int64(0))
			require.Greater(t, bad.Offset+bad.Length, bad.Offset)
			require.Zero(t, (bad.Offset|bad.Length)%512)
		}
		log, err := md.EncodeBadBlocks(list)
		if err != nil {
			return // too many, or beyond what sectors can say
		}
		again, err := md.DecodeBadBlocks(log, 0)
		require.NoError(t, err)
		require.Equal(t, joined(list), joined(again))
	})
}

// joined is list with runs that follow each other made one.
func joined(list []md.BadBlock) (out []md.BadBlock) {
	for _, bad := range list {
		if n := len(out) - 1; n >= 0 && out[n].Offset+out[n].Length == bad.Offset {
			out[n].Length += bad.Length
			continue
		}
		out = append(out, bad)
	}
	return out
}

// FuzzPPL: the entries are the bytes, and no more than a header has room for.
func FuzzPPL(f *testing.F) {
	for _, v := range vectors(f) {
		if v.PPL != "" {
			b := unpack(f, v.PPL)[:4096]
			f.Add(clip(b, 4096), false)
			le.PutUint32(b[528:], 149)
			f.Add(clip(b, 4096), true)
			le.PutUint32(b[528:], 148)
			f.Add(b, true)
			break
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		b = clip(b, 4096)
		if len(b) == 4096 && fix {
			le.PutUint32(b[532:], 0)
			le.PutUint32(b[532:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		}
		var h *md.PPLHeader
		var err error
		targets.Allocates(t, len(b), func() { h, err = md.DecodePPL(b) })
		require.True(t, (h == nil) == (err != nil))
		if fix && len(b) == 4096 {
			require.Equal(t, le.Uint32(b[528:]) <= 148, err == nil)
		}
		if h == nil {
			return
		}
		again := clip(b, 536)
		for _, e := range h.Entries {
			again = le.AppendUint64(again, e.DataSector)
			for _, n := range []uint32{e.PPSize, e.DataSize, e.ParityDisk, e.Checksum} {
				again = le.AppendUint32(again, n)
			}
		}
		require.Len(t, again, 536+24*int(le.Uint32(b[528:])))
		require.Equal(t, b[:len(again)], again)
	})
}

// FuzzWords: names of levels and layouts, versions and UUIDs: what is read is printed as something that is read as the same.
func FuzzWords(f *testing.F) {
	for _, w := range []string{"raid5", "LINEAR", "10", "-1", "n2", "f255", "o0", "la", "left-symmetric", "ddf-N-continue", "alternate", "1.2", "default",
		"a1b2c3d4:00112233:44556677:8899aabb", "n", "", "é"} {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if level, err := md.ParseLevel(word); err == nil {
			again, err := md.ParseLevel(md.LevelName(level))
			require.NoError(t, err)
			require.Equal(t, level, again)
		}
		for _, level := range []int{md.LevelLinear, 0, 1, 4, 5, 6, 10} {
			if layout, err := md.ParseLayout(level, word); err == nil {
				name := md.LayoutName(level, layout)
				require.NotContains(t, name, "layout(", word)
				if level != 10 { // near=2 is mdadm's word to people, n2 its word from people
					again, err := md.ParseLayout(level, name)
					require.NoError(t, err)
					require.Equal(t, layout, again)
				}
			}
		}
		if u, err := md.ParseUUID(word); err == nil {
			again, err := md.ParseUUID(u.String())
			require.NoError(t, err)
			require.Equal(t, u, again)
		}
		_, _ = md.ParseVersion(word)
	})
}
