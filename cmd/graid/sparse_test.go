package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSparse: what is written comes back whatever is zero in it, and a file that is not complete has no name.
func TestSparse(t *testing.T) {
	dir := t.TempDir()
	c := &call{ctx: context.Background()}
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 50 {
		j := &job{file: filepath.Join(dir, "f"), force: true}
		out, err := j.open(c)
		require.NoError(t, err)
		var want bytes.Buffer
		for range r.IntN(6) {
			p := bytes.Repeat([]byte{0xA5}, r.IntN(5*grain))
			for i := 0; i+grain <= len(p); i += grain {
				if r.IntN(2) == 0 {
					clear(p[i : i+grain-r.IntN(2)])
				}
			}
			want.Write(p)
			require.NoError(t, out.write(p))
			n := r.IntN(3 * grain)
			want.Write(make([]byte, n))
			require.NoError(t, out.skip(int64(n)))
		}
		require.NoError(t, out.finish(nil))
		got, err := os.ReadFile(j.file)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want.Bytes(), got), "round %d", round)
	}

	out, err := (&job{file: filepath.Join(dir, "f"), force: true}).open(c)
	require.NoError(t, err)
	require.NoError(t, out.write([]byte("half of it")))
	before, err := os.ReadFile(filepath.Join(dir, "f"))
	require.NoError(t, err)
	require.Error(t, out.finish(errors.New("member lost")))
	after, err := os.ReadFile(filepath.Join(dir, "f"))
	require.NoError(t, err)
	require.Equal(t, before, after, "what was to be replaced stays")

	out, err = (&job{file: filepath.Join(dir, "f")}).open(c) // made by somebody else in the meantime
	require.NoError(t, err)
	require.ErrorContains(t, out.finish(nil), "in the meantime")
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 1, "no parts are left")
}
