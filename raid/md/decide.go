package md

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Decide judges what the members found add up to: one Decision for each array that has a member here.
//
// The freshest active superblock is the truth about the array: it alone says who has which role. A member one event behind is current all
// the same, because a crash can tear the update of several superblocks, but only in the role that the freshest one gives it. What
// contradicts the freshest is left out with a finding; where leaving out would mean guessing whose data to lose, the verdict is Conflict.
func Decide(found []*Examined, p Policy) map[UUID]*Decision {
	groups := map[UUID][]int{}
	for i, e := range found {
		if e != nil && e.SB != nil && (p.UUID == nil || *p.UUID == e.SB.SetUUID) {
			groups[e.SB.SetUUID] = append(groups[e.SB.SetUUID], i)
		}
	}
	decisions := map[UUID]*Decision{}
	for id, members := range groups {
		decisions[id] = decide(found, members, id, p)
	}
	return decisions
}

// DecideOne is Decide where one array is meant: that of p.UUID, or the only one that the members belong to.
func DecideOne(found []*Examined, p Policy) (*Decision, error) {
	all := Decide(found, p)
	if len(all) == 1 {
		for _, d := range all {
			return d, nil
		}
	}
	if len(all) == 0 && p.UUID != nil {
		return nil, fmt.Errorf("no member of array %s among the %d given", *p.UUID, len(found))
	}
	if len(all) == 0 {
		for _, e := range found {
			if e != nil && e.Err != nil {
				return nil, fmt.Errorf("%s: %w", e.Path, e.Err)
			}
		}
		return nil, fmt.Errorf("no members given: %w", ErrNoSuperblock)
	}
	var ids []string
	for id := range all {
		ids = append(ids, id.String())
	}
	slices.Sort(ids)
	return nil, fmt.Errorf("the members belong to %d arrays, %s: give those of one, or its UUID", len(all), strings.Join(ids, " and "))
}

// judge is the state of one decision.
type judge struct {
	*Decision
	found   []*Examined
	policy  Policy
	members []int // of this array, usable as far as can be told from each alone
	behind  []int // active by their own account, but stale
}

func decide(found []*Examined, members []int, id UUID, p Policy) *Decision {
	j := &judge{&Decision{UUID: id, RefFound: -1}, found, p, nil, nil}
	if p.Enough == nil {
		j.policy.Enough = Enough
	}
	j.screen(members)
	if !j.refer(members) {
		return j.Decision
	}
	j.match()
	j.clones()
	j.histories()
	j.seat()
	if j.supported() && j.Verdict < Conflict {
		j.count()
	}
	j.readOnly()
	return j.Decision
}

func (j *judge) sb(i int) *Superblock { return j.found[i].SB }
func (j *judge) path(i int) string    { return j.found[i].Path }

// leave leaves member i out.
func (j *judge) leave(i int, format string, args ...any) {
	j.Stale = append(j.Stale, i)
	j.note("%s: %s", j.path(i), fmt.Sprintf(format, args...))
}

// screen leaves out members that cannot be used whatever the others say.
func (j *judge) screen(members []int) {
	for _, i := range members {
		e := j.found[i]
		for _, o := range e.Others {
			j.note("%s: has a superblock %s of array %s too, of earlier creation: ignored", e.Path, o.Version, o.SetUUID)
		}
		switch unknown := e.SB.Features &^ FeatureAll; {
		case e.Err != nil:
			j.leave(i, "%v", e.Err)
		case unknown != 0:
			j.leave(i, "feature bits %#x are not known: made by a newer Linux", uint32(unknown))
		default:
			j.members = append(j.members, i)
		}
	}
}

// refer finds the freshest active member, and takes what all equally fresh ones know into account: the array is as dirty as the dirtiest says,
// because mdadm --force tells only one member that it is clean.
func (j *judge) refer(members []int) bool {
	for _, i := range j.members {
		if j.sb(i).Role() >= 0 && (j.RefFound < 0 || j.fresher(i, j.RefFound)) {
			j.RefFound = i
		}
	}
	if j.RefFound >= 0 {
		j.Ref = j.sb(j.RefFound).Clone()
		for _, i := range j.members {
			if s := j.sb(i); s.Role() >= 0 && s.Events == j.Ref.Events && s.shape() == j.Ref.shape() {
				j.Ref.ResyncOffset = min(j.Ref.ResyncOffset, s.ResyncOffset)
			}
		}
		return true
	}
	j.RefFound = members[0]
	for _, i := range members {
		if j.sb(i).Role() == RoleSpare && !slices.Contains(j.Stale, i) {
			j.Spares = append(j.Spares, i)
			j.RefFound = i
		}
	}
	j.Ref = j.sb(j.RefFound)
	for range j.Ref.slots() {
		j.Slots = append(j.Slots, Slot{Found: -1, StandIn: -1})
	}
	j.rule(TooFew, "none of the members here is an active one: give the others too")
	return false
}

