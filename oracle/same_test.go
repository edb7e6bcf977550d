package oracle

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// field is a piece of a record that two members may have different, and why.
type field struct {
	lo, hi int
	why    string
}

// What may differ in the superblocks of two members that were added to two copies of an array, bytes from its beginning.
var superblockOwn = []field{
	{152, 160, "recovery_offset: each was stopped somewhere else"},
	{168, 184, "device_uuid: random"},
	{192, 200, "utime: the clock"},
	{200, 208, "events: the kernel writes superblocks at moments of its own"},
	{216, 220, "sb_csum: of all that"},
}

// The same of the superblocks of their bitmaps.
var bitmapOwn = []field{
	{24, 32, "events: as in the superblock"},
}

// sameMember compares, byte by byte, what md keeps on two members that were added to copies of one array.
//
// mdadm leaves in the room for the bad block log what was there, as no feature bit says that it counts; graid makes it an empty log. Past the last
// bit of a bitmap, which nobody reads, mdadm writes ones and graid zeroes. The kernel clears bits as it fills the member, graid all at the end.
func sameMember(t *testing.T, ours, theirs string) {
	t.Helper()
	a, b := examined(t, ours), examined(t, theirs)
	at := int64(b.SB.SuperOffset) * md.Sector
	same(t, "superblock", superblockOwn, ours, theirs, at, 4096)
	if b.SB.Features&md.FeatureBitmap != 0 {
		same(t, "bitmap", bitmapOwn, ours, theirs, at+int64(b.SB.BitmapOffset)*md.Sector, 256)
		require.NoError(t, a.BitmapErr)
		require.NoError(t, b.BitmapErr)
		require.Greater(t, a.Bitmap.Total(), int64(64), "a bitmap with something to compare")
		for bit := range a.Bitmap.Total() {
			require.True(t, a.Bitmap.Bit(bit) || !b.Bitmap.Bit(bit), "bit %d of the bitmap is set by the kernel only", bit)
		}
	}
	log := bytesAt(t, ours, at+int64(b.SB.BBLogOffset)*md.Sector, int(b.SB.BBLogSize)*md.Sector)
	require.Equal(t, len(log), bytes.Count(log, []byte{0xff}), "bad block log: not empty")
}

func same(t *testing.T, what string, own []field, ours, theirs string, at int64, n int) {
	t.Helper()
	a, b := bytesAt(t, ours, at, n), bytesAt(t, theirs, at, n)
	for _, f := range own {
		clear(a[f.lo:f.hi])
		clear(b[f.lo:f.hi])
	}
	var list []string
	for i := 0; i < n; i += 4 {
		if !bytes.Equal(a[i:i+4], b[i:i+4]) {
			list = append(list, fmt.Sprintf("bytes %d: graid wrote % x, mdadm % x", i, a[i:i+4], b[i:i+4]))
		}
	}
	if len(list) > 0 {
		t.Errorf("%s: %d words differ:\n%s", what, len(list), strings.Join(list[:min(8, len(list))], "\n"))
	}
}

func bytesAt(t testing.TB, path string, off int64, n int) []byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, n)
	_, err = f.ReadAt(b, off)
	require.NoError(t, err)
	return b
}
