package oracle

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// lookTool finds a program, also in the folders that an ordinary user's PATH leaves out.
func lookTool(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// need ends the test unless every tool is here: by skipping it on somebody's laptop, by failing it in CI.
func need(t testing.TB, tools ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a guest, takes minutes: not with -short")
	}
	for _, name := range tools {
		if lookTool(name) == "" {
			missing(t, "%s is not installed", name)
		}
	}
}

// needGuest is need, for what booting a guest takes.
func needGuest(t testing.TB) {
	t.Helper()
	need(t, append([]string{"qemu-system-x86_64", "busybox", "modprobe", "ldd"}, guestPrograms...)...)
	version := kernelVersion()
	if version == "" {
		missing(t, "no kernel with modules in /boot and /lib/modules (Debian: linux-image-amd64)")
	}
	if f, err := os.Open("/boot/vmlinuz-" + version); err != nil {
		missing(t, "the kernel is not readable: %v", err)
	} else {
		f.Close()
	}
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// full says whether the whole product of the matrix was asked for.
func full() bool { return os.Getenv("ORACLE_FULL") != "" }
