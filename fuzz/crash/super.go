package crash

import "encoding/binary"

// super is what the judge reads of a superblock, where md has it.
type super struct {
	events, resync uint64 // resync: sectors; all ones: clean
	number         int
	roles          [8]uint16
	filling        bool // not in sync: it has what it should have below some row
	replaces       bool // it is being filled to replace the member of the same role
	bits           bool // it has a bitmap
	logAt          int  // the sector at which the bitmap, or the partial parity log, begins
}

const clean = 1<<64 - 1

const spare = 0xffff

// role is what s says of the member of that number.
func (s *super) role(number int) uint16 {
	if number >= len(s.roles) {
		return spare
	}
	return s.roles[number]
}

// superOf reads the superblock of a member.
func superOf(member []byte) (s super, ok bool) {
	b := member[superAt*sector:]
	u16, u32, u64 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if u32(b) != 0xa92b4efc {
		return s, false
	}
	s.events, s.resync, s.number, s.filling = u64(b[200:]), u64(b[208:]), int(u32(b[160:])), u32(b[8:])&2 != 0
	s.replaces, s.bits, s.logAt = u32(b[8:])&16 != 0, u32(b[8:])&1 != 0, superAt+int(int16(u16(b[96:])))
	for i := range s.roles {
		s.roles[i] = u16(b[256+2*i:])
	}
	return s, true
}

// outlook is what the superblocks of the disks that are offered say, read with no help from the engine.
type outlook struct {
	supers  [8]super // by disk
	disk    [8]int   // by role: who has it, in sync or being filled; -1: nobody
	spares  int      // so many of the disks are
	here    uint8    // roles whose disk is in sync
	missing uint8    // and the others
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
		if s.role(s.number) < 8 && (first || s.events > o.fresh.events || s.events == o.fresh.events && s.resync < o.fresh.resync) {
			o.fresh, first = s, false
		}
	}
	for role := range o.disk {
		o.disk[role] = -1
	}
	o.settled, o.missing = true, 1<<g.Members-1
	twins := uint8(0)
	for m := range g.disks {
		s := &o.supers[m]
		own, role := s.role(s.number), o.fresh.role(s.number)
		switch {
		case found>>m&1 == 0:
		case own == spare && role == spare:
			o.spares++
		case own < 8 && role < 8 && s.events+1 >= o.fresh.events && s.replaces:
			twins |= 1 << m
		case own < 8 && role < 8 && s.events+1 >= o.fresh.events:
			if o.disk[role] = m; !s.filling {
				o.here |= 1 << role
				o.missing &^= 1 << role
			}
			o.settled = o.settled && s.events == o.fresh.events && s.resync == o.fresh.resync && s.roles == o.fresh.roles
		}
	}
	for m := range g.disks { // who was to be replaced may be gone
		if role := o.fresh.role(o.supers[m].number); twins>>m&1 != 0 && o.disk[role] < 0 {
			if o.disk[role] = m; !o.supers[m].filling {
				o.here |= 1 << role
				o.missing &^= 1 << role
			}
		}
	}
	o.dirty = g.redundant() && o.fresh.resync != clean
	return o
}

// later is the roles that are missing when everybody who can be filled is.
func (o *outlook) later() (missing uint8) {
	spares := o.spares
	for role := range o.disk {
		switch {
		case o.missing>>role&1 == 0 || o.disk[role] >= 0:
		case spares > 0:
			spares--
		default:
			missing |= 1 << role
		}
	}
	return missing
}

// roles is the roles that those disks have.
func (o *outlook) roles(disks uint8) (set uint8) {
	for role, d := range o.disk {
		if d >= 0 && disks>>d&1 != 0 {
			set |= 1 << role
		}
	}
	return set
}
