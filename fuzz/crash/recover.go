package crash

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"graid/block"
	"graid/raid"
)

// loss is what goes wrong together with the crash.
type loss struct {
	lost uint8 // members that are not there afterwards, as a set
	bad  uint8 // members that cannot read what the history wrote, until it is rewritten
}

func (l loss) String() string { return fmt.Sprintf("lost=%b bad=%b", l.lost, l.bad) }

// outcome is what became of an image.
type outcome struct {
	wrong   error   // whatever had been promised; nil: nothing
	forced  bool    // it did not start without force
	missing uint8   // roles that nobody had who was in sync
	unknown uint8   // roles whose content only parity tells
	read    []uint8 // by sector: the version that was read at once, vError or vGarbage
	last    []uint8 // and that was read when resync was done
}

// run is one recovery, with what it takes to cut it again.
type run struct {
	outcome
	left    uint8 // roles that are missing still when it is over
	tape    tape
	readAll int // on the tape's clock: when everything had been read once
}

// maxSteps is far more than a recovery takes.
const maxSteps = 1e5

// recover starts the engine on what the members hold, reads, lets it finish, reads again, closes, and judges what no promise to a client is
// needed for.
func (g *ground) recover(l loss, suspect uint64) (r run) {
	r.read = make([]uint8, g.sectors)
	for i, d := range g.disks {
		if d.bad = 0; l.bad>>i&1 != 0 {
			d.bad = suspect
		}
	}
	before := g.look(l.lost)
	r.missing = before.missing
	if g.Level <= 0 {
		r.missing = l.lost
	}
	r.unknown = r.missing | before.roles(l.bad)
	if before.fresh.bits {
		if r.wrong = g.bitmaps(&before, l.lost); r.wrong != nil {
			return r
		}
	}
	var err error
	g.world.Again(1)
	fault := g.world.Run(maxSteps, func() { err = g.restart(&r, l, &before) })
	if fault != nil {
		err = fault
	}
	if err == nil {
		err = g.closed(&r, l, &before, suspect)
	}
	r.wrong = err
	return r
}

