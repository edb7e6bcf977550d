package multipath

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"graid/block"
)

// keep looks after p: it connects, verifies and checks, as the table has it.
func (d *Device) keep(p *path) {
	d.mu.Lock()
	for !d.closing && !p.gone {
		now := d.s.Now()
		what, at := d.table.next(p.i, p.checkAt, now)
		r := &d.table.paths[p.i]
		switch {
		case r.state == StateDraining && (p.s == nil || p.s.inflight == 0):
			d.saw(p, sawIdle, "no request is under way any more")
			if p.s != nil {
				d.lose(p.s, "drained", askFail)
			}
		case r.state == StateDraining:
			d.unlock()
			p.poke.WaitFor(d.o.Check.Min / 10)
			d.mu.Lock()
		case what == stay || at > now:
			d.unlock()
			if what == stay || at >= never {
				p.poke.Wait()
			} else {
				p.poke.WaitFor(at - now)
			}
			d.mu.Lock()
		case what == connect:
			d.unlock()
			_ = d.open(context.Background(), p, false) // noted
			d.mu.Lock()
		case p.s == nil:
			panic("multipath: a path without a session is in use")
		default:
			d.inspect(p)
		}
	}
	d.unlock()
}

// open makes a session of p and takes it into use if it leads to the right medium; of the first path, whatever medium it is.
func (d *Device) open(ctx context.Context, p *path, first bool) error {
	d.mu.Lock()
	d.saw(p, sawOpening, "")
	d.unlock()
	z := &session{path: p, name: p.Name, local: p.Local, dev: p.Dev}
	var err error
	if p.Open != nil {
		z.own = true
		z.dev, err = p.Open(ctx)
	}
	if err == nil {
		d.introduce(z)
		d.mu.Lock()
		d.saw(p, sawOpen, "")
		d.unlock()
		err = d.identify(ctx, z, first)
	}
	d.mu.Lock()
	state := d.table.paths[p.i].state
	switch {
	case err == nil && state == StateVerifying && !d.closing && !p.gone:
		d.table.paths[p.i].instance = z.instance
		p.s, z.adopted, z.heard = z, true, d.s.Now()
		d.doubt(z)
		d.saw(p, sawVerified, "")
		d.unlock()
		return nil
	case errors.Is(err, ErrOther) && state == StateVerifying:
		d.counters.Refused++
		d.saw(p, sawOther, reason(err))
	case err != nil:
		d.saw(p, sawBroken, strings.TrimPrefix(reason(err), p.Name+": "))
	}
	z.dead, z.settled = true, true
	late := len(z.attempts) > 0
	d.unlock()
	switch {
	case !z.own || z.dev == nil:
	case late:
		d.tasks.Go(func() { d.bury(z) })
	default:
		_ = z.dev.Close() // it was never used
	}
	if err == nil {
		return fmt.Errorf("path %s: taken out of use", p.Name)
	}
	if strings.HasPrefix(err.Error(), p.Name+":") {
		return err
	}
	return fmt.Errorf("%s: %w", p.Name, err)
}

// introduce asks z's device what it can say of itself.
func (d *Device) introduce(z *session) {
	if f, ok := block.As[Fencer](z.dev); ok {
		z.fencer = f
	}
	if i, ok := block.As[Instancer](z.dev); ok {
		z.instance = i.Instance()
	}
	if l, ok := block.As[Leaser](z.dev); ok {
		z.lease = l.Lease()
	}
	d.mu.Lock()
	d.nonce++
	z.key = z.instance
	if z.instance == "" { // whoever does not say is a target of its own for each session
		z.key = fmt.Sprintf("%s%d", anonymous, d.nonce)
	}
	d.mu.Unlock()
}

// anonymous begins the keys of sessions whose targets do not say who they are.
const anonymous = "session "

