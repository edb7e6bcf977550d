package raid

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graid/block"
	"graid/block/deadline"
	"graid/raid/md"
	"graid/raid/plan"
	"graid/sched"
)

// defaultQuiet is how long an array goes unwritten before it is marked clean. md takes 200 ms.
const defaultQuiet = time.Second

// Assemble finds an array in members, decides by md.Decide whether and how it may run, and opens it. The devices belong to the
// Array from then on; after an error they are closed.
//
// Nothing is written before the first write, or, where members do not agree, before resync writes what differs; but what Force decided is
// written down at once. An array that
// cannot be written safely opens read-only, and Status says why.
func Assemble(ctx context.Context, members []Member, opts Options) (*Array, error) {
	a, err := assemble(ctx, members, opts)
	if err != nil {
		for _, m := range members {
			if m.Dev != nil {
				err = errors.Join(err, m.Dev.Close())
			}
		}
		return nil, err
	}
	return a, nil
}

func assemble(ctx context.Context, offered []Member, opts Options) (*Array, error) {
	if opts.Sched == nil {
		opts.Sched = sched.Real
	}
	if opts.Quiet <= 0 {
		opts.Quiet = defaultQuiet
	}
	var members []Member
	for _, m := range offered {
		if m.Dev != nil {
			members = append(members, m)
		}
	}
	found, decisions, err := Survey(ctx, members, opts)
	if err != nil {
		return nil, err
	}
	d, err := choose(found, decisions, opts)
	if err != nil {
		return nil, err
	}
	a := &Array{sched: opts.Sched, quiet: opts.Quiet, ref: d.Ref, events: d.Ref.Events, findings: d.Findings}
	a.doubt.Store(d.ForceClean || len(d.Forced) > 0)
	a.news.listen = opts.OnEvent
	if err := a.join(d, found, members); err != nil {
		return nil, err
	}
	a.permit(d, opts)
	a.loadBitmap(d, found)
	out := slices.DeleteFunc(members, func(m Member) bool { return a.has(m.Dev) }) // not ours to hold on to
	if a.geo.Redundant() {
		a.patience.Set(opts.ReadDeadline)
	}
	if err := a.start(d); err != nil {
		return nil, err
	}
	for _, m := range out {
		if err := m.Dev.Close(); err != nil {
			a.tell(EventUncorrectable, m.Path, err.Error())
		}
	}
	return a, nil
}

// join builds the level, the members and the first View from the decision.
func (a *Array) join(d *md.Decision, found []*md.Examined, offered []Member) error {
	sizes := make([]int64, len(d.Slots))
	a.members = make([]*member, len(d.Slots))
	v := &view{View: plan.View{Synced: 1<<63 - 1}}
	for role, slot := range d.Slots {
		if slot.Found < 0 {
			continue
		}
		m := a.newMember(offered[slot.Found], found[slot.Found], role)
		a.members[role], sizes[role] = m, m.size
		v.Writable = v.Writable.With(role)
		if slot.State == md.Recovering {
			m.state = MemberRebuilding
			if v.Recovered == nil {
				v.Recovered = make([]int64, len(d.Slots))
			}
			m.saved = int64(min(slot.RecoveryOffset, found[slot.Found].SB.DataSize)) * md.Sector
			if m.byBits = m.sb.Features&md.FeatureRecoveryBitmap != 0; m.byBits {
				m.saved = 0
			}
			v.Recovered[role] = m.saved
		} else {
			v.Readable = v.Readable.With(role)
		}
		if m.sb.DevFlags&md.WriteMostly == 0 {
			v.Prefer = v.Prefer.With(role)
		}
	}
	for role, slot := range d.Slots {
		if slot.StandIn < 0 {
			continue
		}
		m := a.newMember(offered[slot.StandIn], found[slot.StandIn], role)
		m.state, m.saved = MemberReplacement, int64(min(slot.StandInOffset, m.sb.DataSize))*md.Sector
		m.filled.Store(m.saved)
		if a.twins == nil {
			a.twins = make([]*member, len(d.Slots))
		}
		a.twins[role] = m
	}
	v.twins = slices.Clone(a.twins)
	for _, i := range d.Spares {
		m := a.newMember(offered[i], found[i], -1)
		m.state = MemberSpare
		a.spares = append(a.spares, m)
	}
	var err error
	if a.level, err = newLevel(d.Ref, sizes); err != nil {
		return err
	}
	a.geo = a.level.Geometry()
	if d.Dirty && !d.ForceClean && a.geo.Redundant() {
		v.Synced = min(int64(min(d.Ref.ResyncOffset, 1<<53))*md.Sector, a.geo.SyncSize)
		if len(d.Forced) > 0 {
			v.Synced = 0 // the freshest calls itself clean, but that was without those that are forced
		}
	}
	a.flushed = v.Synced
	v.members = slices.Clone(a.members)
	a.view.Store(v)
	return nil
}

