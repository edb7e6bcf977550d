package raid

import (
	"fmt"

	"graid/raid/level0"
	"graid/raid/level1"
	"graid/raid/level10"
	"graid/raid/level5"
	"graid/raid/level6"
	"graid/raid/linear"
	"graid/raid/md"
	"graid/raid/plan"
)

// newLevel is the personality that sb describes. dataSizes are the members' data areas by role, in bytes; only levels that use each member
// to its own end look at them.
func newLevel(sb *md.Superblock, dataSizes []int64) (plan.Level, error) {
	chunk, rows := int64(sb.ChunkSize)*md.Sector, int64(sb.Size)*md.Sector
	if sb.RaidDisks > plan.MaxRoles {
		return nil, fmt.Errorf("%w: %d members; graid runs at most %d", plan.ErrLayout, sb.RaidDisks, plan.MaxRoles)
	}
	switch sb.Level {
	case -1:
		return linear.New(chunk, dataSizes)
	case 0:
		return level0.New(chunk, sb.Layout, dataSizes)
	case 1:
		return level1.New(sb.RaidDisks, rows)
	case 4:
		return level5.New4(sb.RaidDisks, chunk, rows)
	case 5:
		if sb.HasPPL() {
			return level5.NewLogged(sb.RaidDisks, chunk, sb.Layout, rows, pplRecordRoom(sb))
		}
		return level5.New(sb.RaidDisks, chunk, sb.Layout, rows)
	case 6:
		return level6.New(sb.RaidDisks, chunk, sb.Layout, rows)
	case 10:
		return level10.New(sb.RaidDisks, chunk, sb.Layout, rows)
	}
	return nil, fmt.Errorf("%w: graid does not run %s yet", plan.ErrLayout, md.LevelName(sb.Level))
}

// GeometryOf is the geometry of the array that sb is a superblock of. dataSizes are the sizes of the members' data areas by role, in bytes;
// linear and raid0 need all of them, other levels none.
func GeometryOf(sb *md.Superblock, dataSizes []int64) (plan.Geometry, error) {
	l, err := newLevel(sb, dataSizes)
	if err != nil {
		return plan.Geometry{}, err
	}
	return l.Geometry(), nil
}
