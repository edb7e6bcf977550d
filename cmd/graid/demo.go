package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func demoVerb() verb {
	return verb{
		name:  "demo",
		short: "the five-minute tour on throw-away files, in one command",
		long: `Makes an array of throw-away files, writes to it over NBD, takes a member away, keeps writing and reading, rebuilds
it onto another, checks parity, stops it, starts it again with the new set of members, and verifies every byte on the way. Leaves nothing behind, and ends with status 0 only if
every byte was right.`,
		run: func(c *call) error {
			if err := c.noArgs(); err != nil {
				return err
			}
			return demo(c)
		},
	}
}

// tour is one run of the demo.
type tour struct {
	*call
	paint
	dir  string // holds everything, and goes at the end
	step int
	want *pattern
}

const (
	demoName   = "demo"
	demoMember = "m1.img" // the one that is lost
	demoSpare  = "m4.img" // the one that replaces it
)

func demo(c *call) (err error) {
	dir, err := os.MkdirTemp("", "graid-demo-")
	if err != nil {
		return err
	}
	t := &tour{call: c, paint: paintFor(c.out), dir: dir}
	run := filepath.Join(dir, "run")
	defer restoreEnv("GRAID_RUNTIME_DIR")()
	os.Setenv("GRAID_RUNTIME_DIR", run)
	defer func() {
		err = errors.Join(err, t.leave())
	}()
	if err := t.all(); err != nil {
		return err
	}
	fmt.Fprintln(c.out, t.good("every byte was right at every step")+"; nothing is left behind")
	return nil
}

func restoreEnv(key string) func() {
	if old, ok := os.LookupEnv(key); ok {
		return func() { os.Setenv(key, old) }
	}
	return func() { os.Unsetenv(key) }
}

// leave stops what still runs, also after Ctrl-C, and removes everything.
func (t *tour) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if f, err := lookFolder(); err == nil {
		_ = f.Stop(ctx, demoName, true) // it may have stopped already
	}
	return os.RemoveAll(t.dir)
}

func (t *tour) all() error {
	members := []string{t.in("m0.img"), t.in("m1.img"), t.in("m2.img"), t.in("m3.img")}
	now := []string{members[0], t.in(demoSpare), members[2], members[3]} // once that member is replaced
	left := []string{members[0], t.in(demoSpare), members[3]}            // and another is not there

	t.say("an array of four members that survives the loss of any one of them")
	create := append([]string{"create", demoName, "--level", "5", "--chunk", "64K", "--member-size", "32M"}, members...)
	uri, err := t.graid(exitDone, create...)
	if err != nil {
		return err
	}
	t.say("write all of it over NBD, as any NBD client could, and read it back")
	if err := t.io(uri, (*pattern).fill, (*pattern).verify); err != nil {
		return err
	}
	t.say("lose a member, and keep serving")
	if _, err := t.graid(exitDone, "fail", demoName, t.in(demoMember)); err != nil {
		return err
	}
	if err := t.io(uri, (*pattern).verify, (*pattern).scatter, (*pattern).verify); err != nil {
		return err
	}
	t.say("put another in its place, and keep writing while that is rebuilt")
	if _, err := t.graid(exitDone, "remove", demoName, t.in(demoMember)); err != nil {
		return err
	}
	if err := os.Remove(t.in(demoMember)); err != nil {
		return err
	}
	if _, err := t.graid(exitDone, "add", demoName, t.in(demoSpare), "--member-size", "32M"); err != nil {
		return err
	}
	if err := t.io(uri, (*pattern).scatter); err != nil {
		return err
	}
	if _, err := t.graid(exitDone, "wait", demoName); err != nil {
		return err
	}
	t.say("compare parity with the data, all of it")
	if _, err := t.graid(exitDone, "check", demoName, "--wait"); err != nil {
		return err
	}
	if err := t.io(uri, (*pattern).verify); err != nil {
		return err
	}
	t.say("stop it, and start it again: the members that it has now are complete")
	if _, err := t.graid(exitDone, "stop", demoName); err != nil {
		return err
	}
	if uri, err = t.graid(exitDone, append([]string{"assemble", demoName}, now...)...); err != nil {
		return err
	}
	if err := t.io(uri, (*pattern).verify); err != nil {
		return err
	}
	if _, err := t.graid(exitDone, "status"); err != nil {
		return err
	}
	if _, err := t.graid(exitDone, "stop", demoName); err != nil {
		return err
	}
	t.say("what the new member knows (mdadm --examine reads it too)")
	if _, err := t.graid(exitDone, "examine", t.in(demoSpare)); err != nil {
		return err
	}
	t.say("the same bytes without any server, and without m2.img: copied out of the others alone")
	file := t.in("content.raw")
	if _, err := t.graid(exitAttention, append([]string{"dump", "-o", file}, left...)...); err != nil {
		return err
	}
	return t.compare(file)
}

func (t *tour) in(name string) string { return filepath.Join(t.dir, name) }

func (t *tour) say(what string) {
	t.step++
	fmt.Fprintf(t.out, "%s %s\n", t.bold(fmt.Sprintf("%d.", t.step)), t.bold(what))
}

