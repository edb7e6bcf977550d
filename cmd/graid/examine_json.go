package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"graid/raid/md"
)

// examined is one member as `examine --json` tells of it. Keys are never renamed or dropped.
type examined struct {
	Path           string        `json:"path"`
	Magic          *string       `json:"magic"` // null = no superblock
	Metadata       string        `json:"metadata"`
	ArrayUUID      string        `json:"array_uuid"`
	DeviceUUID     string        `json:"device_uuid"`
	Name           string        `json:"name"`
	Level          string        `json:"level"`
	Layout         string        `json:"layout"`
	RaidDevices    int           `json:"raid_devices"`
	ChunkBytes     int64         `json:"chunk_bytes"`
	DataOffset     int64         `json:"data_offset_bytes"`
	DataSize       int64         `json:"data_size_bytes"`
	UsedSize       int64         `json:"used_size_bytes"`  // of the data area, what the array uses; 0 = all of it (raid0, linear)
	ArraySize      *int64        `json:"array_size_bytes"` // null = it takes members that were not named to know
	DeviceSize     int64         `json:"device_size_bytes"`
	SuperOffset    int64         `json:"super_offset_bytes"`
	Events         uint64        `json:"events"`
	Role           *int          `json:"role"`
	State          string        `json:"state"`        // of the array, as this superblock has it: clean or active
	MemberState    string        `json:"member_state"` // in_sync, rebuilding, replacement, spare, faulty or journal
	ArrayState     string        `json:"array_state"`  // a letter per slot: A active, . missing, R replacing
	Flags          []string      `json:"flags"`
	CreationTime   *time.Time    `json:"creation_time"`
	UpdateTime     *time.Time    `json:"update_time"`
	FeatureMap     []string      `json:"feature_map"`
	ResyncOffset   *int64        `json:"resync_offset_bytes"`   // null = redundancy holds everywhere
	RecoveryOffset *int64        `json:"recovery_offset_bytes"` // null = not rebuilding
	CorrectedReads uint32        `json:"corrected_reads"`
	Bitmap         *bitmapInfo   `json:"bitmap"`
	BadBlocks      []md.BadBlock `json:"bad_blocks"`
	PPL            *pplInfo      `json:"ppl"`
	Checksum       string        `json:"checksum"`
	ChecksumOK     bool          `json:"checksum_ok"`
	Error          *string       `json:"error,omitempty"`
}

type bitmapInfo struct {
	Version       uint32  `json:"version"`
	UUID          string  `json:"uuid"`
	Offset        int64   `json:"offset_bytes"` // from the superblock; may be negative
	Events        uint64  `json:"events"`
	EventsCleared uint64  `json:"events_cleared"`
	State         uint32  `json:"state"`
	Chunk         int64   `json:"chunk_bytes"`
	SyncSize      int64   `json:"sync_size_bytes"`
	DaemonSleep   uint32  `json:"daemon_sleep_seconds"`
	WriteBehind   uint32  `json:"write_behind"`
	Bits          int64   `json:"bits"`
	Dirty         int64   `json:"dirty_bits"`
	Error         *string `json:"error,omitempty"`
}

type pplInfo struct {
	Offset     int64   `json:"offset_bytes"` // from the superblock; may be negative
	Size       int64   `json:"size_bytes"`
	Generation uint64  `json:"generation"`
	Entries    int     `json:"entries"`
	Error      *string `json:"error,omitempty"`
}

// MarshalJSON says of a member without a superblock only that.
func (x examined) MarshalJSON() ([]byte, error) {
	if x.Magic == nil {
		return json.Marshal(struct {
			Path  string  `json:"path"`
			Magic *string `json:"magic"`
			Error *string `json:"error"`
		}{x.Path, nil, x.Error})
	}
	type plain examined
	return json.Marshal(plain(x))
}

// explain turns what was read into what is told.
func explain(found []*md.Examined) []examined {
	list := []examined{}
	for _, e := range found {
		list = append(list, explainOne(e, found))
	}
	return list
}

