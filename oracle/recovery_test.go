package oracle

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid"
	"graid/raid/md"
)

// half is an array whose last member the kernel filled half-way.
type half struct {
	spec
	skip   int64
	killed bool
	old    []int // the members before that, twice; of a killed one they are the same
	twins  []int
	added  int // by the kernel, to the twins
	blank  int // for graid to do the same with the others
}

// adopted is an array for the kernel to finish.
type adopted struct {
	name    string
	drives  []int // by role
	family  int   // those with the same array UUID must not run at the same time
	filling bool  // its last member is
	spoilt  bool  // so that the check has something to find
	*content
}

// recovery is what a kernel filled half-way, and what it is to fill.
type recovery struct {
	fleet
	theirs []*half
	ours   []*adopted
}

// TestRecovery: members that Linux filled half-way graid fills, and the other way round; what either adds to an array is what the other would.
func TestRecovery(t *testing.T) {
	needGuest(t)
	gr := newGraid(t)
	r := &recovery{fleet: fleet{dir: t.TempDir()}}
	r.stopInMiddle(t)
	for i, h := range r.theirs {
		c := &content{data: make([]byte, r.size(t, h))}
		fillPattern(c.data, h.skip*skipUnit, 1)
		if !h.killed { // first: what the kernel left there is still there
			t.Run(h.Name+"-add", func(t *testing.T) { r.addAsTheyDo(t, gr, i, c) })
		}
		t.Run(h.Name+"-resume", func(t *testing.T) {
			drives := append(slices.Clone(h.twins), h.added)
			r.agree(t, gr, c, drives)
			resume(t, gr, c, r.paths(drives))
			r.ours = append(r.ours, &adopted{name: h.Name + "-resumed", family: i, drives: drives, content: c})
		})
	}
	for i, s := range []spec{
		newSpec("raid1", "", 3, 0, "1.2"),
		newSpec("raid5", "left-symmetric", 3, 64, "1.1"),
		newSpec("raid6", "right-asymmetric", 5, 4, "1.2"),
		newSpec("raid10", "n2", 4, 64, "1.0"),
		newSpec("raid10", "f2", 4, 64, "1.2"),
		newSpec("raid10", "o2", 3, 64, "1.1"),
	} {
		s.Name += "-filling"
		if wanted(s.Name) {
			t.Run(s.Name, func(t *testing.T) { r.fill(t, gr, roomy(s), i+1) })
		}
	}
	if len(r.ours) > 0 {
		r.finish(t, gr)
	}
}

// roomy makes members large enough for many pieces of recovery.
func roomy(s spec) spec {
	for i := range s.Sizes {
		s.Sizes[i] = 6 << 20
	}
	return s
}

// add plans an array that the kernel will leave half filled.
func (r *recovery) add(t testing.TB, s spec, suffix string, killed bool) {
	s = roomy(s)
	s.Name += suffix
	if !wanted(s.Name) {
		return
	}
	h := &half{spec: s, killed: killed, skip: int64(len(r.theirs)) * 8}
	some, one := s, s
	some.Sizes, one.Sizes = s.Sizes[1:], s.Sizes[:1]
	h.old = r.fleet.add(t, some, 0)
	h.twins = h.old
	one.Name += "-added"
	h.added = r.fleet.add(t, one, 0xA5)[0]
	if !killed {
		some.Name += "-twins"
		h.twins = r.fleet.add(t, some, 0)
		one.Name += "-blank"
		h.blank = r.fleet.add(t, one, 0xA5)[0]
	}
	r.theirs = append(r.theirs, h)
}

