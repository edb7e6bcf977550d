package plantest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
)

var rewrite = flag.Bool("rewrite", false, "rewrite golden files with what came out; read the diff")

// Args are the words of a golden command: "chunk=64K" is Args["chunk"] = "64K".
type Args map[string]string

// Size is args[key] in bytes, 0 when it is not there.
func (a Args) Size(t *testing.T, key string) int64 { return parseSize(t, a[key]) }

func parseSize(t *testing.T, s string) int64 {
	t.Helper()
	shift := 0
	switch {
	case s == "":
		return 0
	case strings.HasSuffix(s, "K"):
		shift = 10
	case strings.HasSuffix(s, "M"):
		shift = 20
	case strings.HasSuffix(s, "G"):
		shift = 30
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 0, 64)
	require.NoError(t, err)
	return n << shift
}

// Golden runs the commands of a file and compares what they print with what stands under them. Blocks are separated by empty
// lines: comments, a command, "----", its output. Commands, with sizes like 4K:
//
//	array key=value …               make a level with newLevel
//	read|write|zero|discard OFF LEN [condition…]
//	resync|recover|check LO HI [condition…]
//
// Conditions are down=ROLE, avoid=ROLE, recovering=ROLE:ROW, prefer=ROLES and synced=POS.
func Golden(t *testing.T, path string, newLevel func(t *testing.T, a Args) (plan.Level, error)) {
	t.Helper()
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	var out strings.Builder
	var level plan.Level
	for i, text := range strings.Split(strings.TrimSpace(string(file)), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		input, _, _ := strings.Cut(text, "\n----")
		lines := strings.Split(strings.TrimSpace(input), "\n")
		out.WriteString(strings.Join(lines, "\n") + "\n")
		words := strings.Fields(lines[len(lines)-1])
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		out.WriteString("----\n")
		if words[0] != "array" {
			out.WriteString(run(t, level, words))
			continue
		}
		if level, err = newLevel(t, args(words[1:])); err != nil {
			fmt.Fprintf(&out, "error: %v\n", err)
		} else {
			out.WriteString(geometry(level.Geometry()))
		}
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o644))
		return
	}
	require.Equal(t, string(file), out.String(), "run with -rewrite and read the diff")
}

func args(words []string) Args {
	a := Args{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		a[key] = value
	}
	return a
}

func geometry(g plan.Geometry) string {
	return fmt.Sprintf("level %d, %d roles of %d, size %d, sync %d, chunk %d, stripe %d, tolerates %d\n",
		g.Level, g.Roles, g.Rows, g.Size, g.SyncSize, g.Chunk, g.Stripe, g.Tolerates)
}

func run(t *testing.T, level plan.Level, words []string) string {
	t.Helper()
	require.NotNil(t, level, "no array yet")
	require.GreaterOrEqual(t, len(words), 3, words)
	g := level.Geometry()
	v := condition(t, g, args(words[3:]))
	var p plan.Plan
	p.Reset()
	from, second := parseSize(t, words[1]), parseSize(t, words[2])
	r := block.Request{Off: from, Len: second}
	var n int64
	var err error
	switch op := words[0]; op {
	case "resync", "recover", "check":
		kind := map[string]plan.Kind{"resync": plan.Resync, "recover": plan.Recover, "check": plan.Check}[op]
		if r.Op, r.Len = block.Write, second-from; kind == plan.Check {
			r.Op = block.Read
		}
		n, err = level.Sync(&p, plan.Span{Lo: from, Hi: second}, kind, &v)
	default:
		r.Op = map[string]block.Op{"read": block.Read, "write": block.Write, "zero": block.WriteZeroes, "discard": block.Discard}[op]
		require.Equal(t, op, r.Op.String())
		if r.Op == block.Read || r.Op == block.Write {
			r.Buf = make([]byte, r.Len)
		}
		n, err = level.Plan(&p, r, &v)
	}
	if err != nil {
		require.True(t, errors.Is(err, plan.ErrFailed), err)
		return "error: " + err.Error() + "\n"
	}
	require.NoError(t, Laws(&p, g, r, n, &v), strings.Join(words, " "))
	return p.String() + fmt.Sprintf("takes %d\n", n)
}

func condition(t *testing.T, g plan.Geometry, a Args) plan.View {
	v := plan.Healthy(g.Roles)
	v.Recovered = make([]int64, g.Roles)
	roles := func(s string) (set plan.RoleSet) {
		for _, role := range strings.Split(s, ",") {
			if role != "" {
				set = set.With(int(parseSize(t, role)))
			}
		}
		return set
	}
	for key, value := range a {
		switch key {
		case "down":
			v.Readable &^= roles(value)
			v.Writable &^= roles(value)
		case "avoid":
			v.Avoid = roles(value)
		case "prefer":
			v.Prefer = roles(value)
		case "synced":
			v.Synced = parseSize(t, value)
		case "recovering":
			role, row, _ := strings.Cut(value, ":")
			v.Readable &^= roles(role)
			v.Recovered[parseSize(t, role)] = parseSize(t, row)
		default:
			require.Fail(t, "unknown condition "+key)
		}
	}
	return v
}

// Sizes is a list like 4K,1M in bytes.
func (a Args) Sizes(t *testing.T, key string) (list []int64) {
	for _, s := range strings.Split(a[key], ",") {
		list = append(list, parseSize(t, s))
	}
	return list
}
