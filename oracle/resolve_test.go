package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// resolve: graid puts the arrays that lost power in order, and the kernel, in another boot, finds them so.
func (g *group) resolve(t *testing.T, gr *graid) {
	share := t.TempDir()
	out := filepath.Join(share, "out")
	require.NoError(t, os.Mkdir(out, 0o755))
	var text strings.Builder
	text.WriteString(script(t, "ours.sh"))
	var cut []*theirs
	for _, a := range g.list {
		if !a.dirty {
			continue
		}
		if a.Metadata == "0.90" {
			continue // graid reads these and does not write them
		}
		ok := t.Run(a.Name+"-resync", func(t *testing.T) {
			members := g.paths(a.own)
			s := gr.serve(t, a.Name, members...)
			gr.run(t, done, "wait", a.Name)
			gr.run(t, done, "stop", a.Name)
			s.wait(t)
			require.True(t, allClean(t, members), "stopped after its resync, and still not clean")
			require.NoError(t, gr.dump(a.eitherOr, members...))
		})
		if ok {
			cut = append(cut, a)
			fmt.Fprintf(&text, "adopt %s '%s' mark\n", a.Name, strings.Trim(fmt.Sprint(a.own), "[]"))
		}
	}
	if len(cut) == 0 {
		return
	}
	log := boot{Share: share, Drives: g.drives, Script: text.String(), Limit: bootLimit}.run(t)
	for _, a := range cut {
		t.Run(a.Name+"-check", func(t *testing.T) {
			_, part, _ := strings.Cut(log, "== "+a.Name+"\n")
			part, _, _ = strings.Cut(part, "\n== ")
			require.NotContains(t, part, "resync", "the kernel resynced what graid had resynced")
			require.Equal(t, "0\n", slurp(t, filepath.Join(out, a.Name+".mismatch")), part)
			require.NoError(t, compareFiles(filepath.Join(out, a.Name+".rw"), filepath.Join(out, a.Name+".ro")))
			f, err := os.Open(filepath.Join(out, a.Name+".ro"))
			require.NoError(t, err)
			defer f.Close()
			require.NoError(t, a.eitherOr(f))
		})
	}
}
