package md_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// The table's members are words like "1@7:01_": the member with device number 1, at event 7, whose table says that numbers 0 and 1 have
// roles 0 and 1 and number 2 is a spare or empty. In a table, x is faulty. What may follow:
//
//	!dirty  !rec=N (recovering, good below N)  !rep (replacement)  !ppl !pplsmall !pplunsynced !journal !bad !clustered !reshape !err
//	!uuid=N (device UUID)  !ctime !chunk !size !layout !disks !small
type found = []*md.Examined

func member(t *testing.T, level int, word string) *md.Examined {
	words := strings.Split(word, "!")
	number, rest, _ := strings.Cut(words[0], "@")
	events, table, ok := strings.Cut(rest, ":")
	require.True(t, ok, word)
	dev, err := strconv.Atoi(number)
	require.NoError(t, err)
	ev, err := strconv.ParseUint(events, 10, 64)
	require.NoError(t, err)
	s := &md.Superblock{
		Version: md.V12, SetUUID: md.UUID{9}, CTimeRaw: 1000, Level: level, Size: 2048, ChunkSize: 128, RaidDisks: 3, MaxDev: 8,
		DevNumber: dev, DeviceUUID: md.UUID{byte(dev + 1)}, DataOffset: 2048, DataSize: 4096, SuperOffset: 8, Events: ev,
		ResyncOffset: md.MaxSector, Roles: make([]uint16, 8),
	}
	switch level {
	case 1:
		s.ChunkSize, s.RaidDisks = 0, 2
	case 6, 10:
		s.RaidDisks, s.Layout = 4, 2
		if level == 10 {
			s.Layout = 0x102
		}
	case 0, md.LevelLinear:
		s.Size = 0
	}
	for i := range s.Roles {
		s.Roles[i] = md.EntrySpare
		if i < len(table) {
			switch c := table[i]; c {
			case '_':
			case 'x':
				s.Roles[i] = md.EntryFaulty
			case 'j':
				s.Roles[i] = md.EntryJournal
			default:
				s.Roles[i] = uint16(c - '0')
			}
		}
	}
	e := &md.Examined{Path: "m" + strings.SplitN(word, ":", 2)[0], Size: 4 << 20, SB: s}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "dirty":
			s.ResyncOffset = uint64(n)
		case "rec":
			s.Features |= md.FeatureRecovery
			s.RecoveryOffset = uint64(n)
		case "rep":
			s.Features |= md.FeatureReplacement
		case "ppl", "pplsmall", "pplunsynced":
			s.Features |= md.FeaturePPL
			s.PPLSize = 2048
			switch key {
			case "pplsmall":
				s.PPLSize = 16
			case "pplunsynced":
				e.PPL = &md.PPLHeader{Entries: []md.PPLEntry{md.PPLUnsynced}}
			}
		case "journal":
			s.Features |= md.FeatureJournal
		case "bad":
			s.Features |= md.FeatureBadBlocks
		case "clustered":
			s.Features |= md.FeatureClustered
		case "reshape":
			s.Features |= md.FeatureReshape
			s.DeltaDisks = 1
		case "feature":
			s.Features |= 1 << 20
		case "raid0":
			s.Features |= md.FeatureRaid0Layout
			s.Layout = 1
		case "bitmap6":
			s.Features |= md.FeatureBitmap
			e.Bitmap = &md.Bitmap{Version: 6}
		case "bitmaperr":
			s.Features |= md.FeatureBitmap
			e.BitmapErr = &md.FormatError{Structure: "bitmap", Field: "uuid", Got: "1", Want: "2"}
		case "err":
			e.Err = fmt.Errorf("damaged")
		case "uuid":
			s.DeviceUUID = md.UUID{byte(n)}
		case "name":
			e.Path = value
		case "ctime":
			s.CTimeRaw++
		case "chunk":
			s.ChunkSize *= 2
		case "size":
			s.Size -= 128
		case "layout":
			s.Layout = 3
		case "disks":
			s.RaidDisks++
		case "small":
			s.DataSize = 1024
		case "large":
			s.DataSize = 8192
		case "v090":
			s.Version, s.DeviceUUID = md.V090, md.UUID{}
		case "v10":
			s.Version = md.V10
		default:
			t.Fatalf("%q in %q is not known", w, word)
		}
	}
	return e
}

