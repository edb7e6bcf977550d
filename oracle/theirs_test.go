package oracle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// perBoot bounds how many arrays one guest makes, and with them its drives and its time.
const perBoot = 60

// theirs is an array that mdadm and the kernel made.
type theirs struct {
	spec
	verb   string   // of theirs.sh: plain, stale, halfway, started
	more   []string // options of mdadm --create
	slots  []string // drive numbers, or "missing"
	own    []int    // the drives that hold the array's bytes in the end: all but the spare and the failed one
	others []int    // drives that belong to it and must not matter
	needs  []int    // drives without which it cannot be read
	skip   int64    // it holds the pattern from sector skip*128 on
	before int64    // the same of what a write that the power cut may have left; -1 = none
	dirty  bool
}

// skipUnit is the unit of theirs.skip, in sectors, and guestPattern the length of the pattern in the guest, in bytes.
const (
	skipUnit     = 128
	guestPattern = 72 << 20
)

// group makes the arrays of one boot, numbering their drives.
type group struct {
	fleet
	list []*theirs
}

func (g *group) add(t testing.TB, s spec, verb string, more ...string) *theirs {
	t.Helper()
	a := &theirs{spec: s, verb: verb, more: append(s.args(), more...), skip: int64(len(g.list)) * 4, before: -1}
	if s.Level == "raid0" && s.Metadata == "0.90" {
		a.verb = "taken"
		a.more = append([]string{"--level=raid4", fmt.Sprintf("--raid-devices=%d", len(s.Sizes)+1), "--metadata=0.90",
			fmt.Sprintf("--chunk=%dK", s.Chunk)}, more...)
	}
	for _, n := range g.fleet.add(t, s, 0) {
		a.own = append(a.own, n)
		a.slots = append(a.slots, fmt.Sprint(n))
	}
	if !s.redundant() {
		a.needs = slices.Clone(a.own)
	}
	g.list = append(g.list, a)
	return a
}

// without makes slot i an absent one from the beginning.
func (a *theirs) without(i int) *theirs {
	a.slots[i] = "missing"
	a.own = slices.Delete(a.own, i, i+1)
	a.needs = slices.Clone(a.own)
	if a.Level == "raid6" && len(a.own) == len(a.Sizes)-1 {
		a.needs = nil
	}
	if a.Level == "raid10" { // the neighbour of the missing one has the only copy
		a.needs = []int{a.own[0]}
	}
	return a
}

// lose makes the drive of slot i one that does not matter; needs are the slots that then do.
func (a *theirs) lose(i int, needs ...int) *theirs {
	for _, n := range needs {
		a.needs = append(a.needs, a.own[n])
	}
	a.others = append(a.others, a.own[i])
	a.own = slices.Delete(a.own, i, i+1)
	return a
}

func named(s spec, suffix string) spec {
	s.Name += "-" + suffix
	return s
}