func explainOne(e *md.Examined, all []*md.Examined) examined {
	x := examined{Path: e.Path, DeviceSize: e.Size, Flags: []string{}, FeatureMap: []string{}, BadBlocks: []md.BadBlock{}}
	if e.Err != nil {
		x.Error = text(e.Err)
	} else if e.SB == nil {
		x.Error = text(md.ErrNoSuperblock)
	}
	sb := e.SB
	if sb == nil {
		return x
	}
	magic := "a92b4efc"
	x.Magic = &magic
	x.Metadata, x.ArrayUUID, x.DeviceUUID, x.Name = sb.Version.String(), sb.SetUUID.String(), sb.DeviceUUID.String(), sb.Name
	x.Level, x.Layout = md.LevelName(sb.Level), md.LayoutName(sb.Level, sb.Layout)
	x.RaidDevices, x.ChunkBytes = sb.RaidDisks, int64(sb.ChunkSize)*md.Sector
	x.DataOffset, x.DataSize, x.UsedSize = int64(sb.DataOffset)*md.Sector, int64(sb.DataSize)*md.Sector, int64(sb.Size)*md.Sector
	x.SuperOffset, x.ArraySize = int64(sb.SuperOffset)*md.Sector, arraySize(sb, all)
	x.Events, x.CorrectedReads = sb.Events, sb.CorrectedReads
	x.CreationTime, x.UpdateTime = stamp(sb.Created()), stamp(sb.Updated())
	x.FeatureMap = sb.Features.Names()
	x.ArrayState = slots(sb)
	x.Checksum, x.ChecksumOK = fmt.Sprintf("%08x", sb.Checksum), !wrongSum(e.Err)
	x.State = "clean"
	if !sb.Clean() {
		x.State = "active"
		offset := int64(min(sb.ResyncOffset, math.MaxInt64/md.Sector)) * md.Sector
		x.ResyncOffset = &offset
	}
	x.role(sb)
	if sb.DevFlags&md.WriteMostly != 0 {
		x.Flags = append(x.Flags, "write_mostly")
	}
	if sb.DevFlags&md.FailFast != 0 {
		x.Flags = append(x.Flags, "failfast")
	}
	x.BadBlocks = append(x.BadBlocks, e.BadBlocks...)
	x.Bitmap, x.PPL = bitmapOf(e), pplOf(e)
	return x
}

func (x *examined) role(sb *md.Superblock) {
	switch r := sb.Role(); {
	case r >= 0:
		x.Role, x.MemberState = &r, "in_sync"
		if sb.Features&md.FeatureRecovery != 0 {
			offset := int64(min(sb.RecoveryOffset, math.MaxInt64/md.Sector)) * md.Sector
			x.MemberState, x.RecoveryOffset = "rebuilding", &offset
		}
		if sb.Features&md.FeatureReplacement != 0 {
			x.MemberState = "replacement"
		}
	case r == md.RoleFaulty:
		x.MemberState = "faulty"
	case r == md.RoleJournal:
		x.MemberState = "journal"
	default:
		x.MemberState = "spare"
	}
}

func bitmapOf(e *md.Examined) *bitmapInfo {
	b := e.Bitmap
	if b == nil && e.BitmapErr == nil {
		return nil
	}
	x := &bitmapInfo{Offset: int64(e.SB.BitmapOffset) * md.Sector}
	if e.BitmapErr != nil {
		x.Error = text(e.BitmapErr)
	}
	if b == nil {
		return x
	}
	x.Version, x.UUID, x.Events, x.EventsCleared, x.State = b.Version, b.UUID.String(), b.Events, b.EventsCleared, b.State
	x.Chunk, x.SyncSize = int64(b.ChunkSize), int64(b.SyncSize)*md.Sector
	x.DaemonSleep, x.WriteBehind = b.DaemonSleep, b.WriteBehind
	x.Bits, x.Dirty = b.Total(), b.Dirty()
	return x
}

func pplOf(e *md.Examined) *pplInfo {
	if !e.SB.HasPPL() {
		return nil
	}
	x := &pplInfo{Offset: int64(e.SB.PPLOffset) * md.Sector, Size: int64(e.SB.PPLSize) * md.Sector}
	if e.PPL == nil {
		x.Error = text(errors.New("no valid header"))
		return x
	}
	x.Generation, x.Entries = e.PPL.Generation, len(e.PPL.Entries)
	return x
}

func text(err error) *string {
	s := oneLine(err.Error())
	return &s
}

// wrongSum says whether err is about a checksum.
func wrongSum(err error) bool {
	var f *md.FormatError
	return errors.As(err, &f) && f.Field == "sb_csum"
}
