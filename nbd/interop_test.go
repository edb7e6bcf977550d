package nbd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/nbd"
)

// need skips where a tool of other people is missing; under CI nothing may be missing.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed", tool)
			}
			t.Skipf("%s is not installed", tool)
		}
	}
}

// run is the output of a tool that must exit with the given status.
func run(t *testing.T, status int, name string, args ...string) string {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(limited, name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	require.Equal(t, status, cmd.ProcessState.ExitCode(), "%s %s\n%s", name, strings.Join(args, " "), out)
	return string(out)
}

// interop serves 64 MiB, a quarter of it data, on a device that answers in place and on one that needs workers.
func interop(t *testing.T, f func(t *testing.T, uri string, disk *mem.Disk)) {
	for name, o := range map[string]mem.Options{"inline": {}, "workers": {Block: 4096, Align: 4096}} {
		t.Run(name, func(t *testing.T) {
			disk := mem.New(64<<20, o)
			require.NoError(t, block.WriteAt(ctx, disk, noise(16<<20), 0))
			var dev block.Device = disk
			if name == "workers" {
				dev = &slow{disk}
			}
			path := start(t, one(dev))
			f(t, "nbd+unix:///disk?socket="+path, disk)
		})
	}
}

// noise is n page-aligned bytes that differ.
func noise(n int64) []byte {
	b := block.Alloc(n)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(b)
	return b
}

func content(t *testing.T, disk *mem.Disk) []byte {
	t.Helper()
	b := block.Alloc(disk.Info().Size)
	require.NoError(t, block.ReadAt(ctx, disk, b, 0))
	return b
}

func file(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

func TestNbdinfo(t *testing.T) {
	need(t, "nbdinfo")
	interop(t, func(t *testing.T, uri string, _ *mem.Disk) {
		var info struct {
			Protocol string
			Exports  []struct {
				Name        string   `json:"export-name"`
				Description string   `json:"description"`
				Size        int64    `json:"export-size"`
				Contexts    []string `json:"contexts"`
				Minimum     int64    `json:"block_size_minimum"`
				Preferred   int64    `json:"block_size_preferred"`
				Maximum     int64    `json:"block_size_maximum"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(run(t, 0, "nbdinfo", "--json", uri)), &info))
		require.Len(t, info.Exports, 1)
		e := info.Exports[0]
		require.Equal(t, "newstyle-fixed", info.Protocol)
		require.Equal(t, "disk", e.Name)
		require.Equal(t, "a disk", e.Description)
		require.EqualValues(t, 64<<20, e.Size)
		require.Equal(t, []string{"base:allocation"}, e.Contexts)
		require.Equal(t, []int64{1, 4096, 32 << 20}, []int64{e.Minimum, e.Preferred, e.Maximum})

		require.Contains(t, run(t, 0, "nbdinfo", "--list", uri), `export="disk"`)
		require.Equal(t, "67108864\n", run(t, 0, "nbdinfo", "--size", uri))
		require.Regexp(t, `^\s+0\s+16777216\s+0\s+data\n\s+16777216\s+50331648\s+3\s+hole,zero\n$`, run(t, 0, "nbdinfo", "--map", uri))
		for _, can := range strings.Fields("connect read write flush fua trim zero fast-zero df cache multi-conn structured-reply") {
			run(t, 0, "nbdinfo", "--can", can, uri)
		}
		run(t, 2, "nbdinfo", "--is", "read-only", uri)
		run(t, 2, "nbdinfo", "--is", "rotational", uri)
	})
}

func TestNbdinfoReadOnly(t *testing.T) {
	need(t, "nbdinfo")
	s := &nbd.Server{List: func() []nbd.Export {
		return []nbd.Export{{Name: "disk", Dev: mem.New(1<<20, mem.Options{}), ReadOnly: true}}
	}}
	uri := "nbd+unix:///disk?socket=" + start(t, s)
	run(t, 0, "nbdinfo", "--is", "read-only", uri)
	for _, can := range strings.Fields("write trim zero fast-zero") {
		run(t, 2, "nbdinfo", "--can", can, uri)
	}
	run(t, 1, "nbdinfo", strings.Replace(uri, "/disk", "/none", 1))
}

func TestNbdcopy(t *testing.T) {
	need(t, "nbdcopy")
	interop(t, func(t *testing.T, uri string, disk *mem.Disk) {
		want := noise(64 << 20)
		clear(want[8<<20 : 24<<20])
		in := file(t, want)
		run(t, 0, "nbdcopy", "-C", "4", "-T", "4", "-R", "64", "--flush", in, uri)
		require.True(t, bytes.Equal(want, content(t, disk)), "after nbdcopy in")
		out := filepath.Join(t.TempDir(), "out")
		run(t, 0, "nbdcopy", "-C", "4", "-T", "4", "-R", "64", uri, out)
		got, err := os.ReadFile(out)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "after nbdcopy out")
	})
}

func TestQemuImg(t *testing.T) {
	need(t, "qemu-img", "qemu-nbd")
	interop(t, func(t *testing.T, uri string, disk *mem.Disk) {
		want := noise(64 << 20)
		clear(want[8<<20 : 24<<20])
		in := file(t, want)
		run(t, 0, "qemu-img", "convert", "-n", "-m", "16", "-W", "-f", "raw", "-O", "raw", in, uri)
		require.True(t, bytes.Equal(want, content(t, disk)), "after qemu-img convert")
		require.Contains(t, run(t, 0, "qemu-img", "compare", "-f", "raw", "-F", "raw", in, uri), "Images are identical")
		require.Contains(t, run(t, 0, "qemu-img", "info", "-f", "raw", uri), "virtual size: 64 MiB")

		var list []struct {
			Start, Length int64
			Zero, Data    bool
		}
		require.NoError(t, json.Unmarshal([]byte(run(t, 0, "qemu-img", "map", "-f", "raw", "--output=json", uri)), &list))
		var zero int64
		for _, e := range list {
			if e.Zero {
				require.True(t, e.Start >= 8<<20 && e.Start+e.Length <= 24<<20, "%+v", e)
				zero += e.Length
			}
		}
		require.EqualValues(t, 16<<20, zero)
		sock := strings.SplitAfter(uri, "socket=")[1]
		require.Contains(t, run(t, 0, "qemu-nbd", "--list", "-k", sock), "export: 'disk'")
	})
}

func TestQemuIO(t *testing.T) {
	need(t, "qemu-io")
	interop(t, func(t *testing.T, uri string, disk *mem.Disk) {
		good := []string{
			"write -f -P 1 0 4k", "write -P 2 511 1026", "read -P 2 511 1026", "read -P 1 0 511",
			"write -P 3 33554431 5", "read -P 3 33554431 5", "write -z 4095 2", "read -P 0 4095 2",
			"write -z -u 1M 1M", "read -P 0 1M 1M", "write -P 4 1M 64k", "discard 1M 1M", "flush",
			"write -P 5 67108863 1", "read -P 5 67108863 1", "writev -P 6 2M 512 1024 77", "read -P 6 2M 1613",
		}
		args := []string{"-f", "raw"}
		for _, c := range good {
			args = append(args, "-c", c)
		}
		out := run(t, 0, "qemu-io", append(args, uri)...)
		require.NotContains(t, out, "failed")
		require.NotContains(t, out, "mismatch")
		require.Equal(t, byte(5), content(t, disk)[67108863])
		for _, c := range []string{"read 64M 1", "write 67108863 2", "read 67108800 4k"} {
			require.Contains(t, run(t, 1, "qemu-io", "-f", "raw", "-c", c, uri), "failed", c)
		}
	})
}

func TestFio(t *testing.T) {
	need(t, "fio")
	interop(t, func(t *testing.T, uri string, _ *mem.Disk) {
		t.Chdir(t.TempDir()) // it leaves a file of its verify state
		for _, args := range []string{
			"--rw=randrw --bs=4k --iodepth=32",
			"--rw=randwrite --bsrange=512-128k --bs_unaligned --iodepth=16 --fsync=16",
			"--rw=randtrim --bs=64k --iodepth=8",
		} {
			all := append([]string{"--name=x", "--ioengine=nbd", "--uri=" + uri, "--size=16m", "--randseed=1"}, strings.Fields(args)...)
			if !strings.Contains(args, "trim") {
				all = append(all, "--verify=crc32c", "--verify_fatal=1")
			}
			require.Contains(t, run(t, 0, "fio", all...), "err= 0", args)
		}
	})
}

// TestNbdkit puts nbdkit between, as a client whose filters send what others do not.
func TestNbdkit(t *testing.T) {
	need(t, "nbdkit", "nbdcopy")
	interop(t, func(t *testing.T, uri string, disk *mem.Disk) {
		in := file(t, noise(64<<20))
		sock := strings.SplitAfter(uri, "socket=")[1]
		run(t, 0, "nbdkit", "-U", "-", "--filter=blocksize", "nbd", "socket="+sock, "export=disk", "maxdata=64k",
			"--run", "nbdcopy "+in+` "$uri" && nbdcopy "$uri" - | cmp - `+in)
		require.True(t, bytes.Equal(noise(64<<20), content(t, disk)))
	})
}

// TestLibnbd sends, through libnbd with its own checks off, what no client should; the server says what the protocol says.
func TestLibnbd(t *testing.T) {
	const python = "/usr/bin/python3"
	need(t, python)
	if exec.Command(python, "-c", "import nbd").Run() != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-libnbd is not installed")
		}
		t.Skip("python3-libnbd is not installed")
	}
	interop(t, func(t *testing.T, uri string, _ *mem.Disk) {
		require.Equal(t, "ok\n", run(t, 0, python, "testdata/illegal.py", uri))
	})
}