// states are arrays in other states than complete and clean.
func (g *group) states(t testing.TB) {
	const clean = "--assume-clean"
	raid5 := func(n int, layout, meta string) spec { return newSpec("raid5", layout, n, 64, meta) }
	raid1 := func(n int, meta string) spec { return newSpec("raid1", "", n, 0, meta) }
	raid6 := func(layout, meta string) spec { return newSpec("raid6", layout, 5, 64, meta) }
	raid10 := func(layout, meta string) spec { return newSpec("raid10", layout, 4, 64, meta) }

	g.add(t, withBitmap(named(raid1(2, "1.2"), "bitmap")), "bitmapped", clean)
	g.add(t, withBitmap(named(raid5(3, "left-symmetric", "1.1"), "bitmap")), "bitmapped", clean)
	g.add(t, withBitmap(named(raid10("n2", "1.0"), "bitmap")), "bitmapped", clean)
	g.add(t, named(raid5(4, "left-symmetric", "1.2"), "ppl"), "plain", clean, "--consistency-policy=ppl")
	g.add(t, named(raid1(3, "1.2"), "writemostly"), "plain", clean, "--write-mostly")
	g.add(t, named(raid5(4, "left-symmetric", "1.2"), "synced"), "plain")
	g.add(t, named(raid1(2, "0.90"), "synced"), "plain")

	g.add(t, named(raid1(2, "1.2"), "missing1"), "plain", clean).without(1)
	g.add(t, named(raid1(2, "0.90"), "missing0"), "plain", clean).without(0)
	g.add(t, named(raid5(4, "left-symmetric", "1.2"), "missing0"), "plain", clean).without(0)
	g.add(t, named(raid5(3, "right-asymmetric", "0.90"), "missing2"), "plain", clean).without(2)
	g.add(t, named(raid10("n2", "1.1"), "missing1"), "plain", clean).without(1)
	g.add(t, named(newSpec("raid4", "", 4, 64, "1.2"), "missing0"), "plain", clean).without(0)
	g.add(t, named(raid6("left-symmetric", "1.2"), "missing1"), "plain", clean).without(1)
	g.add(t, named(raid6("left-asymmetric", "1.1"), "missing03"), "plain", clean).without(3).without(0)
	g.add(t, named(raid6("ddf-N-continue", "1.0"), "missing24"), "plain", clean).without(4).without(2)
	g.add(t, named(raid6("right-symmetric-6", "1.2"), "synced"), "plain")

	stale := func(s spec, lost int, needs ...int) {
		a := g.add(t, named(s, "stale"), "stale", clean)
		a.more = append([]string{a.slots[lost]}, a.more...)
		a.lose(lost, needs...)
	}
	stale(raid1(3, "1.2"), 0)
	stale(raid5(4, "left-symmetric", "1.0"), 2, 0, 1, 3)
	stale(raid5(4, "left-asymmetric", "0.90"), 1, 0, 2, 3)
	stale(raid10("n2", "1.2"), 3, 2)

	a := g.add(t, named(raid5(3, "left-symmetric", "1.2"), "spare"), "plain", clean, "--spare-devices=1")
	spare := spec{Name: a.Name + ".spare", Sizes: a.Sizes[:1]}
	a.others = g.fleet.add(t, spare, 0)
	a.slots = append(a.slots, fmt.Sprint(a.others[0]))

	a = g.add(t, named(raid5(4, "left-symmetric", "1.2"), "recovering"), "halfway")
	a.needs = slices.Clone(a.own[:3]) // the last one is still being filled
	g.add(t, named(raid1(2, "1.2"), "resyncing"), "halfway")
	g.add(t, named(raid10("f2", "1.1"), "resyncing"), "halfway")
}

// crash are arrays that a power cut meets while they are written to.
func (g *group) crash(t testing.TB) {
	for _, s := range []spec{
		newSpec("raid1", "", 2, 0, "1.2"),
		newSpec("raid5", "left-symmetric", 3, 64, "1.2"),
		newSpec("raid5", "right-asymmetric", 4, 4, "0.90"),
		newSpec("raid6", "right-asymmetric", 5, 4, "1.1"),
		newSpec("raid10", "o2", 3, 64, "1.0"),
	} {
		a := g.add(t, named(s, "cut"), "started", "--assume-clean")
		a.before = a.skip
		a.skip = a.before + 100
		a.dirty = true
		a.needs = nil
	}
}

// line is the call in the guest's script that makes the array.
func (a *theirs) line() string {
	return fmt.Sprintf("%s %s %d '%s' %s\n", a.verb, a.Name, a.skip, strings.Join(a.slots, " "), strings.Join(a.more, " "))
}

// make boots the guest and makes all arrays of the group. out is where the kernel's own reads are.
func (g *group) make(t testing.TB) (out string) {
	t.Helper()
	share := t.TempDir()
	out = filepath.Join(share, "out")
	require.NoError(t, os.Mkdir(out, 0o755))
	writePattern(t, filepath.Join(share, "pattern"), 0, guestPattern, 1)
	text := &strings.Builder{}
	text.WriteString(script(t, "theirs.sh"))
	var writers []string
	var lines [2]strings.Builder // what each of the guest's processors does
	for i, a := range g.list {
		if !a.dirty {
			lines[i%2].WriteString(a.line())
			continue
		}
		md := fmt.Sprintf("md%d", len(writers))
		writers = append(writers, fmt.Sprintf("started %s %s %d '%s' %s\noverwrite %s %d %dk\n", md, a.Name, a.before, strings.Join(a.slots, " "),
			strings.Join(a.more, " "), md, a.skip, 4*(2*len(writers)+1)))
	}
	fmt.Fprintf(text, "(\nMD=md126\ncomplain\n%scontent\n) &\n%swait $!\n", lines[1].String(), lines[0].String())
	text.WriteString("content\n")
	if writers != nil {
		text.WriteString(strings.Join(writers, "") + "cut 1\n")
	}
	t.Log(boot{Share: share, Drives: g.drives, Script: text.String(), Limit: bootLimit, Cut: writers != nil}.run(t))
	return out
}

