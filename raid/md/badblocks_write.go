package md

import (
	"context"
	"fmt"

	"graid/block"
)

// LogsBadBlocks says whether the member has a bad block log that WriteBadBlocks can write.
func (s *Superblock) LogsBadBlocks() bool {
	return s.Version != V090 && s.BBLogOffset != 0 && s.BBLogShift == 0 && s.BBLogSize == maxBBLog
}

// WriteBadBlocks writes list where s says the bad block log is. It is durable after a flush. A list that does not fit is an error, and so is a
// member that has no log.
func WriteBadBlocks(ctx context.Context, dev block.Device, s *Superblock, list []BadBlock) error {
	if !s.LogsBadBlocks() {
		return fmt.Errorf("%s has no bad block log that can be written: %w", dev.Info().Name, block.ErrUnsupported)
	}
	b, err := EncodeBadBlocks(list)
	if err != nil {
		return err
	}
	return write(ctx, dev, s.at(int64(s.BBLogOffset)), b, 0)
}
