package daemon

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// membersOf makes members of words such as "1 in_sync /a"; a role or path "-" is none.
func membersOf(words ...[3]string) (a Array) {
	for _, w := range words {
		m := Member{State: w[1]}
		if w[0] != "-" {
			role := int(w[0][0] - '0')
			m.Role = &role
		}
		if w[2] != "-" {
			m.Path = &w[2]
		}
		a.Members = append(a.Members, m)
	}
	return a
}

func TestWhoTheNextStartNeeds(t *testing.T) {
	a := membersOf([3]string{"0", "in_sync", "/a"}, [3]string{"1", "missing", "-"}, [3]string{"2", "faulty", "/c"}, [3]string{"3", "rebuilding", "/d"},
		[3]string{"-", "spare", "/e"}, [3]string{"-", "faulty", "/f"})
	require.Equal(t, []string{"/a", "/c", "/d", "/e"}, enrolled(a))
}

func TestUndecidedSpare(t *testing.T) {
	whole, failed, empty := [3]string{"0", "in_sync", "/a"}, [3]string{"1", "faulty", "/b"}, [3]string{"1", "missing", "-"}
	spare, filling := [3]string{"-", "spare", "/c"}, [3]string{"2", "rebuilding", "/d"}
	for _, c := range []struct {
		want    bool
		action  string
		members [][3]string
	}{
		{true, "recover", [][3]string{whole, failed, spare}},
		{true, "recover", [][3]string{whole, empty, spare}},
		{true, "check", [][3]string{whole, empty, spare}},
		{true, "repair", [][3]string{whole, empty, spare}},
		{false, "resync", [][3]string{whole, empty, spare}},
		{false, "idle", [][3]string{whole, empty, spare}},
		{false, "recover", [][3]string{whole, empty, filling, spare}},
		{false, "recover", [][3]string{whole, empty}},
		{false, "recover", [][3]string{whole, spare}},
		{false, "recover", [][3]string{whole, {"0", "replacement", "/e"}, spare}},
	} {
		a := membersOf(c.members...)
		a.Sync.Action = c.action
		require.Equal(t, c.want, undecided(a), c)
	}
}
