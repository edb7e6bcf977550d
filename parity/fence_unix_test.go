//go:build unix

package parity

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fenced is memory of at least n bytes between pages that cannot be touched.
func fenced(t *testing.T, n int) []byte {
	page := unix.Getpagesize()
	n = (n + page - 1) &^ (page - 1)
	all, err := unix.Mmap(-1, 0, n+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Munmap(all) })
	require.NoError(t, unix.Mprotect(all[:page], unix.PROT_NONE))
	require.NoError(t, unix.Mprotect(all[page+n:], unix.PROT_NONE))
	return all[page : page+n : page+n]
}
