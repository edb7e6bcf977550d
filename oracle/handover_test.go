package oracle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid"
	"graid/raid/md"
)

// handed is an array that one side left in the middle of something that TestRecovery and TestIntent do not know of.
type handed struct {
	spec
	how    string // the verb of handover.sh that leaves it so, or what graid did
	ppl    bool
	skip   int64 // it holds the pattern from sector skip*skipUnit on, but for its middle
	drives []int // by role, and then those without one
	other  int   // the place among drives of whoever it is about: replaced, marred, flagged
	family int   // those with the same array UUID must not run at the same time
	kept   []plant
	mended []plant

	// What is expected of whoever has finished it.
	lost    int    // members that are missing in the end
	fail    int    // the place among drives of the member that the kernel is to fail; -1 = none
	filling int    // members that are being filled when it is assembled
	faulty  int    // members that are out of use in the end
	bad     string // of the member in other: its bad block log as the kernel shows it; "" = empty
	flags   string // of the member in other, as mdadm --detail shows them
	spoilt  bool   // so that the check has something to find
	*content
}

// handover is all of them.
type handover struct {
	fleet
	theirs   []*handed
	adopted  []*handed
	families int
}

// marredAt is where a member has its bad block: bytes of its data area, and how many.
const marredAt, marredLen = 1<<20 + 8192, 8192

// TestHandover: arrays that Linux left with a partial parity log in use, half-replaced, half-synced, with bad blocks, flags or spares, graid finishes, and
// the other way round.
func TestHandover(t *testing.T) {
	needGuest(t)
	gr := newGraid(t)
	h := &handover{fleet: fleet{dir: t.TempDir()}}
	raid1, raid5 := newSpec("raid1", "", 2, 0, "1.2"), newSpec("raid5", "left-symmetric", 3, 64, "1.1")
	raid6, raid10 := newSpec("raid6", "left-symmetric", 4, 64, "1.0"), newSpec("raid10", "n2", 4, 64, "1.2")
	for _, p := range []struct {
		spec
		how, more string
	}{
		{raid5, "logged", ""},
		{newSpec("raid5", "left-symmetric", 4, 4, "1.2"), "logged", "full"},
		{raid1, "replacing", "full"}, {raid5, "replaced", ""}, {raid6, "replacing", "full"}, {raid10, "replacing", ""},
		{raid1, "marred", ""}, {raid5, "marred", ""}, {raid6, "marred", "full"}, {raid10, "marred", "full"},
		{raid1, "synced", "full"}, {raid5, "synced", ""}, {raid10, "synced", "full"},
		{newSpec("raid1", "", 3, 0, "1.1"), "flagged", ""},
	} {
		if p.more == "" || full() {
			h.plan(t, p.spec, p.how)
			h.ours(t, gr, p.spec, p.how)
		}
	}
	h.leave(t)
	for _, x := range h.theirs {
		t.Run(x.Name, func(t *testing.T) { h.resolve(t, gr, x) })
	}
	if len(h.adopted) > 0 && !t.Failed() {
		h.adopt(t, gr)
	}
}

// members makes the drives of an array that something is to be done to.
func (h *handover) members(t testing.TB, x *handed) {
	h.families++
	x.family, x.other, x.fail = h.families, 1, -1
	x.skip = int64(x.family) * 8
	x.ppl = x.how == "logged"
	x.drives = h.add(t, x.spec, map[bool]byte{true: 0x50}[x.how == "synced"])
	switch x.how {
	case "replacing", "replaced", "flagged":
		one := x.spec
		one.Name, one.Sizes = x.Name+"-new", x.Sizes[:1]
		x.drives = append(x.drives, h.add(t, one, 0xA5)[0])
	}
}

// plan has the kernel make an array and leave it like that.
func (h *handover) plan(t testing.TB, s spec, how string) {
	s = roomy(s)
	s.Name += "-their-" + how
	if !wanted(s.Name) {
		return
	}
	x := &handed{spec: s, how: how}
	h.members(t, x)
	h.theirs = append(h.theirs, x)
}

