package crash

import (
	"encoding/binary"
	"fmt"
)

// Linux does not resync all of an array that has a bitmap, only what the bitmap says, and of a member that comes back it writes only what the
// bitmap says since that was last seen. So every row that does not agree must have its bit, in the bitmap of every member that is believed.

const (
	bitmapChunk = 4096
	bitmapBits  = 256 // the byte at which bits begin
)

// bitmaps judges the bitmaps of the members as they are. Rows are of members, so it is for levels whose bits are too.
func (g *ground) bitmaps(o *outlook, lost uint8) error {
	for role := range g.Members {
		if o.here>>role&1 == 0 {
			continue
		}
		m := o.disk[role]
		if !o.supers[m].bits && o.supers[m].events < o.fresh.events {
			continue // cut while it was added
		}
		b := g.disks[m].now[o.supers[m].logAt*sector:]
		u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
		events, cleared := u64(b[24:]), u64(b[32:])
		switch {
		case u32(b) != 0x6d746962 || u32(b[52:]) != bitmapChunk:
			return fmt.Errorf("member %d has no bitmap", m)
		case events < o.fresh.events:
			continue // out of date: Linux takes every bit for set
		}
		agree, seats := o.here, o.disk
		for x := range g.Members {
			if s := &o.supers[x]; lost>>x&1 == 0 && o.disk[x] < 0 && s.number == x && s.role(x) == uint16(x) && s.events >= cleared {
				agree, seats[x] = agree|1<<x, x
			}
		}
		for at := g.dataAt(); at < g.dataAt()+int(g.Chunks)*perChunk; at++ {
			bit := (at - g.dataAt()) * sector / bitmapChunk
			if b[bitmapBits+bit/8]>>(bit%8)&1 == 0 && g.rotten>>at&1 == 0 && !g.agree(at, agree, &seats) {
				return fmt.Errorf("row %d of members %b does not agree, and the bitmap of member %d (event %d, cleared at %d) does not have it",
					at, agree, m, events, cleared)
			}
		}
	}
	return nil
}

// byRole has images be what the members hold, by role.
func (g *ground) byRole(seats *[8]int) {
	for role := range g.Members {
		if g.images[role] = nil; seats[role] >= 0 {
			g.images[role] = g.disks[seats[role]].now
		}
	}
}

// agree says whether members, by role, have what they must at a row; of parity that is not known unless all are there.
func (g *ground) agree(at int, members uint8, seats *[8]int) bool {
	if g.parity() {
		g.byRole(seats)
		return members != 1<<g.Members-1 || g.agrees(at, g.images[:g.Members])
	}
	var first []byte
	for role := range g.Members {
		if members>>role&1 == 0 {
			continue
		}
		switch b := g.disks[seats[role]].now[at*sector : (at+1)*sector]; {
		case first == nil:
			first = b
		case string(first) != string(b):
			return false
		}
	}
	return true
}

// bitsOrLog says whether a sector is of what says where members need not agree: a bitmap, or a partial parity log.
func (g *ground) bitsOrLog(at int) bool {
	const first = superAt + 8
	if g.PPL {
		return at >= first && at < first+pplSectors
	}
	return g.Bitmap && at == first
}
