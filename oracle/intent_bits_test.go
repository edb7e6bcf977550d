package oracle

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/raid/md"
)

// byBits is what a superblock says of a member that is being brought up to date by the bitmap.
const byBits = md.FeatureRecovery | md.FeatureRecoveryBitmap

// bits is the bitmap that the array goes by: that of a member that was never away.
func (x *intent) bits(t testing.TB, members []string) *md.Bitmap {
	t.Helper()
	e := examined(t, members[0])
	require.NoError(t, e.BitmapErr)
	require.NotNil(t, e.Bitmap)
	require.EqualValues(t, bitGrain, e.Bitmap.ChunkSize)
	return e.Bitmap
}

// sow plants differences where bits are clear, which must be left alone, and where they are set, which must be repaired.
func (x *intent) sow(t testing.TB, members []string) {
	t.Helper()
	b := x.bits(t, members)
	require.Positive(t, b.Dirty(), "no bit is set")
	require.Less(t, b.Dirty(), b.Total()/2, "most bits are set")
	x.kept = x.plant(t, b, members, x.lost, false)
	x.mended = x.plant(t, b, members, x.lost, true)
}

// reaped holds what has become of the array to what was planted.
func (x *intent) reaped(t testing.TB, members []string) {
	t.Helper()
	for _, p := range x.kept {
		require.True(t, p.there(t), "%s: byte %d of %s has been written, where no bit was set", x.Name, p.off, filepath.Base(p.path))
	}
	for _, p := range x.mended {
		require.False(t, p.there(t), "%s: byte %d of %s has not been repaired, where a bit was set", x.Name, p.off, filepath.Base(p.path))
	}
	x.mended = nil
	x.alike(t, members, x.kept)
}

// age makes copies of an array of which bitmaps are older than superblocks, and say nothing: nobody must believe them.
func (in *intents) age(t testing.TB, x *intent) *intent {
	y := *x
	y.Name, y.how = x.Name+"-stale", "stale"
	y.drives = in.copyAll(t, y.Name, in.paths(x.drives))
	members := in.paths(y.drives)
	for _, path := range members {
		e := examined(t, path)
		at := (int64(e.SB.SuperOffset) + int64(e.SB.BitmapOffset)) * md.Sector
		writeAt(t, path, at+24, binary.LittleEndian.AppendUint64(nil, e.SB.Events-1))
		writeAt(t, path, at+256, make([]byte, (e.Bitmap.Total()+7)/8))
	}
	y.kept, y.mended = nil, y.plant(t, y.bits(t, members), members, -1, false)
	return &y
}

// lookout is more than what is read of a data area to look for a superblock at the end of a member.
const lookout = 64 << 10

// meter counts what members are asked for.
type meter []*blocktest.Faulty

// moved is how many bytes of data have been read of a member and written to one, at most.
func (m meter) moved(sb *md.Superblock) (read, written int64) {
	lo := int64(sb.DataOffset) * md.Sector
	for _, log := range m {
		var r, w int64
		for _, q := range log.Log() {
			switch {
			case q.Op == block.Flush || q.Off < lo || q.Off >= lo+int64(sb.Size)*md.Sector:
			case q.Op.Mutates():
				w += q.Len
			default:
				r += q.Len
			}
		}
		read, written = max(read, r), max(written, w)
	}
	return read, written
}
