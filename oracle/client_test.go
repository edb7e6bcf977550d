package oracle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKernelClient: Linux's own NBD client, a file system, and a member that fails under it. graid runs in the guest as well.
func TestKernelClient(t *testing.T) {
	needGuest(t)
	t.Parallel() // only of tests that open no member themselves: whoever is started meanwhile would hold its lock for a moment
	share := t.TempDir()
	program, err := os.ReadFile(graidBinary(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(share, "graid"), program, 0o755))
	writePattern(t, filepath.Join(share, "pattern"), 0, 8<<20+700, 1)

	log := boot{Share: share, Script: script(t, "client.sh"), Limit: bootLimit}.run(t)
	require.Contains(t, log, "Pass 5: Checking group summary information")
	require.NotContains(t, log, "FILE SYSTEM WAS MODIFIED")

	// The status is the line of JSON, or the lines, between the first brace and the last.
	text := log[strings.Index(log, "{\n"):]
	var status struct {
		Arrays []struct {
			Name, State string
			Degraded    int
			Members     []struct{ State string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text[:strings.LastIndex(text, "}")+1]), &status), log)
	require.Len(t, status.Arrays, 1)
	require.Equal(t, "degraded", status.Arrays[0].State)
	require.Equal(t, 1, status.Arrays[0].Degraded)

	// And the members say so to mdadm too: three agree that the third one is gone.
	for i := range 4 {
		path := filepath.Join(share, "member."+string(rune('0'+i)))
		require.NoError(t, os.Truncate(path, 48<<20)) // only its head came
		f := mdadmFacts(t, path)
		require.Equal(t, "raid5", f["level"])
		if i != 2 {
			require.Equal(t, "AA.A", f["array_state"], path)
			require.Equal(t, "clean", f["state"], path)
		}
	}
}
