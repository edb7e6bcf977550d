package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// bitGrain is how much one bit is about: so little that small members have hundreds of them.
const bitGrain = 16 << 10

// intent is an array with a write-intent bitmap that one side left in the middle of something, and the other side puts in order by its bits: what
// is planted where no bit is set must still be there afterwards, and what is planted where one is must not.
type intent struct {
	spec
	how    string // what was done to it: a verb of intent.sh, or a case of live
	skip   int64  // it holds the pattern from sector skip*skipUnit on, but for what was rewritten
	drives []int  // by role
	lost   int    // the role of the member that was away; -1 = none
	apart  bool   // … and still is
	family int    // those with the same array UUID must not run at the same time
	kept   []plant
	mended []plant
	*content
}

// intents is all of them: what the kernel leaves, and what is for the kernel in the end.
type intents struct {
	fleet
	families int
	theirs   []*intent
	adopted  []*intent
}

// TestIntent: the bits that Linux leaves set are what graid resyncs and re-adds by, and the other way round.
func TestIntent(t *testing.T) {
	needGuest(t)
	gr := newGraid(t)
	in := &intents{fleet: fleet{dir: t.TempDir()}}
	for i, s := range []spec{
		newSpec("raid1", "", 2, 0, "1.2"),
		newSpec("raid5", "left-symmetric", 3, 64, "1.1"),
		newSpec("raid6", "left-symmetric", 4, 64, "1.0"),
		newSpec("raid10", "n2", 4, 64, "1.2"),
	} {
		s = roomy(s)
		s.Bitmap = true
		for j, how := range []string{"left", "away", "returning", "returned", "pristine", "pristinedirty"} {
			in.plan(t, s, how, i+j)
		}
		for j, how := range []string{"killed", "torn", "away", "returning", "returned"} {
			in.live(t, gr, s, how, i+j)
		}
	}
	in.leave(t)
	for _, x := range in.theirs {
		t.Run(x.Name, func(t *testing.T) { in.resolve(t, gr, x) })
	}
	if len(in.adopted) > 0 && !t.Failed() {
		in.adopt(t, gr)
	}
}

// chosen says whether an array takes part: every third one does, and all with ORACLE_FULL.
func chosen(name string, i int) bool { return wanted(name) && (full() || i%3 == 0) }

// plan has the kernel make an array and leave it like that.
func (in *intents) plan(t testing.TB, s spec, how string, i int) {
	s.Name += "-their-" + how
	if !chosen(s.Name, i) {
		return
	}
	in.families++
	x := &intent{spec: s, how: how, skip: int64(i) * 8, lost: -1, family: in.families}
	junk := byte(0)
	switch how {
	case "pristinedirty":
		junk = 0xA5
	case "away", "returning", "returned":
		x.lost, x.apart = 1, how == "away"
	}
	x.drives = in.add(t, s, junk)
	in.theirs = append(in.theirs, x)
}

// line is the call in the guest's script that makes the array.
func (x *intent) line(drives []int) string {
	verb, args := x.how, append(x.args(), fmt.Sprintf("--bitmap-chunk=%dK", bitGrain>>10))
	switch {
	case x.how == "pristine":
		args = append(args, "--assume-clean")
	case x.how == "pristinedirty":
		verb, args = "pristine", append(args, "--force") // a raid5 that is resynced as a whole, rather than with one member for a spare
	case x.lost >= 0:
		args = append([]string{fmt.Sprint(drives[x.lost])}, args...)
	}
	return fmt.Sprintf("%s %s %d '%s' %s\n", verb, x.Name, x.skip, numbers(drives), strings.Join(args, " "))
}

// lineup is the drives of one boot.
type lineup []string

// add gives the drives of an array their numbers in this boot.
func (l *lineup) add(paths []string) (numbers []int) {
	for _, path := range paths {
		numbers = append(numbers, len(*l))
		*l = append(*l, path)
	}
	return numbers
}