// inspect checks p, unless requests have done so lately. Checks come the more seldom the longer all has been well. The map's mu is held, but not meanwhile.
func (d *Device) inspect(p *path) {
	z, now := p.s, d.s.Now()
	calm := d.table.paths[p.i].state.good() && d.table.paths[p.i].state != StateSlow
	if p.interval = min(p.interval*2, d.o.Check.Max); !calm {
		p.interval = d.o.Check.Min
	}
	p.checkAt = now + p.interval
	if z.heard > now-d.o.Check.Min && calm {
		return
	}
	r := block.Request{Op: block.Flush}
	if d.o.Check.Kind == "read" {
		unit := max(d.info.Block, 512)
		r = block.Request{Op: block.Read, Len: unit}
		r.Off = d.rng.Int64N(max((d.info.Size+d.o.Reserve)/unit, 1)) * unit // not always the same: a cache would answer
		r.Buf = block.Alloc(unit)
	}
	d.unlock()
	err := d.probe(z, r)
	d.mu.Lock()
	if err == nil || z.dead {
		return
	}
	if judge(err) == broken {
		d.lose(z, "check: "+reason(err), sawBroken)
	}
	if judge(err) == leaving {
		d.saw(p, sawLeaving, "the target is about to stop")
	}
}

// probe does r, of the map's own, on z and nowhere else.
func (d *Device) probe(z *session, r block.Request) error {
	if z.local {
		return z.dev.Do(context.Background(), r)
	}
	o := d.getOp()
	o.probe = true
	if r.Op == block.Write {
		d.mu.Lock()
		o.mem = d.chunks.get(r.Len)
		d.mu.Unlock()
		copy(o.mem.b, r.Buf)
	}
	began := d.s.Now()
	_, err := d.send(o, z, r)
	d.mu.Lock()
	d.chunks.drop(o.mem)
	o.mem = nil
	if err == nil && !z.dead && z.path.s == z {
		d.noted(d.table.sample(z.path.i, d.s.Now()-began, d.s.Now()))
	}
	d.unlock()
	d.putOp(o)
	return err
}

// identify says whether z leads to the medium of the map: its size, what Options.Verify says, and whether other paths see the same.
func (d *Device) identify(ctx context.Context, z *session, first bool) error {
	info := z.dev.Info()
	if d.o.Verify != nil {
		if err := d.o.Verify(ctx, z.dev); err != nil {
			return err
		}
	}
	if first && d.info.Size == 0 {
		return d.define(z, info)
	}
	switch have := d.info.Size + d.o.Reserve; {
	case info.Size != have:
		return fmt.Errorf("%w: it has %d bytes, the map's has %d", ErrOther, info.Size, have)
	case info.Block > d.info.Block:
		return fmt.Errorf("%w: it has blocks of %d bytes, the map has %d", ErrOther, info.Block, d.info.Block)
	case info.Align > max(d.info.Align, 1) && z.local:
		return fmt.Errorf("%w: it wants memory aligned to %d bytes, the map to %d", ErrOther, info.Align, max(d.info.Align, 1))
	case !info.Writable && d.info.Writable:
		return fmt.Errorf("%w: it is read-only, the map is not", ErrOther)
	}
	if d.o.Reserve > 0 {
		return d.challenge(z)
	}
	return d.compare(z)
}

// define makes the medium what z says.
func (d *Device) define(z *session, info block.Info) error {
	if info.Size <= d.o.Reserve {
		return fmt.Errorf("%d bytes are too few for a reserve of %d", info.Size, d.o.Reserve)
	}
	d.info = info
	d.info.Name, d.info.Size = d.name, info.Size-d.o.Reserve
	if d.guarded {
		d.info.Inline = false
	}
	if d.o.Reserve == 0 || !info.Writable {
		return nil
	}
	return d.challenge(z)
}

// peer is a session in use other than z, to compare with; nil: there is none.
func (d *Device) peer(z *session) *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.paths {
		if p.s != nil && p.s != z && d.table.paths[p.i].state.open() && d.table.paths[p.i].instance == d.table.lead {
			return p.s
		}
	}
	return nil
}

