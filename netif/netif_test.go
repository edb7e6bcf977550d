package netif

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func up(names ...string) (list []Interface) {
	for _, n := range names {
		list = append(list, Interface{Name: n, Up: true})
	}
	return list
}

// TestChoice: the best that is up, and no hasty way back.
func TestChoice(t *testing.T) {
	const s = time.Second
	c := Choice{Want: []string{"a", "b", "c"}, Hold: 10 * s}
	for i, step := range []struct {
		at    time.Duration
		have  []string
		use   string
		moves bool
		again time.Duration
	}{
		{0, []string{"a", "b", "c"}, "a", true, 0},
		{1 * s, []string{"b", "c"}, "b", true, 0},            // at once
		{2 * s, []string{"a", "b", "c"}, "b", false, 10 * s}, // it has to be up for a while
		{7 * s, []string{"b", "c"}, "b", false, 0},           // it flaps
		{8 * s, []string{"a", "b", "c"}, "b", false, 10 * s},
		{17 * s, []string{"a", "b", "c"}, "b", false, 1 * s},
		{18 * s, []string{"a", "b", "c"}, "a", true, 0},
		{19 * s, []string{"c"}, "c", true, 0},
		{20 * s, nil, "", true, 0},
		{21 * s, []string{"b"}, "b", true, 0}, // nothing else is there to wait for
		{22 * s, []string{"a"}, "a", true, 0}, // however short it has been up
		{23 * s, []string{"a", "b", "c"}, "a", false, 0},
	} {
		use, moves, again := c.Observe(up(step.have...), step.at)
		require.Equal(t, step.use, use, "step %d", i)
		require.Equal(t, step.moves, moves, "step %d", i)
		require.Equal(t, step.again, again, "step %d", i)
	}
}

func TestFind(t *testing.T) {
	list := []Interface{{Name: "a", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}, {Name: "b"}}
	for _, known := range []string{"a", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"} {
		i, ok := Find(list, known)
		require.True(t, ok, known)
		require.Equal(t, "a", i.Name)
	}
	for _, unknown := range []string{"", "c", "192.0.2.2"} {
		_, ok := Find(list, unknown)
		require.False(t, ok, unknown)
	}
}

// TestList: every machine has a loopback interface with an address of its own.
func TestList(t *testing.T) {
	list, err := List()
	require.NoError(t, err)
	i, ok := Find(list, "127.0.0.1")
	require.True(t, ok, list)
	require.True(t, i.Up)
	require.True(t, Equal(list, list))
	require.False(t, Equal(list, list[1:]))
}
