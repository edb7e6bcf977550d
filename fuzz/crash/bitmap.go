package crash

import (
	"encoding/binary"
	"fmt"
)

// Linux does not resync all of an array that has a bitmap, only what the bitmap says, and of a member that comes back it writes only what the
// bitmap says since that was last seen. So every row that does not agree must have its bit, in the bitmap of every member that is believed.

const (
	bitmapAt    = superAt + 8 // the sector
	bitmapChunk = 4096
	bitmapBits  = 256 // the byte at which bits begin
)

// bitmaps judges the bitmaps of the members as they are. Rows are of members, so it is for levels whose bits are too.
func (g *ground) bitmaps(o *outlook, lost uint8) error {
	for m := range g.disks {
		if o.here>>m&1 == 0 {
			continue
		}
		b := g.disks[m].now[bitmapAt*sector:]
		u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
		events, cleared := u64(b[24:]), u64(b[32:])
		switch {
		case u32(b) != 0x6d746962 || u32(b[52:]) != bitmapChunk:
			return fmt.Errorf("member %d has no bitmap", m)
		case events < o.fresh.events:
			continue // out of date: Linux takes every bit for set
		}
		agree := o.here
		for x := range g.disks {
			if lost>>x&1 == 0 && o.here>>x&1 == 0 && o.supers[x].events >= cleared {
				agree |= 1 << x
			}
		}
		for at := dataAt; at < dataAt+int(g.Chunks)*perChunk; at++ {
			bit := (at - dataAt) * sector / bitmapChunk
			if b[bitmapBits+bit/8]>>(bit%8)&1 == 0 && !g.agree(at, agree) {
				return fmt.Errorf("row %d of members %b does not agree, and the bitmap of member %d (event %d, cleared at %d) does not have it",
					at, agree, m, events, cleared)
			}
		}
	}
	return nil
}

// agree says whether members have what they must at a row; of parity that is not known unless all are there.
func (g *ground) agree(at int, members uint8) bool {
	if g.parity() {
		for i, d := range g.disks {
			g.images[i] = d.now
		}
		return members != 1<<g.Members-1 || g.agrees(at, g.images[:g.Members])
	}
	var first []byte
	for m, d := range g.disks {
		b := d.now[at*sector : (at+1)*sector]
		switch {
		case members>>m&1 == 0:
		case first == nil:
			first = b
		case string(first) != string(b):
			return false
		}
	}
	return true
}
