package md

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"graid/block"
)

// Draft is what Create writes: decided, not written yet.
type Draft struct {
	Supers   []*Superblock // per member given; nil for a missing one
	Bitmap   *Bitmap       // the same on every member; nil = none
	Warnings []string
}

// Draft decides superblocks and bitmap for these members, with mdadm's defaults. All members are active from the start, so that an array
// with redundancy begins with a resync, as after mdadm --create --force; with AssumeClean, or where there is nothing to resync, without.
func (s Spec) Draft(members []NewMember) (*Draft, error) {
	sh, err := s.shape(members)
	if err != nil {
		return nil, err
	}
	d := &Draft{Supers: make([]*Superblock, len(members))}
	if s.Level == 1 && s.Chunk != 0 {
		d.Warnings = append(d.Warnings, "raid1 has no chunks: the chunk size is ignored")
	}
	model, err := sh.model()
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		if m.Missing {
			continue
		}
		if d.Supers[i], err = sh.place(model, i, m); err != nil {
			return nil, err
		}
	}
	if err := sh.size(d); err != nil {
		return nil, err
	}
	if s.Bitmap {
		if err := sh.bitmap(d); err != nil {
			return nil, err
		}
	}
	if s.PPL {
		if err := sh.ppl(d); err != nil {
			return nil, err
		}
	}
	for _, sb := range d.Supers {
		if sb != nil {
			sb.placeLog(d.Bitmap)
		}
	}
	sh.roles(d)
	return d, sh.identities(d)
}

// model is what all the superblocks have in common.
func (s shape) model() (*Superblock, error) {
	sb := &Superblock{
		Version: s.version, SetUUID: s.UUID, Name: s.Name, CTimeRaw: rawTime(s.Created), UTimeRaw: rawTime(s.Created),
		Level: s.Level, Layout: s.layout, ChunkSize: uint32(s.chunk), RaidDisks: s.RaidDevices,
		Events: 1, // not mdadm's 0: with 0 Linux 6.19 adds a field that older kernels refuse
		MaxDev: 128,
	}
	if s.Homehost != "" && !bytes.ContainsRune([]byte(s.Name), ':') && len(s.Homehost)+1+len(s.Name) < nameSize {
		sb.Name = s.Homehost + ":" + s.Name
	}
	if len(sb.Name) > nameSize {
		return nil, fmt.Errorf("name %q is too long: a superblock has room for %d bytes", sb.Name, nameSize)
	}
	if bytes.IndexByte([]byte(sb.Name), 0) >= 0 {
		return nil, fmt.Errorf("name %q has a NUL in it", sb.Name)
	}
	for sb.MaxDev < s.RaidDevices+s.Spares {
		sb.MaxDev += Sector / 2
	}
	sb.MaxDev = min(sb.MaxDev, maxDevs)
	if s.Level == 0 {
		sb.Features |= FeatureRaid0Layout
	}
	return sb, nil
}

// place is member i's superblock with its places filled in, except for the log's.
func (s *shape) place(model *Superblock, i int, m NewMember) (*Superblock, error) {
	sb := model.Clone()
	sectors := uint64(m.Size) / Sector
	at, ok := sb.Version.place(sectors)
	if !ok || m.Size < 0 {
		return nil, fmt.Errorf("member %d has %d bytes: too small for a superblock", i, m.Size)
	}
	sb.SuperOffset = at
	small := fmt.Errorf("member %d has %d bytes: too small for an array", i, m.Size)
	if sb.Version == V10 {
		reserved := s.logRoom(sectors) + bbLogRoom
		if at < reserved+minData {
			return nil, small
		}
		sb.DataSize = at - reserved
	} else {
		sb.DataOffset = s.dataOffset(sectors)
		if sectors < sb.DataOffset+minData {
			return nil, small
		}
		sb.DataSize = sectors - sb.DataOffset
	}
	if m.WriteMostly {
		sb.DevFlags |= WriteMostly
	}
	if m.FailFast {
		sb.DevFlags |= FailFast
	}
	return sb, nil
}

// dataOffset is the same for all members. Draft calls place for the first one first.
func (s *shape) dataOffset(devSectors uint64) uint64 {
	if s.DataOffset == 0 {
		s.DataOffset = int64(dataOffset(devSectors, s.chunk, s.logRoom(devSectors))) * Sector
	}
	return uint64(s.DataOffset) / Sector
}

// roles numbers the members: a member's number is its role, and spares follow.
func (s shape) roles(d *Draft) {
	for i, sb := range d.Supers {
		if sb == nil {
			continue
		}
		sb.DevNumber = i
		sb.Roles = make([]uint16, sb.MaxDev)
		for n := range sb.Roles {
			sb.Roles[n] = EntrySpare
			if n < s.RaidDevices && d.Supers[n] != nil {
				sb.Roles[n] = uint16(n)
			}
		}
		if s.clean(d) {
			sb.ResyncOffset = MaxSector
		}
	}
}

// clean says whether the array needs no resync: parity that a missing member leaves nothing to compare with needs none.
func (s shape) clean(d *Draft) bool {
	missing := 0
	for _, sb := range d.Supers[:s.RaidDevices] {
		if sb == nil {
			missing++
		}
	}
	return s.Level < 1 || s.AssumeClean || missing > 0 && (s.Level == 4 || s.Level == 5) || missing > 1 && s.Level == 6
}

// identities draws the UUIDs.
func (s shape) identities(d *Draft) error {
	source := s.Rand
	if source == nil {
		source = rand.Reader
	}
	set := s.UUID
	if set == (UUID{}) {
		if _, err := io.ReadFull(source, set[:]); err != nil {
			return fmt.Errorf("drawing a UUID: %w", err)
		}
	}
	for _, sb := range d.Supers {
		if sb == nil {
			continue
		}
		sb.SetUUID = set
		if _, err := io.ReadFull(source, sb.DeviceUUID[:]); err != nil {
			return fmt.Errorf("drawing a UUID: %w", err)
		}
	}
	if d.Bitmap != nil {
		d.Bitmap.UUID = set
	}
	return nil
}

// Write is WriteMember for member i, onto dev. Members are written one after the other or at the same time, as the caller likes.
func (d *Draft) Write(ctx context.Context, i int, dev block.Device) error {
	return WriteMember(ctx, dev, d.Supers[i], d.Bitmap)
}
