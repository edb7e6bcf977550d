package fuzz

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// record enters some sectors of victims into their bad block logs, before an array that went down clean is started, and spoils them: nobody may read
// them, and redundancy has what they should hold.
func (r *run) record() {
	o := r.look(r.everybody())
	if !r.life.Record || o.fresh == nil || o.dirty || slices.Contains(o.here, false) || !r.whole || len(r.tainted) > 0 || r.unsynced && r.number > 0 {
		return
	}
	r.life.Record = false // assembly may be tried again
	rng := r.w.Rand(fmt.Sprintf("record of life %d", r.number), "sectors")
	for role, d := range o.disk {
		s := o.supers[d]
		if !r.victim(d) || rng.IntN(2) == 0 || r.disks[d].Unflushed() > 0 || len(s.bad) > 0 || s.logAt == 0 || o.twin[role] >= 0 {
			continue
		}
		unit := r.block(d)
		log, image := r.superAt(d)+s.logAt, r.disks[d].Image()
		for i := range 1 + rng.Int64N(4) {
			n := (1 + rng.Int64N(12)) * sector
			n = (n + unit - 1) / unit * unit
			part := r.lay.used / 4
			row := i*part + rng.Int64N(max(1, (part-n)/unit))*unit
			if n > part {
				continue
			}
			at := s.dataAt + row
			binary.LittleEndian.PutUint64(image[log:], uint64(at/sector)<<10|uint64(n/sector))
			log += 8
			for k := range n {
				image[at+k] = 0xD5
			}
		}
		r.seen["bad blocks recorded"]++
		head := image[r.superAt(d):]
		head[8] |= 8
		sumSuper(head)
		r.marked[d], r.spoilt = true, true
	}
}

// sumSuper makes the checksum of a superblock right: the sum of its words, as md adds them up.
func sumSuper(b []byte) {
	u32 := binary.LittleEndian.Uint32
	n := 256 + 2*int(u32(b[220:]))
	binary.LittleEndian.PutUint32(b[216:], 0)
	sum := uint64(0)
	for i := 0; i+4 <= n; i += 4 {
		sum += uint64(u32(b[i:]))
	}
	if n%4 == 2 {
		sum += uint64(binary.LittleEndian.Uint16(b[n-2:]))
	}
	binary.LittleEndian.PutUint32(b[216:], uint32(sum)+uint32(sum>>32))
}