// options are those of mdadm --create.
func (x *handed) options() []string {
	list := x.args()
	if x.ppl {
		list = slices.DeleteFunc(list, func(s string) bool { return strings.HasPrefix(s, "--bitmap") })
		list = append(list, "--consistency-policy=ppl")
	}
	if x.how == "synced" && x.parity() {
		list = append(list, "--force")
	}
	return list
}

// line is the call in the guest's script that makes the array.
func (x *handed) line(drives []int) string {
	n := len(x.Sizes)
	var more string
	switch x.how {
	case "replacing", "replaced", "flagged":
		more = fmt.Sprint(drives[x.other], " ", drives[n])
	case "marred":
		more = fmt.Sprint(drives[x.other], " ", marredAt/sector, " ", marredLen/sector)
	}
	return fmt.Sprintf("%s %s %d '%s' %s %s\n", x.how, x.Name, x.skip, numbers(drives[:n]), more, strings.Join(x.options(), " "))
}

// leave boots the guest to make what the kernel is to make.
func (h *handover) leave(t *testing.T) {
	if len(h.theirs) == 0 {
		return
	}
	share := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(share, "out"), 0o755))
	writePattern(t, filepath.Join(share, "pattern"), 0, 24<<20, 1)
	var lanes lanes
	var drives lineup
	for i, x := range h.theirs {
		lanes.add(i, fmt.Sprintf("lane md%d\n%s", i, x.line(drives.add(h.paths(x.drives)))))
	}
	text := script(t, "recovery.sh") + script(t, "intent.sh") + script(t, "handover.sh") + lanes.String() + "cut\n"
	log := boot{Share: share, Drives: drives, Script: text, Limit: bootLimit, Cut: true}.run(t)
	for _, x := range h.theirs {
		x.expect(superblock(t, h.drives[x.drives[0]]))
		out := filepath.Join(share, "out", x.Name)
		switch x.how {
		case "replacing", "replaced":
			detail := slurp(t, out+".detail")
			require.Equal(t, 1, strings.Count(detail, "spare rebuilding"), "%s\n%s", detail, log)
		case "marred":
			require.Equal(t, x.badAt(superblock(t, h.drives[x.drives[x.other]]))+"\n", slurp(t, out+".bad"))
		}
	}
}

// expect fills in what the kernel's array has to hold.
func (x *handed) expect(sb *md.Superblock) {
	x.content = &content{data: make([]byte, int64(sb.ArraySize())*md.Sector)}
	fillPattern(x.data, x.skip*skipUnit, 1)
	off, data := x.middle(1)
	if x.ppl {
		x.pending = append(x.pending, pending{off, data})
		return
	}
	copy(x.data[off:], data)
}

// badAt is the bad block as the kernel shows it: sectors of the member.
func (x *handed) badAt(sb *md.Superblock) string {
	return fmt.Sprint(int64(sb.DataOffset)+marredAt/sector, " ", marredLen/sector)
}

// adopt has the kernel finish what graid left, and look at what graid finished.
func (h *handover) adopt(t *testing.T, gr *graid) {
	share := t.TempDir()
	out := filepath.Join(share, "out")
	require.NoError(t, os.Mkdir(out, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(share, "pattern"), nil, 0o644))
	var lanes lanes
	var drives lineup
	numbered := map[*handed][]int{}
	for _, x := range h.adopted {
		list := drives.add(h.paths(x.drives))
		numbered[x] = list
		fail := ""
		if x.fail >= 0 {
			fail = fmt.Sprint(list[x.fail])
		}
		lanes.add(x.family, fmt.Sprintf("takeover %s '%s' %d %s\n", x.Name, numbers(list), x.lost, fail))
	}
	text := script(t, "recovery.sh") + script(t, "intent.sh") + script(t, "handover.sh") + lanes.String()
	boot{Share: share, Drives: drives, Script: text, Limit: bootLimit}.run(t)
	for _, x := range h.adopted {
		t.Run(x.Name, func(t *testing.T) { h.judge(t, gr, x, filepath.Join(out, x.Name), numbered[x]) })
	}
}

