package multipath

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write what came out as what should")

// script plays observations on a table, one a line, and says after each what followed from it.
type script struct {
	t   *table
	o   Options
	now time.Duration
}

var sights = map[string]sight{
	"opening": sawOpening, "open": sawOpen, "verified": sawVerified, "other": sawOther, "broken": sawBroken, "fencing": sawFencing, "fenced": sawFenced,
	"overdue": sawOverdue, "late": sawLate, "leaving": sawLeaving, "blame": sawBlame, "fail": askFail, "drain": askDrain, "idle": sawIdle, "back": askBack,
}

func (s *script) line(l string) (string, error) {
	f := strings.Fields(l)
	at, err := time.ParseDuration(f[0])
	if err != nil {
		return "", err
	}
	s.now = at
	var ts []transition
	switch f[1] {
	case "option":
		return "", s.option(f[2])
	case "path": // path NAME key=value…
		r := record{name: f[2], host: f[2]}
		for _, kv := range f[3:] {
			k, v, _ := strings.Cut(kv, "=")
			switch k {
			case "prio":
				r.priority, _ = strconv.Atoi(v)
			case "host":
				r.host = v
			case "standby":
				r.standby = true
			case "group":
				r.group = v
			}
		}
		if r.group == "" {
			r.group = fmt.Sprint("g", r.priority)
		}
		s.t.add(r, s.now)
		return "", nil
	case "tick":
		ts = s.t.tick(s.now)
	default:
		i := s.find(f[1])
		if i < 0 {
			return "", fmt.Errorf("no path %q", f[1])
		}
		switch f[2] {
		case "up": // the whole way
			for _, x := range []sight{sawOpening, sawOpen} {
				s.t.observe(i, x, "", s.now)
			}
			if len(f) > 3 {
				s.t.paths[i].instance = f[3]
			}
			ts = s.t.observe(i, sawVerified, "", s.now)
		case "next":
			what, at := s.t.next(i, s.now+time.Second, s.now)
			return fmt.Sprintf("  %s %v\n", [...]string{"stay", "connect", "check"}[what], at), nil
		case "takes":
			n, _ := strconv.Atoi(f[4])
			d, _ := time.ParseDuration(f[3])
			for range n {
				ts = append(ts[:len(ts):len(ts)], s.t.sample(i, d, s.now)...)
			}
		default:
			x, known := sights[f[2]]
			if !known {
				return "", fmt.Errorf("unknown sight %q", f[2])
			}
			ts = s.t.observe(i, x, strings.Join(f[3:], " "), s.now)
		}
	}
	var b strings.Builder
	for _, t := range ts {
		fmt.Fprintf(&b, "  %s: %v -> %v", s.t.paths[t.path].name, t.from, t.to)
		if t.reason != "" {
			fmt.Fprintf(&b, ": %s", t.reason)
		}
		b.WriteByte('\n')
	}
	if s.t.moved != "" {
		fmt.Fprintf(&b, "  group %s: %s\n", s.t.current, s.t.moved)
	}
	var names []string
	for _, i := range s.t.live {
		names = append(names, s.t.paths[i].name)
	}
	fmt.Fprintf(&b, "  use %s", strings.Join(names, " "))
	if s.t.failback > 0 {
		fmt.Fprintf(&b, "; failback at %v", s.t.failback)
	}
	return strings.TrimRight(b.String(), " ") + "\n", nil
}

func (s *script) option(kv string) error {
	k, v, _ := strings.Cut(kv, "=")
	switch k {
	case "failback":
		for i, name := range failbackNames {
			if name == v {
				s.o.Failback = Failback(i)
				return nil
			}
		}
	}
	return fmt.Errorf("unknown option %q", kv)
}

func (s *script) find(name string) int {
	for i := range s.t.paths {
		if s.t.paths[i].name == name {
			return i
		}
	}
	return -1
}

// TestLife plays testdata/life.txt: what becomes of paths, by what is seen of them, and which are used.
func TestLife(t *testing.T) {
	const file = "testdata/life.txt"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var out strings.Builder
	var s *script
	for l := range strings.Lines(string(text)) {
		l = strings.TrimRight(l, "\n")
		switch {
		case strings.HasPrefix(l, "  "):
		case strings.HasPrefix(l, "#"):
			s = &script{o: Options{}.withDefaults()}
			s.t = newTable(&s.o, func(d time.Duration) time.Duration { return d })
			out.WriteString(l + "\n")
		case l == "":
			out.WriteString("\n")
		default:
			out.WriteString(l + "\n")
			got, err := s.line(l)
			require.NoError(t, err, l)
			out.WriteString(got)
		}
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o666))
		return
	}
	require.Equal(t, string(text), out.String())
}
