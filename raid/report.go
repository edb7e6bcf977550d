package raid

import (
	"time"

	"graid/raid/md"
	"graid/raid/plan"
)

// Status is a snapshot of the array. It waits for no I/O: while superblocks are being written, what is said of members is as of before.
func (a *Array) Status() Status {
	if a.meta.TryLock() {
		defer a.meta.Unlock()
		return a.status()
	}
	s, v := *a.last.Load(), a.view.Load()
	s.Degraded, s.State, s.Sync = a.geo.Roles-v.Readable.Count(), a.stateName(v, s.Dirty), a.syncStatus()
	a.found(&s)
	return s
}

// status is Status for whoever holds meta.
func (a *Array) status() Status {
	v := a.view.Load()
	s := Status{
		UUID: a.ref.SetUUID, Name: a.ref.Name, Level: a.ref.Level, LevelName: md.LevelName(a.ref.Level),
		Layout: md.LayoutName(a.ref.Level, a.ref.Layout), Metadata: a.ref.Version.String(),
		Size: a.info.Size, Chunk: a.geo.Chunk, RaidDevices: a.geo.Roles, Events: a.events,
		Created: a.ref.Created(), Updated: a.ref.Updated(),
		ReadOnlyWhy: a.readOnly, Findings: a.findings,
		Degraded: a.geo.Roles - v.Readable.Count(),
		Dirty:    a.written == markDirty || v.Synced < a.geo.SyncSize || a.sync.given.Load(),
		Sync:     a.syncStatus(),
	}
	a.found(&s)
	s.ReadDeadline = a.patience.Get()
	s.State = a.stateName(v, s.Dirty)
	s.ConsistencyPolicy = policy(a.ref, a.geo)
	if b := a.intent.Load(); b != nil {
		s.Bitmap = &BitmapStatus{Chunk: b.grain, Pieces: int64(len(b.words)), Dirty: b.on.Load()}
	}
	for _, m := range a.all() {
		if m != nil && m.live() && m.sb.Updated().After(s.Updated) {
			s.Updated = m.sb.Updated()
		}
	}
	for role, m := range a.members {
		if m == nil {
			s.Members = append(s.Members, MemberStatus{Role: role, State: MemberMissing})
			continue
		}
		s.Members = append(s.Members, m.status())
		if v.Recovered != nil && m == v.members[role] && m.state == MemberRebuilding {
			s.Members[role].Recovered = v.Recovered[role]
		}
	}
	for _, m := range a.twins {
		if m != nil {
			s.Members = append(s.Members, m.status())
			s.Members[len(s.Members)-1].Recovered = m.filled.Load()
		}
	}
	for _, m := range a.spares {
		s.Members = append(s.Members, m.status())
	}
	return s
}

// found says what the last check or repair found, so far.
func (a *Array) found(s *Status) {
	s.MismatchSectors = max(a.sync.mismatch.Load(), a.sync.before.Load()) / sectorSize
	s.LeftSectors, s.CheckedTo = a.sync.left.Load()/sectorSize, a.sync.place.Load()
	s.Mismatches, s.MoreMismatches = a.places.now()
}

func (a *Array) stateName(v *view, dirty bool) string {
	switch {
	case v.broken != nil || !a.level.Enough(v.Readable):
		return StateFailed
	case v.Readable.Count() < a.geo.Roles:
		return StateDegraded
	case !a.writable:
		return StateReadOnly
	case dirty:
		return StateActive
	}
	return StateClean
}

func (a *Array) syncStatus() SyncStatus {
	s := SyncStatus{Action: "idle", Total: a.geo.SyncSize, LatencyTarget: time.Duration(a.latency.target.Load())}
	if k := a.sync.kind.Load(); k != workIdle {
		s.Action = workNames[k]
		s.Done, s.Speed = a.sync.done.Load(), a.sync.speed.Load()
		s.Latency = time.Duration(a.latency.lately.Load())
		if s.Speed > 0 {
			s.ETA = time.Duration(float64(s.Total-s.Done) / float64(s.Speed) * float64(time.Second))
		}
	}
	return s
}

func (m *member) status() MemberStatus {
	var bad int64
	if l := m.bad.Load(); l != nil {
		for _, s := range *l {
			bad += s.Len()
		}
	}
	late := m.slow.now()
	return MemberStatus{
		SlowReads: late.count, Slowest: late.longest, Overdue: m.timed.Overdue(),
		BadBlocks: bad,
		Path:      m.path, Role: m.role, State: m.state, Events: m.sb.Events, DataOffset: m.offset, Size: m.size,
		ReadErrors: m.readErrors.Load(), WriteErrors: m.writeErrors.Load(), Corrected: m.corrected.Load(),
		WriteMostly: m.sb.DevFlags&md.WriteMostly != 0, FailFast: m.sb.DevFlags&md.FailFast != 0, DeviceUUID: m.sb.DeviceUUID,
	}
}

// policy is mdadm's word for how the array is made to agree after a crash.
func policy(sb *md.Superblock, g plan.Geometry) string {
	switch {
	case !g.Redundant():
		return "none"
	case sb.Features&(md.FeaturePPL|md.FeatureMultiPPL) != 0:
		return "ppl"
	case sb.Features&md.FeatureJournal != 0:
		return "journal"
	case sb.Features&md.FeatureBitmap != 0:
		return "bitmap"
	}
	return "resync"
}

// Outlook is what may become of the array.
type Outlook struct {
	Vital []int // roles whose members it cannot do without: if one of these fails, so does the array
	Again int64 // bytes of the sync space that a resync which was given up will make agree when all members are here again
	Busy  bool  // somebody uses it just now, and background work holds back for that
	Held  bool  // background work waits so as not to be faster than Limit lets it
}

// Outlook waits for nothing.
func (a *Array) Outlook() Outlook {
	v := a.view.Load()
	o := Outlook{Busy: a.inflight.Load() > 1 || a.wrote.Load(), Held: a.sync.held.Load()}
	for role := range a.geo.Roles {
		if v.Readable.Has(role) && !a.level.Enough(v.Readable.Without(role)) {
			o.Vital = append(o.Vital, role)
		}
	}
	if a.sync.given.Load() {
		o.Again = a.geo.SyncSize - a.sync.reached.Load()
	}
	return o
}
