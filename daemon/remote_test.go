package daemon

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/nbd"
	"graid/raid"
	"graid/raid/md"
)

func TestMemberPath(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	require.NoError(t, err)
	for word, want := range map[string][2]string{
		"a.img":                             {here + "/a.img", "a.img"},
		"nbd+unix:///x?socket=s":            {"nbd+unix:///x?socket=" + here + "/s", "s/x"},
		"nbd+unix:///?socket=/t/s":          {"nbd+unix:///?socket=/t/s", "s"},
		"nbd://h:10809/x":                   {"nbd://h/x", "h/x"},
		"nbds://h:7/x/y?tls-certificates=c": {"nbds://h:7/x/y?tls-certificates=" + here + "/c", "h:7/x/y"},
		"nbds://h/x?tls-verify-peer=false":  {"nbds://h/x?tls-verify-peer=false", "h/x"},
		"nbd://[::1]/":                      {"nbd://[::1]/", "::1"},
	} {
		path, err := MemberPath(word)
		require.NoError(t, err, word)
		require.Equal(t, want, [2]string{filepath.ToSlash(path), Short(path)}, word)
		require.True(t, sameNode(path, path) || !IsRemote(path), word)
	}
	_, err = MemberPath("nbd+unix:///x")
	require.ErrorContains(t, err, "which socket")
	require.False(t, sameNode("nbd://h/x", "nbd://h/y"))
	require.False(t, sameNode("nbd://h/x", "x"))
}

// TestIdentity: what is behind an address must be the member that it was, once that is known.
func TestIdentity(t *testing.T) {
	ctx := context.Background()
	disks := func() (list []raid.Member) {
		for _, name := range []string{"a", "b"} {
			list = append(list, raid.Member{Path: name, Dev: mem.New(16<<20, mem.Options{Name: name})})
		}
		_, err := raid.Create(ctx, md.Spec{Level: 1, Layout: -1, RaidDevices: 2, Version: md.V12, Name: "x", AssumeClean: true}, list, raid.Options{})
		require.NoError(t, err)
		return list
	}
	one, two := disks(), disks()
	blank := mem.New(16<<20, mem.Options{})
	i := &identity{}
	require.NoError(t, i.verify(ctx, blank), "not a member yet")
	require.NoError(t, i.verify(ctx, one[0].Dev))
	require.NoError(t, i.verify(ctx, one[0].Dev))
	require.ErrorContains(t, i.verify(ctx, one[1].Dev), "another device is there now")
	require.ErrorContains(t, i.verify(ctx, two[0].Dev), "another device is there now")
	require.ErrorContains(t, i.verify(ctx, blank), "it has no superblock")
	require.NoError(t, i.learn(ctx, two[1].Dev), "the array wrote that itself")
	require.NoError(t, i.verify(ctx, two[1].Dev))
	require.Error(t, i.verify(ctx, one[0].Dev))
}

// TestRemoteLock: an export is had by one process of this machine, by whatever words it is named; who lets go leaves nothing behind.
func TestRemoteLock(t *testing.T) {
	f := Folder{t.TempDir()}
	a, err := f.lockRemote(nbd.URI{Host: "h", Port: "1", Export: "x"})
	require.NoError(t, err)
	_, err = f.lockRemote(nbd.URI{Host: "h", Port: "1", Export: "x", TLS: true, Name: "other"})
	require.ErrorContains(t, err, "in use by an array that runs here")
	b, err := f.lockRemote(nbd.URI{Host: "h", Port: "1", Export: "y"})
	require.NoError(t, err)
	for _, lock := range []*os.File{a, b} {
		r := &remote{Device: mem.New(512, mem.Options{}), lock: lock}
		require.NoError(t, r.Close())
		require.NoError(t, block.Device(r).Close())
	}
	left, err := os.ReadDir(f.path)
	require.NoError(t, err)
	require.Empty(t, left)
}