// fresher says whether member a knows better than member b. Of equally fresh ones that is who has more of its kind, then who calls more members
// faulty, then who is dirtier. It does not depend on the order in which members are given.
func (j *judge) fresher(a, b int) bool {
	x, y := j.sb(a), j.sb(b)
	if x.Events != y.Events {
		return x.Events > y.Events
	}
	return cmp.Or(
		cmp.Compare(j.alike(x), j.alike(y)),
		cmp.Compare(x.count(EntryFaulty), y.count(EntryFaulty)),
		cmp.Compare(y.ResyncOffset, x.ResyncOffset),
		cmp.Compare(y.DevNumber, x.DevNumber),
		bytes.Compare(y.DeviceUUID[:], x.DeviceUUID[:]),
		cmp.Compare(j.path(b), j.path(a)),
	) > 0
}

// alike is how many active members are as fresh as s and of the same shape.
func (j *judge) alike(s *Superblock) (n int) {
	for _, i := range j.members {
		if o := j.sb(i); o.Role() >= 0 && o.Events == s.Events && o.shape() == s.shape() {
			n++
		}
	}
	return n
}

// count is how many entries of the role table are entry.
func (s *Superblock) count(entry uint16) (n int) {
	for _, e := range s.Roles {
		if e == entry {
			n++
		}
	}
	return n
}

// arrayShape is what all members of an array must have in common.
type arrayShape struct {
	version    Version
	bigEndian  bool
	cTime      uint64
	level      int
	layout     uint32
	size       uint64
	chunk      uint32
	raidDisks  int
	features   Feature
	deltaDisks int
}

func (s *Superblock) shape() arrayShape {
	return arrayShape{s.Version, s.BigEndian, s.CTimeRaw, s.Level, s.Layout, s.Size, s.ChunkSize, s.RaidDisks, s.Features & featureWhole, s.DeltaDisks}
}

// featureWhole are the features that speak of the whole array, and that members gain and lose together.
const featureWhole = FeatureReshape | FeatureReshapeBackwards | FeatureClustered | FeatureJournal | featurePPLs | FeatureRaid0Layout

// match leaves out members whose idea of the array is another one than the freshest's. A member that is behind may lack what the array has since
// begun, or have what it has ended.
func (j *judge) match() {
	j.members = slices.DeleteFunc(j.members, func(i int) bool {
		s, r := j.sb(i), j.Ref
		x, y := s.shape(), r.shape()
		if s.Events < r.Events || s.Role() < 0 {
			x.features, x.deltaDisks = y.features, y.deltaDisks
		}
		for _, f := range []struct {
			name      string
			got, want any
		}{
			{"metadata version", x.version, y.version},
			{"byte order", x.bigEndian, y.bigEndian},
			{"creation time", x.cTime, y.cTime},
			{"level", x.level, y.level},
			{"layout", x.layout, y.layout},
			{"size", x.size, y.size},
			{"chunk size", x.chunk, y.chunk},
			{"number of raid devices", x.raidDisks, y.raidDisks},
			{"feature map", x.features, y.features},
			{"change of raid devices", x.deltaDisks, y.deltaDisks},
		} {
			if f.got != f.want {
				j.leave(i, "%s is %v, %s says %v: not of the same array, or of an earlier shape", f.name, f.got, j.path(j.RefFound), f.want)
				return true
			}
		}
		if s.Role() != RoleJournal && s.DataSize < r.Size {
			j.leave(i, "has %d sectors for data, the array uses %d", s.DataSize, r.Size)
			return true
		}
		return false
	})
	// The fresher are seated first, so that who comes later meets the one that counts.
	slices.SortStableFunc(j.members, func(a, b int) int { return cmp.Compare(j.sb(b).Events, j.sb(a).Events) })
}

// clones finds members that are copies of each other.
func (j *judge) clones() {
	for n, a := range j.members {
		for _, b := range j.members[n+1:] {
			x, y := j.sb(a), j.sb(b)
			if x.DeviceUUID != (UUID{}) && x.DeviceUUID == y.DeviceUUID {
				j.rule(Conflict, "%s and %s are the same member (%s), a copy of it or a second path to it: give only one of them",
					j.path(a), j.path(b), x.DeviceUUID)
			}
		}
	}
}

// histories finds members that have run without the freshest one, while it ran without them: each side has data that the other lacks.
// A member that merely dropped out earlier is none of these: the array went on with others that it knew as active.
func (j *judge) histories() {
	ref := j.Ref
	for _, i := range j.members {
		s := j.sb(i)
		role := s.Role()
		if role < 0 || i == j.RefFound || ref.RoleOf(s.DevNumber) == role || s.has(ref.Role()) {
			continue
		}
		common := false
		for dev := range s.Roles {
			common = common || dev != s.DevNumber && s.RoleOf(dev) >= 0 && ref.RoleOf(dev) >= 0
		}
		if !common {
			j.rule(Conflict, "%s (event %d) and %s (event %d) have each run without the other, and both may have data that the other lacks: "+
				"give only the members of the side to keep", j.path(j.RefFound), ref.Events, j.path(i), s.Events)
		}
	}
}