// challenge writes a number into the reserve through a path in use, and looks whether z shows it. With no other path there is, z must show the number
// that was written last.
func (d *Device) challenge(z *session) error {
	if !d.info.Writable {
		return d.compare(z)
	}
	mark := block.Alloc(4096)
	off := d.info.Size + d.o.Reserve - 4096
	peer := d.peer(z)
	d.mu.Lock()
	last := d.mark
	fresh := append([]byte("graid multipath nonce "), fmt.Sprintf("%016x%016x", d.rng.Uint64(), d.rng.Uint64())...)
	d.mu.Unlock()
	through := peer
	if peer == nil {
		through = z
		if last != nil {
			if err := d.probe(z, block.Request{Op: block.Read, Off: off, Len: 4096, Buf: mark}); err != nil {
				return err
			}
			if string(mark[:len(last)]) != string(last) {
				return fmt.Errorf("%w: it does not show the nonce that was written last", ErrOther)
			}
		}
	}
	clear(mark)
	copy(mark, fresh)
	d.mu.Lock()
	d.mark = fresh
	d.mu.Unlock()
	if err := d.probe(through, block.Request{Op: block.Write, Flags: block.FUA, Off: off, Len: 4096, Buf: mark}); err != nil {
		return fmt.Errorf("writing a nonce through %s: %w", through.name, err)
	}
	clear(mark)
	if err := d.probe(z, block.Request{Op: block.Read, Off: off, Len: 4096, Buf: mark}); err != nil {
		return err
	}
	if string(mark[:len(fresh)]) != string(fresh) {
		return fmt.Errorf("%w: it does not show the nonce that was written through %s", ErrOther, through.name)
	}
	return nil
}

// samples is how many blocks are compared.
const samples = 8

// compare looks at some blocks through z and through a path in use. It finds another medium unless that has the same content.
func (d *Device) compare(z *session) error {
	peer := d.peer(z)
	if peer == nil {
		return nil
	}
	unit := min(max(d.info.Block, 4096), d.info.Size)
	unit -= unit % max(d.info.Block, 1)
	a, b := block.Alloc(unit), block.Alloc(unit)
	blocks := d.info.Size / unit
	for n := range samples {
		var off int64
		d.mu.Lock()
		switch n {
		case 0:
		case 1:
			off = (blocks - 1) * unit
		default:
			off = d.rng.Int64N(blocks) * unit
		}
		d.mu.Unlock()
		same := false
		for try := 0; try < 5 && !same; try++ {
			o := d.hush(off, off+unit)
			if o == nil {
				same = true // somebody writes there, or it is not flushed: nothing can be said
				break
			}
			err := d.probe(peer, block.Request{Op: block.Read, Off: off, Len: unit, Buf: a})
			if err == nil {
				err = d.probe(z, block.Request{Op: block.Read, Off: off, Len: unit, Buf: b})
			}
			d.unhush(o)
			if judge(err) == doubtful {
				same = true
				break
			}
			if err != nil {
				return err
			}
			same = string(a) == string(b)
		}
		if !same {
			return fmt.Errorf("%w: its bytes from %d on are not what %s shows", ErrOther, off, peer.name)
		}
	}
	return nil
}

// hush keeps writes away from [off, end), if none is there; nil: there is one, or one that was not flushed.
func (d *Device) hush(off, end int64) *op {
	o := d.getOp()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.guarded && d.log.covers(off, end) {
		d.ops.Put(o)
		return nil
	}
	h := &hold{off: off, end: end}
	if d.guarded && d.spans.blocked(h, math.MaxInt) {
		d.ops.Put(o)
		return nil
	}
	d.spans.list = append(d.spans.list, h)
	o.hold = h
	return o
}

func (d *Device) unhush(o *op) {
	d.mu.Lock()
	d.vacate(o)
	d.mu.Unlock()
	d.putOp(o)
}