// TestTheirsOurs: what Linux made, graid reads and explains as Linux does.
func TestTheirsOurs(t *testing.T) {
	needGuest(t)
	t.Parallel() // only of tests that open no member themselves: whoever is started meanwhile would hold its lock for a moment
	gr := newGraid(t)
	specs := matrix(metadatas)
	for first := 0; first == 0 || first < len(specs); first += perBoot {
		last := first+perBoot >= len(specs)
		g := &group{fleet: fleet{dir: t.TempDir()}}
		for _, s := range specs[first:min(first+perBoot, len(specs))] {
			g.add(t, s, "plain", "--assume-clean")
		}
		if last {
			g.states(t)
			g.crash(t)
			g.list = slices.DeleteFunc(g.list, func(a *theirs) bool { return !wanted(a.Name) })
		}
		out := g.make(t)
		for _, a := range g.list {
			t.Run(a.Name, func(t *testing.T) { g.judge(t, gr, a, filepath.Join(out, a.Name)) })
		}
		if last {
			g.resolve(t, gr)
		}
		for _, a := range g.list {
			if a.Level == "raid0" && a.Metadata != "0.90" {
				t.Run("canary", func(t *testing.T) { g.canary(t, gr, a, filepath.Join(out, a.Name)) })
				break
			}
		}
	}
}

// canary damages a copy of one member by one bit, and graid's own reading of that must not be what the kernel read.
func (g *group) canary(t *testing.T, gr *graid, a *theirs, kernel string) {
	require.Equal(t, "raid0", a.Level, "an array in which every byte is read")
	var copies []string
	for _, path := range g.paths(a.own) {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		if len(copies) == 1 {
			data[len(data)/2] ^= 1
		}
		copies = append(copies, filepath.Join(t.TempDir(), filepath.Base(path)))
		require.NoError(t, os.WriteFile(copies[len(copies)-1], data, 0o600))
	}
	require.NoError(t, gr.dumpEquals(kernel, g.paths(a.own)...))
	require.ErrorContains(t, gr.dumpEquals(kernel, copies...), "want pattern sector")
}

// judge lets graid read and explain one array, complete and without each member in turn. kernel is what the kernel read of it.
func (g *group) judge(t *testing.T, gr *graid, a *theirs, kernel string) {
	all := g.paths(append(slices.Clone(a.own), a.others...))
	before := stamps(t, all)
	for i, got := range gr.facts(t, all...) {
		want := mdadmFacts(t, all[i])
		if want["bitmap"] == "true" {
			for key, value := range mdadmBitmap(t, fmt.Sprintf("%s.bitmap.%d", kernel, g.number(all[i]))) {
				want["bitmap."+key] = value
			}
		}
		if info, err := os.Stat(kernel); err == nil {
			// mdadm multiplies and divides where the kernel counts whole chunks, as in raid10 with three copies on five members.
			want["array_size_bytes"] = fmt.Sprint(info.Size())
		}
		if err := want.differ(got); err != nil {
			t.Errorf("examine %s:\n%v", filepath.Base(all[i]), err)
		}
	}
	if a.dirty {
		g.judgeDirty(t, gr, a)
	} else {
		g.judgeClean(t, gr, a, all, kernel)
	}
	require.Equal(t, before, stamps(t, all), "reading wrote to a member")
}

func (g *group) number(path string) int { return slices.Index(g.drives, path) }

