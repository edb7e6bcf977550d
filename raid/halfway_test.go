package raid

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestBothFailHalfway: while a replacement takes over from a member that fails, it fails too, at any of the superblock writes that this takes; or both do in one. The
// write that met it comes to an end, and so does every later one; the array is degraded, and nobody writes to the two any more.
func TestBothFailHalfway(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 1}, {Level: 5, Chunk: 4096}, {Level: 10, Chunk: 4096, Layout: 0x102}} {
		for _, first := range []string{"data", "superblock"} {
			for after := range int64(4) {
				g := newRig(t, spec, 4)
				want := fill(t, g)
				a := g.open()
				begun, release := make(chan struct{}), make(chan struct{})
				var begin sync.Once
				var failing atomic.Bool
				var supers atomic.Int64
				n := g.another(memberSize)
				g.faulty[4].Before(func(r block.Request) error {
					switch {
					case !r.Op.Mutates():
					case r.Off >= 3<<20 && !failing.Load():
						begin.Do(func() { close(begun) }) // several pieces are under way at once
						<-release
					case r.Off < 1<<20 && failing.Load() && supers.Add(1) > after:
						return block.ErrPath
					}
					return nil
				})
				require.NoError(t, a.Add(ctx, n, AddOptions{}))
				require.NoError(t, a.Replace(ctx, "m1", n.Path))
				<-begun
				g.faulty[1].Before(func(r block.Request) error {
					if r.Op.Mutates() && (r.Off >= 1<<20) == (first == "data") {
						return block.ErrPath
					}
					return nil
				})
				failing.Store(true)
				close(release)
				done := make(chan error, 1)
				go func() {
					err := block.WriteAt(ctx, a, other(want), 0)
					if err == nil && first == "superblock" {
						a.settle(true)
						err = block.WriteAt(ctx, a, other(want), 0)
					}
					if err == nil {
						err = block.WriteAt(ctx, a, want, 0)
					}
					done <- err
				}()
				select {
				case err := <-done:
					require.NoError(t, err)
				case <-time.After(2 * time.Minute):
					require.Fail(t, "a write does not come to its end")
				}
				require.NoError(t, a.Wait(ctx))
				holds(t, a, want)
				require.Equal(t, MemberFaulty, a.stateOf("m1"), "raid%d %s %d", spec.Level, first, after)
				v := a.view.Load()
				a.meta.Lock()
				for role, m := range a.members {
					require.True(t, m == v.members[role], "raid%d %s %d: role %d", spec.Level, first, after, role)
				}
				a.meta.Unlock()
				if a.stateOf(n.Path) == MemberFaulty {
					require.Equal(t, 1, a.Status().Degraded)
					require.Nil(t, v.twins)
					g.faulty[4].Forget()
					require.NoError(t, block.WriteAt(ctx, a, bytes.Clone(want), 0))
					require.Zero(t, g.faulty[4].Count(block.Write))
				}
				require.NoError(t, a.Close())
				a = g.open()
				holds(t, a, want)
				require.NoError(t, a.Close())
			}
		}
	}
}
