package targets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// sectors of the devices that FuzzDecide's members are on.
const sectors = 8192

// member is the superblock of member i of n, as of an array that was shut down cleanly.
func member(level, i, n int) *md.Superblock {
	s := &md.Superblock{
		Version: md.V12, SetUUID: md.UUID{9}, DeviceUUID: md.UUID{byte(i + 1)}, CTimeRaw: 1000, Level: level, Size: 2048, ChunkSize: 128, RaidDisks: n,
		MaxDev: 8, Roles: make([]uint16, 8), DevNumber: i, DataOffset: 2048, DataSize: 4096, SuperOffset: 8, Events: 100, ResyncOffset: md.MaxSector,
	}
	switch level {
	case md.LevelLinear, 0:
		s.Size = 0
	case 5, 6:
		s.Layout = 2
	case 10:
		s.Layout = 0x102
	}
	for dev := range s.Roles {
		s.Roles[dev] = md.EntrySpare
		if dev < n {
			s.Roles[dev] = uint16(dev)
		}
	}
	return s
}

// entry is the value of a role table that v stands for: mostly a small role.
func entry(v byte) uint16 {
	switch v % 16 {
	case 8:
		return md.EntrySpare
	case 9:
		return md.EntryFaulty
	case 10:
		return md.EntryJournal
	case 11:
		return md.EntryMax
	}
	return uint16(v % 16)
}

// changes are what may befall a member; x and y are the fuzzer's.
var changes = []func(s *md.Superblock, x, y byte){
	func(s *md.Superblock, x, _ byte) { s.Events += uint64(int64(int8(x))) },
	func(s *md.Superblock, x, _ byte) { s.Events++ },
	func(s *md.Superblock, x, _ byte) { s.DevNumber = int(x%10) - 1 },
	func(s *md.Superblock, x, y byte) { s.Roles[int(x)%len(s.Roles)] = entry(y) },
	func(s *md.Superblock, x, _ byte) { s.DeviceUUID = md.UUID{x % 8} },
	func(s *md.Superblock, x, _ byte) { s.ResyncOffset = uint64(x) * 8 },
	func(s *md.Superblock, x, y byte) {
		s.Features, s.RecoveryOffset = s.Features|md.FeatureRecovery, uint64(x)<<(y%64)
	},
	func(s *md.Superblock, x, _ byte) { s.Features ^= 1 << (x % 14) },
	func(s *md.Superblock, x, _ byte) { s.CTimeRaw += uint64(x % 2) },
	func(s *md.Superblock, x, _ byte) { s.RaidDisks = int(x % 10) },
	func(s *md.Superblock, x, y byte) { s.Size, s.DataSize = uint64(x)*128, uint64(y)*128 },
	func(s *md.Superblock, x, y byte) { s.ChunkSize, s.Layout = uint32(x), uint32(y) },
	func(s *md.Superblock, x, y byte) { s.DeltaDisks, s.ReshapePosition = int(int8(x)), uint64(y) },
	func(s *md.Superblock, x, _ byte) { s.Level = int(int8(x%16)) - 5 },
	func(s *md.Superblock, x, _ byte) {
		s.MaxDev = int(x%8) + 1
		s.Roles = append(s.Roles, make([]uint16, 8)...)[:s.MaxDev]
	},
	func(s *md.Superblock, x, _ byte) {
		s.Version = md.V10 + md.Version(x%3)
		s.SuperOffset = md.Places(sectors)[md.V12-s.Version].Sector
	},
	func(s *md.Superblock, x, _ byte) { s.SetUUID = md.UUID{8 + x%2} },
	func(s *md.Superblock, x, y byte) { s.BitmapOffset = int32(int8(x)) * int32(y) },
}

