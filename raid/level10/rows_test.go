package level10

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRows holds Rows and Pos to the map: below Rows(pos) nothing belongs that comes at pos or later, and Pos(row) is not too late for
// anything that has a copy at row or below.
func TestRows(t *testing.T) {
	for _, layout := range []uint32{0x102, 0x103, 0x201, 0x301, 0x10201, 0x10301, 0x202, 0x10202, 0x40201} {
		for roles := 2; roles <= 9; roles++ {
			const chunk = 4096
			lv, err := New(roles, chunk, layout, 24*chunk)
			if err != nil {
				continue
			}
			l := lv.(*level)
			var copies []Copy
			for at := int64(0); at <= l.m.Chunks; at++ {
				rows := l.Rows(at * chunk)
				for c := at; c < l.m.Chunks; c++ {
					for _, p := range l.m.Copies(copies[:0], c) {
						require.GreaterOrEqual(t, p.Row, rows, "%#x on %d: chunk %d is to come at %d", layout, roles, c, at)
					}
				}
			}
			if far := l.m.Far > 1 && !l.m.Offset; !far {
				require.InDelta(t, l.m.Used*chunk, l.Rows(l.m.Chunks*chunk), 2*chunk*float64(l.m.Far), "progress is seen")
			}
			for row := int64(0); row <= l.m.Used; row++ {
				pos := l.Pos(row * chunk)
				for c := int64(0); c*chunk < pos; c++ {
					for _, p := range l.m.Copies(copies[:0], c) {
						require.Less(t, p.Row, row*chunk, "%#x on %d: chunk %d comes before Pos(%d)", layout, roles, c, row)
					}
				}
			}
		}
	}
}
