package multipath

import (
	"context"
	"fmt"
	"math"
	"slices"

	"graid/block"
)

// flush makes durable what was acknowledged before it: it goes to everyone who holds some of that. What a target held that is gone is sent to another
// first, and flushed there.
func (d *Device) flush(ctx context.Context, o *op) error {
	d.mu.Lock()
	mark, sent := d.log.seq, false
	for {
		if err := d.lost; err != nil {
			d.lost = nil
			d.unlock()
			return fmt.Errorf("an acknowledged write was lost: %w", err)
		}
		if err := d.queue(ctx, o, func() bool { return !d.resending }); err != nil {
			d.unlock()
			return err
		}
		key, some := d.log.holder(mark)
		if !some {
			break
		}
		z := d.holder(key)
		if z == nil { // whoever held it is gone: wait for it to be sent again
			if err := d.queue(ctx, o, func() bool { return !d.homeless(key) || d.log.keys[key] == 0 }); err != nil {
				d.unlock()
				return err
			}
			continue
		}
		now := d.log.seq
		d.count(z.path, block.Request{Op: block.Flush})
		d.unlock()
		_, err := d.flushOn(o, z)
		d.mu.Lock()
		switch judge(err) {
		case fine:
			d.log.flushed(key, now)
			sent = true
		case broken:
			d.lose(z, reason(err), sawBroken)
		case leaving:
			d.saw(z.path, sawLeaving, "the target is about to stop")
			d.lose(z, reason(err), sawBroken)
		case busy:
			d.unlock()
			d.s.Sleep(d.o.ReconnectMin)
			d.mu.Lock()
		default:
			d.unlock()
			return err
		}
	}
	d.unlock()
	if sent {
		return nil
	}
	_, err := d.carry(ctx, o, block.Request{Op: block.Flush})
	return err
}

func (d *Device) flushOn(o *op, z *session) (*session, error) {
	if z.local {
		return z, z.dev.Do(context.Background(), block.Request{Op: block.Flush})
	}
	return d.send(o, z, block.Request{Op: block.Flush})
}

// holder is a session to flush what key holds; nil: there is none. The map's mu is held.
func (d *Device) holder(key string) *session {
	for _, p := range d.paths {
		if p.s != nil && p.s.key == key {
			return p.s
		}
	}
	return nil
}

// homeless says whether who holds key is gone. The map's mu is held.
func (d *Device) homeless(key string) bool { return d.holder(key) == nil }

// rehome begins to send again what targets held that are gone, if there is a path: it comes before everything else. The map's mu is held.
func (d *Device) rehome() {
	if d.resending || d.closing || len(d.table.live) == 0 {
		return
	}
	gone := false
	for key := range d.log.keys { // in any order: it is a yes or no
		gone = gone || d.homeless(key)
	}
	if !gone {
		return
	}
	d.resending = true
	d.tasks.Go(d.resend)
}

// resend sends what nobody holds any more, piece by piece. A piece that is being overwritten is waited for: what replaces it counts.
func (d *Device) resend() {
	o := d.getOp()
	o.ahead = true
	ctx := context.Background()
	d.mu.Lock()
	pieces, bytes := 0, int64(0)
	for !d.closing {
		k, some := d.log.find(0, math.MaxInt64, d.homeless)
		if !some {
			break
		}
		if len(d.table.live) == 0 || d.spans.active(k.off, k.end) || d.unready(k.key) {
			_ = d.park(ctx, o, never)
			continue
		}
		o.hold = &hold{off: k.off, end: k.end}
		d.spans.list = slices.Insert(d.spans.list, 0, o.hold) // before those who wait
		r := block.Request{Op: block.WriteZeroes, Flags: k.flags, Off: k.off, Len: k.end - k.off}
		if k.mem != nil {
			r.Op = block.Write
			o.mem = d.chunks.get(r.Len)
			copy(o.mem.b, k.mem.b[k.at:k.at+r.Len])
		}
		d.unlock()
		z, err := d.carry(ctx, o, r)
		d.mu.Lock()
		switch {
		case err == nil:
			k := kept{off: k.off, end: k.end, mem: o.mem, flags: k.flags, key: z.key}
			d.log.put(k)
			pieces, bytes = pieces+1, bytes+r.Len
			d.counters.Resent += r.Len
		case judge(err) != broken:
			d.lost = err
			d.log.cut(k.off, k.end)
			d.record(Event{Kind: KindResent, Reason: fmt.Sprintf("an acknowledged write was lost: %v: %v", r, err)})
		}
		d.vacate(o)
		d.chunks.drop(o.mem)
		o.mem = nil
	}
	if pieces > 0 {
		d.record(Event{Kind: KindResent, Reason: fmt.Sprintf("%d writes of %d bytes that were not flushed, before anything else", pieces, bytes)})
	}
	d.resending = false
	d.stir()
	d.unlock()
	d.putOp(o)
}

// unready says whether a failed session that held key must be ended before what it held is sent again. The map's mu is held.
func (d *Device) unready(key string) bool {
	for _, z := range d.old {
		if !z.replay && (z.key == key || key == nobody && z.instance == "") {
			return true
		}
	}
	return false
}
