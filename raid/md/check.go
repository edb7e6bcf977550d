package md

import "fmt"

// complain makes the error for a field at byte off of the superblock.
type complain func(field string, off int, got, want any) error

// checkPlaces refuses a superblock whose data, bitmap or log cannot be where it says on a device of so many sectors.
func (s *Superblock) checkPlaces(devSectors uint64, bad complain) error {
	if s.Version == V10 {
		if s.DataOffset > s.SuperOffset || s.DataSize > s.SuperOffset-s.DataOffset {
			return bad("data_size", offDataSize, s.DataSize, fmt.Sprintf("data that ends before the superblock at sector %d", s.SuperOffset))
		}
	} else {
		end := s.SuperOffset + roundUp(offRoles+2*uint64(s.MaxDev), Sector)/Sector
		if s.DataOffset < end {
			return bad("data_offset", offDataOffset, s.DataOffset, fmt.Sprintf("sector %d or later, past the superblock", end))
		}
		if s.DataOffset > devSectors || s.DataSize > devSectors-s.DataOffset {
			return bad("data_size", offDataSize, s.DataSize,
				fmt.Sprintf("what fits after sector %d of a device of %d: is it truncated?", s.DataOffset, devSectors))
		}
		if s.Features&FeatureNewOffset != 0 && int64(s.DataOffset)+int64(s.NewOffset) < int64(end) {
			return bad("new_offset", offNewOffset, s.NewOffset, "a place past the superblock")
		}
	}
	if s.Size > s.DataSize {
		return bad("size", offSize, s.Size, fmt.Sprintf("no more than data_size, %d", s.DataSize))
	}
	if s.Features&FeatureBitmap != 0 && !s.outside(int64(s.BitmapOffset), 1, devSectors) {
		return bad("bitmap_offset", offBitmap, s.BitmapOffset, "a place on the device outside of data and superblock")
	}
	if s.HasPPL() && !s.outside(int64(s.PPLOffset), int64(s.PPLSize), devSectors) {
		return bad("ppl offset", offBitmap, s.PPLOffset, "a place on the device outside of data and superblock")
	}
	if s.BBLogSize > maxBBLog {
		return bad("bblog_size", offBBLogSize, s.BBLogSize, fmt.Sprintf("%d or less", maxBBLog))
	}
	if s.Features&FeatureBadBlocks != 0 && (s.BBLogOffset == 0 || !s.onDevice(int64(s.BBLogOffset), int64(s.BBLogSize), devSectors)) {
		return bad("bblog_offset", offBBLogOffset, s.BBLogOffset, "a place on the device, since there are bad blocks")
	}
	return nil
}

// onDevice says whether n sectors at off, counted from the superblock, are on the device.
func (s *Superblock) onDevice(off, n int64, devSectors uint64) bool {
	lo := int64(s.SuperOffset) + off
	return n >= 0 && lo >= 0 && uint64(lo) <= devSectors && uint64(n) <= devSectors-uint64(lo)
}

// outside says whether n sectors at off, counted from the superblock, are on the device and touch neither data nor superblock.
func (s *Superblock) outside(off, n int64, devSectors uint64) bool {
	if off == 0 || !s.onDevice(off, n, devSectors) {
		return false
	}
	lo := uint64(int64(s.SuperOffset) + off)
	hi := lo + uint64(n)
	inData := lo < s.DataOffset+s.DataSize && hi > s.DataOffset
	inSuper := lo < s.SuperOffset+(offRoles+2*uint64(s.MaxDev)+Sector-1)/Sector && hi > s.SuperOffset
	if s.Version == V10 && hi <= s.SuperOffset && lo >= s.DataOffset+s.Size {
		inData = false // data_size of 1.0 may reach over the bitmap: what counts is what is used
	}
	return !inData && !inSuper
}

// checkFeatures refuses features that exclude each other.
func (s *Superblock) checkFeatures(bad complain) error {
	no := func(want string) error {
		return bad("feature_map", offFeatures, fmt.Sprintf("%#x", uint32(s.Features)), want)
	}
	switch f := s.Features; {
	case f&FeatureRaid0Layout != 0 && s.Level != 0:
		return no("no raid0_layout: the level is " + LevelName(s.Level))
	case f&featurePPLs == featurePPLs:
		return no("one kind of partial parity log, not both")
	case f&featurePPLs != 0 && f&FeatureBitmap != 0:
		return no("a partial parity log or a bitmap, not both")
	case f&featurePPLs != 0 && f&FeatureJournal != 0:
		return no("a partial parity log or a journal, not both")
	}
	return nil
}

// checkShape refuses numbers that no array has, so that nothing later divides by zero or makes a table of four billion.
func (s *Superblock) checkShape(bad complain) error {
	if s.RaidDisks < 1 || s.RaidDisks > maxDevs {
		return bad("raid_disks", offRaidDisks, s.RaidDisks, fmt.Sprintf("1 to %d", maxDevs))
	}
	if d := s.DeltaDisks; s.Features&FeatureReshape != 0 && (s.RaidDisks-d < 1 || s.RaidDisks-d > maxDevs) {
		return bad("delta_disks", offDeltaDisks, d, "a change to a possible number of disks")
	}
	switch s.Level {
	case 0, 4, 5, 6, 10:
		if s.ChunkSize == 0 {
			return bad("chunksize", offChunk, 0, "a chunk, which "+LevelName(s.Level)+" has")
		}
	}
	return nil
}