// judge is about an array that the kernel has had.
func (h *handover) judge(t *testing.T, gr *graid, x *handed, out string, numbers []int) {
	before, after, mismatch := slurp(t, out+".before"), slurp(t, out+".after"), strings.TrimSpace(slurp(t, out+".mismatch"))
	require.Equal(t, x.filling, strings.Count(before, "spare rebuilding"), before)
	require.Equal(t, len(x.Sizes)-x.lost, strings.Count(after, "active sync"), after)
	require.Equal(t, x.faulty, strings.Count(after, "faulty"), after)
	if x.spoilt {
		require.Equal(t, "8", mismatch, "what was copied already was copied again, or the check finds nothing")
		return
	}
	for _, p := range x.kept {
		require.True(t, p.there(t), "byte %d of %s has been written, with no reason to", p.off, filepath.Base(p.path))
	}
	for _, p := range x.mended {
		require.False(t, p.there(t), "byte %d of %s has not been repaired", p.off, filepath.Base(p.path))
	}
	if x.parity() {
		require.Equal(t, fmt.Sprint(8*len(x.kept)), mismatch, "mismatches that the check found")
	} else {
		require.Equal(t, len(x.kept) == 0, mismatch == "0", mismatch)
	}
	for _, when := range []string{".ro", ".rw"} {
		f, err := os.Open(out + when)
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, x.allowing(x.kept).judge(f), when)
	}
	for i, d := range x.drives {
		want, left := fmt.Sprint(numbers[i]), fmt.Sprint(numbers[i])
		if i == x.other && x.bad != "" {
			if want += " " + x.bad; !x.parity() {
				left = want // a check of mirrors passes over what a log names, and rewrites nothing
			}
		}
		require.Contains(t, strings.Split(slurp(t, out+".left"), "\n"), left, "the bad block log that the kernel left")
		require.Contains(t, strings.Split(slurp(t, out+".bad"), "\n"), want, "the bad block log of %s", h.drives[d])
	}
	if x.flags != "" {
		require.Contains(t, before, x.flags)
		require.Contains(t, after, x.flags)
	}
	for _, p := range x.kept {
		p.flip(t)
	}
	h.complete(t, gr, x)
}

// complete reads an array that has nothing left to be done, without each of its members in turn.
func (h *handover) complete(t *testing.T, gr *graid, x *handed) {
	members := h.paths(x.drives)
	require.NoError(t, gr.dump(x.content.judge, members...))
	for i := range members {
		if x.lost == 0 && (x.bad == "" || x.parity() || i == x.other) { // the one copy of what a mirror's log names is needed
			require.NoError(t, gr.dump(x.content.judge, slices.Delete(slices.Clone(members), i, i+1)...), "dump without %s", members[i])
		}
	}
}

// create makes the array under graid, which then holds a pattern.
func (h *handover) create(t testing.TB, x *handed) (*raid.Array, meter) {
	paths := h.paths(x.drives)
	n := len(x.Sizes)
	spares := 0
	if x.how == "flagged" {
		spares = 1
	}
	list, _ := openAll(t, paths[:n+spares])
	list[x.other].WriteMostly, list[x.other].FailFast = x.how == "flagged", x.how == "flagged"
	level := map[string]int{"raid1": 1, "raid5": 5, "raid6": 6, "raid10": 10}[x.Level]
	version := map[string]md.Version{"1.0": md.V10, "1.1": md.V11, "1.2": md.V12}[x.Metadata]
	_, err := raid.Create(context.Background(), md.Spec{
		Level: level, Layout: -1, Chunk: x.Chunk << 10, RaidDevices: n, Spares: spares, Version: version, PPL: x.ppl,
		AssumeClean: x.how != "synced", Name: "handover", Homehost: "oracle",
	}, list, raid.Options{})
	require.NoError(t, err)
	for _, m := range list {
		require.NoError(t, m.Dev.Close())
	}
	if x.how == "synced" {
		return nil, nil
	}
	a, logs := opened(t, paths[:n+spares])
	x.content = &content{data: make([]byte, a.Info().Size)}
	fillPattern(x.data, 0, 1)
	x.write(t, a, 0, x.data)
	return a, logs
}