// has says whether anyone has this role, by s's table.
func (s *Superblock) has(role int) bool {
	for dev := range s.Roles {
		if s.RoleOf(dev) == role {
			return true
		}
	}
	return false
}

// seat gives members their slots.
func (j *judge) seat() {
	for range j.Ref.slots() {
		j.Slots = append(j.Slots, Slot{Found: -1, StandIn: -1})
	}
	var standIns []int
	for _, i := range j.members {
		s := j.sb(i)
		own, role := s.Role(), j.Ref.RoleOf(s.DevNumber)
		switch {
		case own == RoleJournal:
		case own == RoleFaulty:
			j.leave(i, "its own superblock says that it is faulty")
		case own == RoleSpare && (s.DevNumber < 0 || s.DevNumber >= s.MaxDev):
			j.leave(i, "a spare whose device number, %d, has no place in its table of %d", s.DevNumber, s.MaxDev)
		case own == RoleSpare && role != RoleSpare:
			j.leave(i, "stale: a spare of old, whose device number %d is another member's by now", s.DevNumber)
		case own == RoleSpare:
			j.spare(i)
		case s.Events+1 < j.Ref.Events:
			j.behind = append(j.behind, i)
			j.leave(i, "stale: last seen at event %d, the array is at %d", s.Events, j.Ref.Events)
		case role == RoleFaulty, role == RoleSpare, role == RoleJournal:
			j.behind = append(j.behind, i)
			j.leave(i, "stale: it says role %d at event %d, but %s says at event %d that it is out", own, s.Events,
				j.path(j.RefFound), j.Ref.Events)
		case s.Events == j.Ref.Events && own != role:
			j.leave(i, "says that it has role %d, and %s says %d", own, j.path(j.RefFound), role)
			j.rule(Conflict, "%s and %s are equally fresh and do not agree on a role: leave one of them out", j.path(i), j.path(j.RefFound))
		case s.Features&FeatureReplacement != 0:
			standIns = append(standIns, i)
		default:
			j.sit(i, role)
		}
	}
	for _, i := range standIns {
		role := j.Ref.RoleOf(j.sb(i).DevNumber)
		slot := &j.Slots[role]
		switch {
		case slot.Found < 0 || slices.Contains(standIns, slot.Found):
			j.sit(i, role)
			j.note("%s: a replacement under way for role %d, used because the original is missing", j.path(i), role)
		case slot.State != InSync || slot.StandIn >= 0:
			j.leave(i, "a replacement for role %d, which has %s and needs none", role, j.path(slot.Found))
		default:
			slot.StandIn, slot.StandInOffset = i, j.sb(i).RecoveryOffset
			if j.sb(i).Features&FeatureRecovery == 0 {
				slot.StandInOffset = 0 // it says that it is complete, and its original that it is not replaced
			}
		}
	}
}

// spare takes member i for a spare, unless a fresher one has its device number.
func (j *judge) spare(i int) {
	s := j.sb(i)
	for n, other := range j.Spares {
		switch o := j.sb(other); {
		case o.DevNumber != s.DevNumber:
		case o.Events >= s.Events:
			j.leave(i, "stale: the spare %s has device number %d too and is fresher, event %d to %d", j.path(other), s.DevNumber, o.Events, s.Events)
			return
		default:
			j.leave(other, "stale: the spare %s has device number %d too and is fresher, event %d to %d", j.path(i), s.DevNumber, s.Events, o.Events)
			j.Spares[n] = i
			return
		}
	}
	j.Spares = append(j.Spares, i)
}

// sit gives member i the slot, unless a fresher one has it.
func (j *judge) sit(i, role int) {
	s, slot := j.sb(i), &j.Slots[role]
	if slot.Found >= 0 {
		o := j.sb(slot.Found)
		switch {
		case o.Events == s.Events:
			j.rule(Conflict, "%s and %s both have role %d at event %d: give only the right one", j.path(slot.Found), j.path(i), role, s.Events)
			return
		case o.Events > s.Events:
			j.leave(i, "stale: %s has role %d and is fresher, %d to %d", j.path(slot.Found), role, o.Events, s.Events)
			return
		}
		j.leave(slot.Found, "stale: %s has role %d and is fresher, %d to %d", j.path(i), role, s.Events, o.Events)
	}
	*slot = Slot{Found: i, State: InSync, StandIn: -1}
	if s.Features&FeatureRecovery != 0 {
		slot.State, slot.RecoveryOffset = Recovering, s.RecoveryOffset
	}
}
