package md

import (
	"encoding/binary"
	"fmt"
)

// Where the fields of a 0.90 superblock are, in words of 32 bits.
const (
	wMajor       = 1
	wMinor       = 2
	wUUID0       = 5
	wCTime       = 6
	wLevel       = 7
	wSize        = 8 // KiB
	wRaidDisks   = 10
	wMDMinor     = 11
	wUUID1       = 13
	wUTime       = 32
	wState       = 33
	wActive      = 34
	wWorking     = 35
	wFailed      = 36
	wSpare       = 37
	wChecksum    = 38
	wEvents      = 39
	wCheckpoint  = 41
	wRecoveryCP  = 43
	wReshapePos  = 44
	wNewLevel    = 46
	wDeltaDisks  = 47
	wNewLayout   = 48
	wNewChunk    = 49 // bytes
	wLayout      = 64
	wChunk       = 65 // bytes
	wDisks       = 128
	wThisDisk    = 992
	diskWords    = 32
	disks090     = 27
	words090     = 1024
	bitmapOff090 = 8
)

// Bits of a 0.90 superblock's state and of a descriptor's.
const (
	state090Clean  = 1 << 0
	state090Bitmap = 1 << 8

	disk090Faulty      = 1 << 0
	disk090Active      = 1 << 1
	disk090Sync        = 1 << 2
	disk090WriteMostly = 1 << 9
	disk090FailFast    = 1 << 10
)

func checksum090(b []byte, order binary.ByteOrder) uint32 {
	var sum uint64
	for w := range words090 {
		if w != wChecksum {
			sum += uint64(order.Uint32(b[4*w:]))
		}
	}
	return uint32(sum) + uint32(sum>>32)
}

// fold16 is what Linux compares of a 0.90 checksum: very old ones have 16 bits.
func fold16(sum uint32) uint32 {
	sum = sum&0xffff + sum>>16
	return sum&0xffff + sum>>16
}

// bytes090 are the bytes that a 0.90 array's UUID has on disk, in superblock and bitmap. The UUID prints as four words, and words are
// stored in the byte order of the host; SetUUID has the bytes as they print.
func (s *Superblock) bytes090() (u UUID) {
	var order binary.ByteOrder = binary.LittleEndian
	if s.BigEndian {
		order = binary.BigEndian
	}
	for i := 0; i < len(u); i += 4 {
		order.PutUint32(u[i:], binary.BigEndian.Uint32(s.SetUUID[i:]))
	}
	return u
}

