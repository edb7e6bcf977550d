package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// spec is one array of the matrix, in mdadm's words, which are graid's too.
type spec struct {
	Name     string
	Level    string  // linear raid0 raid1 raid4 raid5 raid6 raid10
	Layout   string  // "" where the level has none
	Chunk    int64   // KiB; 0 where the level has none
	Metadata string  // 0.90 1.0 1.1 1.2
	Sizes    []int64 // of the members, bytes
	Bitmap   bool    // an internal write-intent bitmap
}

var (
	chunks       = []int64{4, 64, 512}
	metadatas    = []string{"0.90", "1.0", "1.1", "1.2"}
	raid5Layouts = []string{"left-asymmetric", "right-asymmetric", "left-symmetric", "right-symmetric", "parity-first", "parity-last"}
	raid6Layouts = append(slices.Clone(raid5Layouts), "ddf-zero-restart", "ddf-N-restart", "ddf-N-continue",
		"left-asymmetric-6", "right-asymmetric-6", "left-symmetric-6", "right-symmetric-6", "parity-first-6")
	raid10Layout = []string{"n2", "n3", "f2", "o2"}
)

// memberSize leaves every role more than one turn of every layout after the superblock and the headroom.
func memberSize(chunk int64) int64 {
	return map[int64]int64{0: 4 << 20, 4: 3 << 20, 12: 3 << 20, 64: 4 << 20, 512: 8 << 20}[chunk]
}

func newSpec(level, layout string, n int, chunk int64, metadata string) spec {
	s := spec{Level: level, Layout: layout, Chunk: chunk, Metadata: metadata, Sizes: make([]int64, n)}
	for i := range s.Sizes {
		s.Sizes[i] = memberSize(chunk)
	}
	s.Name = strings.Trim(strings.NewReplacer("ddf-zero-restart", "dzr", "ddf-N-restart", "dnr", "ddf-N-continue", "dnc",
		"asymmetric", "a", "symmetric", "s", "parity-", "p", "left-", "l", "right-", "r").Replace(
		fmt.Sprintf("%s-%s-%dk-v%s-%dd", level, layout, chunk, strings.ReplaceAll(metadata, ".", ""), n)), "-")
	s.Name = strings.ReplaceAll(s.Name, "--", "-")
	return s
}

// unequal makes each member larger than the one before, with bytes that are no whole chunk: raid0 gets several zones.
func (s spec) unequal() spec {
	s.Name += "-zones"
	s.Sizes = slices.Clone(s.Sizes)
	for i := range s.Sizes {
		// Two of the same size first, so that the last zone is not one per member.
		s.Sizes[i] += int64(max(0, i-1)) * (s.Chunk<<10 + 256<<10 + 4096)
	}
	return s
}

// redundant says whether the array lives without any single one of its members.
func (s spec) redundant() bool { return s.Level != "linear" && s.Level != "raid0" }

// parity says whether it lives on sums: dirty and without a member it is refused, as what was in flight has none that can be believed.
func (s spec) parity() bool { return s.Level == "raid4" || s.Level == "raid5" || s.Level == "raid6" }

// args are the options of create that mdadm and graid share.
func (s spec) args() []string {
	list := []string{"--level=" + s.Level, fmt.Sprintf("--raid-devices=%d", len(s.Sizes)), "--metadata=" + s.Metadata}
	if s.Layout != "" {
		list = append(list, "--layout="+s.Layout)
	}
	if s.Chunk != 0 {
		list = append(list, fmt.Sprintf("--chunk=%dK", s.Chunk))
	}
	switch {
	case s.Bitmap:
		list = append(list, "--bitmap=internal")
	case s.redundant():
		list = append(list, "--bitmap=none") // graid makes one unless told
	}
	return list
}

// matrix is a selection in which each level meets each chunk and each metadata version, and each layout each number of members;
// or the whole product. The metadata versions are those of metas. ORACLE_ONLY is a regular expression for the names of those wanted.
func matrix(metas []string) []spec {
	list := selection(metas)
	if full() {
		list = product(metas)
	}
	return slices.DeleteFunc(list, func(s spec) bool { return !wanted(s.Name) })
}

// wanted says whether ORACLE_ONLY lets an array of that name take part.
func wanted(name string) bool { return regexp.MustCompile(os.Getenv("ORACLE_ONLY")).MatchString(name) }

func selection(metas []string) []spec {
	var list []spec
	meta := func(i int) string { return metas[i%len(metas)] }
	for i, chunk := range chunks {
		list = append(list,
			newSpec("linear", "", 2+i, chunk, meta(i)).unequal(),
			newSpec("raid0", "", 2+i, chunk, meta(i+1)),
			newSpec("raid0", "", 3+i, chunk, meta(len(metas)-1-i%2)).unequal())
	}
	list = append(list, newSpec("linear", "", 2, 0, meta(3)), newSpec("raid0", "", 5, 64, meta(0)),
		newSpec("raid0", "", 3, 12, meta(3)), newSpec("raid0", "", 3, 12, meta(2)).unequal()) // a chunk that is no power of two
	for i := range 4 {
		list = append(list, newSpec("raid1", "", 2+i, 0, meta(i)))
	}
	for i := range 3 * len(raid5Layouts) {
		list = append(list, newSpec("raid5", raid5Layouts[i/3], 3+(i+i/3)%3, chunks[i%3], meta(i)))
	}
	list = append(list, newSpec("raid5", "left-symmetric", 2, 64, meta(3)))
	for i := range 4 {
		list = append(list, newSpec("raid4", "", 3+(i+i/3)%3, chunks[i%3], meta(i)))
	}
	for i, layout := range raid6Layouts {
		list = append(list, newSpec("raid6", layout, 4+(i+i/3)%3, chunks[(i+i/6)%3], meta(i)))
	}
	list = append(list, newSpec("raid6", "left-asymmetric", 5, 64, meta(2)), newSpec("raid6", "left-symmetric", 6, 4, meta(3)))
	for i := range 3 * len(raid10Layout) {
		list = append(list, newSpec("raid10", raid10Layout[i/3], 3+i%3, chunks[(i+i/3)%3], meta(i)))
	}
	return append(list, newSpec("raid10", "n2", 2, 64, meta(1)))
}

