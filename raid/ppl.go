package raid

import (
	"math/bits"
	"sync"

	"graid/block"
	"graid/parity"
	"graid/raid/md"
	"graid/raid/plan"
	"graid/sched"
)

// The partial parity log keeps one promise: before a write changes any row of a raid5, the member that has the row's parity durably has a record with the
// sum of what the write does not change there. A crash in the middle then costs nothing but what was being written: whatever part of it came through, parity is
// made true from it and the record, also when a member is lost at the same time.
//
// Whoever recovers, Linux too, looks at the newest record of each member only. So a record holds every write under way that has its parity there:
//
//	gathering ──nobody under way in the one before, and that durable──▶ written ──▶ its writes are under way ──all done──▶ idle, and still the newest
//
// While one is under way, those who come later gather in the next: many writers share one record, as they do in Linux. In a log that is large enough records
// follow each other as a ring, so that one cut short by a crash leaves the one before it as the newest.
//
// A write holds its rows when it comes here, and enters the records of all members that it needs in one step: of two writes, one comes first everywhere, and
// nobody waits in a circle. See "Partial Parity Log" in md's documentation, and raid5-ppl.c.
type ppl struct {
	a         *Array
	level     plan.Logged
	room      int64 // bytes of partial parity in a record, at most
	ring      bool
	signature uint32 // of headers
	unsynced  bool   // parity is not known to be true everywhere; guarded by mu

	mu         sync.Mutex // for list surgery only
	logs       []*pplLog  // by role
	generation uint64
	unused     []*pplRecord
	broken     error // no record is written any more
}

// pplLog is the log of one role. All of it is guarded by ppl.mu.
type pplLog struct {
	role   int
	holder *member      // whose log it is; nil = it has not been emptied in this life
	off    int64        // where on it the log lies, bytes
	size   int64        // of the log, bytes
	next   int64        // where in the log the next record goes, bytes
	queue  []*pplRecord // gathering, not written yet: only the last one takes more
	newest *pplRecord   // the one that the member has; nil = an empty one
	busy   bool         // somebody is writing
	task   func()       // ppl.run of this log: made once, so that a write allocates nothing
}

// pplRecord is what is written of a log at once.
type pplRecord struct {
	buf     []byte // header and partial parity, as on the member
	entries [md.PPLMaxEntries]md.PPLEntry
	count   int
	size    int64        // bytes of partial parity
	filling int          // writers that have not entered all of theirs yet
	users   int          // writers that are not done
	touched plan.RoleSet // whose caches may hold what they wrote
	waiting []*op
}

// logged is what an op has to do with the log, and its memory.
type logged struct {
	parts   []plan.Partial
	places  []pplPlace   // of each of parts
	records []*pplRecord // that it is under way in
	wrote   plan.RoleSet // whom it writes to meanwhile
	pending int          // of records, those that are not durable yet. Guarded by ppl.mu
	err     error        // why one could not be made so. Guarded by ppl.mu
	durable sched.Event  // pending is 0
	srcs    [][]byte
	coefs   []byte
}

// pplPlace is where a Partial is entered.
type pplPlace struct {
	record *pplRecord
	entry  int
	at     int64 // of its partial parity in record.buf
}

const (
	pplRecordMost = 256 << 10 // bytes of partial parity in a record, however large the log
	pplEntryLeft  = 1         // of a header's entries, for md.PPLUnsynced
)

// pplRecordRoom is how much partial parity a record in the log that sb describes may have: in a ring there must be room for two.
func pplRecordRoom(sb *md.Superblock) int64 {
	_, size := sb.PPLPlace()
	if sb.PPLRing() {
		size /= 2
	}
	return min(pplRecordMost, (size-md.PPLHeaderSize)/4096*4096)
}

// log makes the partial parity of the rows that o is about to write, its plan for the n bytes from off on, durable. The rows are held, and may be written
// as soon as it returns; they are under way until release.
func (o *op) log(off, n int64) error {
	p := o.a.ppl
	if p == nil || len(o.plan.Writes) == 0 {
		return nil
	}
	p.release(o, o.a.view.Load().broken)
	if o.logged.parts = p.level.Partials(o.logged.parts[:0], &o.plan, off, n, &o.view.View); len(o.logged.parts) == 0 {
		return nil
	}
	if o.logged.durable == nil {
		o.logged.durable = o.a.sched.NewEvent()
	}
	var roles plan.RoleSet
	for _, part := range o.logged.parts {
		roles = roles.With(part.Role)
	}
	if err := p.enter(o, roles); err != nil {
		return err
	}
	o.logged.wrote = 0
	for i := range o.plan.Writes {
		o.logged.wrote = o.logged.wrote.With(o.plan.Writes[i].Role)
	}
	for i := range o.logged.parts {
		o.partial(&o.logged.parts[i], &o.logged.places[i])
	}
	return p.commit(o)
}

