package file

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeSysfs is a sysfs with a loop device of number 7:0 with a partition 7:1 on below, and one of number 7:8 on other.
func fakeSysfs(t *testing.T, below, other string) string {
	sys := t.TempDir()
	put := func(path, text string) {
		path = filepath.Join(sys, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	put("block/loop0/loop/backing_file", below)
	put("block/loop0/loop/offset", "4096")
	put("block/loop0/loop/sizelimit", "1048576")
	put("block/loop0/loop0p1/start", "8")
	put("block/loop0/loop0p1/size", "16")
	put("block/loop1/loop/backing_file", other)
	put("block/loop1/loop/offset", "0")
	put("block/loop1/loop/sizelimit", "0")
	put("block/loop2/size", "0") // not set up
	require.NoError(t, os.MkdirAll(filepath.Join(sys, "dev", "block"), 0o755))
	for number, dir := range map[string]string{"7:0": "loop0", "7:1": "loop0/loop0p1", "7:8": "loop1", "7:16": "loop2"} {
		require.NoError(t, os.Symlink("../../block/"+dir, filepath.Join(sys, "dev", "block", number)))
	}
	return sys
}

// TestLoops: which bytes of which file a loop device and its partitions show, and who shows bytes of a file.
func TestLoops(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a file")
	require.NoError(t, Create(path, 4096))
	require.NoError(t, os.Link(path, filepath.Join(dir, "linked")))
	require.NoError(t, Create(filepath.Join(dir, "stranger"), 4096))
	sys := fakeSysfs(t, path, filepath.Join(dir, "linked"))

	l, ok := loopOf(sys, 7<<8)
	require.True(t, ok)
	require.Equal(t, loop{"loop0", path, stretch{4096, 4096 + 1<<20}}, l)
	l, ok = loopOf(sys, 7<<8|1)
	require.True(t, ok)
	require.Equal(t, loop{"loop0", path, stretch{8192, 16384}}, l)
	l, ok = loopOf(sys, 7<<8|8)
	require.True(t, ok)
	require.Equal(t, from(0, 0), l.shows)
	_, ok = loopOf(sys, 7<<8|16)
	require.False(t, ok)
	_, ok = loopOf(sys, 8<<8)
	require.False(t, ok)

	names := func(file string, bytes stretch) (list []string) {
		st, err := os.Stat(filepath.Join(dir, file))
		require.NoError(t, err)
		for _, l := range loopsOn(sys, st, bytes) {
			list = append(list, l.name)
		}
		return list
	}
	require.Equal(t, []string{"loop0", "loop1"}, names("a file", from(0, 0)))
	require.Equal(t, []string{"loop0", "loop1"}, names("linked", stretch{8192, 16384}))
	require.Equal(t, []string{"loop1"}, names("a file", stretch{0, 4096}))
	require.Empty(t, names("stranger", from(0, 0)))
}

// TestLoopAndItsFile: whichever of a loop device and its file is opened first, the other is refused as long.
func TestLoopAndItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, Create(path, 1<<20))
	attach := func(args ...string) string {
		out, err := exec.Command("losetup", append([]string{"--find", "--show"}, args...)...).CombinedOutput()
		if err != nil {
			t.Skip("needs losetup to work: " + strings.TrimSpace(string(out)))
		}
		dev := strings.TrimSpace(string(out))
		t.Cleanup(func() { require.NoError(t, exec.Command("losetup", "--detach", dev).Run()) })
		return dev
	}
	whole, head, tail := attach(path), attach("--sizelimit", "524288", path), attach("--offset", "524288", path)
	for _, c := range []struct {
		first, second   string
		reads           bool // the first only reads
		refused, writes bool // the second one is; it writes
	}{
		{path, whole, false, true, true},
		{whole, path, false, true, true},
		{whole, head, false, true, true},
		{head, whole, false, true, true},
		{head, tail, false, false, true},
		{path, tail, false, false, false}, // noted
		{tail, path, false, true, false},
		{path, whole, true, false, false},
		{whole, path, true, false, false},
		{whole, path, true, false, true}, // who reads a disk keeps nobody away
		{path, tail, true, true, true},
	} {
		first, err := Open(c.first, Options{ReadOnly: c.reads})
		require.NoError(t, err, c)
		second, err := Open(c.second, Options{ReadOnly: !c.writes})
		if c.refused {
			require.ErrorIs(t, err, ErrInUse, c)
			require.ErrorIs(t, err, ErrTwice, c)
		} else {
			require.NoError(t, err, c)
			require.NoError(t, second.Close())
		}
		require.NoError(t, first.Close())
		again, err := Open(c.second, Options{})
		require.NoError(t, err, "with the first closed all is free: %v", c)
		require.NoError(t, again.Close())
	}

	// Somebody else, such as a mount, has the loop device.
	held, err := os.OpenFile(head, os.O_RDONLY|os.O_EXCL, 0)
	require.NoError(t, err)
	defer held.Close()
	_, err = Open(path, Options{})
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, head)
	reader, err := Open(path, Options{ReadOnly: true})
	require.NoError(t, err)
	require.Contains(t, reader.Notice(), "in use elsewhere, through "+head)
	require.NoError(t, reader.Close())
}
