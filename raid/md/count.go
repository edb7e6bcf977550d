package md

import (
	"slices"

	"graid/block"
)

// supported refuses arrays that cannot be run here, whoever is present.
func (j *judge) supported() bool {
	r := j.Ref
	switch r.Level {
	case LevelLinear, 0, 1, 4, 5, 6, 10:
	default:
		j.rule(Unsupported, "%s arrays are not supported", LevelName(r.Level))
		return false
	}
	if r.Features&FeatureReshape != 0 {
		j.rule(Unsupported, "a reshape from %d to %d members is under way, at sector %d: let Linux finish it first",
			r.RaidDisks-r.DeltaDisks, r.RaidDisks, r.ReshapePosition)
		return false
	}
	if r.Level == 0 && j.ambiguous() {
		j.rule(Unsupported, "a raid0 of members of different sizes that does not say which of two layouts it has, and only its maker can tell: "+
			"mdadm --assemble --update=layout-alternate if it was written by Linux 3.14 to 5.3, --update=layout-original if by an older one")
		return false
	}
	return true
}

// ambiguous says whether the two layouts of raid0 would differ, and nothing says which it is.
func (j *judge) ambiguous() bool {
	r := j.Ref
	if r.Features&FeatureRaid0Layout != 0 && (r.Layout == Raid0Original || r.Layout == Raid0Alternate) {
		return false
	}
	var sizes []uint64
	for _, slot := range j.Slots {
		if slot.Found >= 0 {
			sizes = append(sizes, roundDown(j.sb(slot.Found).DataSize, uint64(max(1, r.ChunkSize))))
		}
	}
	slices.Sort(sizes)
	second := slices.IndexFunc(sizes, func(n uint64) bool { return n > sizes[0] })
	return second >= 0 && len(sizes)-second > 1
}

// count decides whether the members that have slots are enough.
func (j *judge) count() {
	if !j.enough() && !j.force() {
		return
	}
	var absent []int
	for role, slot := range j.Slots {
		if slot.Found < 0 && j.Ref.has(role) {
			absent = append(absent, role)
		}
	}
	missing := j.Missing()
	j.Dirty = j.Ref.Level > 0 && (!j.Ref.Clean() || len(j.Forced) > 0 && missing == 0)
	if j.Dirty && missing > 0 && j.writeHole() && !j.declareClean(missing) {
		return
	}
	if len(absent) > 0 && !j.policy.Run && !j.policy.Force && !j.policy.ReadOnly {
		j.rule(NeedsRun, "role %d was there at event %d and is missing now: give that member too, or start without it (--run)",
			absent[0], j.Ref.Events)
		return
	}
	if missing > 0 {
		j.Verdict = max(j.Verdict, StartDegraded)
	}
}

func (j *judge) enough() bool {
	present := make([]bool, len(j.Slots))
	for role, slot := range j.Slots {
		present[role] = slot.State == InSync
	}
	return j.policy.Enough(j.Ref, present)
}

// writeHole says whether stripes that were being written when the array went down may have a parity that does not match, so that what a
// missing member had there cannot be computed.
func (j *judge) writeHole() bool {
	switch j.Ref.Level {
	case 4:
		last := len(j.Slots) - 1
		onlyParity := !slices.ContainsFunc(j.Slots[:last], func(s Slot) bool { return s.State != InSync })
		return !onlyParity
	case 5:
		return !j.Ref.HasPPL() || j.unsynced()
	case 6:
		return true
	}
	return false
}

// unsynced says whether parity was not known to be true everywhere before the array went down: then no log of what was being written makes it true.
func (j *judge) unsynced() bool {
	if j.Ref.ResyncOffset != 0 {
		return true // 0 is said of an array that is being written to, anything else of a resync
	}
	for _, slot := range j.Slots {
		if slot.Found >= 0 && j.found[slot.Found].PPL != nil && j.found[slot.Found].PPL.Unsynced() {
			return true
		}
	}
	return false
}

func (j *judge) declareClean(missing int) bool {
	if !j.policy.Force {
		j.rule(NeedsForce, "%d of %d members missing and the array was not shut down cleanly: what the missing ones had where it was being written "+
			"then may come back wrong. Give the missing members, or accept that (--force)", missing, len(j.Slots))
		return false
	}
	j.ForceClean, j.Dirty = true, false
	j.note("forced: dirty and degraded, declared clean; what was being written when it went down may be wrong on the missing members")
	return true
}