// graid runs a command as the user would type it, shows both, and returns the last line it printed: the URI, where there is one.
func (t *tour) graid(want int, args ...string) (last string, err error) {
	short := strings.ReplaceAll(strings.Join(quoted(args), " "), t.dir+string(filepath.Separator), "")
	fmt.Fprintf(t.out, "   $ graid %s\n", short)
	var out, bad bytes.Buffer
	status := run(t.ctx, args, std{in: strings.NewReader(""), out: &out, err: &bad})
	if err := t.ctx.Err(); err != nil {
		return "", err
	}
	for _, b := range []*bytes.Buffer{&out, &bad} {
		for l := range strings.Lines(b.String()) {
			if args[0] != "examine" || telling(l) {
				fmt.Fprintf(t.out, "   %s\n", strings.TrimRight(l, "\n"))
			}
		}
	}
	if status != want {
		return "", fmt.Errorf("graid %s ended with status %d, expected %d", args[0], status, want)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[len(lines)-1], nil
}

// telling picks the lines of examine that say what happened: it has many more.
func telling(l string) bool {
	label, _, _ := strings.Cut(l, " : ")
	return slices.Contains([]string{"Array UUID", "State", "Update Time", "Events", "Device Role", "Array State"}, strings.TrimSpace(label))
}

// io does things to the export and says what they came to.
func (t *tour) io(uri string, things ...func(*pattern, context.Context, *client) (string, error)) error {
	c, err := dialNBD(uri)
	if err != nil {
		return err
	}
	defer c.close()
	if t.want == nil {
		t.want = newPattern(c.size)
	}
	if c.size != t.want.size {
		return fmt.Errorf("the export has %d bytes, and had %d before", c.size, t.want.size)
	}
	for _, do := range things {
		start := time.Now()
		said, err := do(t.want, t.ctx, c)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "   %s  (%.1fs)\n", said, time.Since(start).Seconds())
	}
	return nil
}

// compare checks a file against what was written.
func (t *tour) compare(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	said, err := t.want.check(t.ctx, func(p []byte, off int64) error {
		_, err := f.ReadAt(p, off)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	if fi, err := f.Stat(); err != nil || fi.Size() != t.want.size {
		return fmt.Errorf("%s: is not as large as the array", filepath.Base(path))
	}
	fmt.Fprintf(t.out, "   %s\n", said)
	return nil
}

// pattern is what every byte of the array should be: each block names itself and how often it was written, so that a block in
// the wrong place or from the past is noticed.
type pattern struct {
	size  int64
	wrote []uint32 // per block: how often
	rand  *rand.Rand
}

const (
	patternBlock = 4096    // bytes that name themselves
	patternIO    = 1 << 20 // bytes of a request when all is written or read
)

func newPattern(size int64) *pattern {
	return &pattern{size: size, wrote: make([]uint32, (size+patternBlock-1)/patternBlock), rand: rand.New(rand.NewPCG(1, 2))}
}

// at fills p with what belongs at off, which is a multiple of patternBlock.
func (w *pattern) at(p []byte, off int64) {
	for len(p) > 0 {
		b := off / patternBlock
		x := uint64(b)<<32 | uint64(w.wrote[b])
		n := min(len(p), patternBlock)
		for i := 0; i+8 <= n; i += 8 {
			x = x*6364136223846793005 + 1442695040888963407
			binary.LittleEndian.PutUint64(p[i:], x^x>>29)
		}
		clear(p[n-n%8 : n])
		off, p = off+int64(n), p[n:]
	}
}

// fill writes all of it.
func (w *pattern) fill(ctx context.Context, c *client) (string, error) {
	buf := make([]byte, patternIO)
	for off := int64(0); off < w.size; off += patternIO {
		p := buf[:min(patternIO, w.size-off)]
		for b := off / patternBlock; b*patternBlock < off+int64(len(p)); b++ {
			w.wrote[b]++
		}
		w.at(p, off)
		if err := errors.Join(ctx.Err(), c.write(p, off)); err != nil {
			return "", err
		}
	}
	return "wrote " + human(w.size), c.flush()
}

// scatter rewrites blocks here and there.
func (w *pattern) scatter(ctx context.Context, c *client) (string, error) {
	const times = 2000
	buf := make([]byte, patternBlock)
	for range times {
		b := w.rand.Int64N(w.size / patternBlock)
		w.wrote[b]++
		w.at(buf, b*patternBlock)
		if err := errors.Join(ctx.Err(), c.write(buf, b*patternBlock)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("rewrote %d blocks of 4K here and there", times), c.flush()
}

// verify reads all of it and compares every byte.
func (w *pattern) verify(ctx context.Context, c *client) (string, error) {
	return w.check(ctx, c.read)
}

func (w *pattern) check(ctx context.Context, read func(p []byte, off int64) error) (string, error) {
	got, want := make([]byte, patternIO), make([]byte, patternIO)
	for off := int64(0); off < w.size; off += patternIO {
		n := min(patternIO, w.size-off)
		if err := errors.Join(ctx.Err(), read(got[:n], off)); err != nil {
			return "", err
		}
		w.at(want[:n], off)
		for i := range n {
			if got[i] != want[i] {
				return "", fmt.Errorf("byte %d is %#02x and was written as %#02x", off+i, got[i], want[i])
			}
		}
	}
	return "verified " + human(w.size) + ": every byte is right", nil
}
