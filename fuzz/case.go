package fuzz

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"graid/block/fault"
	"graid/raid/md"
	"graid/sim"
)

// Case is a world as the seed has it: everything that is decided before it runs.
type Case struct {
	Seed    uint64
	Beyond  bool // faults may exceed what redundancy survives
	Level   int
	Layout  int // md's number
	Members int
	Spares  int // disks beside them: so many are spares from the beginning,
	Blanks  int // and so many are in no array until they are added
	Chunk   int64
	Sizes   []int64 // of the members' data, about; bytes
	Version md.Version
	Bitmap  bool
	PPL     int64 // of a raid5: bytes of the partial parity log on each member; 0: none
	Assumed bool  // the array is created as clean
	Mostly  int   // the role that is write-mostly, -1 none
	Quiet   time.Duration
	Prompt  time.Duration // members are to read within that, or others answer; 0: they have all the time
	Disk    sim.DiskOptions
	Inlines int // so many of the members are Inline
	Large   int // so many of the members, the last ones, have sectors of 4 KiB
	Victims []int
	Clients int
	Share   Share
	Ops     int   // of each client in each life
	Run     int64 // sectors in a row that belong to one client
	Mix     Mix
	Lives   []Life

	Scripted bool // what clients do is in Life.Clients, and not drawn
}

// Mix is how often a client does what, in parts of the sum.
type Mix struct{ Read, Write, FUA, Zeroes, Discard, Flush, Pause int }

// Share is what clients have in common.
type Share uint8

// The ways to share.
const (
	shareNone  Share = iota // each has sectors of its own
	shareReads              // for writing; reads go anywhere
	shareAll                // requests overlap, in a few places
)

// End is how a life ends.
type End uint8

// The ends.
const (
	Stop  End = iota // closed
	Kill             // the process ends
	Power            // and the members lose power
)

// String is the end's name.
func (e End) String() string { return [...]string{"stop", "kill", "power cut"}[e] }

// Life is the time from one assembly to the next.
type Life struct {
	Faults  Faults // their times count from the beginning of the life
	Absent  []int  // members that are not there
	Twice   int    // this member is offered a second time, which must be refused; -1: none
	Shuffle bool   // members are offered in another order and under other names
	Blind   bool   // clients begin at once: nobody reads everything first
	Settle  bool   // wait for background work before clients begin
	Finish  bool   // and before closing
	Aim     bool   // some sectors of victims, in rows that the last crash left open, cannot be read from the beginning
	Glances int    // so many tasks look, before the clients begin, at what the last crash left open
	Hand    []Step // what the owner does beside the clients
	Record  bool   // some sectors of victims do not hold what they should, and their bad block logs say so, as some other computer left them
	Located bool   // Rot spoils whatever it likes, and a repair finds out who is wrong
	Rot     bool   // nothing but a check and a repair, of redundancy that is not right
	End     End
	Steps   int64    // after so many steps, unless it is Stop
	Updates int64    // counted from the start of the superblock write of that number; 0: from the beginning of the life
	Partly  bool     // or from the start of the first that says that a member is filled in part
	Keep    sim.Keep // what the power cut leaves
	Destroy bool     // sectors of victims that were being written then cannot be read any more
	Clients [][]Op   // of a Scripted case: what each client does
}

// NewCase draws the world of seed.
func NewCase(seed uint64) Case {
	rng := rand.New(rand.NewPCG(seed, 0x7765726c64)) // a stream of its own: what is drawn here moves nothing in the world
	hand := rand.New(rand.NewPCG(seed, 0x68616e64))
	c := Case{Seed: seed, Beyond: rng.IntN(4) == 0, Version: md.V12, Mostly: -1}
	c.geometry(rng)
	c.Bitmap = c.Level > 0 && rng.IntN(4) == 0
	c.Assumed = rng.IntN(3) > 0
	c.Quiet = []time.Duration{100 * time.Microsecond, 5 * time.Millisecond, 200 * time.Millisecond, time.Hour}[rng.IntN(4)]
	c.Disk = sim.DiskOptions{Least: time.Duration(1+rng.IntN(50)) * time.Microsecond, NoZeroes: rng.IntN(4) == 0}
	c.Disk.Spread = c.Disk.Least * time.Duration([]int{1, 10, 200}[rng.IntN(3)])
	c.Disk.FlushCost = c.Disk.Least * time.Duration(rng.IntN(20))
	if rng.IntN(4) == 0 {
		c.Inlines = 1 + rng.IntN(c.Members)
	}
	if rng.IntN(8) == 0 {
		c.Large = 1 + rng.IntN(c.Members)
	}
	c.traffic(rng)
	c.Victims = c.victims(rng)
	for range 2 + rng.IntN(4) {
		l := c.life(rng, hand)
		if n := len(c.Lives); n > 0 && c.Lives[n-1].End == Power && c.Level > 0 && rng.IntN(6) == 0 {
			l = c.recut(rng)
		} else if torn := n == 0 && !c.Assumed || n > 0 && c.Lives[n-1].End != Stop; torn && c.Level >= 4 && c.Level <= 6 && rng.IntN(4) == 0 {
			l = c.orphan(rng, hand)
		}
		c.Lives = append(c.Lives, l)
	}
	if last := &c.Lives[len(c.Lives)-1]; rng.IntN(2) == 0 { // so that images are judged
		last.End, last.Updates = Stop, 0
	}
	c.administer(hand)
	c.hurry(rand.New(rand.NewPCG(seed, 0x736c6f77)))
	c.enrich(rand.New(rand.NewPCG(seed, 0x656e72696368)))
	return c
}