// decode090 reads the 0.90 superblock that starts b, in the byte order of the host that made it; b has 4096 bytes.
func decode090(b []byte, order binary.ByteOrder, at uint64) (*Superblock, error) {
	word := func(w int) uint32 { return order.Uint32(b[4*w:]) }
	bad := func(field string, w int, got, want any) error {
		return &FormatError{"superblock 0.90", field, int64(at)*Sector + int64(4*w), fmt.Sprint(got), fmt.Sprint(want)}
	}
	minor := word(wMinor)
	if minor != 90 && minor != 91 {
		return nil, bad("minor_version", wMinor, minor, "90 or 91")
	}
	if got, want := word(wChecksum), checksum090(b, order); fold16(got) != fold16(want) {
		return nil, bad("sb_csum", wChecksum, fmt.Sprintf("%#08x", got), fmt.Sprintf("%#08x", want))
	}
	if n := word(wRaidDisks); n < 1 || n > disks090 {
		return nil, bad("raid_disks", wRaidDisks, n, fmt.Sprintf("1 to %d", disks090))
	}
	if chunk := word(wChunk); chunk%Sector != 0 {
		return nil, bad("chunk_size", wChunk, chunk, "whole sectors")
	}
	s := &Superblock{
		Version:     V090,
		BigEndian:   order == binary.BigEndian,
		CTimeRaw:    uint64(word(wCTime)),
		UTimeRaw:    uint64(word(wUTime)),
		Level:       int(int32(word(wLevel))),
		Layout:      word(wLayout),
		Size:        uint64(word(wSize)) * 2,
		ChunkSize:   word(wChunk) / Sector,
		RaidDisks:   int(word(wRaidDisks)),
		MaxDev:      disks090,
		DataSize:    at,
		SuperOffset: at,
		Checksum:    word(wChecksum),
		V090: &Extras090{
			Minor: int(minor), MDMinor: int(word(wMDMinor)), State: word(wState), RecoveryCheckpoint: word(wRecoveryCP),
			Active: int(word(wActive)), Working: int(word(wWorking)), Failed: int(word(wFailed)), Spare: int(word(wSpare)),
		},
	}
	for i, w := range []int{wUUID0, wUUID1, wUUID1 + 1, wUUID1 + 2} {
		binary.BigEndian.PutUint32(s.SetUUID[4*i:], word(w))
	}
	two := func(w int) uint64 {
		if s.BigEndian {
			return uint64(word(w))<<32 | uint64(word(w+1))
		}
		return uint64(word(w+1))<<32 | uint64(word(w))
	}
	s.Events, s.V090.CheckpointEvents = two(wEvents), two(wCheckpoint)
	s.resync090()
	s.roles090(word)
	if s.V090.State&state090Bitmap != 0 {
		s.Features |= FeatureBitmap
		s.BitmapOffset = bitmapOff090
	}
	if minor == 91 {
		s.Features |= FeatureReshape
		s.ReshapePosition = two(wReshapePos)
		s.NewLevel, s.DeltaDisks = int(int32(word(wNewLevel))), int(int32(word(wDeltaDisks)))
		s.NewLayout, s.NewChunk = word(wNewLayout), word(wNewChunk)/Sector
		if old := s.RaidDisks - s.DeltaDisks; old < 1 || old > disks090 {
			return nil, bad("delta_disks", wDeltaDisks, s.DeltaDisks, "a change to a possible number of disks")
		}
	}
	if s.Size > s.DataSize {
		return nil, bad("size", wSize, s.Size/2, fmt.Sprintf("no more than the %d KiB before the superblock", s.DataSize/2))
	}
	switch s.Level {
	case 0, 4, 5, 6, 10:
		if s.ChunkSize == 0 {
			return nil, bad("chunk_size", wChunk, 0, "a chunk, which "+LevelName(s.Level)+" has")
		}
	}
	return s, nil
}

// resync090 says where the resync of an array that is not clean goes on: at its checkpoint when that is as new as the superblock.
func (s *Superblock) resync090() {
	switch {
	case s.V090.State&state090Clean != 0:
		s.ResyncOffset = MaxSector
	case s.V090.CheckpointEvents == s.Events && s.V090.RecoveryCheckpoint != ^uint32(0):
		s.ResyncOffset = uint64(s.V090.RecoveryCheckpoint)
	}
}

// roles090 makes a role table of the descriptors. The member's own entry comes from its own descriptor.
func (s *Superblock) roles090(word func(int) uint32) {
	s.Roles = make([]uint16, disks090)
	entry := func(w int) uint16 {
		role, state := word(w+3), word(w+4)
		switch {
		case state&disk090Faulty != 0 && word(w+1)|word(w+2) != 0:
			return EntryFaulty
		case state&disk090Faulty == 0 && state&(disk090Active|disk090Sync) == disk090Active|disk090Sync && role < disks090:
			return uint16(role)
		}
		return EntrySpare
	}
	for i := range s.Roles {
		s.Roles[i] = entry(wDisks + diskWords*i)
	}
	s.DevNumber = int(int32(word(wThisDisk)))
	if s.DevNumber >= 0 && s.DevNumber < disks090 {
		s.Roles[s.DevNumber] = entry(wThisDisk)
	}
	if word(wThisDisk+4)&disk090WriteMostly != 0 {
		s.DevFlags |= WriteMostly
	}
	if word(wThisDisk+4)&disk090FailFast != 0 {
		s.DevFlags |= FailFast
	}
}
