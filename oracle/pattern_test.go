package oracle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const sector = 512

// Every sector of the pattern says where it belongs: its number and its generation, and then a stream that follows from both. A
// chunk in the wrong place, a stale member or the wrong parity shows up as such in the first sector that differs.
const patternMagic = 0x6e72657474617067 // "gpattern"

// fillPattern fills p, whole sectors, with the pattern from sector number first on.
func fillPattern(p []byte, first int64, generation uint32) {
	for len(p) >= sector {
		binary.LittleEndian.PutUint64(p[0:], patternMagic)
		binary.LittleEndian.PutUint64(p[8:], uint64(first))
		binary.LittleEndian.PutUint32(p[16:], generation)
		x := uint64(first)*0x9e3779b97f4a7c15 ^ uint64(generation)<<32 ^ 0xd1b54a32d192ed03
		for i := 20; i < sector; i += 4 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			binary.LittleEndian.PutUint32(p[i:], uint32(x>>16))
		}
		p, first = p[sector:], first+1
	}
}

// describe says what a sector holds, for a message.
func describe(p []byte) string {
	switch {
	case len(p) < sector:
		return fmt.Sprintf("%d bytes", len(p))
	case binary.LittleEndian.Uint64(p) == patternMagic:
		return fmt.Sprintf("pattern sector %d of generation %d", binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint32(p[16:]))
	case bytes.Count(p, p[:1]) == len(p):
		return fmt.Sprintf("all %#02x", p[0])
	}
	return fmt.Sprintf("%x…", p[:24])
}

// compare reads both to their ends and returns what is different about them first, or nil.
func compare(got, want io.Reader) error {
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); ; {
		n, errA := io.ReadFull(got, a)
		m, errB := io.ReadFull(want, b)
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return err
			}
		}
		if both := min(n, m); !bytes.Equal(a[:both], b[:both]) {
			i := 0
			for a[i] == b[i] {
				i++
			}
			lo := i / sector * sector
			return fmt.Errorf("byte %d (sector %d + %d) is %#02x, want %#02x: there is %s, want %s", off+int64(i), (off+int64(lo))/sector,
				i-lo, a[i], b[i], describe(a[lo:min(lo+sector, n)]), describe(b[lo:min(lo+sector, m)]))
		}
		if n != m {
			return fmt.Errorf("%d bytes or more, want %d or more", off+int64(n), off+int64(m))
		}
		if off += int64(n); n < len(a) {
			return nil
		}
	}
}

// compareFiles is compare for two files.
func compareFiles(got, want string) error {
	a, err := os.Open(got)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(want)
	if err != nil {
		return err
	}
	defer b.Close()
	return compare(a, b)
}

// patternReader is length bytes of the pattern from sector first on.
func patternReader(first, length int64, generation uint32) io.Reader {
	p := make([]byte, (length+sector-1)/sector*sector)
	fillPattern(p, first, generation)
	return bytes.NewReader(p[:length])
}

// writePattern writes size bytes of the pattern to a file.
func writePattern(t testing.TB, path string, first, size int64, generation uint32) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	_, err = io.Copy(f, patternReader(first, size, generation))
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// TestTheCheckerCanFail proves the comparison that everything here rests on: one flipped bit anywhere is found and placed.
func TestTheCheckerCanFail(t *testing.T) {
	const size = 3<<20 + 5*sector + 100 // more than one buffer, an end that is not a sector's
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	writePattern(t, good, 7, size, 1)
	data, err := os.ReadFile(good)
	require.NoError(t, err)
	require.Len(t, data, size)

	check := func(data []byte) error {
		require.NoError(t, os.WriteFile(bad, data, 0o644))
		return compareFiles(bad, good)
	}
	require.NoError(t, check(data))
	for _, at := range []int{0, 1, 511, 512, 1<<20 - 1, 1 << 20, size - 1} {
		data[at] ^= 0x10
		require.ErrorContains(t, check(data), fmt.Sprintf("byte %d (sector %d", at, at/sector))
		data[at] ^= 0x10
	}
	require.Error(t, check(data[:size-1]))
	require.Error(t, check(append(bytes.Clone(data), 0)))
	require.ErrorContains(t, check(append(bytes.Clone(data[sector:]), data[:sector]...)), "there is pattern sector 8 of generation 1, want pattern sector 7")
	old := make([]byte, sector)
	fillPattern(old, 7+10, 0)
	copy(data[10*sector:], old)
	require.ErrorContains(t, check(data), "pattern sector 17 of generation 0, want pattern sector 17 of generation 1")
}