// hurry gives a third of the worlds a deadline for reads, from less than what they mostly take to much more. It has a stream of its own, so that the others are
// what they would be without.
func (c *Case) hurry(rng *rand.Rand) {
	if rng.IntN(3) > 0 {
		return
	}
	c.Prompt = c.Disk.Least + c.Disk.Spread*time.Duration(1+rng.IntN(8))/8
	if rng.IntN(2) == 0 {
		c.Prompt += time.Duration(rng.IntN(100)) * time.Millisecond
	}
}

func (c *Case) geometry(rng *rand.Rand) {
	c.Level = []int{1, 1, 1, 5, 5, 5, 6, 6, 6, 10, 10, 4, 0, -1}[rng.IntN(14)]
	c.Chunk = 4096 << rng.IntN(4)
	stripes := int64(2 + rng.IntN(14))
	large := rng.IntN(6) == 0 // so that resync takes several turns, and clients come in between
	c.Layout = -1
	switch c.Level {
	case -1, 0:
		c.Members = 1 + rng.IntN(4)
		if c.Level == 0 {
			c.Layout = 1 + rng.IntN(2)
		}
	case 1:
		c.Members, c.Chunk = 2+rng.IntN(3), 0
		if rng.IntN(3) == 0 {
			c.Mostly = rng.IntN(c.Members)
		}
	case 4:
		c.Members = 3 + rng.IntN(3)
	case 5:
		c.Members = 3 + rng.IntN(3)
		c.Layout = []int{2, 2, 2, 0, 1, 3, 4, 5}[rng.IntN(8)]
	case 6:
		c.Members = 4 + rng.IntN(3)
		c.Layout = []int{2, 2, 2, 0, 1, 3, 4, 5, 8, 9, 10, 16, 17, 18, 19, 20}[rng.IntN(16)]
	case 10:
		c.Members = 2 + rng.IntN(4)
		c.Layout = []int{0x102, 0x102, 0x201, 0x10201, 0x103}[rng.IntN(5)]
		if c.Layout == 0x103 {
			c.Members = max(c.Members, 3)
		}
		if c.Layout == 0x10201 || c.Layout == 0x201 {
			c.Members = max(c.Members, 3)
		}
	}
	c.Version = []md.Version{md.V12, md.V12, md.V10, md.V11}[rng.IntN(4)]
	for range c.Members {
		n := stripes * max(c.Chunk, 16<<10)
		if large && c.Level > 0 {
			n = (600<<10 + n) / max(c.Chunk, 4096) * max(c.Chunk, 4096)
		}
		if c.Level <= 0 && rng.IntN(2) == 0 {
			n += c.Chunk * rng.Int64N(8)
		}
		c.Sizes = append(c.Sizes, max(n, 64<<10))
	}
}

func (c *Case) traffic(rng *rand.Rand) {
	c.Clients = 1 + rng.IntN(8)
	c.Ops = 10 << rng.IntN(5)
	c.Run = []int64{1, 3, 8, 16, 64, 200}[rng.IntN(6)]
	if c.Large > 0 {
		c.Run = (c.Run + 7) / 8 * 8
	}
	c.Share = []Share{shareNone, shareNone, shareReads, shareAll}[rng.IntN(4)]
	on := func(n int) int { // swarm: every kind is left out of some worlds
		if rng.IntN(3) == 0 {
			return 0
		}
		return n
	}
	c.Mix = Mix{Read: on(8), Write: 8, FUA: on(3), Zeroes: on(2), Discard: on(1), Flush: on(2), Pause: on(2)}
	if c.Share == shareAll {
		c.Mix.Discard = 0 // what is discarded and written at once may hold anything
	}
}

// victims is a set of members that the array does without.
func (c *Case) victims(rng *rand.Rand) (list []int) {
	n := 0
	switch {
	case c.Level == 1:
		n = 1 + rng.IntN(c.Members-1)
	case c.Level >= 4:
		n = 1
	}
	if c.Level == 6 || c.Level == 10 && c.Layout == 0x103 {
		n = 2
	}
	if c.Beyond {
		n = c.Members
	}
	return rng.Perm(c.Members)[:n]
}

