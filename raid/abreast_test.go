package raid

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
	"graid/raid/plan"
)

// TestAbreast: of pieces done side by side only those count that have no gap before them.
func TestAbreast(t *testing.T) {
	a := newRig(t, md.Spec{Level: 1}, 2).open()
	defer a.Close()
	bad := errors.New("bad")
	for _, c := range []struct {
		at, end, badAt, want int64
	}{
		{0, 2 << 20, -1, abreastPieces * abreastPiece},
		{1 << 20, 1<<20 + 300<<10, -1, 300 << 10},
		{4096, 2 << 20, 4096 + abreastPiece + 8192, abreastPiece + 8192},
		{0, 2 << 20, 0, 0},
		{0, 2 << 20, 3 * abreastPiece, 3 * abreastPiece},
	} {
		done, err := a.abreast(plan.Span{Lo: c.at, Hi: c.end}, func(s plan.Span) (int64, error) {
			if s.Lo == c.badAt {
				return 0, bad
			}
			return min(8192, s.Len()), nil
		})
		require.Equal(t, c.want, done)
		require.Equal(t, c.badAt >= 0, err == bad)
	}
	require.True(t, a.begin()) // somebody else wants the members: one at a time
	defer a.end()
	done, err := a.abreast(plan.Span{Hi: 2 << 20}, func(plan.Span) (int64, error) { return 8192, nil })
	require.NoError(t, err)
	require.EqualValues(t, 8192, done)
}
