package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// floors says who stands on whom: a package may import packages of lower floors, never of its own or of higher ones. Longer
// names win: raid/plan is on floor 1 although raid is on 3.
var floors = map[string]int{
	"parity": 0, "block": 0, "sched": 0,
	"netif":     1,
	"raid/plan": 1, "raid/md": 1,
	"raid/level0": 2, "raid/level1": 2, "raid/level5": 2, "raid/level6": 2, "raid/level10": 2, "raid/linear": 2, "multipath": 2, "nbd": 2,
	"block/file": 2, "block/mem": 2, "block/overlay": 2, "block/fault": 2, "block/stats": 2, "block/deadline": 2, "block/trace": 2,
	"block/blocktest": 2, "nbd/nbdtest": 2, "raid/plan/plantest": 2,
	"block/unalign": 1, // under nbd, which is on 2
	"block/delay":   1, // under block/fault
	"raid":          3,
	"sim":           4,
	"daemon":        5, "web": 5,
	"cmd/graid": 6,
}

// roofs are folders whose packages all stand on the top floor: they see everything and nobody sees them.
var roofs = []string{"oracle", "fuzz", "bench"}

// bare are the packages that stand on the standard library alone.
var bare = []string{"parity", "block", "sched", "block/unalign", "nbd", "netif", "raid/plan", "raid/md"}

// modern are packages of the Go project itself that bare packages may use all the same: parity asks which instructions there are.
var modern = []string{"golang.org/x/sys/cpu"}

// timely are the folders that may know a clock and start tasks; all others do so through sched.
var timely = []string{"sched", "cmd", "daemon", "oracle", "bench", "web"}

const module = "graid"

// pkg is one line of `go list`.
type pkg struct {
	path    string // without the module's name
	imports []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	c := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...")
	c.Stderr = os.Stderr
	out, err := c.Output()
	require.NoError(t, err)
	var all []pkg
	for l := range strings.Lines(string(out)) {
		f := strings.Fields(l)
		all = append(all, pkg{strings.TrimPrefix(f[0], module+"/"), f[1:]})
	}
	require.NotEmpty(t, all)
	return all
}

// misplaced says what is wrong with the imports of one package; "" if nothing is.
func misplaced(p pkg) string {
	floor, known := floors[p.path]
	if top, _, _ := strings.Cut(p.path, "/"); slices.Contains(roofs, top) {
		floor, known = floors["cmd/graid"], true
	}
	if !known {
		return p.path + " has no floor: give it one in floors_test.go"
	}
	for _, i := range p.imports {
		dep, own := strings.CutPrefix(i, module+"/")
		if !own {
			if external(i) && slices.Contains(bare, p.path) && !slices.Contains(modern, i) {
				return fmt.Sprintf("%s imports %s: it must do with the standard library", p.path, i)
			}
			continue
		}
		if below, ok := floors[dep]; ok && below >= floor {
			return fmt.Sprintf("%s (floor %d) imports %s (floor %d): only lower floors may be imported", p.path, floor, dep, below)
		}
	}
	return ""
}

// external says whether an import is of a module: the standard library has no dot in its first part.
func external(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

// TestFloors holds every package to its floor.
func TestFloors(t *testing.T) {
	for _, p := range list(t) {
		require.Empty(t, misplaced(p))
	}
}

func TestFloorsRefuse(t *testing.T) {
	for want, p := range map[string]pkg{
		"only lower floors":    {"raid/level5", []string{"graid/raid"}},
		"floor 2) imports blo": {"raid/level1", []string{"graid/block/mem"}},
		"no floor":             {"raid/level9", nil},
		"standard library":     {"nbd", []string{"net", "golang.org/x/sys/unix"}},
	} {
		require.Contains(t, misplaced(p), want)
	}
	require.Empty(t, misplaced(pkg{"raid", []string{"errors", "graid/raid/level5", "graid/block"}}))
}

// outside is the time and tasks that only sched may use, by package and function.
var outside = map[string][]string{
	"time":         {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"context":      {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
	"math/rand":    nil, // its functions are the global source's
	"math/rand/v2": nil,
}

// pure are the functions of math/rand and math/rand/v2 that make a source of the caller's own.
var pure = []string{"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf"}

// untimely finds what a file must not do outside of sched: start a task, ask the time, sleep, or use randomness that is not its own.
func untimely(name string, src any) ([]string, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	local := map[string]string{} // what a package is called here → its path
	var found []string
	say := func(at token.Pos, what string) {
		found = append(found, fmt.Sprintf("%s: %s: use sched", fset.Position(at), what))
	}
	for _, i := range f.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if _, watched := outside[path]; !watched {
			continue
		}
		called := filepath.Base(path)
		if called == "v2" {
			called = "rand"
		}
		if i.Name != nil {
			called = i.Name.Name
		}
		if called == "." {
			say(i.Pos(), "dot import of "+path)
		}
		local[called] = path
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n.Pos(), "go statement")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			path, watched := local[x.Name]
			forbidden := slices.Contains(outside[path], n.Sel.Name) ||
				strings.HasPrefix(path, "math/rand") && ast.IsExported(n.Sel.Name) && !slices.Contains(pure, n.Sel.Name) && !isRandType(n.Sel.Name)
			if watched && forbidden {
				say(n.Pos(), path+"."+n.Sel.Name)
			}
		}
		return true
	})
	return found, nil
}

func isRandType(name string) bool {
	return slices.Contains([]string{"Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}, name)
}

// TestTime holds everything but the edges to the sched seam, so that it runs unchanged on a simulated timeline.
func TestTime(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || slices.Contains(timely, rel) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		files++
		found, err := untimely(path, nil)
		for _, f := range found {
			t.Error(f)
		}
		return err
	})
	require.NoError(t, err)
	require.Greater(t, files, 30)
}

func TestTimeRefuses(t *testing.T) {
	const bad = `package p
import (
	"context"
	mrand "math/rand"
	"math/rand/v2"
	clock "time"
)
func f(ctx context.Context) {
	go f(ctx)
	clock.Sleep(1)
	_ = clock.Now()
	_ = clock.NewTimer(1)
	<-clock.After(1)
	ctx, _ = context.WithTimeout(ctx, 1)
	_ = mrand.Intn(3)
	_ = rand.N(3)
}`
	found, err := untimely("bad.go", bad)
	require.NoError(t, err)
	for _, want := range []string{"9:2: go statement", "time.Sleep", "time.Now", "time.NewTimer", "time.After", "context.WithTimeout", "math/rand.Intn", "math/rand/v2.N"} {
		require.Contains(t, strings.Join(found, "\n"), want)
	}
	require.Len(t, found, 8)
	const good = `package p
import (
	"math/rand/v2"
	"time"
)
type later struct{ r *rand.Rand; wait time.Duration }
func f(s interface{ Now() time.Duration; Sleep(time.Duration) }) {
	s.Sleep(s.Now() + 3*time.Second)
	r := rand.New(rand.NewPCG(1, 2))
	_ = r.IntN(3)
}`
	found, err = untimely("good.go", good)
	require.NoError(t, err)
	require.Empty(t, found)
}
