package raid

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// ErrNotMember is what Fail and Remove say of a path that is no member.
var ErrNotMember = errors.New("not a member of this array")

var (
	errByUser = errors.New("marked faulty by the user")
	errClosed = block.ErrClosed
)

// Fail marks the member with this path faulty, as mdadm --fail does. It is refused where the array would not survive it.
func (a *Array) Fail(_ context.Context, path string) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	a.meta.Lock()
	defer a.unlock()
	m := a.find(path)
	switch v := a.view.Load(); {
	case m == nil:
		return fmt.Errorf("%s: %w", path, ErrNotMember)
	case m.state == MemberFaulty:
		return nil // it is already
	case !a.writable:
		return fmt.Errorf("%s: array is read-only: its superblocks cannot say that a member failed", path)
	case m.state == MemberReplacement:
		return a.loseTwinLocked(m, errByUser)
	case m.role < 0:
		m.state = MemberFaulty
		a.note(EventFail, m.path, errByUser.Error())
		return a.record()
	case !a.geo.Redundant() || v.Readable.Has(m.role) && !a.level.Enough(v.Readable.Without(m.role)):
		return fmt.Errorf("%s: the array does not survive without it", path)
	default:
		return a.loseLocked(plan.RoleSet(0).With(m.role), errByUser, false)
	}
}

// find is the member with this path; nil if there is none. The caller holds meta.
func (a *Array) find(path string) *member {
	for _, m := range a.all() {
		if m != nil && m.path == path {
			return m
		}
	}
	return nil
}

// AddOptions are what Add may be told.
type AddOptions struct {
	Force       bool // even if it is a member of another array
	ReAdd       bool // only as the member that it was, brought up to date by the bitmap: nothing of it is overwritten otherwise
	Anew        bool // as a spare, even if it could be brought up to date by the bitmap
	WriteMostly bool // mirrors read from it only when nothing else can be read
	FailFast    bool // Linux does not try its failed requests again
	Rand        io.Reader
}

// Add makes a device a spare of the running array, which takes over a missing role at once: what it held is overwritten. A member that was away
// while the array had a bitmap gets its role back instead, and only what has been written meanwhile is copied to it. The device belongs to
// the Array from then on; after an error it is the caller's, and, unless the error says so, untouched.
func (a *Array) Add(ctx context.Context, n Member, opts AddOptions) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	e, err := md.Examine(ctx, n.Path, n.Dev)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	a.meta.Lock()
	defer a.unlock()
	if err := a.fits(n, e, opts); err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	why := a.returns(e)
	switch {
	case opts.ReAdd && why != nil:
		return fmt.Errorf("%s: cannot be re-added: %w", n.Path, why)
	case why == nil && !opts.Anew:
		return a.readmit(n, e, opts)
	}
	sb, err := a.newcomer(n, opts)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Path, err)
	}
	m := a.newMember(n, &md.Examined{SB: sb}, -1)
	m.state = MemberSpare
	var bitmap *md.Bitmap
	if b := a.intent.Load(); b != nil {
		c := *b.image
		c.SetAll()
		bitmap = &c
	}
	if err := md.WriteMember(ctx, n.Dev, sb, bitmap); err != nil {
		return fmt.Errorf("%s: not added, but part of it may be overwritten: %w", n.Path, err)
	}
	a.spares = append(a.spares, m)
	err = a.record()
	if err == nil && m.state == MemberFaulty {
		err = a.unwritten
	}
	if err != nil {
		a.forget(m)
		return fmt.Errorf("%s: not added, but overwritten: %w", n.Path, err)
	}
	a.note(EventSpareAdded, m.path, "")
	if a.view.Load().Readable.Count() < a.geo.Roles {
		a.sync.kind.CompareAndSwap(workIdle, workRecover)
	}
	a.rouse()
	return nil
}