// restart is a life from assembly to a clean stop.
func (g *ground) restart(r *run, l loss, before *outlook) error {
	host := g.world.Host("host")
	o := raid.Options{Sched: host, Run: true, Quiet: time.Hour}
	a, err := raid.Assemble(ctx, g.offer(nil, l.lost, &r.tape), o)
	refuse := g.parity() && before.dirty && before.missing != 0 && (!g.PPL || g.unloggable(before)) && (g.Level != 4 || before.missing != 1<<(g.Members-1))
	switch {
	case err == nil && refuse:
		return fmt.Errorf("dirty, and members %b missing: started without force", before.missing)
	case err != nil && refuse && strings.Contains(err.Error(), "--force"):
		o.Force, r.forced = true, true
		if a, err = raid.Assemble(ctx, g.offer(nil, l.lost, &r.tape), o); err != nil {
			return fmt.Errorf("not started by force: %w", err)
		}
	case err != nil:
		return fmt.Errorf("not started, dirty %v, members %b missing: %w", before.dirty, before.missing, err)
	}
	mayFail := l.bad != 0 && g.parity() && (before.dirty || r.forced)
	if err := g.readAll(a, r.read, chunk, mayFail); err != nil {
		return err
	}
	r.readAll = r.tape.tick()
	if err := a.Wait(ctx); err != nil {
		return err
	}
	r.last = make([]uint8, g.sectors)
	if err := g.readAll(a, r.last, len(g.buf), mayFail); err != nil {
		return err
	}
	// A mirror reads from another copy what one cannot read, and with it what lies beside it: before resync that may be another version.
	unsure := l.bad != 0 && before.dirty
	for lba, v := range r.last {
		if first := r.read[lba]; first != v && !unsure {
			return fmt.Errorf("sector %d reads as version %d, and after resync as %d", lba, first, v)
		}
	}
	if err := a.Close(); err != nil && !mayFail {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// readAll says which version of each sector a reads as, in requests of so many bytes: a mirror may answer each from another member.
func (g *ground) readAll(a *raid.Array, into []uint8, piece int, mayFail bool) error {
	whole := g.buf[:g.sectors*sector]
	for off := 0; off < len(whole); off += piece {
		buf := whole[off:min(off+piece, len(whole))]
		failed := block.ReadAt(ctx, a, buf, int64(off))
		if failed != nil && !mayFail {
			return failed
		}
		for i := 0; i < len(buf); i += sector {
			lba := (off + i) / sector
			b := buf[i : i+sector]
			if failed != nil && block.ReadAt(ctx, a, b, int64(off+i)) != nil {
				into[lba] = vError
				continue
			}
			into[lba] = g.version(lba, b)
		}
	}
	return nil
}

// closed judges the members' images after a clean stop.
func (g *ground) closed(r *run, l loss, before *outlook, suspect uint64) error {
	if len(g.tapeLoose(&r.tape)) > 0 {
		return fmt.Errorf("closed, and a write is not durable: %v", g.tapeLoose(&r.tape))
	}
	for i, d := range g.disks {
		for at := range 64 {
			if d.dirty>>at&1 == 0 || at == superAt || i >= g.Members && at < g.dataAt() || g.bitsOrLog(at) || at >= g.dataAt() && (g.Level <= 0 || at < g.dataAt()+int(g.Chunks)*perChunk) {
				continue
			}
			if lo, hi := at*sector, (at+1)*sector; !bytes.Equal(d.now[lo:hi], g.base.m[i][lo:hi]) {
				return fmt.Errorf("sector %d of member %d was written: nothing of the array is there", at, i)
			}
		}
	}
	if !g.redundant() {
		return nil
	}
	after := g.look(l.lost)
	r.left = after.missing
	switch {
	case l.bad != 0 && g.parity() && before.dirty:
		return nil // what nobody can read may be left behind
	case after.missing != before.later():
		return fmt.Errorf("roles %b were missing, and afterwards %b, not %b", before.missing, after.missing, before.later())
	case after.dirty && g.PPL && before.dirty && before.missing != 0: // of a log that was cut short nobody knows what it was to say
	case after.dirty:
		return fmt.Errorf("closed after its resync was done, and says dirty from sector %d on", after.fresh.resync)
	case !after.settled && len(r.tape.entries) > 0 && before.dirty:
		return fmt.Errorf("closed, and superblocks differ")
	}
	vague := g.rotten
	if g.Level == 6 && (before.missing != 0 || g.forced) {
		vague |= suspect // filled from one of two parities that need not agree
	}
	return g.redundancy(r, &after, vague)
}

// redundancy judges copies and parities of members that are believed, but in rows where nothing can be said.
func (g *ground) redundancy(r *run, o *outlook, vague uint64) error {
	if g.parity() {
		if o.missing != 0 {
			return nil
		}
		g.byRole(&o.disk)
		for at := g.dataAt(); at < g.dataAt()+int(g.Chunks)*perChunk; at++ {
			if vague>>at&1 == 0 && !g.agrees(at, g.images[:g.Members]) {
				return fmt.Errorf("closed clean, and row %d does not agree", at)
			}
		}
		return nil
	}
	for lba, places := range g.places {
		for _, p := range places {
			if o.here>>p.member&1 == 0 {
				continue
			}
			want := r.last[lba]
			if b := g.disks[o.disk[p.member]].now[p.at*sector : (p.at+1)*sector]; want >= versions || !bytes.Equal(b, g.content[want][lba*sector:(lba+1)*sector]) {
				return fmt.Errorf("closed clean, sector %d reads as version %d, and role %d has version %d", lba, want, p.member, g.version(lba, b))
			}
		}
	}
	return nil
}

// tapeLoose is the writes of a tape that a crash at its end may lose.
func (g *ground) tapeLoose(t *tape) (loose []int) {
	for i := range t.entries {
		if !t.entries[i].flush && !t.durable(i, t.clock) {
			loose = append(loose, i)
		}
	}
	return loose
}

// judge says whether what was read after a crash may be: the outcome of an image, and the promise at a moment that can leave it.
func (g *ground) judge(o *outcome, p *promise, unsynced uint64) error {
	if o.wrong != nil {
		return o.wrong
	}
	if err := g.judgeRead(o, o.read, p, unsynced); err != nil {
		return err
	}
	return g.judgeRead(o, o.last, p, unsynced)
}

func (g *ground) judgeRead(o *outcome, read []uint8, p *promise, unsynced uint64) error {
	for lba, v := range read {
		switch {
		case v < versions && p.allowed[lba]>>v&1 != 0, v == vError:
		case g.PPL && g.underWay(lba, o.unknown, p):
		case o.forced && g.excused(lba, o.unknown, p.rows, unsynced, p.fresh[lba]):
		case v == vGarbage:
			return fmt.Errorf("sector %d holds what was never written there, and must hold one of %08b", lba, p.allowed[lba])
		default:
			return fmt.Errorf("sector %d holds version %d, and must hold one of %08b", lba, v, p.allowed[lba])
		}
	}
	return nil
}
