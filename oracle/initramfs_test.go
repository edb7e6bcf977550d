package oracle

import (
	"bufio"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scripts are what runs in the guest: busybox sh.
//
//go:embed guest
var scripts embed.FS

func script(t testing.TB, name string) string {
	t.Helper()
	text, err := scripts.ReadFile("guest/" + name)
	require.NoError(t, err)
	return string(text)
}

// kernelVersion is the newest kernel in /boot that has its modules beside it, or "".
func kernelVersion() string {
	found, _ := filepath.Glob("/boot/vmlinuz-*")
	sort.Strings(found)
	for i := len(found) - 1; i >= 0; i-- {
		version := strings.TrimPrefix(filepath.Base(found[i]), "vmlinuz-")
		if _, err := os.Stat("/lib/modules/" + version); err == nil {
			return version
		}
	}
	return ""
}

// What goes into the guest beside busybox and the init script.
var (
	guestModules = []string{
		"virtio_pci", "virtio_scsi", "sd_mod", "9p", "9pnet_virtio",
		"linear", "raid0", "raid1", "raid456", "raid10", "nbd", "ext4",
	}
	guestPrograms = []string{"mdadm", "nbd-client", "mkfs.ext4", "e2fsck"}
)

// packInitramfs writes the guest's root file system to path.
func packInitramfs(t testing.TB, path, version string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	a := newArchive(w)

	a.file("/init", []byte(script(t, "init")))
	a.copy(t, "/bin/busybox", lookTool("busybox"))
	packed := map[string]bool{}
	for _, name := range guestPrograms {
		host := lookTool(name)
		a.copy(t, "/sbin/"+name, host)
		for _, lib := range libraries(t, host) {
			if !packed[lib] {
				packed[lib] = true
				a.copy(t, lib, lib)
			}
		}
	}
	for _, name := range guestModules {
		list := moduleList(t, version, name)
		a.file("/modules/"+name, []byte(strings.Join(list, "\n")+"\n"))
		for _, line := range list {
			if ko := strings.Fields(line)[0]; !packed[ko] {
				packed[ko] = true
				a.copy(t, ko, ko)
			}
		}
	}
	require.NoError(t, a.close())
	require.NoError(t, w.Flush())
	require.NoError(t, f.Close())
}

func (a *archive) copy(t testing.TB, name, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	a.file(name, data)
}

// moduleList is what to insert, in order, for a module: one "path arguments" a line. A module that is built in has an empty list.
func moduleList(t testing.TB, version, name string) []string {
	t.Helper()
	out, err := exec.Command(lookTool("modprobe"), "-S", version, "--show-depends", name).CombinedOutput()
	require.NoError(t, err, "modprobe --show-depends %s: %s", name, out)
	var list []string
	for _, line := range strings.Split(string(out), "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "insmod "); ok {
			require.NotRegexp(t, `\.ko\.(xz|zst|gz)`, rest, "compressed modules: unpacking them is not written yet")
			list = append(list, rest)
		}
	}
	return list
}

var libraryLine = regexp.MustCompile(`(/\S+) \(0x`)

// libraries are the files that the dynamic linker would map for a program, itself included.
func libraries(t testing.TB, program string) []string {
	t.Helper()
	out, err := exec.Command("ldd", program).CombinedOutput()
	require.NoError(t, err, "ldd %s: %s", program, out)
	var list []string
	for _, m := range libraryLine.FindAllStringSubmatch(string(out), -1) {
		list = append(list, m[1])
	}
	require.NotEmpty(t, list, fmt.Sprintf("ldd %s named no library", program))
	return list
}