// array makes members as a program of four-byte steps says, each: who (0x80: all), what, and two parameters. What comes out has been encoded and
// decoded: Decide never sees what a decoder refuses.
func array(level, n, spares byte, program []byte) []*md.Examined {
	levels := []int{5, 1, 6, 10, 0, 4, md.LevelLinear}
	disks := int(n%5) + 1
	var supers []*md.Superblock
	for i := range disks + int(spares%3) {
		supers = append(supers, member(levels[int(level)%len(levels)], i, disks))
	}
	for ; len(program) >= 4; program = program[4:] {
		who, what, x, y := int(program[0]&0x7f)%len(supers), int(program[1])%(len(changes)+2), program[2], program[3]
		switch {
		case what == len(changes): // a copy, or a second path
			supers[who] = supers[int(x)%len(supers)].Clone()
		case what == len(changes)+1: // not given
			supers = append(slices.Delete(supers, who, who+1), member(5, 7, 1))
			supers[len(supers)-1].SetUUID = md.UUID{7, x}
		case program[0]&0x80 != 0:
			for _, s := range supers {
				changes[what](s, x, y)
			}
		default:
			changes[what](supers[who], x, y)
		}
	}
	var list []*md.Examined
	for i, s := range supers {
		e := &md.Examined{Path: string(rune('a' + i)), Size: sectors * md.Sector}
		e.SB, e.Err = md.Decode(s.Encode(), s.SuperOffset, sectors)
		list = append(list, e)
	}
	return list
}

// FuzzDecide judges sets of superblocks of which several were changed. Whatever the set, a verdict that lets the array start is safe in the sense of
// requireSafe, a policy that allows more starts all that one which allows less does, and with the same members.
func FuzzDecide(f *testing.F) {
	for level := range byte(7) {
		f.Add(level, uint8(2), uint8(0), []byte{})
		f.Add(level, uint8(3), uint8(1), []byte{1, 4, 1, 0})                                   // two with one device UUID
		f.Add(level, uint8(1), uint8(1), []byte{2, 18, 1, 0, 2, 4, 7, 0})                      // two with one role, equally fresh
		f.Add(level, uint8(2), uint8(0), []byte{0, 3, 1, 9, 0, 1, 0, 0, 1, 3, 0, 9})           // each has the other for faulty
		f.Add(level, uint8(3), uint8(0), []byte{0x80, 5, 0, 0, 1, 19, 0, 0})                   // dirty, one missing
		f.Add(level, uint8(2), uint8(2), []byte{1, 0, 0xf0, 0, 2, 0, 0xf0, 0})                 // two far behind
		f.Add(level, uint8(2), uint8(1), []byte{1, 6, 1, 63, 3, 14, 0, 0})                     // recovered beyond the end, a short table
		f.Add(level, uint8(2), uint8(1), []byte{2, 7, 4, 0, 2, 2, 2, 0, 3, 7, 4, 0})           // replacements
		f.Add(level, uint8(2), uint8(1), []byte{0x80, 15, 0, 0, 0, 16, 1, 0, 1, 9, 4, 0})      // 1.0; another array
		f.Add(level, uint8(2), uint8(0), []byte{0x80, 7, 2, 0, 0x80, 12, 0xff, 8})             // a reshape
		f.Add(level, uint8(4), uint8(1), []byte{0x80, 3, 1, 9, 1, 0, 0xff, 0, 0x80, 7, 10, 0}) // one out and one event behind; with PPL
	}
	f.Fuzz(func(t *testing.T, level, n, spares uint8, program []byte) {
		list := array(level, n, spares, program[:min(len(program), 400)])
		var plain map[md.UUID]*md.Decision
		Allocates(t, 4096*len(list), func() { plain = md.Decide(list, md.Policy{}) })
		for id, d := range plain {
			requireSafe(t, list, d, id, md.Policy{})
		}
		for _, p := range []md.Policy{{Run: true}, {ReadOnly: true}, {Force: true}, {Run: true, Force: true}} {
			for id, d := range md.Decide(list, p) {
				requireSafe(t, list, d, id, p)
				if plain[id].Verdict.OK() {
					require.Equal(t, plain[id].Verdict, d.Verdict)
					require.Equal(t, plain[id].Slots, d.Slots)
					require.Empty(t, d.Forced)
					require.False(t, d.ForceClean)
				}
			}
		}
		requireOrder(t, list, plain)
		for id, d := range plain {
			one, err := md.DecideOne(list, md.Policy{UUID: &id})
			require.NoError(t, err)
			require.Equal(t, d.Verdict, one.Verdict)
		}
	})
}