func (c *Case) life(rng, hand *rand.Rand) Life {
	l := Life{Shuffle: rng.IntN(4) == 0, Settle: rng.IntN(4) == 0, Finish: rng.IntN(2) == 0, Blind: rng.IntN(3) == 0}
	if len(c.Lives) > 0 && len(c.Victims) > 0 && rng.IntN(5) == 0 {
		l.Absent = append(l.Absent, c.Victims[rng.IntN(len(c.Victims))])
	}
	l.Twice, l.Destroy, l.Glances, l.Aim = -1, rng.IntN(6) == 0, max(0, rng.IntN(6)-2), rng.IntN(6) == 0
	if rng.IntN(30) == 0 && c.Level > 0 {
		l.Twice = rng.IntN(c.Members)
	}
	if len(c.Victims) > 0 && rng.IntN(6) == 0 && c.Level > 0 {
		l.Hand = []Step{{c.when(hand), handFail, c.Victims[rng.IntN(len(c.Victims))], 0}}
	}
	switch rng.IntN(4) {
	case 0:
		l.End = Stop
	case 1:
		l.End = Kill
	default:
		l.End = Power
	}
	l.Keep = sim.Keep(rng.IntN(4))
	l.Steps = 1 + rng.Int64N(int64(32)<<rng.IntN(11))
	if l.End != Stop && c.Level > 0 && rng.IntN(2) == 0 { // where order matters most
		l.Updates, l.Steps = 1+rng.Int64N(int64(c.Members)<<rng.IntN(4)), 1+rng.Int64N(int64(4)<<rng.IntN(4))
	}
	if len(c.Victims) > 0 && rng.IntN(2) == 0 {
		for range 1 + rng.IntN(3) {
			l.Faults = append(l.Faults, c.fault(rng, c.Victims[rng.IntN(len(c.Victims))]))
		}
	}
	if c.Beyond && rng.IntN(6) == 0 { // the same write fails everywhere
		f := fault.Rule{Ops: fault.Writes, Effect: []fault.Effect{fault.PathLost, fault.Torn, fault.NoSpace}[rng.IntN(3)], After: rng.Int64N(60), Count: 1}
		if f.Effect == fault.Torn {
			f.Ops = 0
		}
		for m := range c.Members {
			f.Member = name(m)
			l.Faults = append(l.Faults, f)
		}
	}
	return l
}

// recut is a life in which nothing happens but resync, and a power cut near the moment at which its end is written down.
func (c *Case) recut(rng *rand.Rand) Life {
	return Life{Twice: -1, Settle: true, End: Power, Updates: 1 + rng.Int64N(int64(c.Members)*2), Steps: 1 + rng.Int64N(int64(c.Members)*6),
		Blind: rng.IntN(2) == 0, Keep: sim.Keep(rng.IntN(2))}
}

// orphan is a life in which a parity array loses a member while it is read and written before its resync is done.
func (c *Case) orphan(rng, hand *rand.Rand) Life {
	victim := c.Victims[rng.IntN(len(c.Victims))]
	l := Life{Twice: -1, Blind: true, Glances: rng.IntN(5), Aim: rng.IntN(2) == 0, End: End(rng.IntN(3)), Steps: 1 + rng.Int64N(int64(32)<<rng.IntN(8)), Keep: sim.Keep(rng.IntN(4))}
	if rng.IntN(3) == 0 {
		l.Hand = []Step{{c.when(hand), handFail, victim, 0}}
		return l
	}
	effect := []fault.Effect{fault.Refuse, fault.PathLost, fault.Gone}[rng.IntN(3)]
	l.Faults = Faults{{Member: name(victim), Ops: fault.Writes, Effect: effect, After: rng.Int64N(40)}}
	return l
}

