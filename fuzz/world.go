package fuzz

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"graid/block"
	"graid/raid"
	"graid/raid/md"
	"graid/sched"
	"graid/sim"
)

// Report is what became of a world.
type Report struct {
	Case       Case
	Err        error // what was wrong; nil: nothing
	Hash       uint64
	Steps      int64
	Requests   int64 // of clients
	Lives      int
	Virtual    time.Duration
	Transcript string // of the end, if Err
	Seen       map[string]int
}

// Failed is what is printed of a world that failed: what, how to bring it back, and what happened last.
func (r *Report) Failed() string {
	return fmt.Sprintf("%v\n\nreproduce: go test ./fuzz -run 'TestWorld$' -seed=%d    (hash %016x, %d steps, life %d)\n\n%v\n%s",
		r.Err, r.Case.Seed, r.Hash, r.Steps, r.Lives-1, r.Case, r.Transcript)
}

// maxSteps is how long a world may be: far more than any needs.
const maxSteps = 20_000_000

// run is a world under way.
type run struct {
	Case
	w     *sim.World
	disks []*sim.Disk
	lay   *layout
	j     *versions
	err   error
	seen  map[string]int // how often rare things happened
	count int64          // requests of clients

	tainted map[int64]bool // rows of a parity array whose parity may not be the sum: a cut came while they were written
	spoilt  bool           // some member has had sectors that could not be read

	// Of this life.
	number   int
	life     Life
	host     *sim.Host
	paths    []string // by role
	lost     []bool   // by role: missing, or failed
	torn     bool     // it went down dirty: copies, or data and parity, may have differed when this life began
	unsynced bool     // and resync is not done
	broken   bool
	cut      bool
}

// Run runs the world of c and judges it. Of one that fails the last lines are kept, at least 200.
func Run(c Case, lines int) *Report {
	r := &run{Case: c, w: sim.New(c.Seed), tainted: map[int64]bool{}, seen: map[string]int{}}
	defer r.w.Close()
	r.w.Keep(max(lines, 200))
	rep := &Report{Case: c, Seen: r.seen}
	err := r.w.Run(maxSteps, r.story)
	if rep.Err = r.err; rep.Err == nil {
		rep.Err = err
	}
	rep.Hash, rep.Steps, rep.Requests, rep.Lives, rep.Virtual = r.w.Hash(), r.w.Steps(), r.count, r.number+1, r.w.Now()
	if rep.Err != nil {
		rep.Transcript = r.w.Transcript()
	}
	return rep
}

// fail records the first thing that is wrong.
func (r *run) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("life %d at %v: %w", r.number, r.w.Now(), fmt.Errorf(format, args...))
	}
}

var ctx = context.Background()

// story is the world's main task: a creation, and lives.
func (r *run) story() {
	if !r.create() {
		return
	}
	for i, l := range r.Lives {
		r.number, r.life = i, l
		if r.live(); r.err != nil || r.broken {
			return
		}
	}
}

func (r *run) create() bool {
	r.host = r.w.Host("creator")
	var members []raid.Member
	for i, n := range r.Sizes {
		o := r.Disk
		o.Size, o.Inline = r.dataAt()+n+(64<<10), i < r.Inlines
		d := r.w.Disk(name(i), o)
		if !r.Assumed {
			for k := range d.Image() {
				d.Image()[k] = 0xE0 + byte(i)
			}
		}
		r.disks = append(r.disks, d)
		members = append(members, raid.Member{Path: name(i), Dev: d.Open(), WriteMostly: i == r.Mostly})
	}
	if _, err := raid.Create(ctx, r.Spec(), members, raid.Options{Sched: r.host}); err != nil {
		r.fail("create: %w", err)
		return false
	}
	var sizes []int64
	var used int64
	for i, d := range r.disks {
		s := r.super(i)
		if s == nil || d.Unflushed() > 0 {
			r.fail("created, but %s has no superblock, or %d sectors that are not durable", name(i), d.Unflushed())
			return false
		}
		sizes, used = append(sizes, s.dataOf), s.used
	}
	r.lay = newLayout(r.Level, r.Layout, r.Chunk, sizes, used)
	first := zero
	if !r.Assumed {
		first = unknown
	}
	r.j = newVersions(r.lay.size()/sector, first)
	r.j.excused, r.j.unsure = r.excused, r.unsure
	return true
}

func (r *run) super(member int) *super {
	return readSuper(r.disks[member].Image(), r.superAt(member))
}

// superAt is where a member's superblock is, bytes.
func (r *run) superAt(member int) int64 {
	switch r.Version {
	case md.V10:
		return (int64(len(r.disks[member].Image()))/sector - 16) / 8 * 8 * sector
	case md.V11:
		return 0
	}
	return 4096
}

// live is one life, from assembly to its end.
func (r *run) live() {
	l := r.life
	r.host, r.lost, r.unsynced, r.cut = r.w.Host(fmt.Sprintf("life%d", r.number)), make([]bool, r.Members), false, false
	over, ended := r.host.NewEvent(), false
	end := func(cut bool) {
		if !ended {
			ended, r.cut = true, cut
			over.Set()
		}
	}
	if l.End != Stop {
		r.doom(func() {
			if ended {
				return
			}
			r.w.Log("world", l.End.String())
			r.host.Kill()
			for _, d := range r.disks {
				if l.End == Power {
					d.Cut(l.Keep)
				} else {
					d.Abandon()
				}
			}
			end(true)
		})
	}
	r.host.Go(func() {
		r.body()
		end(false)
	})
	over.Wait()
	for _, d := range r.disks {
		d.ForgetMet()
		r.spoilt = r.spoilt || d.BadSectors() > 0
		d.Heal()
		d.Watch(nil)
	}
	if r.cut && r.err == nil {
		r.seen[l.End.String()]++
		r.crashed()
	}
	if r.w.Steps() > maxSteps {
		r.fail("too long")
	}
}