func (a *Array) newMember(m Member, e *md.Examined, role int) *member {
	n := &member{
		path: m.Path, dev: m.Dev, inline: m.Dev.Info().Inline,
		offset: int64(e.SB.DataOffset) * md.Sector, size: int64(e.SB.DataSize) * md.Sector,
		sb: e.SB, role: role, state: MemberInSync,
	}
	n.bad.Store(badSpans(e))
	n.timed = deadline.Wrap(m.Dev, &a.patience, a.sched)
	return n
}

// permit decides whether the array may be written, and fills Info.
func (a *Array) permit(d *md.Decision, opts Options) {
	a.readOnly = append(a.readOnly, d.ReadOnly...)
	info := block.Info{Name: shortName(a.ref), Size: a.geo.Size, Block: 1, Optimal: max(a.geo.Stripe, a.geo.Chunk), Inline: true, Discard: true, Zeroes: true}
	for _, m := range a.all() {
		if m == nil {
			continue
		}
		i := m.dev.Info()
		info.Block, info.Align = max(info.Block, i.Block), max(info.Align, i.Align)
		info.Inline = info.Inline && i.Inline
		info.Discard, info.Zeroes = info.Discard && i.Discard, info.Zeroes && i.Zeroes
		if !i.Writable && !opts.ReadOnly {
			a.readOnly = append(a.readOnly, m.path+" is open read-only")
		}
	}
	if a.geo.Redundant() {
		info.Discard = info.Discard && info.Zeroes // a discard must leave copies and parity in agreement
	}
	info.Size -= info.Size % info.Block
	a.writable = len(a.readOnly) == 0 && !opts.ReadOnly
	if opts.ReadOnly {
		a.readOnly = append(a.readOnly, "asked for")
	}
	info.Writable = a.writable
	a.info = info
}

// shortName is the array's name without the host that made it.
func shortName(sb *md.Superblock) string {
	if _, name, ok := strings.Cut(sb.Name, ":"); ok && name != "" {
		return name
	}
	if sb.Name != "" {
		return sb.Name
	}
	return sb.SetUUID.String()[:8]
}

// start begins the tasks that live as long as the array. What was forced is written down first, as mdadm does: nobody shall have to force it again.
func (a *Array) start(d *md.Decision) error {
	a.meta, a.tasks, a.lates = sched.NewMutex(a.sched), sched.NewGroup(a.sched), sched.NewGroup(a.sched)
	a.wake, a.drained = a.sched.NewEvent(), a.sched.NewEvent()
	a.inflight.Store(1)
	a.work = a.sched.NewEvent()
	a.sync.kind.Store(workIdle)
	a.sync.asked.Store(workIdle)
	if err := a.openLog(d); err != nil {
		return err
	}
	v := a.view.Load()
	if v.Synced < a.geo.SyncSize {
		a.sync.done.Store(v.Synced)
	}
	if a.writable && a.geo.Redundant() && (d.ForceClean || len(d.Forced) > 0) {
		a.meta.Lock()
		err := a.markAs(markClean)
		a.unlock()
		if err != nil {
			return fmt.Errorf("what was forced could not be written down: %w", err)
		}
	}
	s := a.status()
	a.last.Store(&s)
	a.tell(EventStarted, "", d.Verdict.String())
	if missing := a.geo.Roles - v.Readable.Count(); missing > 0 {
		a.tell(EventDegraded, "", fmt.Sprintf("%d of %d members", a.geo.Roles-missing, a.geo.Roles))
	}
	if !a.writable || !a.geo.Redundant() {
		return nil
	}
	a.tasks.Go(a.cleaner)
	switch {
	case v.Synced < a.geo.SyncSize:
		a.sync.kind.Store(workResync)
	case a.rebuilding(v) != 0 || v.Readable.Count() < a.geo.Roles && len(a.spares) > 0:
		a.sync.kind.Store(workRecover)
	case v.twins != nil:
		a.sync.kind.Store(workReplace)
	}
	a.tasks.Go(a.worker)
	return nil
}

func (a *Array) has(dev block.Device) bool {
	for _, m := range a.all() {
		if m != nil && m.dev == dev {
			return true
		}
	}
	return false
}
