package raid

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestBitmapComesAndGoes adds a bitmap to an array that is being written to, and takes it away again. While it is there it keeps its promise, and what a member
// that left before it came has missed is not in it.
func TestBitmapComesAndGoes(t *testing.T) {
	for _, version := range []md.Version{md.V12, md.V11, md.V10} {
		g := newRig(t, md.Spec{Level: 5, Chunk: 4096, Version: version}, 4)
		g.opts.Run = true
		a := g.open()
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for i := range int64(3) {
			wg.Go(func() {
				for n := int64(0); ; n++ {
					select {
					case <-stop:
						return
					default:
						require.NoError(t, write(a, (i*64+n%64)*8192, 4096, byte(n)))
					}
				}
			})
		}
		require.NoError(t, a.AddBitmap(ctx, 4096))
		require.ErrorContains(t, a.AddBitmap(ctx, 0), "already")
		require.Equal(t, "bitmap", a.Status().ConsistencyPolicy)
		time.Sleep(10 * time.Millisecond)
		close(stop)
		wg.Wait()
		early := g.early(a, 0, 1, 2, 3)
		require.NoError(t, write(a, 3<<20, 4096, 1))
		if version == md.V12 { // the data area of the others begins elsewhere
			require.Zero(t, early.Load())
		}
		e, err := md.Examine(ctx, "m", g.disks[0])
		require.NoError(t, err)
		require.NoError(t, e.BitmapErr)
		require.Positive(t, e.Bitmap.Dirty())
		require.Less(t, e.Bitmap.Dirty(), e.Bitmap.Total()/2)
		require.NoError(t, a.Close())

		a = g.open(3)
		require.NoError(t, write(a, 0, 4096, 0x42))
		require.NoError(t, a.RemoveBitmap(ctx))
		require.NoError(t, a.AddBitmap(ctx, 0))
		require.ErrorContains(t, a.Add(ctx, Member{Path: "back", Dev: g.faulty[3]}, AddOptions{ReAdd: true}), "cleared")
		require.NoError(t, a.RemoveBitmap(ctx))
		require.ErrorContains(t, a.RemoveBitmap(ctx), "no bitmap")
		require.NoError(t, a.Add(ctx, Member{Path: "back", Dev: g.faulty[3]}, AddOptions{}))
		require.NoError(t, a.Wait(ctx))
		got := make([]byte, 4096)
		require.NoError(t, block.ReadAt(ctx, a, got, 0))
		require.Equal(t, bytes.Repeat([]byte{0x42}, 4096), got)
		agrees(t, a)
		require.NoError(t, a.Close())
		e, err = md.Examine(ctx, "m", g.disks[0])
		require.NoError(t, err)
		require.Nil(t, e.Bitmap)
		require.Zero(t, e.SB.Features&md.FeatureBitmap)
		a = g.open()
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// TestTornBitmapChange: a crash while a bitmap is added, or removed, leaves a superblock without what the others say. The freshest one counts, on all of them.
func TestTornBitmapChange(t *testing.T) {
	for _, added := range []bool{true, false} {
		for late := range 3 {
			g := newRig(t, md.Spec{Level: 5, Chunk: 4096, AssumeClean: true, Bitmap: !added}, 3)
			a := g.open()
			want := noise(1, 64<<10)
			require.NoError(t, block.WriteAt(ctx, a, want, 0))
			require.NoError(t, a.Close())
			a = g.open()
			before := clones(g.disks)
			change := a.RemoveBitmap
			if added {
				change = func(ctx context.Context) error { return a.AddBitmap(ctx, 4096) }
			}
			require.NoError(t, change(ctx))
			g.disks = clones(g.disks) // the process is killed
			g.disks[late] = before[late]
			_ = a.Close()

			a = g.open()
			require.Equal(t, added, a.Status().Bitmap != nil)
			require.NoError(t, write(a, 0, 4096, 7))
			require.NoError(t, a.Close())
			for i := range 3 {
				sb := g.super(i)
				require.Equal(t, added, sb.Features&md.FeatureBitmap != 0, "m%d", i)
				e, err := md.Examine(ctx, "m", g.disks[i])
				require.NoError(t, err)
				require.NoError(t, e.BitmapErr)
				require.Equal(t, added, e.Bitmap != nil && !e.Bitmap.Stale(sb.Events), "m%d", i)
			}
		}
	}
}

// TestNoRoomForABitmap: on members so small that the bad block log is where a bitmap would go, there is none.
func TestNoRoomForABitmap(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096, Size: 32 << 10, AssumeClean: true}, 3)
	a := g.open()
	require.ErrorContains(t, a.AddBitmap(ctx, 0), "no room")
	require.NoError(t, a.Close())
}
