package md

import (
	"fmt"
	"slices"
	"time"
)

// Magic is the first word of every superblock.
const Magic = 0xa92b4efc

// What an entry of a superblock's role table may be besides a role.
const (
	EntrySpare   = 0xffff // a spare, or an unused entry
	EntryFaulty  = 0xfffe
	EntryJournal = 0xfffd
	EntryMax     = 0xff00 // the first number that is not a role
)

// What Superblock.Role returns besides a role.
const (
	RoleSpare   = -1
	RoleFaulty  = -2
	RoleJournal = -3
)

// Bits of Superblock.DevFlags.
const (
	WriteMostly uint8 = 1 << iota // mirrors read from the member only when nothing else can be read
	FailFast                      // requests fail rather than retry
)

// Superblock is a member's superblock, in the units of the disk: sectors, and bytes where the comment says so.
//
// One of version 0.90 is decoded into the same fields: sizes in sectors, DataOffset 0, and a role table made from its descriptors,
// in which a member's DevNumber is the descriptor it has. It has no device UUID.
type Superblock struct {
	Version   Version
	BigEndian bool // 0.90 from a big-endian host
	Features  Feature

	SetUUID    UUID   // the array's
	Name       string // "host:name" or "name"; up to 32 bytes
	CTimeRaw   uint64 // as on disk: seconds in the low 40 bits, microseconds above
	UTimeRaw   uint64
	Level      int    // -1 linear, 0, 1, 4, 5, 6, 10
	Layout     uint32 // LayoutName explains it
	Size       uint64 // used of each member; 0 for raid0 and linear
	ChunkSize  uint32 // 0 for raid1
	RaidDisks  int    // slots; during a reshape those of the new shape
	MaxDev     int    // entries of Roles
	DevNumber  int    // this member's entry of Roles
	DeviceUUID UUID
	DevFlags   uint8
	Roles      []uint16 // by DevNumber: a role, or one of Entry*

	DataOffset  uint64 // where the array's data starts on this member
	DataSize    uint64 // how much there is for data
	SuperOffset uint64 // where this superblock lies

	Events         uint64
	ResyncOffset   uint64 // redundancy holds below it; MaxSector = everywhere
	RecoveryOffset uint64 // with FeatureRecovery: this member's data area is good below it. On a journal member: the journal's tail
	CorrectedReads uint32

	BitmapOffset int32 // from SuperOffset, with FeatureBitmap
	PPLOffset    int16 // from SuperOffset, with FeaturePPL or FeatureMultiPPL; shares its bytes with BitmapOffset
	PPLSize      uint16

	BBLogShift  uint8
	BBLogSize   uint16
	BBLogOffset int32 // from SuperOffset; 0 = no log

	NewLevel        int // the shape to come; with FeatureReshape
	ReshapePosition uint64
	DeltaDisks      int
	NewLayout       uint32
	NewChunk        uint32
	NewOffset       int32

	LogicalBlockSize uint32 // bytes; written by Linux 6.19 and later, 0 otherwise
	Checksum         uint32 // as stored

	V090 *Extras090 // only of version 0.90
}

// Extras090 is what only a 0.90 superblock has.
type Extras090 struct {
	Minor                          int // 90, or 91 while a reshape is under way
	MDMinor                        int // preferred number of the md device
	State                          uint32
	Active, Working, Failed, Spare int
	CheckpointEvents               uint64 // RecoveryCheckpoint is believed only while this equals Events
	RecoveryCheckpoint             uint32
}

// Role is what this member is by its own table: a role, or RoleSpare, RoleFaulty, RoleJournal.
func (s *Superblock) Role() int { return s.RoleOf(s.DevNumber) }

// RoleOf is what the member with this device number is by s's table. A number outside of the table is a spare's.
func (s *Superblock) RoleOf(devNumber int) int {
	if devNumber < 0 || devNumber >= len(s.Roles) {
		return RoleSpare
	}
	switch e := s.Roles[devNumber]; {
	case e == EntryFaulty:
		return RoleFaulty
	case e == EntryJournal:
		return RoleJournal
	case e >= EntryMax || int(e) >= s.slots():
		return RoleSpare
	default:
		return int(e)
	}
}

// slots is how many roles are live: while an array shrinks, those of the old shape too.
func (s *Superblock) slots() int {
	if s.Features&FeatureReshape != 0 && s.DeltaDisks < 0 {
		return s.RaidDisks - s.DeltaDisks
	}
	return s.RaidDisks
}

// Clean says whether redundancy holds everywhere, as far as this superblock knows.
func (s *Superblock) Clean() bool { return s.ResyncOffset == MaxSector }

// HasPPL says whether the array has a partial parity log.
func (s *Superblock) HasPPL() bool { return s.Features&featurePPLs != 0 }

// Created is when the array was created.
func (s *Superblock) Created() time.Time { return diskTime(s.CTimeRaw) }

// Updated is when this superblock was last written.
func (s *Superblock) Updated() time.Time { return diskTime(s.UTimeRaw) }

// SetUpdated notes t as the time of the last update, in whole seconds, as Linux and mdadm do.
func (s *Superblock) SetUpdated(t time.Time) { s.UTimeRaw = rawTime(t) }

// SetRoles makes roles s's table of roles by device number: with as many entries as s has had, or, where a role needs it, with more. It fails
// when there is no room for these between the superblock and what follows it.
func (s *Superblock) SetRoles(roles []uint16) error {
	n := len(roles)
	for n > s.MaxDev && roles[n-1] == EntrySpare {
		n--
	}
	if n > s.MaxDev {
		end := int64(roundUp(offRoles+2*uint64(n), Sector) / Sector)
		for _, off := range []int64{int64(s.DataOffset) - int64(s.SuperOffset), int64(s.BitmapOffset), int64(s.BBLogOffset)} {
			if off > 0 && off < end {
				return fmt.Errorf("no room for %d device numbers in the superblock: the next structure begins after %d sectors", n, off)
			}
		}
		s.MaxDev = n
	}
	table := make([]uint16, s.MaxDev)
	for i := range table {
		table[i] = EntrySpare
		if i < n {
			table[i] = roles[i]
		}
	}
	s.Roles = table
	return nil
}

// Clone is a copy that shares nothing with s.
func (s *Superblock) Clone() *Superblock {
	c := *s
	c.Roles = slices.Clone(s.Roles)
	if s.V090 != nil {
		extras := *s.V090
		c.V090 = &extras
	}
	return &c
}

const secondsMask = 1<<40 - 1

func diskTime(raw uint64) time.Time {
	return time.Unix(int64(raw&secondsMask), int64(raw>>40)*1000).UTC()
}

func rawTime(t time.Time) uint64 { return uint64(t.Unix()) & secondsMask }
