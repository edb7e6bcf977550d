package daemon

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid"
)

// TestScrubFromEvents: what a scrub came to is what its own events say, whatever was told before and after it.
func TestScrubFromEvents(t *testing.T) {
	s := &scrubs{}
	say := func(kind, detail string) { s.take(raid.Event{Kind: kind, Detail: detail}) }
	say(raid.EventMismatch, "before anybody asked")
	require.Nil(t, s.now())

	s.ask("check")
	say(raid.EventMismatch, "of another")
	say(raid.EventRebuildEnd, "check done, of another")
	say(raid.EventRebuildStart, "recovery of role 1 from 0 of 9 bytes")
	require.Equal(t, ScrubAsked, s.now().State)
	say(raid.EventRebuildStart, "check")
	require.Equal(t, ScrubRunning, s.now().State)
	for i := range maxMismatches + 3 {
		say(raid.EventMismatch, fmt.Sprint(i))
	}
	say(raid.EventRebuildEnd, "recovery of role 1 done")
	require.False(t, s.now().Ended())
	say(raid.EventRebuildEnd, "check done, mismatches in 280 sectors")
	say(raid.EventMismatch, "late")
	got := s.now()
	require.Equal(t, ScrubDone, got.State)
	require.Equal(t, "check done, mismatches in 280 sectors", got.Detail)
	require.Len(t, got.Mismatches, maxMismatches)
	require.Equal(t, "0", got.Mismatches[0])
	require.Equal(t, 3, got.More)

	undo := s.ask("repair")
	require.Equal(t, 2, s.now().Number)
	undo()
	require.Equal(t, got, s.now())

	s.ask("repair")
	say(raid.EventRebuildStart, "repair")
	say(raid.EventRebuildEnd, "repair stopped at 3 of 9 bytes")
	require.Equal(t, ScrubStopped, s.now().State)
	require.Empty(t, s.now().Mismatches)

	s.ask("check")
	say(raid.EventRebuildStart, "check")
	say(raid.EventMismatch, "in the first pass")
	say(raid.EventRebuildEnd, "pass of the check, mismatches in 8 sectors")
	say(raid.EventRebuildStart, "check begins anew")
	require.Empty(t, s.now().Mismatches)
	say(raid.EventMismatch, "in the second")
	say(raid.EventRebuildEnd, "check done for now at 3 of 9 bytes, mismatches in 8 sectors")
	require.Equal(t, ScrubDone, s.now().State)
	require.Equal(t, []string{"in the second"}, s.now().Mismatches)

	s.ask("check")
	s.stop(3)
	require.False(t, s.now().Ended())
	s.stop(4)
	require.True(t, s.now().Ended())
}
