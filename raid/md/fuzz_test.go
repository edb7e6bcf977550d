package md_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/fuzz/targets"
	"graid/raid/md"
)

// Every target takes any bytes and, so that the fuzzer gets behind the checksums, whether to make these right first. What it gives a decoder ends
// where its capacity does: reading on would panic. Give -fuzzminimizetime=1x: minimizing 4 KiB takes a minute each.

// largest is more sectors than any device here has: 2 PiB.
const largest = 1 << 42

var le = binary.LittleEndian

// clip is a copy of the first n bytes of b, with no room behind them.
func clip(b []byte, n int) []byte { return slices.Clip(slices.Clone(b[:min(len(b), n)])) }

// padded is b as a decoder is given it, 4096 bytes.
func padded(b []byte) []byte { return clip(append(slices.Clip(b), make([]byte, 4096)...), 4096) }

// sum090 makes the checksum of a 0.90 superblock right.
func sum090(b []byte, order binary.ByteOrder) {
	var total uint64
	for at := 0; at < 4096; at += 4 {
		if at != 4*38 {
			total += uint64(order.Uint32(b[at:]))
		}
	}
	order.PutUint32(b[4*38:], uint32(total)+uint32(total>>32))
}

// place is where the superblock of version v lies on a device of so many sectors; 0 if it has none.
func place(v md.Version, devSectors uint64) uint64 {
	for _, p := range md.Places(devSectors) {
		if p.Version == v {
			return p.Sector
		}
	}
	return 0
}

// FuzzDecode: a superblock 1.x that is accepted speaks of places on the device, of numbers that an array can have, and is encoded to the bytes it
// was decoded from.
func FuzzDecode(f *testing.F) {
	for i, v := range vectors(f) {
		if sb, raw := v.decode(f); sb.Version != md.V090 && (i%25 == 0 || i%4 == 0 && sb.Features != 0) {
			f.Add(padded(raw), v.DevSectors, uint8(sb.Version), false)
		}
	}
	for _, change := range []func([]byte){
		func(b []byte) { le.PutUint32(b[220:], 1<<31) },                                // max_dev that no superblock has
		func(b []byte) { le.PutUint32(b[220:], 1); le.PutUint32(b[160:], 2) },          // a device number that the table does not have
		func(b []byte) { le.PutUint32(b[160:], 1<<31) },                                // a negative one
		func(b []byte) { le.PutUint32(b[8:], 3); le.PutUint64(b[152:], ^uint64(0)-1) }, // recovery beyond the end
		func(b []byte) { le.PutUint64(b[128:], 16); le.PutUint64(b[136:], ^uint64(0)) },
		func(b []byte) { le.PutUint32(b[8:], 9); le.PutUint32(b[188:], 0x7fffffff); b[186] = 8 },
		func(b []byte) { le.PutUint32(b[8:], 0x400); le.PutUint32(b[96:], 0xffff7fff) },
		func(b []byte) { le.PutUint32(b[8:], 5); le.PutUint32(b[112:], 0x80000000) },
	} {
		b := good(f)
		change(b)
		f.Add(b, uint64(24<<11), uint8(md.V12), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, devSectors uint64, version uint8, fix bool) {
		b, devSectors = clip(b, 4096), devSectors%largest
		v := md.V10 + md.Version(version%3)
		at := place(v, devSectors)
		if len(b) == 4096 && fix {
			copy(b, "\xfc\x4e\x2b\xa9\x01\x00\x00\x00")
			le.PutUint64(b[144:], at)
			sum(b)
		}
		var s *md.Superblock
		var err error
		targets.Allocates(t, len(b), func() { s, err = md.Decode(b, at, devSectors) })
		require.True(t, (s == nil) == (err != nil))
		if s == nil {
			return
		}
		requireSound(t, s, devSectors)
		require.Equal(t, at, s.SuperOffset)

		again := s.Encode()
		name := b[32:64]
		copy(name[len(s.Name):], make([]byte, 32)) // bytes behind the end of the name are not kept
		require.Equal(t, b[:216], again[:216])
		require.Equal(t, b[220:256+2*s.MaxDev], again[220:256+2*s.MaxDev])
		twice, err := md.Decode(again, at, devSectors)
		require.NoError(t, err)
		twice.Checksum = s.Checksum
		require.Equal(t, s, twice)
	})
}

