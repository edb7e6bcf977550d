package netif

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/sched"
)

// TestWatchLinks pulls and plugs one end of a veth pair, in a network namespace of its own, and is told each time by netlink.
func TestWatchLinks(t *testing.T) {
	if os.Getenv("NETIF_INSIDE") == "" {
		for _, tool := range []string{"unshare", "ip"} {
			if _, err := exec.LookPath(tool); err != nil || os.Geteuid() != 0 {
				if os.Getenv("CI") == "true" {
					t.Fatalf("needs root, unshare and ip (util-linux, iproute2): %v", err)
				}
				t.Skip("needs root, unshare and ip (util-linux, iproute2)")
			}
		}
		c := exec.Command("unshare", "-n", os.Args[0], "-test.run", "^TestWatchLinks$", "-test.v")
		c.Env = append(os.Environ(), "NETIF_INSIDE=1")
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS")
		return
	}
	told := make(chan []Interface, 100)
	w, err := Watch(sched.Real, func(list []Interface) { told <- list })
	require.NoError(t, err)
	defer w.Close()
	require.NotNil(t, w.source)
	// until is when what was told first had this in it.
	until := func(what string, ok func([]Interface) bool) {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			select {
			case list := <-told:
				if ok(list) {
					return
				}
			case <-deadline:
				t.Fatal("not told: " + what)
			}
		}
	}
	ip := func(args string) {
		t.Helper()
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	isUp := func(name string, up bool) func([]Interface) bool {
		return func(list []Interface) bool {
			i, ok := Find(list, name)
			return ok && i.Up == up
		}
	}
	until("the first list", func(list []Interface) bool { return len(list) > 0 })
	ip("link add here type veth peer name there")
	ip("link set here up")
	until("without carrier", isUp("here", false))
	ip("link set there up")
	until("carrier", isUp("here", true))
	ip("addr add 192.0.2.1/24 dev here")
	until("an address", func(list []Interface) bool { i, ok := Find(list, "192.0.2.1"); return ok && i.Name == "here" })
	ip("link set there down")
	until("the cable pulled at the other end", isUp("here", false))
	ip("link set there up")
	until("plugged again", isUp("here", true))
	ip("link del here")
	until("gone", func(list []Interface) bool { _, ok := Find(list, "here"); return !ok })
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	ip("link add here type veth peer name there")
	require.Empty(t, told)
}

// TestWatchWithout looks by itself where nobody tells.
func TestWatchWithout(t *testing.T) {
	w := &Watcher{tasks: sched.NewGroup(sched.Real), wake: sched.Real.NewEvent()}
	require.True(t, w.wait(), "after a second")
	require.NoError(t, w.Close())
	require.False(t, w.wait())
}
