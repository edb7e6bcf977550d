package multipath

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid"
	"graid/raid/md"
)

var (
	worldSeed  = flag.Uint64("world", 0, "run this world only, and tell what happened")
	worldCount = flag.Uint64("worlds", 50, "worlds of each kind")
)

var background = context.Background()

// events of one block, as porcupine judges them: a register that holds a version.
type happening struct {
	write       bool
	v           uint64
	began, ends int64
}

func (h happening) String() string {
	what := "read "
	if h.write {
		what = "write"
	}
	if h.ends == math.MaxInt64 {
		return fmt.Sprintf("%s %d [%d-?]", what, h.v, h.began)
	}
	return fmt.Sprintf("%s %d [%d-%d]", what, h.v, h.began, h.ends)
}

var register = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, in, _ any) (bool, any) {
		h := in.(happening)
		if h.write {
			return true, h.v
		}
		return state.(uint64) == h.v, state
	},
}

// judge is the history of every block.
type judgement struct {
	blocks [][]happening
	clock  int64
	next   uint64
	log    func(format string, a ...any)
}

func newJudgement(blocks int64) *judgement {
	return &judgement{blocks: make([][]happening, blocks), log: func(string, ...any) {}}
}

func (j *judgement) tick() int64 { j.clock++; return j.clock }

// change writes n blocks at i, all of them the same new version.
func (j *judgement) change(d block.Device, rng *rand.Rand, i, n int64) error {
	j.next++
	v := j.next
	r := block.Request{Op: block.Write, Off: i * unit, Len: n * unit, Buf: make([]byte, n*unit)}
	for at := 0; at < len(r.Buf); at += 8 {
		binary.LittleEndian.PutUint64(r.Buf[at:], v)
	}
	switch rng.IntN(10) {
	case 0:
		r.Flags = block.FUA
	case 1:
		r.Op, r.Buf, v = block.WriteZeroes, nil, 0
	}
	began := j.tick()
	err := d.Do(background, r)
	for k := range r.Buf {
		r.Buf[k] = 0xEE
	}
	ends := j.tick()
	j.log("%v = %d [%d-%d]: %v", r, v, began, ends, err)
	if err != nil {
		ends = math.MaxInt64
	}
	for b := i; b < i+n; b++ {
		j.blocks[b] = append(j.blocks[b], happening{true, v, began, ends})
	}
	return err
}

func (j *judgement) look(d block.Device, i, n int64) error {
	buf := make([]byte, n*unit)
	for k := range buf {
		buf[k] = 0xA5
	}
	began := j.tick()
	err := block.ReadAt(background, d, buf, i*unit)
	ends := j.tick()
	if err != nil {
		j.log("read %d+%d: %v", i, n, err)
		return err
	}
	return j.saw(buf, i, n, began, ends)
}

func (j *judgement) saw(buf []byte, i, n, began, ends int64) error {
	for b := i; b < i+n; b++ {
		at := buf[(b-i)*unit:][:unit]
		v := binary.LittleEndian.Uint64(at)
		for k := 0; k < unit; k += 8 {
			if binary.LittleEndian.Uint64(at[k:]) != v {
				return fmt.Errorf("block %d is a mix", b)
			}
		}
		j.log("read %d = %d [%d-%d]", b, v, began, ends)
		j.blocks[b] = append(j.blocks[b], happening{false, v, began, ends})
	}
	return nil
}

func (j *judgement) check() error {
	for b, list := range j.blocks {
		ops := make([]porcupine.Operation, len(list))
		for i, h := range list {
			ops[i] = porcupine.Operation{ClientId: i, Input: h, Call: h.began, Return: h.ends}
		}
		if !porcupine.CheckOperations(register, ops) {
			slices.SortFunc(list, func(a, b happening) int { return int(a.began - b.began) })
			return fmt.Errorf("block %d did not behave like a register: %v", b, list)
		}
	}
	return nil
}

// kind is a family of worlds.
type kind struct {
	name   string
	stale  Stale
	build  func(x *world) (ranked bool)
	faults []string
	calm   bool // nothing may fail for want of a path
}

var kinds = []kind{
	{"one graid server", StaleFence, func(x *world) bool {
		s := x.server(true, true)
		for range 2 + x.rng.IntN(2) {
			x.link(s)
		}
		return x.rng.IntN(2) == 0
	}, []string{"down", "half", "loss", "slow", "pause", "kill", "flap", "refuse"}, false},
	{"two graid servers", StaleFence, func(x *world) bool {
		for range 2 {
			s := x.server(true, true)
			for range 1 + x.rng.IntN(2) {
				x.link(s)
			}
		}
		return x.rng.IntN(2) == 0
	}, []string{"down", "half", "loss", "slow", "pause", "kill", "flap", "refuse"}, false},
	{"two foreign servers", StaleQuarantine, func(x *world) bool {
		for range 2 {
			x.link(x.server(false, false))
		}
		return x.rng.IntN(2) == 0
	}, []string{"down", "half", "loss", "slow", "pause", "kill", "flap", "refuse", "power"}, false},
	{"one foreign server", StaleFence, func(x *world) bool {
		s := x.server(false, false)
		x.link(s)
		x.link(s)
		return false
	}, []string{"down", "half", "loss", "slow", "pause", "flap"}, false},
}

