package fuzz

import (
	"fmt"
	"reflect"
	"slices"

	"graid/block/fault"
	"graid/raid/md"
	"graid/sim"
)

// Shrink is the smallest case it finds for which fails still says yes, by trying at most so many. Members, lives, faults, requests and their
// sizes, options and the moment of the cut all go, or become simpler, as far as they are not needed. c itself must be Scripted, and fail.
func Shrink(c Case, tries int, fails func(Case) bool) Case {
	s := &shrinker{best: c, left: tries, fails: fails}
	for before := -1; s.left > 0 && s.kept != before; {
		before = s.kept
		s.lives()
		s.requests()
		s.faults()
		s.hands()
		s.options()
		s.sizes()
		s.moments()
	}
	return s.best
}

// Script is c with what its clients do written out, for an array of that many sectors: what the seed drew before, and the same world.
func (c Case) Script(sectors int64) Case {
	w := sim.New(c.Seed)
	defer w.Close()
	c.Lives = slices.Clone(c.Lives)
	for i := range c.Lives {
		l := &c.Lives[i]
		l.Clients = nil
		for id := range c.Clients {
			l.Clients = append(l.Clients, c.script(w.Rand(clientName(id, i), "requests"), l, id, sectors))
		}
	}
	c.Scripted = true
	return c
}

// Requests is how many requests c has, of all clients in all lives.
func (c Case) Requests() (n int) {
	for _, l := range c.Lives {
		for _, ops := range l.Clients {
			n += len(ops)
		}
	}
	return n
}

type shrinker struct {
	best  Case
	left  int // tries
	kept  int // changes that were kept
	fails func(Case) bool
}

// try keeps the best case changed by edit if it still fails. Lives are copied, so that edit may change their fields and replace their slices.
func (s *shrinker) try(edit func(c *Case)) bool {
	c := s.best
	c.Lives, c.Sizes, c.Victims = slices.Clone(c.Lives), slices.Clone(c.Sizes), slices.Clone(c.Victims)
	edit(&c)
	if reflect.DeepEqual(c, s.best) || s.left <= 0 {
		return false
	}
	s.left--
	if !s.fails(c) {
		return false
	}
	s.best = c
	s.kept++
	return true
}

// fewer is the shortest part of list, found by leaving out ever smaller pieces, that keep accepts. It is asked about shorter lists only.
func fewer[T any](list []T, keep func([]T) bool) []T {
	for size := len(list); size > 0; size /= 2 {
		for at := 0; at < len(list); {
			rest := slices.Concat(list[:at], list[min(at+size, len(list)):])
			if keep(rest) {
				list = rest
			} else {
				at += size
			}
		}
	}
	return list
}

func (s *shrinker) lives() {
	fewer(s.best.Lives, func(l []Life) bool { return len(l) > 0 && s.try(func(c *Case) { c.Lives = slices.Clone(l) }) })
}

// requests leaves out whole clients, then requests of any.
func (s *shrinker) requests() {
	for i := range s.best.Lives {
		type at struct {
			id int
			op Op
		}
		var all []at
		for id, ops := range s.best.Lives[i].Clients {
			for _, o := range ops {
				all = append(all, at{id, o})
			}
		}
		fewer(all, func(rest []at) bool {
			return s.again(i, func(c *Case) {
				clients := make([][]Op, len(c.Lives[i].Clients))
				for _, x := range rest {
					clients[x.id] = append(clients[x.id], x.op)
				}
				for len(clients) > 0 && len(clients[len(clients)-1]) == 0 {
					clients = clients[:len(clients)-1]
				}
				c.Lives[i].Clients = clients
				c.Clients = 0
				for _, l := range c.Lives {
					c.Clients = max(c.Clients, len(l.Clients))
				}
			})
		})
	}
}

// again tries edit of life i, also with its end and its faults sooner and with other seeds: what is left out moves what follows.
func (s *shrinker) again(i int, edit func(c *Case)) bool {
	if s.try(edit) {
		return true
	}
	if l := s.best.Lives[i]; l.End != Stop && l.Steps > 1 {
		for _, part := range []int64{7, 6, 4, 2} {
			if s.try(func(c *Case) { edit(c); c.Lives[i].Steps = max(1, l.Steps*part/8) }) {
				return true
			}
		}
	}
	for _, by := range []int64{1, 4} {
		if len(s.best.Lives[i].Faults) > 0 && s.try(func(c *Case) {
			edit(c)
			f := slices.Clone(c.Lives[i].Faults)
			for k := range f {
				f[k].After = max(0, f[k].After-by)
			}
			c.Lives[i].Faults = f
		}) {
			return true
		}
	}
	return s.try(func(c *Case) { edit(c); c.Seed++ }) || s.try(func(c *Case) { edit(c); c.Seed += 2 })
}

func (s *shrinker) faults() {
	for i := range s.best.Lives {
		fewer(s.best.Lives[i].Faults, func(f []fault.Rule) bool { return s.again(i, func(c *Case) { c.Lives[i].Faults = Faults(f) }) })
		for k := range s.best.Lives[i].Faults {
			sooner := func(by int64) func(c *Case) {
				return func(c *Case) {
					f := slices.Clone(c.Lives[i].Faults)
					f[k].After -= by
					c.Lives[i].Faults = f
				}
			}
			for n := s.best.Lives[i].Faults[k].After; n > 0; n /= 2 {
				for s.best.Lives[i].Faults[k].After >= n && s.again(i, sooner(n)) {
				}
			}
		}
	}
}

