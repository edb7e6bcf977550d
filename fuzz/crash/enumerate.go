package crash

import (
	"fmt"
	"math/bits"
)

// enumerator judges the states of histories of one shape.
type enumerator struct {
	*ground
	Scope
	Counts
	known    map[seen]int32 // what became of an image
	outcomes []outcome
	numbers  map[string]int32 // of outcomes, by what they say
	h        *lived
	hash     hasher
	suspect  uint64
	path     []cut // of the state being judged

	judged           []int64 // by outcome: the moment, by its number, at which it was judged last
	stopped, halfway image   // memory
	says             []byte
}

// seen is an image that was recovered, and with what losses.
type seen struct {
	key
	loss
	suspect uint64
}

// cut is a crash: when, what it left, and what was lost at once.
type cut struct {
	at   int
	keep []uint64
	loss
	kill bool // the process ended, and not the members' power: what it left is not durable yet when it is recovered
}

// Failure is a state that the judge convicts.
type Failure struct {
	State string // to give to -state
	Err   error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%v\n\nreproduce: go test ./fuzz/crash -run 'TestReplay$' -state='%s'", f.Err, f.State)
}

// Enumerate judges every state of histories of a shape, as long as more says so, and counts them. The error is a *Failure, or says why there is no
// array of that shape.
func Enumerate(s Shape, how Scope, histories []string, more func() bool) (Counts, error) {
	g, err := newGround(s)
	if err != nil {
		return Counts{}, err
	}
	e := newEnumerator(g, how)
	for _, h := range histories {
		if !more() {
			break
		}
		if err := e.history(h); err != nil {
			return e.Counts, err
		}
	}
	e.Outcomes = int64(len(e.outcomes))
	return e.Counts, nil
}

func newEnumerator(g *ground, s Scope) *enumerator {
	return &enumerator{ground: g, Scope: s, known: map[seen]int32{}, numbers: map[string]int32{}}
}

// history runs one and judges every state that a crash in it may leave.
func (e *enumerator) history(text string) error {
	h, err := e.live(text)
	if err != nil {
		return &Failure{e.Name + ": " + text, err}
	}
	e.h, e.suspect, e.rotten = h, e.touched(h), h.rotten
	e.Histories++
	for _, m := range h.tape.moments() {
		p := h.promised(e.ground, m.from, m.to, true)
		if err := e.moment(h.from, h.tape, &m, &p, e.losses(&m), nil); err != nil {
			return err
		}
	}
	return nil
}

// touched is the rows that a history writes.
func (e *enumerator) touched(h *lived) (rows uint64) {
	for _, q := range h.requests {
		for lba := q.lo; lba < q.hi; lba++ {
			for _, p := range e.places[lba] {
				rows |= 1 << p.at
			}
		}
	}
	return rows
}

// losses is what may be lost together with a crash so that the array must survive it.
func (e *enumerator) losses(m *moment) (list []loss) {
	if e.h.rotten != 0 {
		return []loss{{}} // what is computed from spoilt parity nobody can know
	}
	out, free := uint8(0), uint8(0) // disks that are out already, and those that nobody needs yet
	if e.h.failed <= m.to {
		out, free = e.h.failing, e.h.added
	}
	if m.from >= e.h.filled { // somebody has the role of who failed
		out, free = 0, e.h.failing&^e.h.added
	}
	if e.h.replaced != 0 && e.h.failing == 0 {
		out, free = 0, e.h.replaced // either of them will do
	}
	for set := range uint8(1) << e.disksOf(e.h) {
		switch used := set &^ free; {
		case set != 0 && bits.OnesCount8(used|out) > e.Losses && used != 0, set&free != 0 && used != 0:
			continue
		}
		list = append(list, loss{lost: set})
		if bits.OnesCount8(set) == 1 && set&(out|free) == 0 {
			list = append(list, loss{bad: set})
		}
	}
	return list
}

// disksOf is how many disks h is about.
func (e *enumerator) disksOf(h *lived) int {
	if h.added>>e.Members&1 != 0 {
		return e.Members + 1
	}
	return e.Members
}

// moment judges every state of one. Before is the run that is cut; nil: it is the history.
func (e *enumerator) moment(from *image, t *tape, m *moment, p *promise, losses []loss, before *run) (err error) {
	e.Moments++
	number := e.Moments
	keys := make([]key, len(e.disks))
	e.subsets(e.ground, t, m, func(keep []uint64) {
		if err != nil {
			return
		}
		e.hash.of(from, t, *m, keep, keys)
		for _, l := range losses {
			e.States++
			if before != nil {
				e.Second++
			}
			k := seen{loss: l}
			for i := range keys {
				if l.lost>>i&1 == 0 {
					k.key = k.key.plus(keys[i])
				}
			}
			if l.bad != 0 {
				k.suspect = e.suspect
			}
			n, ok := e.known[k]
			if ok && e.judged[n] == number {
				continue
			}
			e.path = append(e.path, cut{m.from, append([]uint64(nil), keep...), l, false})
			if !ok {
				n, err = e.recovered(from, t, m, keep, k, p, before)
			}
			if err == nil {
				err = e.verdict(&e.outcomes[n], p, m, before)
			}
			if err != nil {
				if _, told := err.(*Failure); !told {
					err = &Failure{e.state(), err}
				}
				return
			}
			e.path = e.path[:len(e.path)-1]
			e.judged[n] = number
		}
	})
	return err
}

