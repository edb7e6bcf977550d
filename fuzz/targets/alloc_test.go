package targets

import (
	"runtime"
	"testing"
)

// judge is a testing.TB that only notes a failure.
type judge struct {
	testing.TB
	failed bool
}

func (j *judge) Helper()               {}
func (j *judge) Fatalf(string, ...any) { j.failed = true }

// TestAllocates: a byte over the limit is seen, the limit is not, and what somebody else allocates now and then is forgiven.
func TestAllocates(t *testing.T) {
	var keep []byte
	make1 := func(n int) func() { return func() { keep = make([]byte, n) } }
	times := 0
	for _, c := range []struct {
		name   string
		input  int
		decode func()
		fails  bool
	}{
		{"little", 4096, make1(perUnit / 2), false},
		{"too much", 4096, make1(perUnit + 8192), true},
		{"more input", 8192, make1(perUnit + 8192), false},
		{"no input", 0, make1(perUnit + 8192), true},
		{"others, twice", 0, func() {
			if times++; times < 3 {
				keep = make([]byte, 2*perUnit)
			}
		}, false},
	} {
		j := &judge{TB: t}
		Allocates(j, c.input, c.decode)
		if j.failed != c.fails {
			t.Errorf("%s: failed is %v", c.name, j.failed)
		}
	}
	runtime.KeepAlive(keep)
}
