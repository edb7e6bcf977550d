package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInterop is "make interop": other people's clients against this program, each in its own ways.
func TestInterop(t *testing.T) {
	tools(t, "bash", "nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "fio", "nbdkit", "cmp")
	bin := filepath.Join(t.TempDir(), "graid")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command("bash", "interop.sh", bin).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
}
