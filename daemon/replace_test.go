package daemon

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReplaceable: what the array would refuse is refused before a device is made a spare.
func TestReplaceable(t *testing.T) {
	a0, a1, a2 := [3]string{"0", "in_sync", "/x/a"}, [3]string{"1", "in_sync", "/x/b"}, [3]string{"2", "in_sync", "/x/c"}
	spare, twin := [3]string{"-", "spare", "/x/s"}, [3]string{"1", "replacement", "/x/e"}
	for _, c := range []struct {
		with    string
		members [][3]string
		want    string // "" = it may go on
	}{
		{"", [][3]string{a0, a1, a2, spare}, ""},
		{"/x/new", [][3]string{a0, a1, a2}, ""},
		{"/x/s", [][3]string{a0, a1, a2, spare}, ""},
		{"/x/s", [][3]string{{"0", "rebuilding", "/x/a"}, a1, a2, spare}, ""},
		{"", [][3]string{a0, a1, a2}, "there is no spare"},
		{"", [][3]string{a0, a1, a2, twin, spare}, "is being replaced by e already"},
		{"/x/a", [][3]string{a0, a1, a2}, "/x/a: is no spare"},
		{"/x/new", [][3]string{a0, {"1", "rebuilding", "/x/b"}, a2}, "is a rebuilding"},
		{"/x/new", [][3]string{a0, {"1", "faulty", "/x/b"}, a2}, "is faulty"},
		{"/x/new", [][3]string{{"0", "missing", "-"}, a1, a2}, "m0 is missing"},
		{"", [][3]string{{"0", "faulty", "/x/a"}, a1, a2, spare}, "m0 is missing"},
	} {
		a := membersOf(c.members...)
		err := replaceable(a, "/x/b", c.with)
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.want)
	}
	require.ErrorContains(t, replaceable(Array{ReadOnly: true, Members: membersOf(a1).Members}, "/x/b", "/x/new"), "read-only")
}