func product(metas []string) []spec {
	var list []spec
	for _, meta := range metas {
		for n := 2; n <= 5; n++ {
			list = append(list, newSpec("raid1", "", n, 0, meta), newSpec("linear", "", n, 0, meta).unequal())
			for _, chunk := range chunks {
				list = append(list, newSpec("linear", "", n, chunk, meta).unequal(), newSpec("raid0", "", n, chunk, meta))
				if n > 2 && meta != "0.90" { // a 0.90 superblock cannot say which of the two layouts several zones have
					list = append(list, newSpec("raid0", "", n, chunk, meta).unequal())
				}
				for _, layout := range raid5Layouts {
					list = append(list, newSpec("raid5", layout, n, chunk, meta))
				}
				if n > 2 {
					list = append(list, newSpec("raid4", "", n, chunk, meta))
				}
				for _, layout := range raid6Layouts {
					list = append(list, newSpec("raid6", layout, n+2, chunk, meta))
				}
				for _, layout := range raid10Layout {
					if n >= int(layout[1]-'0') {
						list = append(list, newSpec("raid10", layout, n, chunk, meta))
					}
				}
			}
		}
	}
	return list
}

// TestMatrixCovers holds the selection to what it promises.
func TestMatrixCovers(t *testing.T) {
	t.Setenv("ORACLE_FULL", "")
	t.Setenv("ORACLE_ONLY", "")
	for _, metas := range [][]string{metadatas, metadatas[1:]} {
		seen, names := map[string]bool{}, map[string]bool{}
		for _, s := range matrix(metas) {
			require.False(t, names[s.Name], "two arrays are called %s", s.Name)
			names[s.Name] = true
			seen[fmt.Sprint(s.Level, s.Chunk, "K")] = true
			seen[fmt.Sprint(s.Level, " ", s.Metadata)] = true
			seen[fmt.Sprint(s.Level, s.Layout, len(s.Sizes))] = true
			seen[fmt.Sprint(s.Level, " ", s.Layout)] = true
			seen[fmt.Sprint(s.Level, " ", len(s.Sizes))] = true
		}
		for _, level := range []string{"linear", "raid0", "raid1", "raid4", "raid5", "raid6", "raid10"} {
			for _, chunk := range chunks {
				require.True(t, level == "raid1" || seen[fmt.Sprint(level, chunk, "K")], "%s never with chunk %dK", level, chunk)
			}
			for _, meta := range metas {
				require.True(t, seen[fmt.Sprint(level, " ", meta)], "%s never with metadata %s", level, meta)
			}
		}
		for _, layout := range raid6Layouts {
			require.True(t, seen["raid6 "+layout], "raid6 never %s", layout)
		}
		for n := 3; n <= 5; n++ {
			require.True(t, seen[fmt.Sprint("raid4", n)] && seen[fmt.Sprint("raid6 ", n+1)], "raid4 never on %d, or raid6 never on %d", n, n+1)
			for _, layout := range raid5Layouts {
				require.True(t, seen[fmt.Sprint("raid5", layout, n)], "raid5 %s never on %d", layout, n)
			}
			for _, layout := range raid10Layout {
				require.True(t, seen[fmt.Sprint("raid10", layout, n)], "raid10 %s never on %d", layout, n)
			}
		}
	}
}

// fleet numbers the members of many arrays as the drives of one guest.
type fleet struct {
	dir    string
	drives []string
}

// add makes the member files of an array, sparse, or filled with junk, and returns their drive numbers.
func (f *fleet) add(t testing.TB, s spec, junk byte) []int {
	t.Helper()
	var numbers []int
	for i, size := range s.Sizes {
		path := filepath.Join(f.dir, fmt.Sprintf("%s.%d", s.Name, i))
		file, err := os.Create(path)
		require.NoError(t, err)
		require.NoError(t, file.Truncate(size))
		for off := int64(0); junk != 0 && off < size; off += 1 << 16 {
			_, err := file.WriteAt(slices.Repeat([]byte{junk + byte(i)}, int(min(1<<16, size-off))), off)
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
		numbers = append(numbers, len(f.drives))
		f.drives = append(f.drives, path)
	}
	return numbers
}

// paths are the files of drives.
func (f *fleet) paths(numbers []int) []string {
	var list []string
	for _, n := range numbers {
		list = append(list, f.drives[n])
	}
	return list
}
