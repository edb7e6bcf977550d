package md

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Where the fields of a 1.x superblock are, bytes.
const (
	offMagic       = 0
	offMajor       = 4
	offFeatures    = 8
	offPad0        = 12
	offSetUUID     = 16
	offName        = 32
	offCTime       = 64
	offLevel       = 72
	offLayout      = 76
	offSize        = 80
	offChunk       = 88
	offRaidDisks   = 92
	offBitmap      = 96 // or s16 offset and u16 size of the PPL
	offNewLevel    = 100
	offReshapePos  = 104
	offDeltaDisks  = 112
	offNewLayout   = 116
	offNewChunk    = 120
	offNewOffset   = 124
	offDataOffset  = 128
	offDataSize    = 136
	offSuperOffset = 144
	offRecovery    = 152
	offDevNumber   = 160
	offCorrected   = 164
	offDeviceUUID  = 168
	offDevFlags    = 184
	offBBLogShift  = 185
	offBBLogSize   = 186
	offBBLogOffset = 188
	offUTime       = 192
	offEvents      = 200
	offResync      = 208
	offChecksum    = 216
	offMaxDev      = 220
	offLBS         = 224
	offPad         = 228
	offRoles       = 256

	nameSize  = 32
	maxSuper  = 4096
	maxDevs   = (maxSuper - offRoles) / 2
	maxBBLog  = 8  // sectors
	minData   = 10 // sectors: Linux refuses less
	maxBlock  = 1 << 20
	maxFields = 1 << 16 // of RaidDisks: what no array has, and a table of it is not made
)

var le = binary.LittleEndian

// checksum1 is the checksum of a 1.x superblock with so many entries; b holds it whole.
func checksum1(b []byte, maxDev int) uint32 {
	n := offRoles + 2*maxDev
	var sum uint64
	for i := 0; i+4 <= n; i += 4 {
		if i != offChecksum {
			sum += uint64(le.Uint32(b[i:]))
		}
	}
	if n%4 == 2 {
		sum += uint64(le.Uint16(b[n-2:]))
	}
	return uint32(sum) + uint32(sum>>32)
}

// decode1 reads the superblock of version v that starts b, as the one at sector at of a device. b has 4096 bytes, and magic and major
// number are right. The order of the checks is Linux's.
func decode1(v Version, b []byte, at, devSectors uint64) (*Superblock, error) {
	bad := func(field string, off int, got, want any) error {
		return &FormatError{"superblock " + v.String(), field, int64(at)*Sector + int64(off), fmt.Sprint(got), fmt.Sprint(want)}
	}
	maxDev := le.Uint32(b[offMaxDev:])
	if maxDev > maxDevs {
		return nil, bad("max_dev", offMaxDev, maxDev, fmt.Sprintf("%d or less", maxDevs))
	}
	if got := le.Uint64(b[offSuperOffset:]); got != at {
		return nil, bad("super_offset", offSuperOffset, got, fmt.Sprintf("%d, where it lies", at))
	}
	if got, want := le.Uint32(b[offChecksum:]), checksum1(b, int(maxDev)); got != want {
		return nil, bad("sb_csum", offChecksum, fmt.Sprintf("%#08x", got), fmt.Sprintf("%#08x", want))
	}
	s := fields1(v, b, int(maxDev))
	if extra := s.Features &^ FeatureAll; extra != 0 {
		return nil, bad("feature_map", offFeatures, fmt.Sprintf("%#x", uint32(s.Features)),
			fmt.Sprintf("no bit outside of %#x: made by a newer Linux", uint32(FeatureAll)))
	}
	if got := le.Uint32(b[offPad0:]); got != 0 {
		return nil, bad("pad0", offPad0, got, 0)
	}
	if pad := b[offPad:offRoles]; !bytes.Equal(pad, make([]byte, len(pad))) {
		return nil, bad("padding", offPad, "not zero", "zero")
	}
	if n := s.LogicalBlockSize; n != 0 && (n&(n-1) != 0 || n < Sector || n > maxBlock) {
		return nil, bad("logical_block_size", offLBS, n, "0, or a power of two from 512 bytes")
	}
	if s.DataSize < minData {
		return nil, bad("data_size", offDataSize, s.DataSize, fmt.Sprintf("%d or more", minData))
	}
	if err := s.checkPlaces(devSectors, bad); err != nil {
		return nil, err
	}
	if err := s.checkFeatures(bad); err != nil {
		return nil, err
	}
	if err := s.checkShape(bad); err != nil {
		return nil, err
	}
	return s, nil
}