// FuzzDecode090: of a superblock 0.90 the same holds, but for writing it; and one of the other byte order decodes to the same.
func FuzzDecode090(f *testing.F) {
	n := 0
	for _, v := range vectors(f) {
		if sb, raw := v.decode(f); sb.Version == md.V090 {
			if n++; n%3 == 1 {
				f.Add(padded(raw), v.DevSectors, false)
				f.Add(swap(padded(raw)), v.DevSectors, false)
				le.PutUint32(raw[4*992:], 1<<31) // this disk's number
				le.PutUint32(raw[4*10:], 27)
				f.Add(padded(raw), v.DevSectors, true)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, devSectors uint64, fix bool) {
		b, devSectors = clip(b, 4096), devSectors%largest
		at := place(md.V090, devSectors)
		if len(b) < 4096 || at == 0 {
			return
		}
		if fix && le.Uint32(b) == md.Magic {
			sum090(b, binary.LittleEndian)
		} else if fix {
			binary.BigEndian.PutUint32(b, md.Magic)
			sum090(b, binary.BigEndian)
		}
		var s *md.Superblock
		var err error
		targets.Allocates(t, len(b), func() { s, err = md.Decode(b, at, devSectors) })
		require.True(t, (s == nil) == (err != nil))
		other, err := md.Decode(swap(b), at, devSectors)
		if s == nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.NotEqual(t, s.BigEndian, other.BigEndian)
		requireSound(t, s, devSectors)
		other.BigEndian = s.BigEndian
		require.Equal(t, s, other)
	})
}

// swap is the same superblock 0.90 of a host of the other byte order: numbers of 64 bits have their words the other way round too.
func swap(b []byte) []byte {
	out := make([]byte, 4096)
	for at := 0; at < 4096; at += 4 {
		binary.BigEndian.PutUint32(out[at:], le.Uint32(b[at:]))
	}
	for _, w := range []int{39, 41, 44} {
		hi, lo := clip(out[4*w:], 4), clip(out[4*w+4:], 4)
		copy(out[4*w:], lo)
		copy(out[4*w+4:], hi)
	}
	return out
}

// requireSound is what whoever uses a decoded superblock relies on.
func requireSound(t *testing.T, s *md.Superblock, devSectors uint64) {
	require.Len(t, s.Roles, s.MaxDev)
	require.LessOrEqual(t, s.MaxDev, 1920)
	require.GreaterOrEqual(t, s.RaidDisks, 1)
	require.LessOrEqual(t, s.RaidDisks, 1920)
	require.GreaterOrEqual(t, s.Role(), md.RoleJournal)
	require.Less(t, s.Role(), 1920)
	require.LessOrEqual(t, s.Size, s.DataSize)
	require.LessOrEqual(t, s.DataOffset, devSectors)
	require.LessOrEqual(t, s.DataSize, devSectors-s.DataOffset)
	on := func(off, n int64) {
		require.GreaterOrEqual(t, int64(s.SuperOffset)+off, int64(0))
		require.LessOrEqual(t, int64(s.SuperOffset)+off+n, int64(devSectors))
	}
	if s.Features&md.FeatureBitmap != 0 && s.Version != md.V090 {
		on(int64(s.BitmapOffset), 1)
		require.NotZero(t, s.BitmapOffset)
	}
	if s.HasPPL() {
		on(int64(s.PPLOffset), int64(s.PPLSize))
	}
	if s.Features&md.FeatureBadBlocks != 0 {
		on(int64(s.BBLogOffset), int64(s.BBLogSize))
		require.LessOrEqual(t, s.BBLogSize, uint16(8))
	}
	if slices.Contains([]int{0, 4, 5, 6, 10}, s.Level) {
		require.NotZero(t, s.ChunkSize)
	}
	require.LessOrEqual(t, s.ArraySize()>>11, devSectors) // of no more members than a superblock has
	_, _, _ = s.SyncSize(), md.LayoutName(s.Level, s.Layout), s.Features.Names()
	_, _ = s.Created(), s.Updated()
}
