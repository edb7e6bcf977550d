package targets

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// What FuzzExamine is told to make right before it looks: one bit each.
const (
	claimFirst  = 1 << iota // the superblock at the first place
	claimSecond             // and that at the second
	ownRest                 // the bitmap is the array's
	ownLog                  // the partial parity log is
	unreadable              // one sector cannot be read
	wide                    // blocks of 4 KiB
)

// small is a superblock 1.2 that fits a device of 256 KiB, with what it points at 128 sectors in.
func small(level int, f md.Feature) *md.Superblock {
	s := &md.Superblock{
		Version: md.V12, Features: f, SetUUID: md.UUID{9}, DeviceUUID: md.UUID{1}, Name: "a:b", CTimeRaw: 1000, Level: level, Size: 128, ChunkSize: 8, RaidDisks: 3,
		MaxDev: 8, Roles: []uint16{0, 1, 2, 0xffff, 0xfffe, 0xfffd, 0xffff, 0xffff}, DataOffset: 256, DataSize: 200, SuperOffset: 8,
		Events: 7, ResyncOffset: md.MaxSector, BBLogOffset: 120, BBLogSize: 8,
	}
	switch {
	case f&md.FeatureBitmap != 0:
		s.BitmapOffset = 120
	case s.HasPPL():
		s.PPLOffset, s.PPLSize = 120, 16
	}
	return s
}

// FuzzExamine looks at whole devices of up to 256 KiB: it reads nothing that is not there and in blocks, writes nothing, takes little memory, and
// what it found is what is there. After Wipe nothing is.
func FuzzExamine(f *testing.F) {
	bitmap := (&md.Bitmap{Version: 4, SyncSize: 128, ChunkSize: 4096, DaemonSleep: 5}).Encode()[:512]
	log, err := md.EncodeBadBlocks([]md.BadBlock{{Offset: 4096, Length: 4096}})
	require.NoError(f, err)
	old := make([]byte, 4096) // 0.90, raid1 of two
	for word, n := range map[int]uint32{2: 90, 6: 2000, 7: 1, 8: 64, 9: 2, 10: 2, 33: 0x101, 39: 5, 128: 0, 131: 0, 132: 6, 160: 1, 163: 1, 164: 6, 992: 1, 995: 1, 996: 6} {
		le.PutUint32(old[4*word:], n)
	}
	for i, x := range []struct {
		sb   *md.Superblock
		rest []byte
	}{
		{small(5, md.FeatureBitmap), bitmap}, {small(5, md.FeaturePPL), make([]byte, 1024)}, {small(1, md.FeatureBadBlocks), log[:64]},
		{small(5, md.FeatureMultiPPL), make([]byte, 600)}, {small(10, md.FeatureRecovery|md.FeatureBitmap), bitmap[:300]}, {small(0, 0), nil},
	} {
		b := x.sb.Encode()
		own := uint8(ownRest)
		if x.sb.HasPPL() {
			own = ownLog
		}
		f.Add(b, b, uint8(0), uint8(i), x.rest, uint16(128), uint16(512-i), uint16(i), claimFirst|own)
		f.Add(b, old, uint8(i), uint8(3), x.rest, uint16(128), uint16(512), uint16(i), claimFirst|claimSecond|own)
		f.Add(b, b, uint8(0), uint8(i), x.rest, uint16(128), uint16(512), uint16(130), claimFirst|claimSecond|unreadable|wide|own)
	}
	last := small(5, md.FeatureBitmap)
	last.BitmapOffset = 492 // at sector 500, behind the data, and longer than what is left of the device
	long := (&md.Bitmap{Version: 4, SyncSize: 1 << 20, ChunkSize: 512, DaemonSleep: 5}).Encode()[:1024]
	f.Add(last.Encode(), old, uint8(0), uint8(3), long, uint16(500), uint16(509), uint16(0), uint8(claimFirst|ownRest))
	f.Fuzz(func(t *testing.T, first, second []byte, p1, p2 uint8, rest []byte, at, sectors, bad uint16, flags uint8) {
		d := &image{bytes: make([]byte, int(sectors%513)*md.Sector), block: 512, bad: -1}
		copy(d.at(uint64(at), 4096), rest)
		places := md.Places(uint64(sectors % 513))
		for i, x := range []struct {
			b     []byte
			place uint8
		}{{first, p1}, {second, p2}} {
			if len(places) == 0 {
				copy(d.bytes, x.b)
				continue
			}
			p := places[int(x.place)%len(places)]
			copy(d.at(p.Sector, 4096), x.b)
			if flags&(claimFirst<<i) != 0 {
				d.claim(p)
			}
		}
		if len(first) > 32 && flags&(ownRest|ownLog) != 0 {
			d.belong(uint64(at), md.UUID(first[16:]), flags&ownLog != 0)
		}
		if flags&unreadable != 0 {
			d.bad = int64(bad)
		}
		if flags&wide != 0 {
			d.bytes, d.block = d.bytes[:len(d.bytes)&^4095], 4096
		}
		examined(t, d)
	})
}

func examined(t *testing.T, d *image) {
	var e *md.Examined
	var err error
	before := bytes.Clone(d.bytes)
	Allocates(t, 4096, func() { e, err = md.Examine(ctx, "image", d) })
	require.Empty(t, d.breach)
	require.True(t, bytes.Equal(before, d.bytes))
	if err != nil {
		require.ErrorIs(t, err, block.ErrMedia, "everything but bad sectors is said of the device, not to the caller")
		require.GreaterOrEqual(t, d.bad, int64(0))
		return
	}
	if e.SB == nil {
		require.Error(t, e.Err)
		require.Empty(t, e.Others)
	} else {
		found(t, d, e)
	}
	for _, decision := range md.Decide([]*md.Examined{e}, md.Policy{}) {
		require.Less(t, len(decision.Slots), 4000)
	}
	d.writable, d.bad = true, -1
	require.NoError(t, md.Wipe(ctx, d))
	e, err = md.Examine(ctx, "image", d)
	require.NoError(t, err)
	require.Nil(t, e.SB)
	require.ErrorIs(t, e.Err, md.ErrNoSuperblock)
	require.Empty(t, d.breach)
}

func found(t *testing.T, d *image, e *md.Examined) {
	s := e.SB
	again, err := md.ReadSuperblock(ctx, d, s.Version)
	require.NoError(t, err)
	require.Equal(t, s, again)
	for _, o := range e.Others {
		require.LessOrEqual(t, o.CTimeRaw&(1<<40-1), s.CTimeRaw&(1<<40-1))
		require.NotEqual(t, o.Version, s.Version)
	}
	if s.Features&md.FeatureBitmap != 0 {
		require.True(t, e.Bitmap != nil || e.BitmapErr != nil)
	}
	if e.Bitmap != nil && e.BitmapErr == nil {
		require.NoError(t, e.Bitmap.Check(s))
		require.NotZero(t, s.Features&md.FeatureBitmap)
		require.LessOrEqual(t, len(e.Bitmap.Bits), len(d.bytes))
	}
	if e.PPL != nil {
		require.True(t, s.HasPPL())
		require.Equal(t, md.SignaturePPL(s.SetUUID), e.PPL.Signature)
	}
	if s.Features&md.FeatureBadBlocks == 0 {
		require.Empty(t, e.BadBlocks)
	}
}
