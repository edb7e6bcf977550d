//go:build unix

package daemon

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block/file"
	"graid/raid"
	"graid/raid/md"
)

// TestStopLeavesTheNextAlone: once the name was given back, a process that ends touches nothing in the runtime folder: another may run there.
func TestStopLeavesTheNextAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	f, err := OpenFolder(dir)
	require.NoError(t, err)
	ctx := context.Background()
	var members []raid.Member
	var paths []string
	for _, name := range []string{"a.img", "b.img"} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, file.Create(path, 8<<20))
		dev, err := file.Open(path, file.Options{})
		require.NoError(t, err)
		members, paths = append(members, raid.Member{Path: path, Dev: dev}), append(paths, path)
	}
	_, err = raid.Create(ctx, md.Spec{Level: 1, Layout: -1, RaidDevices: 2, Name: "md0", Created: time.Unix(1e9, 0)}, members, raid.Options{})
	require.NoError(t, err)
	CloseMembers(members)
	p, err := Start(ctx, Config{Folder: f, Name: "md0", Members: paths})
	require.NoError(t, err)
	require.NoError(t, p.Stop(false))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	names := []string{"md0.sock", "md0.nbd", "md0.json", "md0.lock", "md0.log"}
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	p.publish()
	require.NoError(t, p.Wait(ctx))
	for _, name := range names {
		fi, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Zero(t, fi.Size(), name)
	}
}