// line is a decision in one line: the verdict, who has each slot (or - ; r = recovering), then what is not empty of the rest.
func line(d *md.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s |", d.Verdict)
	for _, s := range d.Slots {
		switch {
		case s.Found < 0:
			b.WriteString(" -")
		case s.State == md.Recovering:
			fmt.Fprintf(&b, " %dr%d", s.Found, s.RecoveryOffset)
		default:
			fmt.Fprintf(&b, " %d", s.Found)
		}
		if s.StandIn >= 0 {
			fmt.Fprintf(&b, "+%dr%d", s.StandIn, s.StandInOffset)
		}
	}
	for _, x := range []struct {
		name string
		list []int
	}{{"spare", d.Spares}, {"stale", d.Stale}, {"forced", d.Forced}} {
		if len(x.list) > 0 {
			fmt.Fprintf(&b, " %s%v", x.name, x.list)
		}
	}
	if d.Dirty {
		b.WriteString(" dirty")
	}
	if d.ForceClean {
		b.WriteString(" forceclean")
	}
	if len(d.ReadOnly) > 0 {
		fmt.Fprintf(&b, " ro%d", len(d.ReadOnly))
	}
	return b.String()
}

// TestDecide is the judgement of every kind of array that can come back from a crash, a cupboard or a copy.
func TestDecide(t *testing.T) {
	for _, c := range []struct {
		level          int
		members        string
		want           string // without force and run
		forced         string // with force and run; "" = the same
		says, findings string // part of Why, of Findings
	}{
		// All here.
		{5, "0@5:012 1@5:012 2@5:012", "start | 0 1 2", "", "", ""},
		{5, "2@5:012 0@5:012 1@5:012", "start | 1 2 0", "", "", ""},
		{5, "0@5:01_2 1@5:01_2 3@5:01_2", "start | 0 1 2", "", "", ""}, // mdadm's raid5: the last has number n
		{5, "0@5:012!dirty 1@5:012!dirty 2@5:012!dirty", "start | 0 1 2 dirty", "", "", ""},
		{5, "0@5:012!dirty=64 1@5:012!dirty=64 2@5:012!dirty=64", "start | 0 1 2 dirty", "", "", ""},
		{1, "0@5:01 1@5:01 2@1:01_", "start | 0 1 spare[2]", "", "", ""},
		{1, "0@5:01!v090 1@5:01!v090", "start | 0 1 ro1", "", "", ""},
		{md.LevelLinear, "0@5:012 1@5:012 2@5:012", "start | 0 1 2", "", "", ""},
		{0, "0@5:012!dirty 1@5:012!dirty 2@5:012!dirty", "start | 0 1 2", "", "", ""}, // has no redundancy to be dirty

		// A crash tore the update of the superblocks: one event behind is current, two are not.
		{5, "0@5:012 1@4:012 2@5:012", "start | 0 1 2", "", "", ""},
		{5, "0@5:012 1@4:012 2@4:012!dirty", "start | 0 1 2", "", "", ""},
		{5, "0@5:012!dirty 1@4:012 2@4:012", "start | 0 1 2 dirty", "", "", ""},
		{5, "0@5:012 1@3:012 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "--run", "event 3"},

		// One event behind, but the freshest says that it is out: its own account does not count. (The raid6 of 2023.)
		{5, "0@5:0x2 1@4:012 2@5:0x2", "start degraded | 0 - 2 stale[1]", "", "", "is out"},
		{6, "0@5:01x3!dirty 1@5:01x3!dirty 2@4:0123!dirty 3@5:01x3!dirty", "needs force | 0 1 - 3 stale[2] dirty",
			"start degraded | 0 1 - 3 stale[2] forceclean", "not shut down cleanly", "is out"},
		{1, "0@5:0x 1@4:01", "start degraded | 0 - stale[1]", "", "", ""},
		{1, "0@5:0_ 1@4:01", "start degraded | 0 - stale[1]", "", "", ""},
		{1, "0@5:0x 1@5:01", "start degraded | 0 - stale[1]", "", "", ""}, // even as fresh

		// Fewer than last time.
		{5, "0@5:012 2@5:012", "needs run | 0 - 1", "start degraded | 0 - 1", "--run", ""},
		{1, "1@5:01", "needs run | - 0", "start degraded | - 0", "--run", ""},
		{1, "1@5:x1", "start degraded | - 0", "", "", ""},
		{10, "0@5:0123 2@5:0123", "needs run | 0 - 1 -", "start degraded | 0 - 1 -", "", ""},
		{10, "0@5:0123 1@5:0123", "too few members | 0 1 - -", "", "2 of 4", ""},
		{6, "0@5:0123 2@5:0123", "needs run | 0 - 1 -", "start degraded | 0 - 1 -", "", ""},
		{6, "0@5:0123", "too few members | 0 - - -", "", "1 of 4", ""},
		{0, "0@5:012 1@5:012", "too few members | 0 1 -", "", "", ""},
		{5, "0@5:012", "too few members | 0 - -", "", "", ""},
		{5, "3@5:012_", "too few members | - - - spare[0]", "", "none", ""},

		// Too many stale ones.
		{5, "0@5:012 1@3:012 2@3:012", "needs force | 0 - - stale[1 2]", "start | 0 1 2 forced[1 2] dirty", "--force", "event 3"},
		{5, "0@5:0xx 1@3:012 2@2:012", "needs force | 0 - - stale[1 2]", "start degraded | 0 1 - stale[2] forced[1]", "m1@3", ""},
		{5, "0@5:012 1@3:012!rec=8 2@2:012", "needs force | 0 - - stale[1 2]", "start degraded | 0 - 2 stale[1] forced[2]", "", ""},
		{5, "0@5:012 1@3:012!rec=8", "too few members | 0 - - stale[1]", "", "", ""},

		// Dirty and degraded.
		{5, "0@5:012!dirty 2@5:012!dirty", "needs force | 0 - 1 dirty", "start degraded | 0 - 1 forceclean", "--force", ""},
		{5, "0@5:0x2!dirty 2@5:0x2!dirty", "needs force | 0 - 1 dirty", "start degraded | 0 - 1 forceclean", "", ""},
		{6, "0@5:012x!dirty 1@5:012x!dirty 2@5:012x!dirty", "needs force | 0 1 2 - dirty", "start degraded | 0 1 2 - forceclean", "", ""},
		{5, "0@5:0x2 2@5:0x2!dirty", "needs force | 0 - 1 dirty", "start degraded | 0 - 1 forceclean", "", ""}, // mdadm told only one
		{5, "0@5:0x2!dirty!ppl 2@5:0x2!dirty!ppl", "start degraded | 0 - 1 dirty", "", "", ""},
		{5, "0@5:0x2!dirty=8!ppl 2@5:0x2!dirty=8!ppl", "needs force | 0 - 1 dirty", "start degraded | 0 - 1 forceclean", "", ""},
		{5, "0@5:0x2!dirty!ppl 2@5:0x2!dirty!pplunsynced", "needs force | 0 - 1 dirty", "start degraded | 0 - 1 forceclean", "", ""},
		{4, "0@5:01x!dirty 1@5:01x!dirty", "start degraded | 0 1 - dirty", "", "", ""}, // only the parity is missing
		{4, "0@5:0x2!dirty 2@5:0x2!dirty", "needs force | 0 - 1 dirty", "start degraded | 0 - 1 forceclean", "", ""},
		{1, "0@5:0x!dirty", "start degraded | 0 - dirty", "", "", ""},
		{10, "0@5:0x23!dirty 2@5:0x23!dirty 3@5:0x23!dirty", "start degraded | 0 - 1 2 dirty", "", "", ""},

		// Under recovery.
		{5, "0@5:012 1@5:012!rec=64 2@5:012", "start degraded | 0 1r64 2", "", "", ""},
		{5, "0@5:012 1@5:012!rec=64", "too few members | 0 1r64 -", "", "", ""},
		{5, "0@5:012!dirty 1@5:012!rec=64!dirty 2@5:012!dirty", "needs force | 0 1r64 2 dirty", "start degraded | 0 1r64 2 forceclean", "", ""},
		{1, "0@5:01!rec=0", "too few members | 0r0 -", "", "", ""},

		// Contradictions.
		{5, "0@5:012 1@5:012 2@5:012 2@5:012!uuid=77", "conflict | 0 1 2", "", "both have role 2", ""},
		{5, "0@5:012 1@5:012 2@5:012 2@4:012!uuid=77", "start | 0 1 2 stale[3]", "", "", "is fresher"},
		{5, "0@5:012 1@5:012 2@4:012!uuid=77 2@5:012", "start | 0 1 3 stale[2]", "", "", "is fresher"},
		{5, "0@5:012 1@5:012 2@5:012 2@5:012!name=copy", "conflict | 0 1 2", "", "the same member", ""},
		{5, "0@5:012 1@5:012 2@5:012 2@1:012!name=old", "conflict | 0 1 2 stale[3]", "", "only one of them", ""},
		{1, "0@5:0x 1@5:x1", "conflict | 0 - stale[1]", "", "each run without the other", ""},
		{1, "0@9:0_ 1@5:_1", "conflict | 0 - stale[1]", "", "each run without the other", ""},
		{1, "0@9:0x 1@5:01", "start degraded | 0 - stale[1]", "", "", "event 5"}, // dropped out, never ran alone
		{10, "0@9:0x2x 2@9:0x2x 1@7:x1x3 3@7:x1x3", "conflict | 0 - 1 - stale[2 3]", "", "each run without", ""},
		{6, "0@20:0x23 2@20:0x23 3@20:0x23 1@12:x123", "start degraded | 0 - 1 2 stale[3]", "", "", ""}, // went on with 2 and 3
		{1, "2@40:x_1 1@9:01_", "start degraded | - 0 stale[1]", "", "", ""},                            // replaced long ago
		{5, "0@5:012 1@5:021 2@5:012", "conflict | 0 - 2 stale[1]", "", "equally fresh", ""},

		// Whoever is given first: the answer is the same.
		{1, "1@5:01 0@5:0x", "start degraded | 1 - stale[0]", "", "", ""},
		{1, "0@5:0x!dirty=8 1@5:01", "start degraded | 0 - stale[1] dirty", "", "", ""},
		{1, "0@5:0x 1@5:01!dirty", "start degraded | 0 - stale[1] dirty", "", "", ""},
		{5, "1@5:012!chunk 0@5:012 2@5:012", "needs run | 1 - 2 stale[0]", "start degraded | 1 - 2 stale[0]", "", "chunk size"},
		{5, "0@5:012 1@5:012!reshape 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "feature map"},
		{5, "0@9:0xx 1@3:012 1@3:012!uuid=77", "conflict | 0 - - stale[1 2]", "", "both had role 1", ""},
		{1, "0@5:0x1 1@5:0x1!rep!rec=8 2@5:0x1!rep!rec=8", "start degraded | 0 2r8 stale[1]", "", "", "is faulty"},
		{1, "0@5:011 1@5:011!rep!rec=8 2@5:011!rep!rec=8", "conflict | 0 1r8", "", "both have role 1", ""},

		// Spares of old.
		{1, "0@9:01_ 1@9:01_ 1@3:0_x!uuid=77", "start | 0 1 stale[2]", "", "", "is another member's by now"},
		{1, "0@9:0_1 2@9:0_1 2@3:01_!uuid=77", "start | 0 1 stale[2]", "", "", "another member's by now"},
		{1, "0@9:01_ 1@9:01_ 2@9:01_ 2@3:0__!uuid=77", "start | 0 1 spare[2] stale[3]", "", "", "device number 2 too"},
		{1, "0@9:01_ 1@9:01_ 2@3:0__!uuid=77 2@9:01_", "start | 0 1 spare[3] stale[2]", "", "", "device number 2 too"},
		{1, "0@9:01_ 1@9:01_ 8@9:01_", "start | 0 1 stale[2]", "", "", "no place in its table of 8"},

		// Not of this array after all.
		{5, "0@5:012 1@5:012!ctime 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "creation time"},
		{5, "0@5:012 1@5:012!chunk 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "chunk size"},
		{5, "0@5:012 1@5:012!size 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "size is 1920"},
		{5, "0@5:012 1@5:012!layout 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "layout"},
		{5, "0@5:012 1@5:012!disks 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "raid devices"},
		{5, "0@5:012 1@5:012!v10 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "metadata version"},
		{5, "0@5:012 1@5:012!small 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "1024 sectors"},
		{5, "0@5:012 1@5:012!err 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "damaged"},
		{5, "0@5:012 1@5:012!feature 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "0x100000"},
		{5, "0@5:012 1@5:0x2 2@5:012", "needs run | 0 - 2 stale[1]", "start degraded | 0 - 2 stale[1]", "", "says that it is faulty"},

		// To be read only, or not at all.
		{5, "0@5:012!ppl 1@5:012!ppl 2@5:012!ppl", "start | 0 1 2", "", "", ""},
		{5, "0@5:012!ppl 1@5:012!pplsmall 2@5:012!ppl", "start | 0 1 2 ro1", "", "", ""},
		{4, "0@5:012!ppl 1@5:012!ppl 2@5:012!ppl", "start | 0 1 2 ro1", "", "", ""},
		{5, "0@5:012!journal 1@5:012!journal 2@5:012!journal 3@5:012j!journal", "start | 0 1 2 ro1", "", "", ""},
		{5, "0@5:012 1@5:012!bad 2@5:012", "start | 0 1 2", "", "", ""},
		{5, "0@5:012!bitmap6 1@5:012!bitmaperr 2@5:012", "start | 0 1 2 ro2", "", "", ""},
		{1, "0@5:01!clustered 1@5:01!clustered", "start | 0 1 ro1", "", "", ""},
		{1, "0@5:011 1@5:011 2@5:011!rep!rec=8", "start | 0 1+2r8", "", "", ""},
		{1, "0@5:011 1@5:011 2@5:011!rep", "start | 0 1+2r0", "", "", ""}, // not while the original is believed
		{1, "0@5:011 1@5:011!rec=9 2@5:011!rep!rec=8", "start degraded | 0 1r9 stale[2]", "", "", "needs none"},
		{1, "0@5:0x1 2@5:0x1!rep!rec=8", "start degraded | 0 1r8", "", "", "because the original is missing"},
		{5, "0@5:012!reshape 1@5:012!reshape 2@5:012!reshape", "unsupported | 0 1 2", "", "from 2 to 3", ""},
		{-4, "0@5:012 1@5:012 2@5:012", "unsupported | 0 1 2", "", "multipath", ""},
		{0, "0@5:012!large 1@5:012!large 2@5:012", "unsupported | 0 1 2", "", "layout-original", ""},
		{0, "0@5:012!large!raid0 1@5:012!large!raid0 2@5:012!raid0", "start | 0 1 2", "", "", ""},
		{0, "0@5:012!large 1@5:012 2@5:012", "start | 0 1 2", "", "", ""}, // a second zone of one member has one layout
	} {
		var list found
		for _, w := range strings.Fields(c.members) {
			list = append(list, member(t, c.level, w))
		}
		name := fmt.Sprintf("level %d: %s", c.level, c.members)
		d, err := md.DecideOne(list, md.Policy{})
		require.NoError(t, err, name)
		require.Equal(t, c.want, line(d), name)
		require.Contains(t, d.Why, c.says, name)
		require.Equal(t, d.Verdict.OK(), d.Why == "", name)
		require.Contains(t, strings.Join(d.Findings, "\n"), c.findings, name)
		if c.forced == "" {
			c.forced = c.want
		}
		d, err = md.DecideOne(list, md.Policy{Run: true, Force: true})
		require.NoError(t, err, name)
		require.Equal(t, c.forced, line(d), "forced: %s", name)
	}
}

// TestDecideOfSeveralArrays keeps arrays apart, and lets whoever reads only do without Run.
func TestDecideOfSeveralArrays(t *testing.T) {
	a, b := member(t, 5, "0@5:012"), member(t, 5, "2@5:012")
	other := member(t, 1, "0@3:01")
	other.SB.SetUUID = md.UUID{8}
	empty := &md.Examined{Path: "e", Err: md.ErrNoSuperblock}
	list := found{other, a, empty, b}

	all := md.Decide(list, md.Policy{ReadOnly: true})
	require.Len(t, all, 2)
	require.Equal(t, "start degraded | 1 - 3", line(all[md.UUID{9}]))
	require.Equal(t, "start degraded | 0 -", line(all[md.UUID{8}]))

	_, err := md.DecideOne(list, md.Policy{})
	require.ErrorContains(t, err, "belong to 2 arrays")
	d, err := md.DecideOne(list, md.Policy{UUID: &md.UUID{8}})
	require.NoError(t, err)
	require.Equal(t, "needs run | 0 -", line(d))
	_, err = md.DecideOne(list, md.Policy{UUID: &md.UUID{7}})
	require.ErrorContains(t, err, "no member of array")
	_, err = md.DecideOne(found{empty}, md.Policy{})
	require.ErrorIs(t, err, md.ErrNoSuperblock)
	_, err = md.DecideOne(nil, md.Policy{})
	require.ErrorIs(t, err, md.ErrNoSuperblock)
}

// TestVectorsAssemble gives Decide what Linux left behind: every array of the vectors whose members are all there and clean starts, those
// reset in the middle of a reshape are refused, and a stale member is told from a fresh one.
func TestVectorsAssemble(t *testing.T) {
	arrays := map[string]found{}
	var names []string
	for _, v := range vectors(t) {
		sb, _ := v.decode(t)
		name := v.Name[:strings.LastIndex(v.Name, ".")]
		if arrays[name] == nil {
			names = append(names, name)
		}
		arrays[name] = append(arrays[name], &md.Examined{Path: v.Name, Size: int64(v.DevSectors) * 512, SB: sb})
	}
	for _, name := range names {
		for _, d := range md.Decide(arrays[name], md.Policy{}) {
			if strings.HasPrefix(name, "k61.") {
				require.Equal(t, md.Start, d.Verdict, "%s: %s", name, d.Why)
				require.Empty(t, d.Findings, name)
				continue
			}
			t.Logf("%-20s %s %s", name, line(d), d.Why)
			require.Equal(t, d.Ref.Features&md.FeatureReshape != 0, d.Verdict == md.Unsupported, name)
		}
	}
}
