package level10

import (
	"fmt"

	"graid/raid/plan"
)

// Bits of md's layout word beside the near copies (0-7) and the far copies (8-15).
const (
	offsetBit = 1 << 16 // far copies are in the rows just below, not in another part of the member
	setsShift = 17      // two bits: how far copies are confined to sets of members
)

// How members are grouped into far sets.
const (
	setsNone     = 0 // one set
	setsEarly    = 1 // members/far in each: historical, and mostly wrong
	setsImproved = 2 // near×far in each
)

// Copy is a place where a chunk is.
type Copy struct {
	Role int
	Row  int64 // bytes
}

// Map is where the copies of every chunk of a raid10 are.
type Map struct {
	Roles     int
	Near, Far int // copies are Near×Far
	Offset    bool
	Sets      int   // md's far-set mode: 0, 1 or 2
	Chunk     int64 // bytes
	Chunks    int64 // of the array
	Used      int64 // chunks of each member
	Stride    int64 // rows from one far copy to the next, bytes

	set        int // members in a far set
	last, size int // first member and number of members of the last set
}

// NewMap is the map of a raid10 of so many roles with md's layout word, over rows bytes of each member. It does not ask whether
// the layout is a good one: Alias does.
func NewMap(roles int, chunk int64, layout uint32, rows int64) (*Map, error) {
	m := &Map{
		Roles: roles, Near: int(layout & 0xff), Far: int(layout >> 8 & 0xff),
		Offset: layout&offsetBit != 0, Sets: int(layout >> setsShift & 3), Chunk: chunk,
	}
	switch {
	case roles < 1 || roles > plan.MaxRoles:
		return nil, fmt.Errorf("%w: raid10 of %d members: between 1 and %d are needed", plan.ErrLayout, roles, plan.MaxRoles)
	case chunk <= 0 || chunk&(chunk-1) != 0:
		return nil, fmt.Errorf("%w: raid10 chunk of %d bytes: it must be a power of two", plan.ErrLayout, chunk)
	case layout>>(setsShift+2) != 0 || m.Sets == 3 || m.Near < 1 || m.Far < 1:
		return nil, fmt.Errorf("%w: raid10 layout %#x is not one of md's", plan.ErrLayout, layout)
	case m.Near*m.Far > roles:
		return nil, fmt.Errorf("%w: raid10 layout %#x keeps %d copies, on %d members", plan.ErrLayout, layout, m.Near*m.Far, roles)
	}
	near, far, d := int64(m.Near), int64(m.Far), int64(roles)
	m.Chunks = max(rows, 0) / chunk / far * d / near
	m.Used = (m.Chunks*near*far + d - 1) / d
	if m.Chunks == 0 {
		return nil, fmt.Errorf("%w: raid10 layout %#x over %d bytes of each member: that is less than a chunk of %d for each far copy",
			plan.ErrLayout, layout, rows, chunk)
	}
	if m.Stride = m.Used / far * chunk; m.Offset {
		m.Stride = chunk
	}
	switch m.Sets {
	case setsNone:
		m.set = roles
	case setsEarly:
		m.set = roles / m.Far
	case setsImproved:
		m.set = m.Near * m.Far
	}
	m.last = (roles/m.set - 1) * m.set
	m.size = m.set + roles%m.set
	return m, nil
}

// Copies appends the places of a chunk of the array to list, in md's order.
func (m *Map) Copies(list []Copy, chunk int64) []Copy {
	nth := chunk * int64(m.Near)
	row, role := nth/int64(m.Roles), int(nth%int64(m.Roles))
	if m.Offset {
		row *= int64(m.Far)
	}
	row *= m.Chunk
	for range m.Near {
		list = append(list, Copy{role, row})
		at := Copy{role, row}
		for range m.Far - 1 {
			at = Copy{m.next(at.Role), at.Row + m.Stride}
			list = append(list, at)
		}
		if role++; role == m.Roles {
			role, row = 0, row+m.Chunk
		}
	}
	return list
}

// next is the role of the far copy after the one that role has. The last set has the members that make no set of their own too.
func (m *Map) next(role int) int {
	first := role / m.set * m.set
	if role += m.Near; m.Roles%m.set != 0 && role > m.last {
		return (role-m.last)%m.size + m.last
	}
	return role%m.set + first
}

// Alias is an error when the layout has two chunks in one place, or two copies of a chunk on one member: md's driver accepts
// such layouts and loses data. The map repeats after Roles chunks but for the row, so that few are enough to see.
func (m *Map) Alias() error {
	if m.Used > aliasRows {
		small := *m
		small.Used = aliasRows / int64(m.Far) * int64(m.Far)
		small.Chunks = small.Used / int64(m.Far) * int64(m.Roles) / int64(m.Near)
		if !m.Offset {
			small.Stride = small.Used / int64(m.Far) * m.Chunk
		}
		m = &small
	}
	holds := map[Copy]int64{}
	var copies []Copy
	for chunk := range m.Chunks {
		copies = m.Copies(copies[:0], chunk)
		var roles plan.RoleSet
		for _, c := range copies {
			other, taken := holds[c]
			switch {
			case roles.Has(c.Role):
				return fmt.Errorf("%w: this raid10 layout puts two copies of chunk %d on member %d of %d", plan.ErrLayout, chunk, c.Role, m.Roles)
			case taken:
				return fmt.Errorf("%w: this raid10 layout puts chunks %d and %d in the same place of member %d of %d",
					plan.ErrLayout, other, chunk, c.Role, m.Roles)
			case c.Row/m.Chunk >= m.Used:
				return fmt.Errorf("%w: this raid10 layout puts chunk %d beyond the end of member %d", plan.ErrLayout, chunk, c.Role)
			}
			holds[c] = chunk
			roles = roles.With(c.Role)
		}
	}
	return nil
}

// aliasRows is how many chunks of each member Alias looks at: more than two turns of the largest map.
const aliasRows = 2 * plan.MaxRoles
