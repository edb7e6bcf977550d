package fuzz

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"

	"graid/raid"
	"graid/raid/md"
)

// What the judges know of raid5's partial parity log. With one there is no write hole: whatever was under way when the array went down, what nobody
// was writing is there, whoever is missing afterwards, nothing has to be forced, and parity is true again without a resync. Parity that was not
// true before a log cannot make so, and there the array is like one without.

// drawPPL draws whether a raid5 has a log, and how large it is: so small that there is one place for records, or a ring of them.
func (c *Case) drawPPL(rng *rand.Rand) {
	if c.Level != 5 || c.Bitmap || rng.IntN(2) == 0 {
		return
	}
	c.PPL = []int64{24, 64, 528, 528, 1056}[rng.IntN(5)] * sector
}

// tail is how many bytes a disk has behind what its data may take.
func (c *Case) tail() int64 {
	if c.Version == md.V10 {
		return 64<<10 + c.PPL
	}
	return 64 << 10
}

// pplRing is from how large a log on records follow each other in it, bytes.
const pplRing = 528 * sector

// pplHead is what a judge reads of a record: its generation, how long it is with its partial parity, how many writes it is about, and whether it says
// that parity is not known to be true everywhere.
type pplHead struct {
	generation uint64
	length     int64
	entries    int
	unsynced   bool
	torn       bool // partial parity of it did not come through
}

// readPPL reads the record in b, nil if there is none that is whole.
func readPPL(b []byte) *pplHead {
	const size, entries = 4096, 536
	if len(b) < size {
		return nil
	}
	u32 := binary.LittleEndian.Uint32
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_, _ = sum.Write(b[:532])
	_, _ = sum.Write([]byte{0, 0, 0, 0})
	_, _ = sum.Write(b[536:size])
	n := int(u32(b[528:]))
	if sum.Sum32() != u32(b[532:]) || entries+24*n > size {
		return nil
	}
	h := &pplHead{generation: binary.LittleEndian.Uint64(b[520:]), length: size, entries: n}
	for i := range n {
		e := b[entries+24*i:]
		if end := h.length + int64(u32(e[8:])); end > int64(len(b)) {
			h.torn = true
		} else if pp := b[h.length:end]; crc32.Checksum(pp, crc32.MakeTable(crc32.Castagnoli)) != u32(e[20:]) {
			h.torn = true
		}
		h.length += int64(u32(e[8:]))
		h.unsynced = h.unsynced || u32(e[8:]) == 0 && u32(e[12:]) == 0 && u32(e[20:]) == 0xffffffff
	}
	return h
}

// newest is the newest record of the log in an image that has superblock s; nil if there is none.
func newest(image []byte, at int64, s *super) (last *pplHead) {
	log := image[at+s.pplAt:][:s.pplSize]
	for len(log) > 0 {
		h := readPPL(log)
		if h == nil || last != nil && h.generation < last.generation || h.length > int64(len(log)) {
			break
		}
		last, log = h, log[h.length:]
	}
	return last
}

// unloggable says whether an array with a log that went down dirty may have parity that the log does not make true: that was not all true before.
func (r *run) unloggable(o *outlook) bool {
	if o.fresh.resync != 0 {
		return true // a resync was under way
	}
	for _, d := range o.disk {
		if d < 0 {
			continue
		}
		if h := newest(r.disks[d].Image(), r.superAt(d), o.supers[d]); h != nil && h.unsynced {
			return true
		}
	}
	return false
}

// logged judges an array with a log that has just started. Where nothing was wrong with anybody, it is right at once.
func (r *run) logged(o outlook, s raid.Status) {
	if r.PPL == 0 || r.Beyond || !o.dirty {
		return
	}
	if s.Sync.Action != "resync" {
		r.unsynced = s.Dirty // what a log that cannot be read leaves open is given up where a member is missing
		r.seen["made true by its log"]++
		return
	}
	if r.PPL < pplRing || slices.Contains(o.here, false) || !r.whole || r.spoilt || r.anyAiling() || r.unloggable(&o) {
		return
	}
	entries := 0
	for _, d := range o.disk {
		h := newest(r.disks[d].Image(), r.superAt(d), o.supers[d])
		if h == nil || h.torn {
			return // it was being written, and so nothing that it is about was under way; but who recovers by it cannot know
		}
		entries += h.entries
	}
	if entries > 0 {
		r.fail("the log says what was under way, and there is a resync")
	}
}
