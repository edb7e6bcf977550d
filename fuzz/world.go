package fuzz

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"graid/block/fault"
	"graid/raid"
	"graid/raid/md"
	"graid/sim"
)

// Report is what became of a world.
type Report struct {
	Case       Case
	Err        error // what was wrong; nil: nothing
	Hash       uint64
	Steps      int64
	Requests   int64 // of clients
	IOs        int64 // of members
	Lives      int
	Virtual    time.Duration
	Transcript string // of the end, if Err
	Seen       map[string]int
	Sectors    int64 // of the array; 0 if it was not created
}

// Failed is what is printed of a world that failed: what, how to bring it back, and what happened last.
func (r *Report) Failed() string {
	return fmt.Sprintf("%v\n\nreproduce: go test ./fuzz -run 'TestWorld$' -seed=%d    (hash %016x, %d steps, life %d; -shrink makes it small)\n\n%v\n%s",
		r.Err, r.Case.Seed, r.Hash, r.Steps, r.Lives-1, r.Case, r.Transcript)
}

// Shrunk is a small case that fails, made of one that r says failed, by running at most so many worlds.
func (r *Report) Shrunk(tries int) Case {
	c := r.Case
	if !c.Scripted {
		c = c.Script(r.Sectors)
	}
	want := kind(r.Err)
	fails := func(c Case) bool {
		r := Run(c, 0)
		return r.Err != nil && kind(r.Err) == want
	}
	if r.Sectors == 0 || !fails(c) {
		return r.Case
	}
	return Shrink(c, tries, fails)
}

// kind is what a failure says before it comes to particulars: the first words after the time that have no figures in them.
func kind(err error) string {
	_, text, _ := strings.Cut(err.Error(), ": ")
	words := slices.DeleteFunc(strings.Fields(text), func(w string) bool { return strings.ContainsAny(w, "0123456789") })
	return strings.Join(words[:min(3, len(words))], " ")
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
	h     *history // of this life
	err   error
	seen  map[string]int // how often rare things happened
	count int64          // requests of clients

	buffers [][]byte // to be used again

	tainted map[int64]uint64 // rows of a parity array whose parity may not be the sum: a cut came while they were written. A set of the
	// roles that may have been computed from it since
	marked     map[int]bool // disks that have had sectors in their bad block logs
	forcedOnce bool         // some life was started by force

	whole  bool // every other row had its parity made right
	spoilt bool // some member has had sectors that could not be read

	// Of this life.
	number    int
	life      Life
	host      *sim.Host
	paths     []string // by disk; of one that was not offered, none
	seats     []int    // by role: the disk that has it and is in sync; -1: none
	replacing []int    // by role: who was being filled in place of who has it when this life began; -1: nobody
	asked     []bool   // by disk: the owner wants it replaced
	lost      []bool   // by role: missing, failed, or not filled yet
	failed    []bool   // by disk: failed in this life
	forced    bool     // it was dirty, and is taken for clean
	torn      bool     // it went down dirty: copies, or data and parity, may have differed when this life began
	unsynced  bool     // and resync is not done
	broken    bool
	rotten    bool // redundancy was spoilt on purpose
	cut       bool
}

// Run runs the world of c and judges it. Of one that fails the last lines are kept, at least 200.
func Run(c Case, lines int) *Report {
	r := &run{Case: c, w: sim.New(c.Seed), tainted: map[int64]uint64{}, seen: map[string]int{}, marked: map[int]bool{}}
	defer r.w.Close()
	r.w.Keep(max(lines, 200))
	rep := &Report{Case: c, Seen: r.seen}
	err := r.w.Run(maxSteps, r.story)
	if rep.Err = r.err; rep.Err == nil {
		rep.Err = err
	}
	rep.Hash, rep.Steps, rep.Requests, rep.Lives, rep.Virtual = r.w.Hash(), r.w.Steps(), r.count, r.number+1, r.w.Now()
	for _, d := range r.disks {
		rep.IOs += d.Requests()
	}
	if r.j != nil {
		rep.Sectors = int64(len(r.j.sectors))
	}
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
	for i := range r.Case.disks() {
		o := r.Disk
		o.Size, o.Inline, o.Block = r.diskSize(i), i < r.Inlines, r.block(i)
		d := r.w.Disk(name(i), o)
		if !r.Assumed || i >= r.Members {
			for k := range d.Image() {
				d.Image()[k] = 0xE0 + byte(i)
			}
		}
		r.disks = append(r.disks, d)
		if i < r.Members+r.Spares {
			members = append(members, raid.Member{Path: name(i), Dev: d.Open(), WriteMostly: i == r.Mostly})
		}
	}
	if _, err := raid.Create(ctx, r.Spec(), members, raid.Options{Sched: r.host}); err != nil {
		r.fail("create: %w", err)
		return false
	}
	var sizes []int64
	var used int64
	for i, d := range r.disks[:r.Members+r.Spares] {
		s := r.super(i)
		if s == nil || d.Unflushed() > 0 {
			r.fail("created, but %s has no superblock, or %d sectors that are not durable", name(i), d.Unflushed())
			return false
		}
		sizes, used = append(sizes, s.dataOf), s.used
	}
	sizes = sizes[:r.Members]
	r.lay = newLayout(r.Level, r.Layout, r.Chunk, sizes, used)
	first := zero
	if !r.Assumed {
		first = unknown
	}
	r.whole = r.Assumed
	r.j = newVersions(r.size()/sector, first)
	r.j.excused, r.j.unsure = r.excused, r.unsure
	return true
}