// leave boots the guest to make what the kernel is to make.
func (in *intents) leave(t *testing.T) {
	if len(in.theirs) == 0 {
		return
	}
	share := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(share, "out"), 0o755))
	writePattern(t, filepath.Join(share, "pattern"), 0, 24<<20, 1)
	var lanes lanes
	var drives lineup
	for i, x := range in.theirs {
		lanes.add(i, fmt.Sprintf("lane md%d\n%s", i, x.line(drives.add(in.paths(x.drives)))))
	}
	text := script(t, "recovery.sh") + script(t, "intent.sh") + lanes.String() + "cut\n"
	log := boot{Share: share, Drives: drives, Script: text, Limit: bootLimit, Cut: true}.run(t)
	for _, x := range in.theirs {
		x.expect(t, in.paths(x.drives))
		if strings.HasPrefix(x.how, "return") {
			detail := slurp(t, filepath.Join(share, "out", x.Name+".detail"))
			require.Equal(t, 1, strings.Count(detail, "spare rebuilding"), "%s\n%s", detail, log)
		}
	}
}

// expect fills in what the kernel's array has to hold.
func (x *intent) expect(t testing.TB, members []string) {
	x.content = &content{data: make([]byte, int64(superblock(t, members[0]).ArraySize())*md.Sector)}
	if strings.HasPrefix(x.how, "pristine") {
		return
	}
	fillPattern(x.data, x.skip*skipUnit, 1)
	off, data := x.middle(1)
	copy(x.data[off:], data)
}

// middle is what rewrite of intent.sh writes: a piece of the pattern from its beginning, an eighth of the array, and where.
func (c *content) middle(generation uint32) (off int64, data []byte) {
	const unit = 64 << 10
	units := int64(len(c.data)) / unit
	data = make([]byte, units/8*unit)
	fillPattern(data, 0, generation)
	return units * 7 / 16 * unit, data
}

// adopt has the kernel put in order what graid left, and look at what graid put in order.
func (in *intents) adopt(t *testing.T, gr *graid) {
	share := t.TempDir()
	out := filepath.Join(share, "out")
	require.NoError(t, os.Mkdir(out, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(share, "pattern"), nil, 0o644))
	var lanes lanes
	var drives lineup
	for _, x := range in.adopted {
		list := drives.add(in.paths(x.drives))
		if x.apart {
			lost := list[x.lost]
			lanes.add(x.family, fmt.Sprintf("readopt %s '%s' %d\n", x.Name, numbers(slices.Delete(list, x.lost, x.lost+1)), lost))
			continue
		}
		lanes.add(x.family, fmt.Sprintf("adopt %s '%s'\n", x.Name, numbers(list)))
	}
	text := script(t, "recovery.sh") + script(t, "intent.sh") + lanes.String()
	boot{Share: share, Drives: drives, Script: text, Limit: bootLimit}.run(t)
	for _, x := range in.adopted {
		t.Run(x.Name, func(t *testing.T) { in.judge(t, gr, x, filepath.Join(out, x.Name)) })
	}
}

// judge is about an array that the kernel has had.
func (in *intents) judge(t *testing.T, gr *graid, x *intent, out string) {
	members := in.paths(x.drives)
	x.reaped(t, members)
	mismatch := strings.TrimSpace(slurp(t, out+".mismatch"))
	if x.parity() {
		require.Equal(t, fmt.Sprint(8*len(x.kept)), mismatch, "mismatches that the check found")
	} else {
		require.Equal(t, len(x.kept) == 0, mismatch == "0", mismatch)
	}
	after := slurp(t, out+".after")
	require.Equal(t, len(members), strings.Count(after, "active sync"), after)
	f, err := os.Open(out + ".rw")
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, x.allowing(x.kept).judge(f))

	// Without what was planted, any member can be done without: copies and parity are right everywhere.
	for _, p := range x.kept {
		p.flip(t)
	}
	require.Zero(t, x.bits(t, members).Dirty(), "bits that are set still")
	for i, path := range members {
		require.Zero(t, superblock(t, path).Features&byBits, path)
		require.NoError(t, gr.dump(x.content.judge, slices.Delete(slices.Clone(members), i, i+1)...), "dump without %s", path)
	}
}