// force fills slots with stale members, the freshest first and equally fresh ones together, until there are enough. Without Policy.Force it
// only says whether that would help.
func (j *judge) force() bool {
	before := slices.Clone(j.Slots)
	candidates := slices.Clone(j.behind)
	slices.SortStableFunc(candidates, func(a, b int) int {
		switch x, y := j.sb(a).Events, j.sb(b).Events; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	var taken []int
	for n, i := range candidates {
		s := j.sb(i)
		if n > 0 && s.Events != j.sb(candidates[n-1]).Events && j.enough() {
			break
		}
		if s.Features&(FeatureRecovery|FeatureReplacement) != 0 || s.ReshapePosition != j.Ref.ReshapePosition {
			continue // never whole, so never the truth
		}
		role := s.Role()
		if other := slices.IndexFunc(taken, func(o int) bool { return j.sb(o).Role() == role && j.sb(o).Events == s.Events }); other >= 0 {
			j.Slots = before
			j.rule(Conflict, "%s and %s both had role %d at event %d, and none is fresher: give only the right one", j.path(taken[other]), j.path(i), role, s.Events)
			return false
		}
		if role < len(j.Slots) && j.Slots[role].Found < 0 {
			j.Slots[role] = Slot{Found: i, State: InSync, StandIn: -1}
			taken = append(taken, i)
		}
	}
	ok := j.enough()
	if ok && j.policy.Force {
		j.Forced = taken
		j.Stale = slices.DeleteFunc(j.Stale, func(i int) bool { return slices.Contains(taken, i) })
		for _, i := range taken {
			j.note("%s: forced: taken as current although it is at event %d and the array at %d; what was written in between is lost on it",
				j.path(i), j.sb(i).Events, j.Ref.Events)
		}
		return true
	}
	j.Slots = before
	here := len(j.Slots) - j.Missing()
	if ok {
		j.rule(NeedsForce, "%d of %d members are current, too few: %s, at event %d of %d, would have to be taken for current, and what was written "+
			"since is lost on it (--force)", here, len(j.Slots), j.path(taken[0]), j.sb(taken[0]).Events, j.Ref.Events)
	} else {
		j.rule(TooFew, "%d of %d members are here and current, too few for %s: give the others", here, len(j.Slots), LevelName(j.Ref.Level))
	}
	return false
}

// readOnly collects what is on the members that is read right but could not be kept right by writing.
func (j *judge) readOnly() {
	say := func(reason string) {
		if !slices.Contains(j.ReadOnly, reason) {
			j.ReadOnly = append(j.ReadOnly, reason)
		}
	}
	r := j.Ref
	for _, f := range []struct {
		has    bool
		reason string
	}{
		{r.Version == V090, "superblock 0.90 is only read"},
		{r.BigEndian, "the superblock is of a big-endian host"},
		{r.HasPPL() && r.Level != 5, "it has a partial parity log, which only raid5 can have"},
		{r.HasPPL() && uint64(r.ChunkSize)*uint64(r.RaidDisks) >= pplStripe, "its stripes are too large for its partial parity log"},
		{r.Features&FeatureJournal != 0, "the array has a journal"},
		{r.Features&FeatureClustered != 0, "the array is shared by several hosts"},
	} {
		if f.has {
			say(f.reason)
		}
	}
	for _, i := range j.members {
		e := j.found[i]
		if slices.Contains(j.Stale, i) {
			continue
		}
		if e.SB.HasPPL() && int64(e.SB.PPLSize)*Sector < PPLLeast {
			say(e.Path + ": its partial parity log is too small")
		}
		if len(e.BadBlocks) > 0 && (e.SB.Version == V090 || e.SB.BBLogOffset == 0 || e.SB.BBLogShift != 0) {
			say(e.Path + ": its bad block log cannot be kept up to date")
		}
		if e.SB.Role() < 0 || e.SB.Features&FeatureBitmap == 0 {
			continue
		}
		switch {
		case block.Classify(e.BitmapErr) == block.Media: // who loads it asks the others
		case e.BitmapErr != nil:
			say(e.Path + ": its bitmap cannot be used: " + e.BitmapErr.Error())
		case e.Bitmap != nil && e.Bitmap.Version > bitmapNewest:
			say(e.Path + ": its bitmap is of a newer kind")
		}
	}
}