// fault does something bad for a while.
func (x *world) fault(what string) {
	l, s := x.links[x.rng.IntN(len(x.links))], x.servers[x.rng.IntN(len(x.servers))]
	for_ := time.Duration(50+x.rng.IntN(4000)) * time.Millisecond
	switch what {
	case "down":
		l.down = true
		x.h.Sleep(for_)
		l.down = false
	case "half":
		l.half = true
		x.h.Sleep(for_)
		l.half = false
	case "loss":
		l.loss = 3
		x.h.Sleep(for_)
		l.loss = 0
	case "slow":
		was := l.latency
		l.latency = 300 * time.Millisecond
		x.h.Sleep(for_)
		l.latency = was
	case "refuse":
		l.refuse = true
		for _, w := range l.s.wires {
			if w.l == l {
				l.s.drop()
				break
			}
		}
		x.h.Sleep(for_)
		l.refuse = false
	case "flap":
		for range 4 {
			l.down = true
			x.h.Sleep(for_ / 16)
			l.down = false
			x.h.Sleep(for_ / 16)
		}
	case "pause":
		s.pause()
		x.h.Sleep(for_)
		s.resume()
	case "kill":
		s.kill()
		x.h.Sleep(for_)
		s.begin()
	case "power": // the machine of all servers
		for _, s := range x.servers {
			s.kill()
		}
		clear(x.m.cache)
		x.h.Sleep(for_)
		for _, s := range x.servers {
			s.begin()
		}
	}
}

// play runs one world and judges it.
func play(seed uint64, k kind, tell func(string, ...any)) (found error) {
	const blocks, clients, requests = 12, 4, 30
	x := newWorld(seed, blocks)
	defer x.close()
	ranked := k.build(x)
	j := newJudgement(blocks)
	if tell != nil {
		j.log = func(f string, a ...any) { tell("%v "+f, append([]any{x.w.Now()}, a...)...) }
	}
	o := Options{
		Selector: Selectors[x.rng.IntN(len(Selectors))], Stale: k.stale, Seed: seed, IOTimeout: 800 * time.Millisecond, Suspect: 150 * time.Millisecond,
		HoldMin: 2 * time.Second, HoldMax: 8 * time.Second, ReconnectMax: time.Second, FailbackAfter: 500 * time.Millisecond, Failback: Failback(x.rng.IntN(4)),
	}
	if x.rng.IntN(4) == 0 {
		o.Unflushed = 4 * unit
	}
	o.OnEvent = func(e Event) { j.log("%v", e) }
	worldErr := x.w.Run(2_000_000, func() {
		d, err := New(background, "mp", x.paths(ranked), o, x.h)
		if err != nil {
			found = err
			return
		}
		left, done := clients, x.h.NewEvent()
		for c := range clients {
			rng := x.w.Rand(fmt.Sprint("client", c), "requests")
			x.h.Go(func() {
				for range requests {
					n := 1 + rng.Int64N(3)
					i := rng.Int64N(blocks - n + 1)
					var err error
					switch rng.IntN(12) {
					case 0, 1, 2, 3, 4:
						err = j.look(d, i, n)
					case 5:
						err = block.Sync(background, d)
						j.log("flush: %v", err)
					default:
						err = j.change(d, rng, i, n)
					}
					if err != nil && found == nil {
						found = fmt.Errorf("a request failed though every fault was short: %w", err)
					}
					x.h.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond)
				}
				if left--; left == 0 {
					done.Set()
				}
			})
		}
		for left > 0 {
			what := k.faults[x.rng.IntN(len(k.faults))]
			j.log("fault: %s", what)
			x.fault(what)
			x.h.Sleep(time.Duration(x.rng.IntN(1500)) * time.Millisecond)
		}
		done.Wait()
		x.h.Sleep(100 * time.Second) // let what is late land
		for b := range int64(blocks) {
			if err := j.look(d, b, 1); err != nil && found == nil {
				found = err
			}
		}
		if err := block.Sync(background, d); err != nil && found == nil {
			found = fmt.Errorf("the last flush: %w", err)
		}
		if err := d.Close(); err != nil && found == nil {
			found = err
		}
		for _, s := range x.servers { // and nothing of it may need their caches
			s.kill()
		}
		clear(x.m.cache)
		if err := j.saw(x.m.data, 0, blocks, j.tick(), j.tick()); err != nil && found == nil {
			found = err
		}
		x.h.Sleep(time.Minute) // the map's tasks end
		for _, l := range x.links {
			if l.open != 0 && found == nil {
				found = fmt.Errorf("%d sessions were left open", l.open)
			}
		}
	})
	switch {
	case worldErr != nil:
		return worldErr
	case found != nil:
		return found
	}
	return j.check()
}

