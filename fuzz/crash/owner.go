package crash

import (
	"errors"
	"fmt"

	"graid/raid"
)

// own does what a word of the owner's says.
func (p *player) own(word string) error {
	added := 0
	switch word {
	case "R0":
		return p.a.Remove(ctx, memberName(0))
	case "W":
		return p.a.Wait(ctx)
	case "K":
		return p.scrub(p.a.Check, true)
	case "P":
		return p.scrub(p.a.Repair, false)
	case "V0":
		p.h.replaced = 1 | 1<<p.Members
		err := p.a.Replace(ctx, memberName(0), "")
		if p.h.failing&1 != 0 {
			return nil // it failed first, or while it was replaced
		}
		return err
	case "M":
		return p.a.AddBitmap(ctx, bitmapChunk)
	case "U":
		return p.a.RemoveBitmap(ctx)
	case "A":
		added = p.Members
	}
	p.h.added |= 1 << added
	n := raid.Member{Path: memberName(added), Dev: &handle{d: p.disks[added], name: memberName(added)}}
	return p.a.Add(ctx, n, raid.AddOptions{Rand: &counter{n: 100}})
}

// scrub judges a check or a repair. Where all agrees it finds nothing. A check by itself writes no data.
func (p *player) scrub(begin func() error, quiet bool) error {
	t, before, requests := p.h.tape, len(p.h.tape.entries), len(p.h.requests)
	if err := begin(); err != nil {
		return err
	}
	if err := p.a.Wait(ctx); err != nil {
		return err
	}
	if n := p.a.Status().MismatchSectors; (n > 0) != (p.h.rotten != 0) {
		return fmt.Errorf("%d sectors of parity were spoilt, and a scrub counts %d", p.h.rotten, n)
	}
	if !quiet {
		for i, d := range p.disks {
			p.images[i] = d.now
		}
		if p.parity() && p.h.rotten != 0 && !p.agrees(p.dataAt(), p.images[:p.Members]) {
			return errors.New("repaired, and the parity is not the sum")
		}
	}
	for _, e := range t.entries[before:] {
		if quiet && requests == 0 && !e.flush && e.first >= p.dataAt() {
			return fmt.Errorf("a check wrote sector %d of member %d", e.first, e.member)
		}
	}
	return nil
}

// rot spoils parity of the first row of the image that h begins on. Of copies nobody could say which is the spoilt one.
func (g *ground) rot(h *lived) {
	if !g.parity() {
		return
	}
	for _, d := range g.disks {
		d.load(h.from)
	}
	parity := 0
	for g.data[g.dataAt()]>>parity&1 != 0 {
		parity++
	}
	bad := make([]byte, sector)
	for i, x := range g.disks[parity].now[g.dataAt()*sector : (g.dataAt()+1)*sector] {
		bad[i] = ^x
	}
	g.disks[parity].put(g.dataAt(), bad, 1)
	h.from, h.rotten = g.snapshot(&image{}, h.from), 1<<g.dataAt()
}
