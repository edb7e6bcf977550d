package oracle

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// plant is a sector of redundancy, a second copy or parity, that was made wrong behind everybody's back: whoever copies or computes it anew repairs
// it, and whoever has no reason to look leaves it as it is.
type plant struct {
	path  string
	off   int64  // on the member
	array int64  // where the array has what this is the copy of; -1 = it is parity
	wrong []byte // what was put there
}

// redundancy is where the array keeps the second copy, or the parity, of what is at pos of the space that a bitmap describes. Layouts are near=2 and
// left-symmetric.
func (s spec) redundancy(pos int64) (role int, off, array int64) {
	n, chunk := int64(len(s.Sizes)), s.Chunk<<10
	switch s.Level {
	case "raid1":
		return int(n - 1), pos, pos
	case "raid10":
		c := pos / chunk
		return int((2*c + 1) % n), 2*c/n*chunk + pos%chunk, pos
	}
	return int(n - 1 - pos/chunk%n), pos, -1
}

// plant makes up to three sectors wrong where the bitmap has bits that are set, or clear: the first place, the last and one between. With role >= 0
// only on that member.
func (s spec) plant(t testing.TB, b *md.Bitmap, members []string, role int, set bool) (list []plant) {
	t.Helper()
	grain := int64(b.ChunkSize)
	var all []int64
	for i := range b.Total() {
		pos := i*grain + grain/2
		if r, _, _ := s.redundancy(pos); b.Bit(i) == set && (role < 0 || r == role) && pos+sector <= int64(b.SyncSize)*md.Sector {
			all = append(all, pos)
		}
	}
	require.NotEmpty(t, all, "%s: no place to plant a difference: %d of %d bits are set", s.Name, b.Dirty(), b.Total())
	for _, pos := range slices.Compact([]int64{all[0], all[len(all)/2], all[len(all)-1]}) {
		r, off, array := s.redundancy(pos)
		p := plant{path: members[r], off: int64(superblock(t, members[r]).DataOffset)*md.Sector + off, array: array}
		p.wrong = bytesAt(t, p.path, p.off, sector)
		p.flip(t)
		list = append(list, p)
	}
	return list
}

// flip puts the opposite of what is there in place. Twice is not at all.
func (p plant) flip(t testing.TB) {
	t.Helper()
	for i := range p.wrong {
		p.wrong[i] ^= 0xFF
	}
	writeAt(t, p.path, p.off, p.wrong)
}

func writeAt(t testing.TB, path string, off int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt(data, off)
	require.NoError(t, err)
}

// there says whether what was planted still is.
func (p plant) there(t testing.TB) bool {
	return bytes.Equal(bytesAt(t, p.path, p.off, sector), p.wrong)
}

// moved is what was planted in members, in copies of them.
func moved(list []plant, from, to []string) []plant {
	list = slices.Clone(list)
	for i := range list {
		list[i].path = to[slices.Index(from, list[i].path)]
		list[i].wrong = bytes.Clone(list[i].wrong)
	}
	return list
}

// allowing is c with what was planted in copies allowed: which copy is read is up to the reader.
func (c *content) allowing(list []plant) *content {
	d := &content{data: c.data, pending: slices.Clone(c.pending)}
	for _, p := range list {
		if p.array >= 0 {
			d.pending = append(d.pending, pending{p.array, p.wrong})
		}
	}
	return d
}

// alike compares the members of mirrors byte by byte: a count of mismatches cannot say whether only what was planted differs.
func (s spec) alike(t testing.TB, members []string, planted []plant) {
	t.Helper()
	if s.parity() {
		return
	}
	copies := 2
	if s.Level == "raid1" {
		copies = len(members)
	}
	for first := 0; first < len(members); first += copies {
		var want []byte
		for _, path := range members[first : first+copies] {
			sb := superblock(t, path)
			off := int64(sb.DataOffset) * md.Sector
			data := bytesAt(t, path, off, int(sb.Size)*md.Sector)
			for _, p := range planted {
				if role := slices.Index(members, p.path); role/copies == first/copies {
					clear(data[p.off-off:][:sector])
				}
			}
			if want == nil {
				want = data
			}
			require.NoError(t, compare(bytes.NewReader(data), bytes.NewReader(want)), "%s differs from %s", path, members[first])
		}
	}
}