// stopInMiddle has the kernel make arrays, each with a member half filled.
func (r *recovery) stopInMiddle(t *testing.T) {
	bitmap := func(s spec) spec {
		s.Bitmap = true
		s.Name += "-bitmap"
		return s
	}
	const stopped, killed = "-stopped", "-killed"
	r.add(t, newSpec("raid1", "", 2, 0, "1.0"), stopped, false)
	r.add(t, newSpec("raid5", "left-symmetric", 3, 64, "1.1"), stopped, false)
	r.add(t, newSpec("raid10", "n2", 4, 64, "1.2"), stopped, false)
	r.add(t, bitmap(newSpec("raid5", "right-asymmetric", 3, 64, "1.0")), stopped, false)
	r.add(t, bitmap(newSpec("raid1", "", 3, 0, "1.1")), stopped, false)
	r.add(t, bitmap(newSpec("raid6", "left-symmetric", 4, 64, "1.2")), stopped, false)
	r.add(t, newSpec("raid6", "left-symmetric", 4, 64, "1.2"), killed, true)
	r.add(t, bitmap(newSpec("raid10", "n2", 4, 64, "1.2")), killed, true)
	if len(r.theirs) == 0 {
		return
	}
	share := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(share, "out"), 0o755))
	writePattern(t, filepath.Join(share, "pattern"), 0, 24<<20, 1)
	var lanes lanes
	for i, h := range r.theirs {
		if h.killed { // each stays up, so each has an md of its own
			lanes.add(i, fmt.Sprintf("lane md%d\nkilled %s %d '%s' %d %s\n", i, h.Name, h.skip, numbers(h.old), h.added, strings.Join(h.options(), " ")))
			continue
		}
		lanes.add(i, fmt.Sprintf("stopped %s %d '%s' '%s' %d %s\n", h.Name, h.skip, numbers(h.old), numbers(h.twins), h.added, strings.Join(h.options(), " ")))
	}
	boot{Share: share, Drives: r.drives, Script: script(t, "recovery.sh") + lanes.String() + "power_off\n", Limit: bootLimit, Cut: true}.run(t)
	for _, h := range r.theirs {
		detail := slurp(t, filepath.Join(share, "out", h.Name+".detail"))
		require.Equal(t, 1, strings.Count(detail, "spare rebuilding"), detail)
	}
}

// options are those of mdadm --create. Small members have many bits.
func (h *half) options() []string {
	if h.Bitmap {
		return append(h.args(), "--bitmap-chunk=64K")
	}
	return h.args()
}

// lanes are lines of script, dealt to the processors of the guest.
type lanes [2]strings.Builder

func (l *lanes) add(family int, line string) { l[family%2].WriteString(line) }

func (l *lanes) String() string {
	return fmt.Sprintf("(\ncomplain\nlane md126\n%scontent\n) &\n(\ncomplain\nlane md127\n%scontent\n)\nwait $!\n", &l[0], &l[1])
}

func numbers(list []int) string { return strings.Trim(fmt.Sprint(list), "[]") }

// size is how much an array holds that is not complete yet.
func (r *recovery) size(t testing.TB, h *half) int64 {
	sb := superblock(t, r.drives[h.old[0]])
	return int64(sb.ArraySize()) * md.Sector
}

// agree compares what graid and mdadm tell of members.
func (r *recovery) agree(t *testing.T, gr *graid, c *content, drives []int) {
	paths := r.paths(drives)
	for i, got := range gr.facts(t, paths...) {
		want := mdadmFacts(t, paths[i])
		want["array_size_bytes"] = fmt.Sprint(len(c.data)) // mdadm divides where the kernel counts whole chunks
		require.NoError(t, want.differ(got), "examine %s", filepath.Base(paths[i]))
	}
}

// addAsTheyDo has graid add a member to the very array that the kernel added one to: it looks the same.
func (r *recovery) addAsTheyDo(t *testing.T, gr *graid, family int, c *content) {
	h := r.theirs[family]
	old, blank := r.paths(h.old), r.drives[h.blank]
	list, _ := openAll(t, old)
	a, err := raid.Assemble(context.Background(), list, raid.Options{Quiet: quiet})
	require.NoError(t, err)
	f := addHalfway(t, a, superblock(t, old[0]), blank)
	f.stop(t)
	drives := append(slices.Clone(h.old), h.blank)
	r.agree(t, gr, c, drives)
	sameMember(t, blank, r.drives[h.added])
	r.ours = append(r.ours, &adopted{name: h.Name + "-added", family: family, drives: drives, filling: true, content: c})
}

