package fuzz

import "encoding/binary"

// super is what the image checker reads of a 1.x superblock: the fields it needs, where md has them.
type super struct {
	events         uint64
	resync         uint64 // sectors; all ones: clean
	number         int    // of this member
	roles          []uint16
	dataAt, dataOf int64 // bytes: where its data area begins, and its length
	used           int64 // bytes of each member
	filling        bool  // it is not in sync: it has what it should have below filled, bytes of its data area
	filled         int64
	replaces       bool    // it is being filled to replace the member of the same role
	pplAt, pplSize int64   // of one with a partial parity log: where that begins, from the superblock, and its length, bytes
	bits           bool    // it has a bitmap,
	bitsAt, logAt  int64   // and where that begins, and the bad block log, from the superblock, bytes
	bad            []int64 // its bad block log: where a run begins on the device, and where it ends, bytes
}

const clean = 1<<64 - 1

// readSuper reads the superblock at a place of the image of a member, nil if there is none.
func readSuper(image []byte, at int64) *super {
	b := image[at:]
	u16, u32, u64 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if u32(b) != 0xa92b4efc || u32(b[4:]) != 1 {
		return nil
	}
	s := &super{
		used: int64(u64(b[80:])) * sector, dataAt: int64(u64(b[128:])) * sector, dataOf: int64(u64(b[136:])) * sector,
		filling: u32(b[8:])&2 != 0, replaces: u32(b[8:])&16 != 0, filled: int64(u64(b[152:])) * sector, number: int(u32(b[160:])), events: u64(b[200:]), resync: u64(b[208:]),
	}
	s.bits, s.bitsAt, s.logAt = u32(b[8:])&1 != 0, int64(int32(u32(b[96:])))*sector, int64(int32(u32(b[188:])))*sector
	if u32(b[8:])&(1024|2048) != 0 {
		s.pplAt, s.pplSize = int64(int16(u16(b[96:])))*sector, int64(u16(b[98:]))*sector
	}
	if log := at + int64(int32(u32(b[188:])))*sector; u32(b[8:])&8 != 0 && log >= 0 && log < int64(len(image)) { // of a superblock alone the log is not to be had
		for e := u64(image[log:]); e != 1<<64-1; e = u64(image[log:]) {
			s.bad = append(s.bad, int64(e>>10)*sector, int64(e>>10+e&0x3ff)*sector)
			log += 8
		}
	}
	for i := range int(u32(b[220:])) {
		s.roles = append(s.roles, u16(b[256+2*i:]))
	}
	return s
}

// isBad says whether the sector at that byte of the device is in the bad block log.
func (s *super) isBad(at int64) bool {
	for i := 0; i < len(s.bad); i += 2 {
		if s.bad[i] <= at && at < s.bad[i+1] {
			return true
		}
	}
	return false
}

// role is what s says that the member of that number is: a role, or that it is a spare or nobody, or that it failed.
func (s *super) role(number int) int {
	if number < 0 || number >= len(s.roles) {
		return spare
	}
	switch r := s.roles[number]; {
	case r < 0xff00:
		return int(r)
	case r == 0xfffe:
		return faulty
	}
	return spare
}

const (
	spare  = -1
	faulty = -2
)
