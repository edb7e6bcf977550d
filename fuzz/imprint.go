package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const sector = 512 // bytes

// version is one content of a sector: the serial number of the write that it came with. The content is made from it and the sector's place.
type version uint64

const (
	zero    version = 0           // all zeroes
	unknown version = 1<<64 - 1   // anything
	garbage version = 1<<64 - 2   // as read: nothing that was ever written there
	stamp           = 0x67726169d // in the first word of every sector written, beside its place
)

// imprint fills b, a sector, with version v of sector lba.
func imprint(b []byte, lba int64, v version) {
	if v == zero {
		clear(b[:sector])
		return
	}
	binary.LittleEndian.PutUint64(b, uint64(lba)^stamp<<28)
	binary.LittleEndian.PutUint64(b[8:], uint64(v))
	x := uint64(lba)*0x9E3779B97F4A7C15 + uint64(v)*0xBF58476D1CE4E5B9
	for i := 16; i < sector; i += 8 {
		x += 0x9E3779B97F4A7C15
		z := (x ^ x>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		binary.LittleEndian.PutUint64(b[i:], z^z>>31)
	}
}

// identify is the version of sector lba that b is.
func identify(b []byte, lba int64) version {
	v := version(binary.LittleEndian.Uint64(b[8:]))
	var whole [sector]byte
	switch {
	case v == zero && bytes.Equal(b[:sector], whole[:]):
		return zero
	case v == zero || v == garbage || v == unknown || binary.LittleEndian.Uint64(b) != uint64(lba)^stamp<<28:
		return garbage
	}
	if imprint(whole[:], lba, v); !bytes.Equal(b[:sector], whole[:]) {
		return garbage
	}
	return v
}

// describe says what b is, for whoever reads a report.
func describe(b []byte, lba int64) string {
	switch v := identify(b, lba); {
	case v == zero:
		return "zeroes"
	case v != garbage:
		return fmt.Sprintf("version %d", v)
	}
	if at := int64(binary.LittleEndian.Uint64(b) ^ stamp<<28); at >= 0 && at < 1<<40 {
		if v := identify(b, at); v != garbage {
			return fmt.Sprintf("version %d of sector %d", v, at)
		}
		return fmt.Sprintf("a mix that begins as version %d of sector %d", binary.LittleEndian.Uint64(b[8:]), at)
	}
	return fmt.Sprintf("garbage (%x…)", b[:16])
}