// hands leaves out what the owner does.
func (s *shrinker) hands() {
	for i := range s.best.Lives {
		fewer(s.best.Lives[i].Hand, func(h []Step) bool { return s.again(i, func(c *Case) { c.Lives[i].Hand = slices.Clone(h) }) })
	}
}

// options tries the plain value of everything that has one. Who the victims are, and whether there may be more than the array survives, says what
// is a failure: that stays.
func (s *shrinker) options() {
	for _, edit := range []func(c *Case){
		func(c *Case) { c.Bitmap = false },
		func(c *Case) { c.PPL = 0 },
		func(c *Case) { c.Mostly = -1 },
		func(c *Case) { c.Large = 0 },
		func(c *Case) { c.Inlines = 0 },
		func(c *Case) { c.Inlines = c.Members },
		func(c *Case) { c.Assumed = true },
		func(c *Case) { c.Version = md.V12 },
		func(c *Case) { c.Disk = sim.DiskOptions{Least: c.Disk.Least} },
		func(c *Case) { c.Chunk = min(c.Chunk, 4096) },
		func(c *Case) {
			for i := range c.Sizes {
				c.Sizes[i] = 64 << 10
			}
		},
	} {
		s.try(edit)
	}
	for s.best.Members > 1 && s.try(withoutLast) {
	}
	for s.best.Blanks > 0 && s.try(func(c *Case) { c.Blanks--; c.withoutDisk(c.disks()) }) {
	}
	for s.best.Spares > 0 && s.try(func(c *Case) { c.Spares--; c.withoutDisk(c.Members + c.Spares) }) {
	}
	for i := range s.best.Lives {
		for _, edit := range []func(l *Life){
			func(l *Life) { l.Absent = nil },
			func(l *Life) { l.Twice = -1 },
			func(l *Life) { l.Hand = nil },
			func(l *Life) { l.Rot = false },
			func(l *Life) { l.Shuffle = false },
			func(l *Life) { l.Settle = false },
			func(l *Life) { l.Finish = false },
			func(l *Life) { l.Glances = 0 },
			func(l *Life) { l.Aim = false },
			func(l *Life) { l.Destroy = false },
			func(l *Life) { l.Blind = true },
			func(l *Life) { l.End, l.Steps, l.Updates, l.Partly = Stop, 0, 0, false },
			func(l *Life) { l.End = min(l.End, Kill) },
			func(l *Life) { l.Keep = sim.KeepAll },
			func(l *Life) { l.Keep = sim.KeepNone },
		} {
			s.try(func(c *Case) { edit(&c.Lives[i]) })
		}
	}
}

// withoutLast takes the last member away: whether there are enough left is found by trying. Spares and blanks move up.
func withoutLast(c *Case) {
	c.Members--
	c.Sizes, c.Inlines, c.Large = c.Sizes[:c.Members], min(c.Inlines, c.Members), min(c.Large, c.Members)
	if c.Mostly == c.Members {
		c.Mostly = -1
	}
	c.withoutDisk(c.Members)
}

// withoutDisk has nothing be about disk m any more, and what is about later ones be about the one before.
func (c *Case) withoutDisk(m int) {
	there := func(d int) int {
		switch {
		case d == m:
			return -1
		case d > m:
			return d - 1
		}
		return d
	}
	move := func(list []int) (moved []int) {
		for _, d := range list {
			if d = there(d); d >= 0 {
				moved = append(moved, d)
			}
		}
		return moved
	}
	c.Victims = move(c.Victims)
	for i := range c.Lives {
		l := &c.Lives[i]
		l.Absent, l.Twice = move(l.Absent), there(l.Twice)
		var hand []Step
		for _, s := range l.Hand {
			if slices.Contains(onDisks, s.What) {
				if s.Disk = there(s.Disk); s.Disk < 0 {
					continue
				}
			}
			hand = append(hand, s)
		}
		l.Hand = hand
		var faults Faults
		for _, f := range l.Faults {
			var d int
			if _, err := fmt.Sscanf(f.Member, "m%d", &d); err == nil {
				if d = there(d); d < 0 {
					continue
				}
				f.Member = name(d)
			}
			faults = append(faults, f)
		}
		l.Faults = faults
	}
}

// sizes makes requests shorter.
func (s *shrinker) sizes() {
	for i := range s.best.Lives {
		for id := range s.best.Lives[i].Clients {
			for k, o := range s.best.Lives[i].Clients[id] {
				unit := s.best.unit()
				for _, n := range []int64{unit, o.N / 2 / unit * unit} {
					if n > 0 && n < o.N && s.try(func(c *Case) {
						clients := slices.Clone(c.Lives[i].Clients)
						clients[id] = slices.Clone(clients[id])
						clients[id][k].N = n
						c.Lives[i].Clients = clients
					}) {
						break
					}
				}
			}
		}
	}
}

// moments has lives end sooner.
func (s *shrinker) moments() {
	for i, l := range s.best.Lives {
		for n := l.Steps / 2; n > 0 && l.End != Stop; n /= 2 {
			for s.best.Lives[i].Steps > n && s.try(func(c *Case) { c.Lives[i].Steps -= n }) {
			}
		}
	}
}