// fault is a fault of a disk.
func (c *Case) fault(rng *rand.Rand, victim int) fault.Rule {
	f := fault.Rule{Member: name(victim), After: rng.Int64N(int64(1) << rng.IntN(10))}
	data := c.dataAt()
	span := func(max int64) {
		f.Len = 512 * (1 + rng.Int64N(max))
		f.Off = data + 512*rng.Int64N((c.sizeOf(victim)-f.Len)/512+1)
	}
	op := func() { f.Ops = [...]fault.Ops{0, fault.Reads, fault.Writes, fault.Writes}[rng.IntN(4)] }
	switch rng.IntN(10) {
	case 0:
		f.Effect = fault.Gone
	case 1, 2:
		f.Effect, f.Ops = fault.Refuse, fault.Writes
	case 3:
		f.Effect = fault.Media
		op()
		if rng.IntN(2) == 0 {
			span(64)
		}
		if rng.IntN(2) == 0 {
			f.Count = 1 + rng.Int64N(3)
		}
	case 4:
		f.Effect, f.Count = fault.PathLost, 1+rng.Int64N(2)
		op()
	case 5:
		f.Effect, f.Ops = fault.NoSpace, fault.Writes
	case 6:
		f.Effect, f.Count = fault.Torn, 1
	case 7:
		f.Effect, f.Wait, f.OneIn = fault.Stall, time.Duration(1+rng.IntN(1000))*time.Millisecond, 1+rng.Int64N(20)
	case 8:
		if c.Beyond { // on a last copy nobody could defend the client's next write against it
			f.Effect, f.Count = fault.PathLost, 1
			break
		}
		f.Effect, f.Wait, f.Count = fault.Late, time.Duration(1+rng.IntN(100))*time.Millisecond, 1
	case 9:
		f.Effect = fault.Bad
		span(24)
	}
	if rng.IntN(8) == 0 && f.Effect != fault.Bad {
		f.Ops = fault.Flushes
		if f.Effect == fault.Torn || f.Effect == fault.Late || f.Effect == fault.Refuse {
			f.Effect = fault.Media
		}
		f.Off, f.Len, f.After = 0, 0, f.After/16
	}
	return f
}

// disks is how many there are.
func (c *Case) disks() int { return c.Members + c.Spares + c.Blanks }

// sizeOf is a disk's room for data, about; bytes.
func (c *Case) sizeOf(disk int) int64 {
	if disk < c.Members {
		return c.Sizes[disk]
	}
	return slices.Max(c.Sizes)
}

// diskSize is a disk's size, bytes.
func (c *Case) diskSize(disk int) int64 { return c.dataAt() + c.sizeOf(disk) + c.tail() }

// block is what a disk takes requests in multiples of, bytes.
func (c *Case) block(disk int) int64 {
	if disk >= c.Members-c.Large && disk < c.Members || c.Large > 0 && disk%2 == 0 {
		return 4096
	}
	return sector
}

// victim says whether the array does without that disk. All that stand in for a victim are victims.
func (c *Case) victim(disk int) bool { return disk >= c.Members || slices.Contains(c.Victims, disk) }

// dataAt is where members' data begins, bytes.
func (c *Case) dataAt() int64 {
	if c.Version == md.V10 {
		return 0
	}
	return 64<<10 + c.PPL
}

func name(member int) string { return fmt.Sprintf("m%d", member) }

// Spec is what the array is created with.
func (c *Case) Spec() md.Spec {
	s := md.Spec{
		Level: c.Level, Layout: c.Layout, Chunk: c.Chunk, RaidDevices: c.Members, Spares: c.Spares, Version: c.Version, DataOffset: c.dataAt(), Bitmap: c.Bitmap, PPL: c.PPL > 0, PPLSize: c.PPL,
		AssumeClean: c.Assumed, Name: "w", Created: time.Unix(1_700_000_000, 0), Rand: &source{rand.New(rand.NewPCG(c.Seed, 0x75756964))},
	}
	if s.Bitmap {
		s.BitmapChunk = 4096
	}
	return s
}

// source is random bytes from the seed.
type source struct{ *rand.Rand }

func (s *source) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return len(b), nil
}

// unit is what requests are a multiple of, sectors.
func (c *Case) unit() int64 {
	if c.Large > 0 {
		return 8
	}
	return 1
}

// String is the case as ParseCase reads it, in a line for the whole and one for each life.
func (c Case) String() string {
	lives := c.Lives
	c.Lives = nil
	var b strings.Builder
	encode := func(v any) {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // plain fields
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	encode(c)
	for _, l := range lives {
		encode(l)
	}
	return b.String()
}

// ParseCase reads what String wrote. Empty lines, and those that begin with a #, count for nothing.
func ParseCase(text string) (c Case, err error) {
	first := true
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		d := json.NewDecoder(strings.NewReader(l))
		d.DisallowUnknownFields()
		if first {
			err, first = d.Decode(&c), false
		} else {
			life := Life{Twice: -1}
			err = d.Decode(&life)
			c.Lives = append(c.Lives, life)
		}
		if err != nil {
			return c, fmt.Errorf("case: %q: %w", l, err)
		}
	}
	if first {
		err = errors.New("case: there is nothing in it")
	}
	return c, err
}

// Faults are written as their text.
type Faults []fault.Rule

// MarshalJSON is a list of texts.
func (f Faults) MarshalJSON() ([]byte, error) {
	list := []string{}
	for _, x := range f {
		list = append(list, x.String())
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads a list of texts.
func (f *Faults) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	all, err := fault.Parse(strings.Join(list, "\n"))
	*f = all
	return err
}