func fields1(v Version, b []byte, maxDev int) *Superblock {
	s := &Superblock{
		Version:          v,
		Features:         Feature(le.Uint32(b[offFeatures:])),
		SetUUID:          UUID(b[offSetUUID:]),
		Name:             name(b[offName : offName+nameSize]),
		CTimeRaw:         le.Uint64(b[offCTime:]),
		UTimeRaw:         le.Uint64(b[offUTime:]),
		Level:            int(int32(le.Uint32(b[offLevel:]))),
		Layout:           le.Uint32(b[offLayout:]),
		Size:             le.Uint64(b[offSize:]),
		ChunkSize:        le.Uint32(b[offChunk:]),
		RaidDisks:        int(int32(le.Uint32(b[offRaidDisks:]))),
		MaxDev:           maxDev,
		DevNumber:        int(int32(le.Uint32(b[offDevNumber:]))),
		DeviceUUID:       UUID(b[offDeviceUUID:]),
		DevFlags:         b[offDevFlags],
		Roles:            make([]uint16, maxDev),
		DataOffset:       le.Uint64(b[offDataOffset:]),
		DataSize:         le.Uint64(b[offDataSize:]),
		SuperOffset:      le.Uint64(b[offSuperOffset:]),
		Events:           le.Uint64(b[offEvents:]),
		ResyncOffset:     le.Uint64(b[offResync:]),
		RecoveryOffset:   le.Uint64(b[offRecovery:]),
		CorrectedReads:   le.Uint32(b[offCorrected:]),
		BitmapOffset:     int32(le.Uint32(b[offBitmap:])),
		PPLOffset:        int16(le.Uint16(b[offBitmap:])),
		PPLSize:          le.Uint16(b[offBitmap+2:]),
		BBLogShift:       b[offBBLogShift],
		BBLogSize:        le.Uint16(b[offBBLogSize:]),
		BBLogOffset:      int32(le.Uint32(b[offBBLogOffset:])),
		NewLevel:         int(int32(le.Uint32(b[offNewLevel:]))),
		ReshapePosition:  le.Uint64(b[offReshapePos:]),
		DeltaDisks:       int(int32(le.Uint32(b[offDeltaDisks:]))),
		NewLayout:        le.Uint32(b[offNewLayout:]),
		NewChunk:         le.Uint32(b[offNewChunk:]),
		NewOffset:        int32(le.Uint32(b[offNewOffset:])),
		LogicalBlockSize: le.Uint32(b[offLBS:]),
		Checksum:         le.Uint32(b[offChecksum:]),
	}
	for i := range s.Roles {
		s.Roles[i] = le.Uint16(b[offRoles+2*i:])
	}
	return s
}

// name is what stands before the first NUL. What stands after it is not kept: md and mdadm pad with NULs.
func name(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// Encode is s as it goes onto the disk, with its checksum, zero padded to whole sectors. Only 1.x can be written, and s.Checksum is
// not looked at. A 0.90 superblock, or a table that is not MaxDev long, is a bug of the caller.
func (s *Superblock) Encode() []byte {
	if s.Version == V090 || s.MaxDev != len(s.Roles) || s.MaxDev > maxDevs || len(s.Name) > nameSize {
		panic(fmt.Sprintf("md: superblock %s with %d of %d entries and name %q cannot be written", s.Version, len(s.Roles), s.MaxDev, s.Name))
	}
	b := make([]byte, roundUp(offRoles+2*uint64(s.MaxDev), Sector))
	le.PutUint32(b[offMagic:], Magic)
	le.PutUint32(b[offMajor:], 1)
	le.PutUint32(b[offFeatures:], uint32(s.Features))
	copy(b[offSetUUID:], s.SetUUID[:])
	copy(b[offName:], s.Name)
	le.PutUint64(b[offCTime:], s.CTimeRaw)
	le.PutUint64(b[offUTime:], s.UTimeRaw)
	le.PutUint32(b[offLevel:], uint32(int32(s.Level)))
	le.PutUint32(b[offLayout:], s.Layout)
	le.PutUint64(b[offSize:], s.Size)
	le.PutUint32(b[offChunk:], s.ChunkSize)
	le.PutUint32(b[offRaidDisks:], uint32(int32(s.RaidDisks)))
	le.PutUint32(b[offDevNumber:], uint32(int32(s.DevNumber)))
	copy(b[offDeviceUUID:], s.DeviceUUID[:])
	b[offDevFlags] = s.DevFlags
	le.PutUint64(b[offDataOffset:], s.DataOffset)
	le.PutUint64(b[offDataSize:], s.DataSize)
	le.PutUint64(b[offSuperOffset:], s.SuperOffset)
	le.PutUint64(b[offEvents:], s.Events)
	le.PutUint64(b[offResync:], s.ResyncOffset)
	le.PutUint64(b[offRecovery:], s.RecoveryOffset)
	le.PutUint32(b[offCorrected:], s.CorrectedReads)
	if s.HasPPL() {
		le.PutUint16(b[offBitmap:], uint16(s.PPLOffset))
		le.PutUint16(b[offBitmap+2:], s.PPLSize)
	} else {
		le.PutUint32(b[offBitmap:], uint32(s.BitmapOffset))
	}
	b[offBBLogShift] = s.BBLogShift
	le.PutUint16(b[offBBLogSize:], s.BBLogSize)
	le.PutUint32(b[offBBLogOffset:], uint32(s.BBLogOffset))
	le.PutUint32(b[offNewLevel:], uint32(int32(s.NewLevel)))
	le.PutUint64(b[offReshapePos:], s.ReshapePosition)
	le.PutUint32(b[offDeltaDisks:], uint32(int32(s.DeltaDisks)))
	le.PutUint32(b[offNewLayout:], s.NewLayout)
	le.PutUint32(b[offNewChunk:], s.NewChunk)
	le.PutUint32(b[offNewOffset:], uint32(s.NewOffset))
	le.PutUint32(b[offMaxDev:], uint32(s.MaxDev))
	le.PutUint32(b[offLBS:], s.LogicalBlockSize)
	for i, r := range s.Roles {
		le.PutUint16(b[offRoles+2*i:], r)
	}
	le.PutUint32(b[offChecksum:], checksum1(b, s.MaxDev))
	return b
}

func roundUp(n, to uint64) uint64   { return (n + to - 1) / to * to }
func roundDown(n, to uint64) uint64 { return n / to * to }
