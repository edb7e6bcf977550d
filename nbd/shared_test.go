package nbd_test

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/nbd"
	"graid/nbd/nbdtest"
)

// from is a connection of a client whose address is what the test says.
type from struct {
	net.Conn
	name string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.name), Port: 1} }

// TestSharedBytes floods a device that answers nothing over several connections of two clients: what each client, and all of
// them, have in flight is what the limits allow. A connection with nothing in flight gets a small request through whatever
// others do, and when the device answers so do all.
func TestSharedBytes(t *testing.T) {
	const cost = 1<<20 + 4096 // of a request for a MiB
	for _, a := range []struct {
		name      string
		limits    nbd.Limits
		one, both int // requests that arrive from the first client, and from both
	}{
		{"neither", nbd.Limits{}, 60, 80},
		{"a client's", nbd.Limits{ClientBytes: 10 * cost}, 10, 20},
		{"the server's", nbd.Limits{ServerBytes: 70 * cost}, 60, 70},
		{"both", nbd.Limits{ClientBytes: 10 * cost, ServerBytes: 15 * cost}, 10, 15},
		{"not even one", nbd.Limits{ClientBytes: 100, ServerBytes: 100}, 1, 1},
	} {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := blocktest.NewFaulty(&slow{mem.New(1<<40, mem.Options{})}, blocktest.FaultyOptions{})
				s := one(disk)
				s.Limits = a.limits
				s.Limits.Workers = 1000
				l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				go s.Serve(l)
				dial := func(client string) *nbdtest.Client {
					mine, theirs := net.Pipe()
					l.conns <- from{theirs, client}
					c, err := nbdtest.New(mine, nbdtest.Options{Export: "disk"})
					require.NoError(t, err)
					return c
				}
				hold := disk.Hold(func(r block.Request) bool { return r.Len == 1<<20 })
				done := make(chan error, 100)
				flood := func(client string) {
					c := dial(client)
					var replies []<-chan nbdtest.Reply
					for range 20 {
						replies = append(replies, c.Start(nbdtest.Read, 0, 0, 1<<20, nil))
					}
					for _, r := range replies {
						done <- (<-r).Err
					}
					require.NoError(t, c.Sync()) // nothing of what was taken is missing
					c.Close()
				}
				for range 3 {
					go flood("10.0.0.1")
				}
				synctest.Wait()
				require.Equal(t, a.one, hold.Arrived())
				go flood("10.0.0.2")
				synctest.Wait()
				require.Equal(t, a.both, hold.Arrived())

				c := dial("10.0.0.1")
				require.Zero(t, c.Do(nbdtest.Read, 0, 0, 64<<10, nil).Errno)
				hold.Release()
				for range 80 {
					require.NoError(t, <-done)
				}
				c.Close()
				synctest.Wait()
				require.NoError(t, s.Shutdown(ctx))
			})
		})
	}
}
