package raid

import (
	"fmt"

	"graid/raid/md"
)

// SetWriteMostly says whether mirrors read from the member with this path only when nothing else can be read. It is remembered in its superblock.
func (a *Array) SetWriteMostly(path string, on bool) error {
	return a.setFlag(path, md.WriteMostly, on)
}

// SetFailFast sets md's failfast flag of the member with this path: Linux then gives up on its requests sooner. graid keeps the flag, and tells it; its
// own requests are not tried again anyway.
func (a *Array) SetFailFast(path string, on bool) error {
	return a.setFlag(path, md.FailFast, on)
}

func (a *Array) setFlag(path string, flag uint8, on bool) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	a.meta.Lock()
	defer a.unlock()
	m := a.find(path)
	switch {
	case m == nil || !m.live():
		return fmt.Errorf("%s: %w", path, ErrNotMember)
	case !a.writable || !a.geo.Redundant():
		return fmt.Errorf("%s: superblocks of this array are not written", path)
	}
	sb := m.sb.Clone()
	if sb.DevFlags &^= flag; on {
		sb.DevFlags |= flag
	}
	m.sb = sb
	if m.role >= 0 && a.members[m.role] == m {
		a.change(func(v *view) {
			if v.Prefer = v.Prefer.Without(m.role); sb.DevFlags&md.WriteMostly == 0 {
				v.Prefer = v.Prefer.With(m.role)
			}
		})
	}
	return a.record()
}