// fill is the life of an array in which graid fills a member: the kernel gets it as it is when graid is killed half-way, when it is stopped a
// little later, and when the rest was done by another start.
func (r *recovery) fill(t *testing.T, gr *graid, s spec, family int) {
	old := r.fleet.add(t, s, 0)
	one := s
	one.Name, one.Sizes = s.Name+"-fresh", s.Sizes[:1]
	fresh := r.fleet.add(t, one, 0xA5)[0]
	paths := r.paths(old)
	gr.run(t, done, append(append([]string{"create", "filling", "--no-start", "--homehost=oracle"}, s.args()...), paths...)...)
	list, _ := openAll(t, paths)
	a, err := raid.Assemble(context.Background(), list, raid.Options{Quiet: quiet})
	require.NoError(t, err)
	c := &content{data: make([]byte, a.Info().Size)}
	fillPattern(c.data, 0, 1)
	require.NoError(t, block.WriteAt(context.Background(), a, c.data, 0))
	lost := family % len(old)
	require.NoError(t, a.Fail(context.Background(), paths[lost]))

	f := addHalfway(t, a, superblock(t, paths[(lost+1)%len(paths)]), r.drives[fresh])
	f.write(t, c, int64(len(c.data))/8, 2)                    // where it is filled already
	f.write(t, c, int64(len(c.data))-int64(len(c.data))/8, 3) // where it is not
	left := append(slices.Delete(slices.Clone(old), lost, lost+1), fresh)
	r.leave(t, gr, s.Name+"-killed", family, left, c)
	f.stop(t)
	stopped := r.leave(t, gr, s.Name+"-stopped", family, left, c)
	if s.Level == "raid5" {
		spoilt := *stopped
		spoilt.name, spoilt.spoilt = s.Name+"-spoilt", true
		spoilt.drives = r.copyAll(t, spoilt.name, r.paths(left))
		spoil(t, r.drives[spoilt.drives[len(left)-1]])
		r.ours = append(r.ours, &spoilt)
	}
	resume(t, gr, c, r.paths(left))
	r.agree(t, gr, c, left)
	r.ours = append(r.ours, &adopted{name: s.Name + "-finished", family: family, drives: left, content: c})
}

// leave copies an array whose last member is half filled for the kernel.
func (r *recovery) leave(t *testing.T, gr *graid, name string, family int, members []int, c *content) *adopted {
	a := &adopted{name: name, family: family, drives: r.copyAll(t, name, r.paths(members)), filling: true, content: &content{data: bytes.Clone(c.data)}}
	r.agree(t, gr, c, a.drives)
	sb := superblock(t, r.drives[a.drives[len(members)-1]])
	require.NotZero(t, sb.Features&md.FeatureRecovery)
	require.Equal(t, strings.Contains(name, "-f2-"), sb.RecoveryOffset == 0, "%s: recovery offset %d of %d", name, sb.RecoveryOffset, sb.Size)
	r.ours = append(r.ours, a)
	return a
}

// spoil damages a member where superblocks say that it is filled: the kernel must believe them and not fill it again.
func spoil(t testing.TB, path string) {
	sb := superblock(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	off := int64(sb.DataOffset)*md.Sector + int64(sb.RecoveryOffset)*md.Sector - 1
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{b[0] ^ 1}, off)
	require.NoError(t, err)
}

// finish has the kernel do what is left to do.
func (r *recovery) finish(t *testing.T, gr *graid) {
	share := t.TempDir()
	out := filepath.Join(share, "out")
	require.NoError(t, os.Mkdir(out, 0o755))
	var lanes lanes
	for _, a := range r.ours {
		lanes.add(a.family, fmt.Sprintf("adopt %s '%s'\n", a.name, numbers(a.drives)))
	}
	boot{Share: share, Drives: r.drives, Script: script(t, "recovery.sh") + lanes.String(), Limit: bootLimit}.run(t)
	for _, a := range r.ours {
		t.Run(a.name, func(t *testing.T) { r.judge(t, gr, a, filepath.Join(out, a.name)) })
	}
}

// judge is about one array that the kernel was given.
func (r *recovery) judge(t *testing.T, gr *graid, a *adopted, out string) {
	if a.spoilt {
		require.Equal(t, "8\n", slurp(t, out+".mismatch"), "what was filled already was filled again, or the check finds nothing")
		return
	}
	before, after, filling := slurp(t, out+".before"), slurp(t, out+".after"), 0
	if a.filling {
		filling = 1
	}
	n := len(a.drives)
	require.Equal(t, filling, strings.Count(before, "spare rebuilding"), before)
	require.Equal(t, n-filling, strings.Count(before, "active sync"), before)
	require.Equal(t, n, strings.Count(after, "active sync"), after)
	for _, when := range []string{".ro", ".rw"} {
		f, err := os.Open(out + when)
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, a.content.judge(f), when)
	}
	require.Equal(t, "0\n", slurp(t, out+".mismatch"), "check found mismatches")
	r.agree(t, gr, a.content, a.drives)
	for _, path := range r.paths(a.drives) {
		require.Zero(t, superblock(t, path).Features&md.FeatureRecovery, path)
	}
	require.NoError(t, gr.dump(a.content.judge, r.paths(a.drives)...), "the kernel finished it, and graid reads")
}
