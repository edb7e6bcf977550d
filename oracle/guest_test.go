package oracle

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// boot is one run of the guest: drives in, a script, a share both can write, and out.
type boot struct {
	Share  string   // folder on the host, /host in the guest; the script is put into it
	Drives []string // raw images; disk N in the guest's scripts is the N-th of them
	Script string   // busybox sh
	Limit  time.Duration
	Cut    bool // the script ends the guest by itself, as a power cut does
}

// bootLimit ends a guest that hangs. A machine that does much else besides needs minutes for what an idle one does in one.
const bootLimit = 15 * time.Minute

// lunsPerTarget spreads the drives over SCSI targets: one controller carries them all, hundreds of them, and the address that
// the guest sees is the one given here, whatever the order of probing.
const lunsPerTarget = 32

// run boots the guest, waits until it is off, and returns what the script printed. The test fails when the script does.
func (b boot) run(t testing.TB) string {
	t.Helper()
	begin := time.Now()
	version := kernelVersion()
	require.NoError(t, os.WriteFile(filepath.Join(b.Share, "run.sh"), []byte(script(t, "lib.sh")+b.Script), 0o644))
	os.Remove(filepath.Join(b.Share, "status"))

	// slab_nomerge: two raid5 that start at once may both want the same name for a merged slab, and then one of them does not start.
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-nodefaults",
		"-serial", "stdio",
		"-kernel", "/boot/vmlinuz-" + version, "-initrd", initramfs(t, version),
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off slab_nomerge",
		"-virtfs", "local,path=" + b.Share + ",mount_tag=host,security_model=none",
		"-device", "virtio-scsi-pci,id=scsi0",
	}
	for i, path := range b.Drives {
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=d%d,file=%s,format=raw,cache=unsafe", i, path),
			"-device", fmt.Sprintf("scsi-hd,drive=d%d,bus=scsi0.0,channel=0,scsi-id=%d,lun=%d,serial=m%d", i, i/lunsPerTarget, i%lunsPerTarget, i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.Limit)
	defer cancel()
	var console bytes.Buffer
	cmd := exec.CommandContext(ctx, lookTool("qemu-system-x86_64"), args...)
	cmd.Stdout, cmd.Stderr = &console, &console
	err := cmd.Run()

	log, _ := os.ReadFile(filepath.Join(b.Share, "log"))
	status, _ := os.ReadFile(filepath.Join(b.Share, "status"))
	want := "0"
	if b.Cut {
		want = "cut"
	}
	if got := strings.TrimSpace(string(status)); err != nil || got != want {
		t.Fatalf("guest: status %q, want %q, after %v of at most %v; qemu: %v\nconsole:\n%s\nscript:\n%s",
			got, want, time.Since(begin).Round(time.Second), b.Limit, err, tail(console.String(), 4000), tail(string(log), 6000))
	}
	t.Logf("guest: %d drives, %v, %v of processor", len(b.Drives), time.Since(begin).Round(100*time.Millisecond),
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(100*time.Millisecond))
	return string(log)
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// scratch is the folder of this run of the tests; TestMain removes it.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "graid-oracle-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		scratch = dir
		return m.Run()
	}())
}

var packing sync.Mutex

// initramfs packs the guest's root file system once per run.
func initramfs(t testing.TB, version string) string {
	t.Helper()
	packing.Lock()
	defer packing.Unlock()
	path := filepath.Join(scratch, "initramfs")
	if _, err := os.Stat(path); err != nil {
		packInitramfs(t, path+".new", version)
		require.NoError(t, os.Rename(path+".new", path))
	}
	return path
}
