package raid

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/block/deadline"
	"graid/raid/md"
	"graid/raid/plan"
	"graid/sched"
)

// Array is an assembled array: a block.Device over its members.
type Array struct {
	level plan.Level
	geo   plan.Geometry
	info  block.Info
	sched sched.Sched
	quiet time.Duration

	view  atomic.Pointer[view]
	locks spanLock
	ops   sync.Pool // of *op

	inflight atomic.Int64 // requests inside Do, and 1 for the Array being open
	closing  atomic.Bool
	drained  sched.Event // set when inflight reaches 0

	// Clean and dirty; see dirty.go and bitmap.go.
	intent  atomic.Pointer[intent] // the write-intent bitmap; nil = none
	ppl     *ppl                   // the partial parity log; nil = none
	mark    atomic.Int32
	writers atomic.Int64
	wrote   atomic.Bool
	doubt   atomic.Bool // redundancy was taken for true when the array was forced, and need not be
	uneven  atomic.Bool // a write failed on a last copy, which stays: copies may differ, and the next start is to resync

	meta      *sched.Mutex // whoever changes superblocks, or the set of members that is believed
	twins     []*member    // by role, who is to replace members[role]; nil = nobody is replaced
	members   []*member    // by role; nil = missing. One that failed stays here until another takes its role
	spares    []*member    // and members that failed and have no role any more
	written   int32        // the mark that superblocks carry, or are about to: markClean or markDirty
	distant   bool         // whoever is missing is two events behind
	flushed   int64        // View.Synced as it was before the last flush of all members: what superblocks may say of a resync
	unwritten error        // why the last commit could not write a superblock
	ref       *md.Superblock
	events    uint64
	readOnly  []string
	findings  []string
	writable  bool

	last atomic.Pointer[Status] // as of when meta was last given back

	tasks *sched.Group // background work
	wake  sched.Event  // for the cleaner to look again
	work  sched.Event  // for the worker
	sync  syncState
	news  news

	latency  latency
	governor governor // the worker's

	patience deadline.Limit // how long members may take to read
	lates    *sched.Group   // tasks that see late reads to their end, and may take as long as members do

	places places // where the last check found that members do not agree
}

// Info describes the array. Block is the largest of its members'.
func (a *Array) Info() block.Info { return a.info }

// Do performs r. Writes are acknowledged under the promise of the package comment; they are durable after a Flush, or with FUA.
// Media errors that redundancy cannot answer are returned for the request that met them, and the array goes on.
func (a *Array) Do(ctx context.Context, r block.Request) error {
	measured, began := a.latency.target.Load() != 0, time.Duration(0)
	if measured {
		began = a.sched.Now()
	}
	err := a.do(ctx, r)
	if measured && err == nil {
		a.latency.sum.Add(int64(a.sched.Now() - began))
		a.latency.n.Add(1)
	}
	switch err {
	case nil, block.ErrWouldBlock:
		return err
	}
	return &block.Error{Dev: a.info.Name, Req: r, Err: err}
}

func (a *Array) do(ctx context.Context, r block.Request) error {
	if !a.begin() {
		return block.ErrClosed
	}
	defer a.end()
	if err := a.info.Check(r); err != nil {
		return err
	}
	if r.Op == block.Flush {
		return a.flush(ctx)
	}
	if r.Len == 0 {
		return ctx.Err()
	}
	if !r.Op.Mutates() {
		return a.carryOut(ctx, r)
	}
	if r.Op == block.Discard && a.geo.Redundant() && !a.info.Discard {
		return nil // members that may read as anything afterwards would no longer agree
	}
	if r.Flags&block.Fast != 0 && !a.info.Zeroes {
		return block.ErrUnsupported
	}
	r.Flags &^= block.Fast // answered here, for all members alike: if one refused and others did not they would no longer agree
	span := a.syncSpan(r)
	bits, err := a.beginWrite(span, r.Flags&block.NoWait != 0)
	if err != nil {
		return err
	}
	defer a.endWrite(bits, span)
	lone := r.Flags&block.FUA == 0 || a.standsAlone()
	if (!lone || a.ppl != nil) && r.Flags&block.NoWait != 0 {
		return block.ErrWouldBlock
	}
	err = a.carryOut(ctx, r)
	if err == nil && !lone {
		err = a.flush(ctx)
	}
	return err
}

// standsAlone says whether what is written durably can be read back whatever becomes of the rest. What a missing member of a parity array, or one with bad blocks, should
// have is the sum of a whole row, and others of that row may be in a volatile cache.
func (a *Array) standsAlone() bool {
	switch a.geo.Level {
	case 4, 5, 6:
		v := a.view.Load()
		for _, m := range v.members {
			if m != nil && m.bad.Load() != nil {
				return false
			}
		}
		return v.Readable.Count() == a.geo.Roles
	}
	return true
}