// size is the array's, bytes: what the layout has room for, in whole blocks.
func (r *run) size() int64 {
	unit := r.unit() * sector
	return r.lay.size() / unit * unit
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

// crashed is what the judges learn when the array went down.
func (r *run) crashed() {
	r.j.crashed()
	if r.lay.parity == nil {
		return
	}
	for _, lba := range r.j.suspects {
		for _, p := range r.lay.places(lba * sector) {
			r.tainted[p.row] |= 0
		}
	}
	r.stain()
}

// halfMade is what the judges learn when an array goes on, one member short, whose parities nobody has made right yet: they may contradict
// each other in every row, but where something was written, which made them right.
func (r *run) halfMade() {
	if r.lay.second == nil || r.whole {
		return
	}
	right := map[int64]bool{}
	for lba := range r.j.sectors {
		if slices.ContainsFunc(r.j.sectors[lba].all, func(w written) bool { return w.ok && w.v != unknown }) {
			right[r.lay.places(int64(lba) * sector)[0].row] = true
		}
	}
	for row := int64(0); row < r.lay.rows; row += sector {
		if !right[row] {
			r.tainted[row] |= 0
		}
	}
	r.stain()
}

// mended is what the judges learn when a write succeeded while parity was not to be believed: it made the parity of its rows anew, from all
// their data. What was computed before then is what it is.
func (r *run) mended(lba, n int64) {
	if r.lay.parity == nil || !r.unsynced || r.forced || slices.Contains(r.lost, true) {
		return
	}
	for i := lba; i < lba+n; i++ {
		if row := r.lay.places(i * sector)[0].row; r.tainted[row] == 0 {
			delete(r.tainted, row)
		}
	}
}

// stain takes note of whose sectors may have been computed, and written, from a parity that was not right.
func (r *run) stain() {
	var roles uint64
	for role := range r.Members {
		if r.computed(role) {
			roles |= 1 << role
		}
	}
	for row := range r.tainted {
		r.tainted[row] |= roles
	}
}

// excused says whether a sector may hold anything: it would have to be computed from a parity that a cut interrupted, or was.
func (r *run) excused(lba int64) bool {
	if r.lay.parity == nil {
		return false
	}
	p := r.lay.places(lba * sector)[0]
	roles, tainted := r.tainted[p.row]
	if r.PPL > 0 && !r.suspect(lba) { // the log closes the write hole: what nobody was writing can be computed
		return false
	}
	ok := tainted && (r.computed(p.role) || roles>>p.role&1 != 0)
	if ok {
		r.seen["write hole"]++
	}
	return ok
}

// suspect says whether sector lba had writes under way when the array went down last, or before that and nobody has made sure of it since.
func (r *run) suspect(lba int64) bool {
	_, found := slices.BinarySearch(r.j.suspects, lba)
	return found
}

// computed says whether a member's sectors may be computed from parities that are taken as they are: because it is missing, or, in raid6,
// because another one is. As long as nobody is missing, what a parity that was not resynced says of an unreadable sector must not be told.
func (r *run) computed(role int) bool {
	return r.lost[role] || r.lay.second != nil && slices.Contains(r.lost, true) && r.ailing(role)
}

// ailing says whether who has a role may fail, or fail to read, in this life. Whoever stands in for a victim may be any of the disks beside.
func (r *run) ailing(role int) bool {
	of := func(d int) bool {
		return r.faulty(d) || slices.ContainsFunc(r.life.Hand, func(s Step) bool { return s.What == handFail && s.Disk == d })
	}
	if of(role) {
		return true
	}
	for d := r.Members; d < len(r.disks) && r.victim(role); d++ {
		if of(d) {
			return true
		}
	}
	return false
}

// faulty says whether something may be wrong with a disk in this life.
func (r *run) faulty(disk int) bool {
	return r.marked[disk] || r.disks[disk].BadSectors() > 0 || slices.ContainsFunc(r.life.Faults, func(f fault.Rule) bool { return f.Member == name(disk) })
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

// mayFail says whether requests may fail in this life, in a survivable world: nobody can know what an unreadable sector held while
// parity is not known to be right.
func (r *run) mayFail() bool { return r.Beyond || r.lay.parity != nil && r.unsynced && r.anyAiling() }

// hear is the array's events.
func (r *run) hear(e raid.Event) {
	r.w.Log("event", e.String())
	r.seen[e.Kind]++
	switch e.Kind {
	case raid.EventFail:
		disk := slices.Index(r.paths, e.Member)
		if r.failed[disk] = true; !r.victim(disk) {
			r.fail("%s failed, which nothing was wrong with: %s", name(disk), e.Detail)
		}
		if role := slices.Index(r.seats, disk); role >= 0 {
			r.lost[role], r.seats[role] = true, -1
			r.halfMade()
			r.stain()
		}
	case raid.EventSpareActive:
		role := -1
		_, _ = fmt.Sscanf(e.Detail, "role %d", &role)
		if role < 0 || role >= r.Members || !r.lost[role] && r.replacing[role] < 0 && !r.asked[r.seats[role]] {
			r.fail("%s says that it is filled: %s", e.Member, e.Detail)
			return
		}
		r.lost[role], r.seats[role] = false, slices.Index(r.paths, e.Member)
	case raid.EventMismatch:
		r.differs(e.Detail)
	case raid.EventBroken:
		if r.broken = true; !r.Beyond {
			r.fail("the array broke down: %s", e.Detail)
		}
	case raid.EventRebuildEnd:
		if e.Detail == "resync done" {
			r.unsynced = false // in the members' caches, maybe: r.whole is for whoever closes
		}
	}
}

// shuffled is the order in which members are offered.
func (r *run) shuffled() []int {
	order := make([]int, len(r.disks))
	for i := range order {
		order[i] = i
	}
	if r.life.Shuffle {
		rng := rand.New(rand.NewPCG(r.Seed, uint64(r.number)))
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return order
}
