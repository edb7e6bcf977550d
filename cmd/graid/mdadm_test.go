package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"graid/daemon"
	"graid/raid"
)

// TestMdadm takes the steps of mdadm's own tests, one script for each, by the same name. Where mdadm waits a while a script waits for the end of
// what goes on, and then asks what that was.
func TestMdadm(t *testing.T) {
	p := scriptParams(filepath.Join("testdata", "script", "mdadm"), func(string) string { return plainBinary }) // it is started some hundred times
	for name, cmd := range map[string]func(*testscript.TestScript, bool, []string){
		"testdev": scriptTestdev, "kept": scriptKept, "state": scriptState, "spares": scriptSpares, "did": scriptDid, "used": scriptUsed, "without": scriptWithout,
		"delay": scriptDelay, "clears": scriptClears,
	} {
		p.Cmds[name] = cmd
	}
	testscript.Run(t, p)
}

func folderOf(ts *testscript.TestScript) daemon.Folder {
	f, err := daemon.LookFolder(ts.MkAbs(ts.Getenv("GRAID_RUNTIME_DIR")))
	ts.Check(err)
	return f
}

func arrayOf(ts *testscript.TestScript, name string) daemon.Array {
	a, err := folderOf(ts).Status(context.Background(), name)
	ts.Check(err)
	return a
}

// testdev NAME SIZE checks that the array has exactly this size, and writes here and there; kept NAME checks that it has what was written.
func scriptTestdev(ts *testscript.TestScript, _ bool, args []string) {
	want, err := parseSize(args[1])
	ts.Check(err)
	if got := arrayOf(ts, args[0]).SizeBytes; got != want {
		ts.Fatalf("%s has %d bytes, want %d", args[0], got, want)
	}
	scriptEach(ts, args[0], func(c *client, p []byte, off int64) error { return c.write(p, off) })
	scriptKept(ts, false, args)
}

func scriptKept(ts *testscript.TestScript, _ bool, args []string) {
	scriptEach(ts, args[0], func(c *client, want []byte, off int64) error {
		got := make([]byte, len(want))
		err := c.read(got, off)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("[%d,+%d) is not what was written", off, len(want))
		}
		return err
	})
}

// scriptEach does something with the first and the last bytes of an array and some between, and what belongs there.
func scriptEach(ts *testscript.TestScript, name string, do func(c *client, p []byte, off int64) error) {
	const places = 16
	c, err := dialNBD(uriOf(ts, name))
	ts.Check(err)
	defer c.close()
	w, p := everything(c.size), make([]byte, 16*patternBlock)
	for i := range int64(places) {
		off := (c.size - int64(len(p))) / (places - 1) * i / patternBlock * patternBlock
		if i == places-1 {
			off = (c.size - int64(len(p))) / patternBlock * patternBlock
		}
		w.at(p, off)
		ts.Check(do(c, p, off))
	}
	ts.Check(c.flush())
}

// state NAME UU_ waits until nothing goes on any more, and checks who is in sync then.
func scriptState(ts *testscript.TestScript, _ bool, args []string) {
	a, err := folderOf(ts).Wait(context.Background(), args[0])
	ts.Check(err)
	got := []byte(strings.Repeat("_", a.RaidDevices))
	for _, m := range a.Members {
		if m.Role != nil && m.State == raid.MemberInSync {
			got[*m.Role] = 'U'
		}
	}
	if string(got) != args[1] {
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}

// spares NAME N checks how many spares wait.
func scriptSpares(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for _, m := range arrayOf(ts, args[0]).Members {
		if m.State == raid.MemberSpare {
			n++
		}
	}
	if strconv.Itoa(n) != args[1] {
		ts.Fatalf("%s has %d spares, want %s", args[0], n, args[1])
	}
}

// did NAME [resync|recovery|check...] waits until nothing goes on any more, and checks what background work there was since the array was started.
func scriptDid(ts *testscript.TestScript, _ bool, want []string) {
	name := want[0]
	_, err := folderOf(ts).Wait(context.Background(), name)
	ts.Check(err)
	var got []string
	for _, e := range eventsOf(ts, name) {
		if e.Event == raid.EventRebuildStart {
			kind, _, _ := strings.Cut(e.Detail, " ")
			got = append(got, kind)
		}
	}
	if !slices.Equal(got, want[1:]) {
		ts.Fatalf("%s did %q, want %q", name, got, want[1:])
	}
}

// delay FILE... has bits of the bitmaps of members with metadata 1.2 cleared as soon as mdadm's --delay=1 would.
func scriptDelay(ts *testscript.TestScript, _ bool, args []string) {
	const sleepAt = 8192 + 56 // of the member: where its bitmap's superblock says how many seconds
	for _, name := range args {
		f, err := os.OpenFile(ts.MkAbs(name), os.O_RDWR, 0)
		ts.Check(err)
		_, err = f.WriteAt([]byte{1, 0, 0, 0}, sleepAt)
		ts.Check(errors.Join(err, f.Close()))
	}
}

// clears NAME waits until no bit of the array's bitmap is set, while it runs and nobody writes.
func scriptClears(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		b := arrayOf(ts, args[0]).Bitmap
		if b == nil || b.Bits == 0 || time.Now().After(end) {
			ts.Fatalf("%s has %+v for a bitmap, want one that is clear", args[0], b)
		}
		if b.Dirty == 0 {
			return
		}
	}
}

// eventsOf is what happened to the array so far.
func eventsOf(ts *testscript.TestScript, name string) (list []daemon.Event) {
	ts.Check(folderOf(ts).History(context.Background(), name, func(_ int64, raw json.RawMessage) {
		var e daemon.Event
		ts.Check(json.Unmarshal(raw, &e))
		list = append(list, e)
	}))
	return list
}

// used FILE... makes files as long as mdadm's tests have them, which hold something: their array must be resynced.
func scriptUsed(ts *testscript.TestScript, _ bool, args []string) {
	for i, name := range args {
		b := bytes.Repeat([]byte{byte(i + 1)}, 20000<<10)
		ts.Check(os.WriteFile(ts.MkAbs(name), b, 0o644))
	}
}

// without NAME MOST MEMBER... has the array run without every set of up to MOST of its members in turn, and checks what it holds meanwhile.
func scriptWithout(ts *testscript.TestScript, _ bool, args []string) {
	name, members := args[0], args[2:]
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, ctx := folderOf(ts), context.Background()
	for set := uint(1); set < 1<<len(members); set++ {
		if bits.OnesCount(set) > most {
			continue
		}
		var out []string
		for i, m := range members {
			if set>>i&1 != 0 {
				out = append(out, ts.MkAbs(m))
			}
		}
		for _, m := range out {
			_, err := f.Fail(ctx, name, m)
			ts.Check(err)
			_, err = f.Remove(ctx, name, m)
			ts.Check(err)
		}
		if err := verifyOne(ts, name); err != nil {
			ts.Fatalf("without %v: %v", out, err)
		}
		_, err := f.Add(ctx, name, out, daemon.AddOptions{})
		ts.Check(err)
		scriptState(ts, false, []string{name, strings.Repeat("U", len(members))})
	}
	ts.Check(verifyOne(ts, name))
}