// fits refuses a device that cannot become a member, or must not.
func (a *Array) fits(n Member, e *md.Examined, opts AddOptions) error {
	i := n.Dev.Info()
	switch v := a.view.Load(); {
	case a.find(n.Path) != nil:
		return errors.New("is a member of this array already: remove it first")
	case !a.geo.Redundant():
		return fmt.Errorf("%s takes no spares: it has no redundancy to fill them from", md.LevelName(a.ref.Level))
	case !a.writable:
		return errors.New("the array is read-only")
	case v.broken != nil:
		return fmt.Errorf("the array has failed, and this may be what it needs to be put together again: it is left alone (%w)", v.broken)
	case !i.Writable:
		return fmt.Errorf("%w: a member must be writable", block.ErrReadOnly)
	case i.Block > a.info.Block:
		return fmt.Errorf("has blocks of %d bytes, the array serves %d: assemble the array with it to change that", i.Block, a.info.Block)
	case i.Align > a.info.Align:
		return fmt.Errorf("wants memory aligned to %d bytes, the array to %d", i.Align, a.info.Align)
	case a.info.Zeroes && !i.Zeroes || a.info.Discard && !i.Discard:
		return errors.New("does not discard or write zeroes, as the other members do")
	case e.SB != nil && e.SB.SetUUID != a.ref.SetUUID && !opts.Force:
		return fmt.Errorf("is a member of %s array %q (%s): give --force to overwrite that", md.LevelName(e.SB.Level), e.SB.Name, e.SB.SetUUID)
	}
	for _, m := range a.all() {
		if m != nil && m.live() && e.SB != nil && e.SB.SetUUID == a.ref.SetUUID && e.SB.DeviceUUID == m.sb.DeviceUUID {
			return fmt.Errorf("is a copy of %s, or a second path to it", m.path)
		}
	}
	return nil
}

// newcomer is the superblock of a new spare.
func (a *Array) newcomer(n Member, opts AddOptions) (*md.Superblock, error) {
	model := a.model()
	if model == nil {
		return nil, errors.New("no member is left to copy the superblock from")
	}
	var id md.UUID
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	if _, err := io.ReadFull(opts.Rand, id[:]); err != nil {
		return nil, fmt.Errorf("drawing a UUID: %w", err)
	}
	return model.Join(a.freeNumber(), id, uint64(n.Dev.Info().Size)/md.Sector, opts.flags())
}

// flags is those of opts as the superblock has them.
func (o AddOptions) flags() (f uint8) {
	if o.WriteMostly {
		f |= md.WriteMostly
	}
	if o.FailFast {
		f |= md.FailFast
	}
	return f
}

// model is the superblock of a member that is live; nil if there is none.
func (a *Array) model() *md.Superblock {
	for _, m := range a.members {
		if m.live() {
			return m.sb
		}
	}
	return nil
}

// freeNumber is a device number that nobody has. Those below the number of roles are left to members that are missing and may come back: a
// number that means another one by then is hard to explain.
func (a *Array) freeNumber() int {
	used := map[int]bool{}
	for _, m := range a.all() {
		if m != nil {
			used[m.sb.DevNumber] = true
		}
	}
	n := a.geo.Roles
	for used[n] {
		n++
	}
	return n
}

// Remove takes a member that failed, or a spare, out of the array and closes its device. A member that is in use must be failed first.
func (a *Array) Remove(_ context.Context, path string) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	a.meta.Lock()
	defer a.unlock()
	m := a.find(path)
	switch {
	case m == nil:
		return fmt.Errorf("%s: %w", path, ErrNotMember)
	case !a.writable:
		return fmt.Errorf("%s: array is read-only", path)
	case m.state != MemberFaulty && m.state != MemberSpare:
		return fmt.Errorf("%s: is in use: fail it first", path)
	}
	a.forget(m)
	a.change(func(v *view) { v.members = append([]*member(nil), a.members...) })
	err := a.record()
	a.note(EventRemoved, path, "")
	return errors.Join(err, a.letGo(m))
}

// record has superblocks say what the lists of members say. The caller holds meta.
func (a *Array) record() error {
	dead, err := a.commit()
	if err == nil && dead != 0 {
		err = a.loseLocked(dead, a.unwritten, true)
	}
	return err
}

// forget takes m off the lists of members.
func (a *Array) forget(m *member) {
	for role, o := range a.members {
		if o == m {
			a.members[role] = nil
		}
	}
	for i, o := range a.spares {
		if o == m {
			a.spares = append(a.spares[:i:i], a.spares[i+1:]...)
			return
		}
	}
}