// doom has end called when the life is to end before its time.
func (r *run) doom(end func()) {
	l := r.life
	if l.Updates == 0 {
		r.w.AtStep(r.w.Steps()+l.Steps, end)
		return
	}
	updates := int64(0)
	for m, d := range r.disks {
		at := r.superAt(m)
		d.Watch(func(q block.Request) {
			if q.Op != block.Write || q.Off > at || q.End() <= at {
				return
			}
			if updates++; updates == l.Updates {
				r.w.AtStep(r.w.Steps()+l.Steps, end)
			}
		})
	}
}

// crashed is what the judges learn when the array went down.
func (r *run) crashed() {
	if r.lay.parity != nil {
		for lba := range r.j.sectors {
			if s := &r.j.sectors[lba]; len(s.since) > 0 || len(s.base) > 1 || s.loose {
				r.taint(int64(lba))
			}
		}
	}
	r.j.crashed()
}

func (r *run) taint(lba int64) {
	for _, p := range r.lay.places(lba * sector) {
		r.tainted[p.row] = true
	}
}

// excused says whether a sector may hold anything: it would have to be computed from a parity that a cut interrupted.
func (r *run) excused(lba int64) bool {
	if r.lay.parity == nil {
		return false
	}
	p := r.lay.places(lba * sector)[0]
	ok := r.tainted[p.row] && (r.lost[p.role] || r.ailing(p.role))
	if ok {
		r.seen["write hole"]++
	}
	return ok
}

// ailing says whether a member may fail, or fail to read, in this life.
func (r *run) ailing(role int) bool {
	return r.life.Fail == role || r.disks[role].BadSectors() > 0 || slices.ContainsFunc(r.life.Faults, func(f sim.Fault) bool { return f.Member == name(role) })
}

func (r *run) anyAiling() bool {
	for role := range r.Members {
		if r.ailing(role) {
			return true
		}
	}
	return false
}

// unsure says whether copies may have differed while the one that is read changed, before resync could make them agree.
func (r *run) unsure() bool { return r.torn && (r.spoilt || r.anyAiling()) }

// body is what the computer does in this life.
func (r *run) body() {
	a := r.assemble()
	if a == nil {
		return
	}
	if got := a.Info().Size; got != r.lay.size() {
		r.fail("the array has %d bytes, and the layout %d", got, r.lay.size())
		return
	}
	for _, d := range r.disks {
		d.ForgetMet() // to look for superblocks is not to read data
	}
	start := r.w.Now()
	for _, f := range r.life.Faults {
		f.At += start
		for _, d := range r.disks {
			d.Inject(f)
		}
	}
	r.verify(a)
	if r.life.Settle {
		_ = a.Wait(ctx)
	}
	if r.err == nil {
		r.traffic(a)
	}
	if r.life.Finish {
		_ = a.Wait(ctx)
	}
	if r.err == nil {
		r.verify(a)
	}
	state := a.Status()
	err := a.Close()
	if err != nil && !r.Beyond && !r.mayFail() {
		r.fail("close: %w", err)
	}
	if r.err == nil && !r.broken {
		r.images(state, err)
	}
}

// traffic is clients side by side, and a hand that fails a member.
func (r *run) traffic(a *raid.Array) {
	g := sched.NewGroup(r.host)
	for i := range r.Clients {
		rng := r.w.Rand(fmt.Sprintf("client %d of life %d", i, r.number), "requests")
		g.Go(func() {
			c := client{r, a, rng, i}
			for n := 0; n < r.Ops && r.err == nil && !r.broken; n++ {
				c.request()
			}
		})
	}
	if m := r.life.Fail; m >= 0 {
		rng := r.w.Rand(fmt.Sprintf("hand of life %d", r.number), "when")
		g.Go(func() {
			r.host.Sleep(time.Duration(rng.Int64N(int64(r.Case.Disk.Least)*1000 + 1)))
			if err := a.Fail(ctx, r.paths[m]); err != nil && !r.Beyond && !errors.Is(err, raid.ErrNotMember) {
				r.fail("to fail %s by hand: %w", name(m), err)
			}
		})
	}
	g.Wait()
}

// mayFail says whether requests may fail in this life, in a survivable world: nobody can know what an unreadable sector held while
// parity is not known to be right.
func (r *run) mayFail() bool { return r.Beyond || r.lay.parity != nil && r.unsynced && r.anyAiling() }

// hear is the array's events.
func (r *run) hear(e raid.Event) {
	r.w.Log("event", e.String())
	r.seen[e.Kind]++
	switch e.Kind {
	case raid.EventFail:
		if role := slices.Index(r.paths, e.Member); role >= 0 {
			r.lost[role] = true
			if !slices.Contains(r.Victims, role) {
				r.fail("%s failed, which nothing was wrong with: %s", name(role), e.Detail)
			}
		}
	case raid.EventBroken:
		if r.broken = true; !r.Beyond {
			r.fail("the array broke down: %s", e.Detail)
		}
	case raid.EventRebuildEnd:
		if e.Detail == "resync done" {
			r.unsynced = false
		}
	}
}

// shuffled is the order in which members are offered.
func (r *run) shuffled() []int {
	order := make([]int, r.Members)
	for i := range order {
		order[i] = i
	}
	if r.life.Shuffle {
		rng := rand.New(rand.NewPCG(r.Seed, uint64(r.number)))
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return order
}
