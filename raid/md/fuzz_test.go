package md_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// FuzzDecode gives any bytes to the superblock decoder, with a right checksum too: it does not panic, what it accepts decodes to the same
// once encoded, and Decide survives it. Give -fuzzminimizetime=1x: minimizing 4 KiB takes a minute each.
func FuzzDecode(f *testing.F) {
	f.Add(good(f), uint64(8), uint64(24<<11))
	for i, v := range vectors(f) {
		if i%25 == 0 || v.Expect["minor_version"] != nil && i%3 == 0 {
			f.Add(unpack(f, v.SB), v.SBSector, v.DevSectors)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, at, devSectors uint64) {
		if len(b) > 4096 {
			b = b[:4096]
		}
		b = bytes.Clone(b) // it is the fuzzer's
		for range 2 {
			s, err := md.Decode(b, at, devSectors)
			require.True(t, (s == nil) == (err != nil))
			if s != nil {
				if s.Version != md.V090 {
					again, err := md.Decode(s.Encode(), at, devSectors)
					require.NoError(t, err)
					again.Checksum = s.Checksum // bytes behind the end of the name are not kept
					require.Equal(t, s, again)
				}
				_, _, _ = s.ArraySize(), s.SyncSize(), md.LayoutName(s.Level, s.Layout)
				other := s.Clone()
				other.DeviceUUID[0]++
				md.Decide([]*md.Examined{{Path: "a", SB: s}, {Path: "b", SB: other}}, md.Policy{})
				md.Decide([]*md.Examined{{Path: "a", SB: s}, {Path: "b", SB: other}}, md.Policy{Force: true, Run: true})
			}
			if len(b) < 4096 {
				return
			}
			sum(b)
		}
	})
}

// FuzzStructures gives any bytes to the decoders of bitmap, bad block log and partial parity log.
func FuzzStructures(f *testing.F) {
	for _, v := range vectors(f) {
		if v.PPL != "" || v.Bitmap != "" {
			for _, s := range []string{v.PPL, v.Bitmap} {
				if b := unpackAny(f, s); b != nil {
					f.Add(b[:4096], uint8(0))
				}
			}
			break
		}
	}
	log, err := md.EncodeBadBlocks([]md.BadBlock{{Offset: 512, Length: 512 * 700}})
	require.NoError(f, err)
	f.Add(log, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, shift uint8) {
		if len(b) > 4096 {
			b = b[:4096]
		}
		if list, err := md.DecodeBadBlocks(b, shift); err == nil {
			for _, bad := range list {
				require.GreaterOrEqual(t, bad.Offset, int64(0))
				require.Greater(t, bad.Length, int64(0))
				require.GreaterOrEqual(t, bad.Offset+bad.Length, bad.Offset)
			}
		}
		if h, err := md.DecodePPL(b); err == nil {
			require.LessOrEqual(t, len(h.Entries), 148)
		}
		if m, err := md.DecodeBitmap(b); err == nil {
			require.LessOrEqual(t, m.Dirty(), max(m.Total(), 0))
			require.LessOrEqual(t, len(m.Bits), len(b))
			s := &md.Superblock{Version: md.V12, SetUUID: m.UUID, SuperOffset: 8, BitmapOffset: 8, DataOffset: 2048}
			if m.Check(s) == nil {
				require.LessOrEqual(t, m.Len(), int64(1<<20))
				require.Equal(t, b[256:256+len(m.Bits)], m.Encode()[256:256+len(m.Bits)])
			}
		}
	})
}

func unpackAny(t testing.TB, s string) []byte {
	if s == "" {
		return nil
	}
	return unpack(t, s)
}

// TestDecodersAllocateLittle holds them to less than 1 MiB for any 4 KiB.
func TestDecodersAllocateLittle(t *testing.T) {
	huge := (&md.Bitmap{Version: 4, SyncSize: 8, ChunkSize: 4096, DaemonSleep: 5}).Encode()
	binary.LittleEndian.PutUint64(huge[40:], ^uint64(0))
	wide := good(t)
	binary.LittleEndian.PutUint32(wide[220:], 1920)
	sum(wide)
	for name, decode := range map[string]func(){
		"bitmap":     func() { _, _ = md.DecodeBitmap(huge) },
		"superblock": func() { _, _ = md.Decode(wide, 8, 24<<11) },
		"bad blocks": func() { _, _ = md.DecodeBadBlocks(wide, 0) },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decode()
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}
