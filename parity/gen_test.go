package parity

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGenerated has the generator write the assembly once more and expects the same, byte for byte.
func TestGenerated(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command")
	}
	from, err := filepath.Glob("gen/*.go")
	require.NoError(t, err)
	args := []string{"run"}
	for _, f := range from {
		abs, err := filepath.Abs(f)
		require.NoError(t, err)
		args = append(args, abs)
	}
	c := exec.Command(tool, args...)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "GOOS=", "GOARCH=", "GOFLAGS=", "PWD="+c.Dir)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range []string{"kernels_amd64.s", "kernels_arm64.s"} {
		want, err := os.ReadFile(filepath.Join(c.Dir, name))
		require.NoError(t, err)
		have, err := os.ReadFile(name)
		require.NoError(t, err)
		require.True(t, string(want) == string(have), "%s is not what parity/gen writes: go generate", name)
	}
}