// begin counts a request in, unless the array is closing.
func (a *Array) begin() bool {
	a.inflight.Add(1)
	if a.closing.Load() {
		a.end()
		return false
	}
	return true
}

func (a *Array) end() {
	if a.inflight.Add(-1) == 0 {
		a.drained.Set()
	}
}

// carryOut plans and executes r, prefix by prefix.
func (a *Array) carryOut(ctx context.Context, r block.Request) error {
	o := a.getOp()
	defer a.putOp(o)
	for r.Len > 0 {
		if err := ctx.Err(); err != nil {
			return err // the last moment to give up: from here the rows are ours to leave whole
		}
		n, err := o.carryOut(r)
		if err != nil {
			return err
		}
		r = r.Slice(n, r.Len)
	}
	return nil
}

// carryOut executes a prefix of r and says how long it was. The rows are held until a plan has been carried out without an error.
//
// A batch of writes that met an error leaves redundancy true in the View without the member that failed: everything else of the batch was
// written. So planning again may cover less than before, and the next prefix is planned as if nothing had been tried.
func (o *op) carryOut(r block.Request) (int64, error) {
	defer o.unlock()
	o.avoid, o.cause, o.bad, o.late = 0, nil, o.bad[:0], o.late[:0]
	o.beTimely()
	for {
		n, err := o.plans(r)
		if err != nil {
			switch {
			case err == block.ErrWouldBlock:
				return 0, err
			case o.slow != 0:
				o.bePatient() // nobody else can answer
				continue
			case o.cause == nil:
				return 0, o.refusal(err)
			case r.Len > o.a.info.Block:
				// Not all of it may be lost: only where two members are bad in one row.
				r = r.Slice(0, half(r.Len, o.a.info.Block))
				o.avoid, o.bad = 0, o.bad[:0]
				continue
			}
			o.a.uncorrectable(o)
			return 0, o.cause
		}
		o.user = r.Buf
		o.provide()
		o.perform(o.plan.Reads, r.Flags&block.NoWait)
		if !o.failed {
			o.calc()
			if err := o.log(r.Off, n); err != nil {
				return 0, err
			}
			o.write(r.Flags)
		}
		if !o.failed && len(o.plan.Writes) > 0 {
			o.a.forgiveWritten(o)
		}
		if o.failed {
			if err := o.a.learn(o); err != nil {
				return 0, err
			}
			if len(o.bad) > 0 && r.Len > o.a.sector() && o.undecided() {
				r = r.Slice(0, half(r.Len, o.a.sector()))
				o.avoid, o.cause, o.bad = 0, nil, o.bad[:0]
			}
			continue
		}
		o.unlock()
		o.a.correct(o)
		return n, nil
	}
}

// undecided says whether o's batch read what may not agree with the redundancy that stands in for it. There only the sectors that cannot be read may
// come from elsewhere: whoever reads their neighbours, before resync or after it, is to see what the first copy has.
func (o *op) undecided() bool {
	return o.a.doubt.Load() || (o.a.geo.Level == 1 || o.a.geo.Level == 10) && o.extent().Hi > o.view.Synced
}

// sector is the smallest piece of the array that can be unreadable by itself.
func (a *Array) sector() int64 { return max(a.info.Block, sectorSize) }

// plans makes a plan for a prefix of r with the present View and holds what it locks.
func (o *op) plans(r block.Request) (int64, error) {
	for {
		v := o.a.view.Load()
		if r.Op.Mutates() && v.broken != nil {
			return 0, v.broken
		}
		o.see(v)
		o.plan.Reset()
		n, err := o.a.level.Plan(&o.plan, r, &o.view.View)
		if err == nil && o.view.left != nil && o.view.believable(&o.plan) < o.view.Synced {
			o.view.Synced = o.view.believable(&o.plan)
			o.plan.Reset()
			n, err = o.a.level.Plan(&o.plan, r, &o.view.View)
		}
		if err != nil {
			return 0, err
		}
		if o.slow != 0 && len(o.plan.Writes) == 0 && o.a.mirror() {
			// Another copy than the one that is usually read. What is being written there may have been read from that one by others already: such
			// a write is waited for. Of mirrors it is offsets that are locked.
			o.plan.Hold(r.Off, r.Off+n)
		}
		// Once the rows are held the View is looked at again: a member may have failed while we waited.
		asked, err := o.lock(false, r.Flags&block.NoWait != 0)
		if err != nil || !asked || o.a.view.Load() == v {
			return n, err
		}
	}
}

// half is about half of n, in whole blocks, at least one.
func half(n, blockSize int64) int64 {
	blockSize = max(blockSize, 1)
	return max(n/2/blockSize*blockSize, blockSize)
}