// requireOrder: the verdict and who has which slot do not depend on the order in which members are given.
func requireOrder(t *testing.T, list []*md.Examined, plain map[md.UUID]*md.Decision) {
	back := slices.Clone(list)
	slices.Reverse(back)
	for id, d := range md.Decide(back, md.Policy{}) {
		p := plain[id]
		both := func() string {
			return describe(list, p, md.Policy{}) + "\n\nreversed: " + describe(back, d, md.Policy{})
		}
		require.Equal(t, p.Verdict.OK(), d.Verdict.OK(), "%s", both())
		if !p.Verdict.OK() {
			continue // what is wrong may be told in another order
		}
		require.Equal(t, p.Verdict, d.Verdict, "%s", both())
		require.Equal(t, p.Dirty, d.Dirty, "%s", both())
		for role := range p.Slots {
			if i := p.Slots[role].Found; i < 0 {
				require.Negative(t, d.Slots[role].Found, "%s", both())
			} else {
				require.Equal(t, i, len(list)-1-d.Slots[role].Found, "%s", both())
			}
		}
	}
}

// requireSafe: nobody is in two places; and if the array may start, then every slot has the one who must have it.
func requireSafe(t *testing.T, list []*md.Examined, d *md.Decision, id md.UUID, p md.Policy) {
	require.Equal(t, id, d.UUID)
	require.Equal(t, d.Verdict.OK(), d.Why == "", "%s: %s", d.Verdict, d.Why)
	for _, line := range append(append(slices.Clone(d.Findings), d.ReadOnly...), d.Why) {
		require.False(t, strings.ContainsAny(line, "\n\r"), line)
	}
	seen := map[int]bool{}
	place := func(i int) {
		require.False(t, seen[i], "%s is in two places", list[i].Path)
		require.Equal(t, id, list[i].SB.SetUUID)
		seen[i] = true
	}
	var in []bool
	for _, slot := range d.Slots {
		in = append(in, slot.State == md.InSync)
		require.Equal(t, slot.Found < 0, slot.State == md.Missing)
		if slot.Found >= 0 {
			place(slot.Found)
		}
	}
	for _, i := range append(slices.Clone(d.Spares), d.Stale...) {
		place(i)
	}
	if !d.Verdict.OK() {
		return
	}
	require.NoError(t, unsafe(list, d, p), describe(list, d, p))
	missing := slices.Contains(in, false)
	require.Equal(t, missing, d.Verdict == md.StartDegraded)
	require.True(t, md.Enough(d.Ref, in), "%s without %v", md.LevelName(d.Ref.Level), in)
	require.Zero(t, d.Ref.Features&md.FeatureReshape)
	hole := d.Ref.Level == 6 || d.Ref.Level == 5 && !d.Ref.HasPPL()
	if missing && hole && !d.Ref.Clean() && !p.Force {
		t.Fatal("started dirty and degraded, and nobody asked for that")
	}
	if d.Ref.Level > 0 && !d.Ref.Clean() {
		require.True(t, d.Dirty || d.ForceClean, "what was being written is not made right")
	}
}

