package crash

// promise is what may be read after a crash, told from what clients were told and from nothing else.
type promise struct {
	allowed []uint8 // by sector of the array: the set of versions it may have
	fresh   []bool  // by sector: the history itself has written it, and that is durable
	rows    uint64  // rows with a write under way since the last flush
	under   []bool  // by sector: it has one
}

// promised is what holds after a crash anywhere in [from, to] of the tape's clock. Without crash, what is acknowledged counts, durable or not.
//
// A sector may hold whatever was written there by then, unless something that was begun after that was acknowledged has become durable.
func (h *lived) promised(g *ground, from, to int, crash bool) promise {
	p := promise{allowed: append([]uint8(nil), h.initial...), fresh: make([]bool, g.sectors), under: make([]bool, g.sectors)}
	durable := make([]bool, len(h.requests))
	for i := range h.requests {
		durable[i] = h.durable(i, to) || !crash && h.requests[i].end <= to
	}
	for i := range h.requests {
		q := &h.requests[i]
		if q.flush || q.start > from {
			continue
		}
		for lba := q.lo; lba < q.hi; lba++ {
			if !durable[i] {
				p.under[lba] = true
				for _, at := range g.places[lba] {
					p.rows |= 1 << at.at
				}
			}
			if durable[i] && !q.discard {
				p.fresh[lba] = true
				p.allowed[lba] &^= h.initial[lba]
			}
		}
	}
	for i := range h.requests {
		q := &h.requests[i]
		if q.flush || q.start > from {
			continue
		}
		for lba := q.lo; lba < q.hi; lba++ {
			if !h.superseded(i, lba, durable) {
				p.allowed[lba] |= 1 << q.v
			}
		}
	}
	return p
}

// superseded says whether sector lba cannot hold what request i wrote any more.
func (h *lived) superseded(i, lba int, durable []bool) bool {
	for k := range h.requests {
		u := &h.requests[k]
		if durable[k] && !u.discard && !u.flush && u.lo <= lba && lba < u.hi && u.start > h.requests[i].end {
			return true
		}
	}
	return false
}

// durable says whether request i has been promised to be durable by then.
func (h *lived) durable(i, at int) bool {
	q := &h.requests[i]
	if q.flush || q.end > at {
		return false
	}
	if q.fua {
		return true
	}
	for k := range h.requests {
		if f := &h.requests[k]; f.flush && f.start > q.end && f.end <= at {
			return true
		}
	}
	return false
}

// excused says whether nobody can know what sector lba holds: it would have to be computed from a parity that may be wrong. Rows are those that
// had writes under way; before are those that did not agree when the history began, and fresh says that the history wrote the sector since.
func (g *ground) excused(lba int, missing uint8, rows, before uint64, fresh bool) bool {
	if !g.parity() || missing == 0 {
		return false
	}
	p := g.places[lba][0]
	return missing>>p.member&1 != 0 && (rows>>p.at&1 != 0 || before>>p.at&1 != 0 && !fresh)
}

// underWay says whether an array with a partial parity log may have anything in sector lba: it was being written to, and another of its row too, so
// that parity alone cannot tell what it was.
func (g *ground) underWay(lba int, missing uint8, p *promise) bool {
	at := g.places[lba][0]
	if missing>>at.member&1 == 0 || !p.under[lba] {
		return false
	}
	for _, other := range g.rows[at.at] {
		if other != lba && p.under[other] {
			return true
		}
	}
	return false
}