// TestWorlds has clients read, write and flush through maps whose links and servers fail in every way that a network has. Each block must have behaved
// like a register, no request may fail, and what was flushed must survive the servers.
func TestWorlds(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			if *worldSeed != 0 {
				require.NoError(t, play(*worldSeed, k, func(f string, a ...any) { t.Logf(f, a...) }))
				return
			}
			for seed := range *worldCount {
				if err := play(seed+1, k, nil); err != nil {
					t.Fatalf("-run '%s' -world=%d: %v", t.Name(), seed+1, err)
				}
			}
		})
	}
}

// TestWorldsSee: the judge finds what happens to maps that trust. It would be worth nothing otherwise.
func TestWorldsSee(t *testing.T) {
	k := kinds[2]
	k.stale = StaleTrust
	k.faults = []string{"pause", "half"}
	for seed := range uint64(300) {
		if err := play(seed+1, k, nil); err != nil {
			require.ErrorContains(t, err, "did not behave like a register")
			t.Logf("world %d: %.300s", seed+1, err)
			return
		}
	}
	t.Fatal("300 worlds of late writes, and none was wrong")
}

// TestUnderRAID: an array over two maps with faulty links keeps every byte, and loses no member for what the maps can answer.
func TestUnderRAID(t *testing.T) {
	for seed := range uint64(3) {
		require.NoError(t, overRAID(seed+1))
	}
}

func overRAID(seed uint64) (found error) {
	const size = 4 << 20
	x := newWorld(seed, size/unit)
	defer x.close()
	y := newWorld(seed+100, 1)
	defer y.close()
	y.w, y.h = x.w, x.h
	y.m.data = make([]byte, size)
	var members []raid.Member
	pair(false)(x)
	pair(false)(y)
	for i, s := range y.servers {
		s.name = "R" + s.name
		s.h = x.w.Host(s.name)
		y.links[i].h = x.h
	}
	worldErr := x.w.Run(5_000_000, func() {
		fail := func(err error) {
			if err != nil && found == nil {
				found = err
			}
		}
		for i, w := range []*world{x, y} {
			d, err := New(background, fmt.Sprint("mp", i), w.paths(false), Options{IOTimeout: 800 * time.Millisecond, Suspect: 150 * time.Millisecond, Seed: seed}, x.h)
			if err != nil {
				found = err
				return
			}
			members = append(members, raid.Member{Path: fmt.Sprint("mp", i), Dev: d})
		}
		spec := md.Spec{Level: 1, Layout: -1, RaidDevices: 2, Name: "r1"}
		_, err := raid.Create(background, spec, members, raid.Options{Sched: x.h})
		fail(err)
		a, err := raid.Assemble(background, members, raid.Options{Sched: x.h})
		if err != nil {
			fail(err)
			return
		}
		over := false
		done := x.h.NewEvent()
		x.h.Go(func() {
			for !over {
				w := []*world{x, y}[x.rng.IntN(2)]
				w.h = x.h
				w.fault([]string{"down", "half", "pause", "kill", "loss"}[x.rng.IntN(5)])
				x.h.Sleep(time.Second)
			}
			done.Set()
		})
		want := map[int64]byte{}
		for i := range 150 {
			off := x.rng.Int64N(64) * 4096
			if i%3 == 2 {
				b := make([]byte, 4096)
				fail(block.ReadAt(background, a, b, off))
				if v, known := want[off]; known && b[0] != v {
					fail(fmt.Errorf("at %d: %d instead of %d", off, b[0], v))
				}
				continue
			}
			b := bytes.Repeat([]byte{byte(i)}, 4096)
			fail(block.WriteAt(background, a, b, off))
			want[off] = byte(i)
			if i%10 == 0 {
				fail(block.Sync(background, a))
			}
			x.h.Sleep(100 * time.Millisecond)
		}
		over = true
		done.Wait()
		x.h.Sleep(2 * time.Minute)
		for _, m := range a.Status().Members {
			if m.State == "faulty" {
				fail(fmt.Errorf("member %s failed", m.Path))
			}
		}
		fail(a.Close())
	})
	if worldErr != nil {
		return worldErr
	}
	return found
}
