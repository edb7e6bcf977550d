package crash

import (
	"encoding/binary"
	"hash/crc32"
)

// pplSectors is the length of a partial parity log: a header, and room for two pieces of 4 KiB.
const pplSectors = 24

// unloggable says whether an array with a log that went down dirty may have parity that the log does not make true, because it was not known to be true
// before. A log of this size has one record, of which the header says so in an entry that nobody can recover.
func (g *ground) unloggable(o *outlook) bool {
	if o.fresh.resync != 0 {
		return true // a resync was under way
	}
	u32 := binary.LittleEndian.Uint32
	for role := range g.Members {
		if o.disk[role] < 0 {
			continue
		}
		b := g.disks[o.disk[role]].now[o.supers[o.disk[role]].logAt*sector:][:4096]
		sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		_, _ = sum.Write(b[:532])
		_, _ = sum.Write(make([]byte, 4))
		_, _ = sum.Write(b[536:])
		if n := int(u32(b[528:])); sum.Sum32() == u32(b[532:]) && n < 140 {
			for i := range n {
				if e := b[536+24*i:]; u32(e[8:]) == 0 && u32(e[12:]) == 0 && u32(e[20:]) == 0xffffffff {
					return true
				}
			}
		}
	}
	return false
}