// recovered has the engine recover a state that it has not met.
func (e *enumerator) recovered(from *image, t *tape, m *moment, keep []uint64, k seen, p *promise, before *run) (int32, error) {
	e.Distinct++
	e.materialize(from, t, *m, keep)
	r := e.recover(k.loss, e.suspect)
	if r.wrong != nil {
		return 0, r.wrong
	}
	n := e.number(&r.outcome)
	e.known[k] = n
	if k.loss == (loss{}) && e.Losses > 0 && r.left == 0 && e.rotten == 0 {
		if err := e.afterwards(from, &r); err != nil {
			return n, err
		}
	}
	if before == nil && e.Seconds > 0 && e.Distinct%int64(e.Seconds) == 0 {
		return n, e.again(from, t, m, keep, k.loss, p, &r)
	}
	return n, nil
}

// number is the number of an outcome: few are unlike all others.
func (e *enumerator) number(o *outcome) int32 {
	e.says = append(append(append(e.says[:0], o.read...), o.last...), o.missing, o.unknown)
	if o.forced {
		e.says = append(e.says, 1)
	}
	n, ok := e.numbers[string(e.says)]
	if !ok {
		n = int32(len(e.outcomes))
		e.outcomes = append(e.outcomes, *o)
		e.judged = append(e.judged, 0)
		e.numbers[string(e.says)] = n
	}
	return n
}

// afterwards judges what a recovery left on the members, which are as it closed: whoever is lost now, the same is read.
func (e *enumerator) afterwards(from *image, r *run) error {
	var im *image
	keys := make([]key, len(e.disks))
	for i := range keys {
		keys[i] = e.keyNow(from, i, nil)
	}
	seats := e.look(0).disk
	for _, lost := range seats[:e.Members] {
		k := seen{loss: loss{lost: 1 << lost}}
		for i := range keys {
			if i != lost {
				k.key = k.key.plus(keys[i])
			}
		}
		n, ok := e.known[k]
		if !ok {
			if im == nil {
				im = e.snapshot(&e.stopped, from)
			}
			for _, d := range e.disks {
				d.load(im)
			}
			e.Distinct++
			again := e.recover(k.loss, 0)
			if again.wrong != nil {
				return fmt.Errorf("recovered, and then without member %d: %w", lost, again.wrong)
			}
			n = e.number(&again.outcome)
			e.known[k] = n
		}
		e.States++
		for lba, v := range e.outcomes[n].read {
			if e.Level == 6 && (r.forced || e.forced) && e.suspect>>e.places[lba][0].at&1 != 0 {
				continue // one of two parities that need not agree has filled a member, and the other is read from now
			}
			if v != r.last[lba] {
				return fmt.Errorf("recovered, sector %d read as version %d, and without member %d as %d", lba, r.last[lba], lost, v)
			}
		}
	}
	return nil
}

// again cuts a recovery.
func (e *enumerator) again(from *image, t *tape, m *moment, keep []uint64, l loss, p *promise, r *run) error {
	if len(r.tape.writes()) == 0 || l.bad != 0 {
		return nil
	}
	losses := []loss{l}
	for _, other := range e.losses(m) {
		if other != l && other.bad == 0 && (other.lost == 0 || other.lost&l.lost == l.lost) {
			losses = append(losses, other)
		}
	}
	r.tape.keys(e.ground)
	e.forced = r.forced
	defer func() { e.forced = false }()
	e.materialize(from, t, *m, keep)
	if err := e.cuts(e.snapshot(&e.halfway, from), &r.tape, p, losses, r); err != nil || !visible(t, m, keep) {
		return err
	}
	e.path[len(e.path)-1].kill = true
	e.materialize(from, t, *m, make([]uint64, len(keep)))
	return e.cuts(e.snapshot(&e.halfway, from), r.after(t, m, keep), p, losses, r)
}

// cuts judges every state of a tape of a recovery.
func (e *enumerator) cuts(from *image, t *tape, p *promise, losses []loss, r *run) error {
	for _, m := range t.moments() {
		if err := e.moment(from, t, &m, p, losses, r); err != nil {
			return err
		}
	}
	return nil
}

// visible says whether keep is what members show when the process ends but they keep their power: what was written, and of what was on its way
// each write or not.
func visible(t *tape, m *moment, keep []uint64) bool {
	for i, set := range keep {
		w := &t.entries[m.loose[i]]
		if set != span(0, w.sectors()) && (set != 0 || w.applied <= m.from) {
			return false
		}
	}
	return true
}

// after is the tape of r as it goes on where members still have in their caches what was kept.
func (r *run) after(t *tape, m *moment, keep []uint64) *tape {
	all := &tape{clock: r.tape.clock}
	for i, set := range keep {
		if set != 0 {
			w := t.entries[m.loose[i]]
			w.start, w.applied, w.over, w.fua = 0, 0, 0, false
			all.entries = append(all.entries, w)
		}
	}
	all.entries = append(all.entries, r.tape.entries...)
	return all
}

// verdict judges an outcome at a moment.
func (e *enumerator) verdict(o *outcome, p *promise, m *moment, before *run) error {
	if before == nil {
		return e.judge(o, p, e.h.unsynced)
	}
	both := *o
	both.forced, both.unknown = o.forced || before.forced, o.unknown|before.unknown
	if err := e.judge(&both, p, e.h.unsynced); err != nil {
		return err
	}
	if m.from < before.readAll || o.missing != before.missing || e.path[0].kill { // what was read from a cache may be lost with it
		return nil
	}
	for lba, v := range o.read {
		if first := before.last[lba]; v != first {
			return fmt.Errorf("sector %d was read as version %d before the second crash, and as %d after it", lba, first, v)
		}
	}
	return nil
}