// describe is the set and what was made of it.
func describe(list []*md.Examined, d *md.Decision, p md.Policy) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%s: ", e.Path)
		if s := e.SB; s != nil {
			fmt.Fprintf(&b, "level %d event %d number %d of %d, role %d, table %x, features %v, resync %d, recovery %d, device %x", s.Level, s.Events, s.DevNumber,
				s.RaidDisks, s.Role(), s.Roles, s.Features.Names(), int64(s.ResyncOffset), s.RecoveryOffset, s.DeviceUUID[:2])
		}
		fmt.Fprintln(&b, e.Err)
	}
	fmt.Fprintf(&b, "%+v: %s, slots %v, spares %v, stale %v, forced %v\n%s", p, d.Verdict, d.Slots, d.Spares, d.Stale, d.Forced, strings.Join(d.Findings, "\n"))
	return b.String()
}

// unsafe says why the members that d seats must not start together.
func unsafe(list []*md.Examined, d *md.Decision, p md.Policy) error {
	ref := d.Ref
	uuids := map[md.UUID]bool{}
	for role, slot := range d.Slots {
		active := false
		for dev := range ref.Roles {
			active = active || ref.RoleOf(dev) == role
		}
		if slot.Found < 0 {
			if active && !p.Run && !p.Force && !p.ReadOnly {
				return errors.New("a member that was there is missing")
			}
			continue
		}
		e := list[slot.Found]
		s, forced := e.SB, slices.Contains(d.Forced, slot.Found)
		switch {
		case e.Err != nil:
			return e.Err
		case !alike(s, ref):
			return errors.New(e.Path + " is of an array of another shape")
		case s.DeviceUUID != (md.UUID{}) && uuids[s.DeviceUUID]:
			return errors.New(e.Path + " is there twice")
		case s.Events > ref.Events:
			return errors.New(e.Path + " is fresher than the freshest")
		case s.Events == ref.Events && s.ResyncOffset < ref.ResyncOffset:
			return errors.New(e.Path + " says dirty and is not believed")
		case forced && (!p.Force || s.Role() != role || s.Features&(md.FeatureRecovery|md.FeatureReplacement) != 0):
			return errors.New(e.Path + " is taken by force, and never had this role whole")
		case !forced && s.Events+1 < ref.Events:
			return errors.New(e.Path + " is stale")
		case !forced && (ref.RoleOf(s.DevNumber) != role || s.Role() < 0):
			return errors.New(e.Path + " has another role by the freshest superblock, or none by its own")
		case s.Features&md.FeatureRecovery != 0 && (slot.State != md.Recovering || slot.RecoveryOffset != s.RecoveryOffset):
			return errors.New(e.Path + " is taken for whole")
		}
		uuids[s.DeviceUUID] = true
		for i, o := range list {
			if i == slot.Found || o.SB == nil || o.Err != nil || o.SB.SetUUID != d.UUID || !alike(o.SB, ref) || o.SB.Events != s.Events {
				continue
			}
			stands := (s.Features | o.SB.Features) & md.FeatureReplacement
			if forced {
				stands |= o.SB.Features & md.FeatureRecovery // never whole, so it does not compete
				if o.SB.ReshapePosition != ref.ReshapePosition {
					continue
				}
			}
			if stands == 0 && o.SB.Role() == role && (forced || ref.RoleOf(o.SB.DevNumber) == role) {
				return errors.New(e.Path + " and " + o.Path + " claim one role and are equally fresh")
			}
		}
	}
	return nil
}

// alike says whether s is of the array that ref describes, and has room for it.
func alike(s, ref *md.Superblock) bool {
	return s.Version == ref.Version && s.CTimeRaw == ref.CTimeRaw && s.Level == ref.Level && s.Layout == ref.Layout && s.Size == ref.Size &&
		s.ChunkSize == ref.ChunkSize && s.RaidDisks == ref.RaidDisks && s.DataSize >= ref.Size &&
		(s.Events != ref.Events || (s.Features^ref.Features)&whole == 0 && s.DeltaDisks == ref.DeltaDisks)
}

// whole are the features that members of one array gain and lose together.
const whole = md.FeatureReshape | md.FeatureReshapeBackwards | md.FeatureClustered | md.FeatureJournal | md.FeaturePPL | md.FeatureMultiPPL | md.FeatureRaid0Layout