func (g *group) judgeClean(t *testing.T, gr *graid, a *theirs, all []string, kernel string) {
	info, err := os.Stat(kernel)
	require.NoError(t, err)
	require.Positive(t, info.Size())
	f, err := os.Open(kernel)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, compare(f, patternReader(a.skip*skipUnit, info.Size(), 1)), "the kernel did not read what was written: the test itself is wrong")

	file := filepath.Join(t.TempDir(), "dump")
	gr.run(t, usable, append([]string{"dump", "-o", file}, all...)...)
	require.NoError(t, compareFiles(file, kernel), "dump -o of all members")
	for i, lost := range all {
		rest := slices.Delete(slices.Clone(all), i, i+1)
		if len(rest) == 0 {
			continue
		}
		err := gr.dumpEquals(kernel, rest...)
		if slices.Contains(g.paths(a.needs), lost) {
			if err == nil {
				t.Errorf("dump without %s: it cannot be read without that one, yet it was", filepath.Base(lost))
			}
		} else if err != nil {
			t.Errorf("dump without %s: %v", filepath.Base(lost), err)
		}
	}
	if a.Level == "raid6" && len(all) == len(a.Sizes) {
		g.judgePairs(t, gr, a, all, kernel)
	}
}

// judgePairs lets graid read a raid6 without each two of its members; without a third it must refuse.
func (g *group) judgePairs(t *testing.T, gr *graid, a *theirs, all []string, kernel string) {
	for i := range all {
		for j := range i {
			rest := slices.Delete(slices.Delete(slices.Clone(all), i, i+1), j, j+1)
			if err := gr.dumpEquals(kernel, rest...); err != nil {
				t.Errorf("dump without %s and %s: %v", filepath.Base(all[i]), filepath.Base(all[j]), err)
			}
		}
	}
	require.Error(t, gr.dumpEquals(kernel, all[:len(all)-3]...), "dump without three members")
}

// judgeDirty reads an array that lost power: each sector is what it was or what was being written.
func (g *group) judgeDirty(t *testing.T, gr *graid, a *theirs) {
	require.Equal(t, "false", fmt.Sprint(allClean(t, g.paths(a.own))), "the power cut found nothing dirty: the test itself is wrong")
	require.NoError(t, gr.dump(a.eitherOr, g.paths(a.own)...))
	for i := range a.own {
		rest := g.paths(slices.Delete(slices.Clone(a.own), i, i+1))
		err := gr.dump(a.eitherOr, rest...)
		if a.parity() { // what was in flight has no parity to be computed from: as mdadm does, it refuses rather than makes up
			require.ErrorContains(t, err, "exit status 1", "dump without member %d", i)
			continue
		}
		require.NoError(t, err, "dump without member %d", i)
	}
}

func allClean(t testing.TB, members []string) bool {
	for _, path := range members {
		if mdadmFacts(t, path)["state"] != "clean" {
			return false
		}
	}
	return true
}

// eitherOr judges content in which each sector may be the old one or the new one.
func (a *theirs) eitherOr(r io.Reader) error {
	got, older, newer := make([]byte, sector), make([]byte, sector), make([]byte, sector)
	counts := [2]int64{}
	for n := int64(0); ; n++ {
		if _, err := io.ReadFull(r, got); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		fillPattern(older, a.before*skipUnit+n, 1)
		fillPattern(newer, a.skip*skipUnit+n, 1)
		switch {
		case slices.Equal(got, older):
			counts[0]++
		case slices.Equal(got, newer):
			counts[1]++
		default:
			return fmt.Errorf("sector %d is neither old nor new: there is %s, want %s or %s", n, describe(got), describe(older), describe(newer))
		}
	}
	if counts[0]+counts[1] == 0 {
		return errors.New("empty")
	}
	return nil
}

// stamps are the members' times of last change: a reader must not touch them.
func stamps(t testing.TB, paths []string) []string {
	t.Helper()
	var list []string
	for _, path := range paths {
		info, err := os.Stat(path)
		require.NoError(t, err)
		list = append(list, filepath.Base(path)+" "+info.ModTime().Format(time.RFC3339Nano))
	}
	return list
}

// withBitmap is s with a write-intent bitmap.
func withBitmap(s spec) spec {
	s.Bitmap = true
	return s
}
