package fuzz

import (
	"bytes"
	"encoding/binary"
)

// bitmaps judges write-intent bitmaps, in images. Linux makes agree only what a bitmap says, so wherever members that are in sync do not, every one of
// them that is up to date has the bit.
func (r *run) bitmaps(o outlook, when string) {
	if r.err != nil || r.Beyond || !r.whole || r.forcedOnce || r.spoilt || len(r.marked) > 0 || r.rotten || r.Level <= 0 {
		return
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	for role, d := range o.disk {
		if !o.here[role] || !o.supers[d].bits {
			continue
		}
		b := r.disks[d].Image()[r.superAt(d)+o.supers[d].bitsAt:]
		chunk := int64(u32(b[52:]))
		switch {
		case u32(b) != 0x6d746962 || chunk == 0:
			r.fail("%s, and %s has no bitmap where it says that it has one", when, name(d))
			return
		case u64(b[24:]) < o.fresh.events || u32(b[48:])&2 != 0:
			continue // it has missed something: every bit counts as set
		}
		r.seen["bitmap judged"]++
		end := r.lay.rows
		if r.lay.parity == nil {
			end = r.lay.size()
		}
		for at := int64(0); at < end; at += sector {
			if bit := at / chunk; b[256+bit/8]>>(bit%8)&1 == 0 && !r.agree(o, at) {
				r.fail("%s, and members do not agree at %d of what is synced, of which the bitmap of %s (event %d) says nothing", when, at, name(d), u64(b[24:]))
				return
			}
		}
	}
}

// agree says whether members that are in sync do, at a place of the sync space, as far as that can be told.
func (r *run) agree(o outlook, at int64) bool {
	if r.lay.parity != nil {
		of := make([][]byte, r.Members)
		for role, here := range o.here {
			if here {
				of[role] = r.at(o, role, at)
			}
			if of[role] == nil {
				return true
			}
		}
		return r.lay.holds(at, of)
	}
	var first []byte
	for _, p := range r.lay.places(at) {
		if !o.here[p.role] {
			continue
		}
		b := r.at(o, p.role, p.row)
		if first == nil {
			first = b
		}
		if b != nil && !bytes.Equal(first, b) {
			return false
		}
	}
	return true
}