// enter gives o's parts their places, in the records that are gathering for roles.
func (p *ppl) enter(o *op, roles plan.RoleSet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	o.logged.places, o.logged.err = o.logged.places[:0], nil
	for range o.logged.parts {
		o.logged.places = append(o.logged.places, pplPlace{})
	}
	for ; roles != 0; roles = roles.Without(roles.First()) {
		role := roles.First()
		entries, size := 0, int64(0)
		for i := range o.logged.parts {
			if o.logged.parts[i].Role == role {
				entries, size = entries+1, size+o.logged.parts[i].Size()
			}
		}
		rec := p.gathering(p.logs[role], entries, size)
		for i := range o.logged.parts {
			if part := &o.logged.parts[i]; part.Role == role {
				o.logged.places[i] = pplPlace{rec, rec.count, md.PPLHeaderSize + rec.size}
				rec.count++
				rec.size += part.Size()
			}
		}
		rec.filling++
		rec.users++
		rec.waiting = append(rec.waiting, o)
		o.logged.records = append(o.logged.records, rec)
		o.logged.pending++
	}
	return nil
}

// gathering is the record of l that takes so much more. The caller holds mu.
func (p *ppl) gathering(l *pplLog, entries int, size int64) *pplRecord {
	if n := len(l.queue); n > 0 {
		if rec := l.queue[n-1]; rec.count+entries <= md.PPLMaxEntries-pplEntryLeft && rec.size+size <= p.room {
			return rec
		}
	}
	var rec *pplRecord
	if n := len(p.unused); n > 0 {
		rec, p.unused = p.unused[n-1], p.unused[:n-1]
	} else {
		rec = &pplRecord{buf: block.Alloc(md.PPLHeaderSize + p.room)}
	}
	l.queue = append(l.queue, rec)
	return rec
}

// partial enters part at its place: the sum of what the plan's parity is the sum of, but for what the caller brings.
func (o *op) partial(part *plan.Partial, at *pplPlace) {
	pp := at.record.buf[at.at : at.at+part.Size()]
	if part.Calc >= 0 {
		c := o.plan.Calcs[part.Calc]
		for lo := int64(0); lo < part.Rows; lo += sumSlice {
			n := min(sumSlice, part.Rows-lo)
			o.logged.srcs, o.logged.coefs = o.logged.srcs[:0], o.logged.coefs[:0]
			for _, t := range o.plan.Terms[c.Lo:c.Hi] {
				if t.Ref.Slot != plan.User {
					o.logged.srcs, o.logged.coefs = append(o.logged.srcs, o.mem(t.Ref.At(lo, n))), append(o.logged.coefs, t.Coef)
				}
			}
			parity.Sum(pp[lo:lo+n], o.logged.coefs, o.logged.srcs)
		}
	}
	at.record.entries[at.entry] = md.PPLEntry{
		DataSector: uint64(part.Off / md.Sector), PPSize: uint32(len(pp)), DataSize: uint32(part.Data),
		ParityDisk: uint32(part.Role), Checksum: md.ChecksumPPL(pp),
	}
}

// commit returns when all records that o entered, and has filled in, are durable, or need not be. Whoever comes to a log that is idle writes it.
func (p *ppl) commit(o *op) error {
	var mine uint64 // roles whose logs are o's to write
	p.mu.Lock()
	for _, rec := range o.logged.records {
		rec.filling--
	}
	for role, l := range p.logs {
		if len(l.queue) > 0 && l.ready() {
			l.busy = true
			mine |= 1 << role
		}
	}
	p.mu.Unlock()
	for ; mine != 0; mine &= mine - 1 {
		l := p.logs[bits.TrailingZeros64(mine)]
		if mine&(mine-1) != 0 {
			p.a.sched.Go(l.task) // so that they overlap
		} else {
			p.run(l)
		}
	}
	o.logged.durable.Wait()
	return o.logged.err
}

// ready says whether the first record that l gathers can be written. The caller holds mu.
func (l *pplLog) ready() bool {
	return !l.busy && len(l.queue) > 0 && l.queue[0].filling == 0 && (l.newest == nil || l.newest.users == 0)
}

// release says that what o wrote is done with, one way or the other, and known to those whom it concerns: a member that was not written is out of the
// array. Where that could not be brought about, broken says why, and then its records stay the newest for good.
func (p *ppl) release(o *op, broken error) {
	if len(o.logged.records) == 0 {
		return
	}
	touched := o.logged.wrote
	if o.flags&block.FUA != 0 {
		touched = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if broken != nil {
		p.stop(broken)
	}
	for _, rec := range o.logged.records {
		rec.touched |= touched
		rec.users--
	}
	clear(o.logged.records)
	o.logged.records = o.logged.records[:0]
	if p.broken != nil {
		return
	}
	for _, l := range p.logs {
		if l.ready() {
			l.busy = true
			p.a.sched.Go(l.task)
		}
	}
}

// stop ends the log: who waits for a record gets err. The caller holds mu.
func (p *ppl) stop(err error) {
	if p.broken == nil {
		p.broken = err
	}
	for _, l := range p.logs {
		for _, rec := range l.queue {
			rec.wake(err)
		}
		l.queue = nil
	}
}

// wake tells those who wait for rec that it is durable, or why not. The caller holds mu.
func (rec *pplRecord) wake(err error) {
	for i, o := range rec.waiting {
		if o.logged.pending--; err != nil {
			o.logged.err = err
		}
		if o.logged.pending == 0 {
			o.logged.durable.Set()
		}
		rec.waiting[i] = nil
	}
	rec.waiting = rec.waiting[:0]
}
