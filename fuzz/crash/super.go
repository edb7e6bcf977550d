package crash

import "encoding/binary"

// super is what the judge reads of a superblock, where md has it.
type super struct {
	events, resync uint64 // resync: sectors; all ones: clean
	number         int
	roles          [8]uint16
}

const clean = 1<<64 - 1

// superOf reads the superblock of a member.
func superOf(member []byte) (s super, ok bool) {
	b := member[superAt*sector:]
	u16, u32, u64 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if u32(b) != 0xa92b4efc {
		return s, false
	}
	s.events, s.resync, s.number = u64(b[200:]), u64(b[208:]), int(u32(b[160:]))
	for i := range s.roles {
		s.roles[i] = u16(b[256+2*i:])
	}
	return s, true
}

// outlook is what the superblocks of the members that are offered say, read with no help from the engine.
type outlook struct {
	supers  [8]super
	here    uint8 // roles that are believed
	missing uint8 // and those that are not, or not offered
	dirty   bool
	fresh   super
	settled bool // all that are believed say the same
}

func (g *ground) look(lost uint8) (o outlook) {
	found := uint8(0)
	first := true
	for m, d := range g.disks {
		s, ok := superOf(d.now)
		if !ok || lost>>m&1 != 0 {
			continue
		}
		o.supers[m] = s
		found |= 1 << m
		if s.roles[m] == uint16(m) && (first || s.events > o.fresh.events || s.events == o.fresh.events && s.resync < o.fresh.resync) {
			o.fresh, first = s, false
		}
	}
	o.settled = true
	for m := range g.disks {
		s := &o.supers[m]
		if found>>m&1 != 0 && s.roles[m] == uint16(m) && s.events+1 >= o.fresh.events && o.fresh.roles[m] == uint16(m) {
			o.here |= 1 << m
			o.settled = o.settled && s.events == o.fresh.events && s.resync == o.fresh.resync && s.roles == o.fresh.roles
		} else {
			o.missing |= 1 << m
		}
	}
	o.dirty = g.redundant() && o.fresh.resync != clean
	return o
}
