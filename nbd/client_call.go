package nbd

import (
	"graid/block"
	"graid/sched"
)

// order is one command, with the memory that it reads into or writes from.
type order struct {
	cmd   uint16
	flags uint16
	off   int64
	len   int64
	buf   []byte
}

// changes says whether the order may change what is stored.
func (o *order) changes() bool { return changes(o.cmd) }

// call is an order on its way, and whoever waits for it. It is guarded by the mutex of the link that carries it, or, while it waits for a
// connection, by the client's.
//
//	         submit          the sender takes it         written           answered, late or lost
//	idle ──────────▶ queued ───────────────────▶ sending ────────▶ seated ──────────────────────▶ done
//	                   │                                                                           ▲
//	                   └── late or lost: never sent ───────────────────────────────────────────────┘
type call struct {
	order
	list *[]block.Extent // of a block status: what was found
	due  int64           // on the client's clock, ns
	wake sched.Event     // look again: done, or to lead

	req      request
	sending  bool // its memory may be read by the sender
	sent     bool // a byte of it may have left, now or on an earlier connection
	done     bool
	lead     bool // to go on with the sending
	finished bool // done as soon as it is not being sent any more
	err      error
}

// begin makes k the call of an order.
func (k *call) begin(o order, list *[]block.Extent, due int64) {
	wake := k.wake
	*k = call{order: o, list: list, due: due, wake: wake}
}

// coverage is which bytes of a read have arrived: disjoint spans in order, most often one.
type coverage struct{ spans []extentSpan }

// extentSpan is bytes [lo, hi) of an export.
type extentSpan struct{ lo, hi int64 }

// maxSpans is into how many pieces the server may take a read apart, out of order.
const maxSpans = 1024

// add notes [lo, hi). It refuses what was there before, and what is too scattered to keep.
func (c *coverage) add(lo, hi int64) bool {
	n := len(c.spans)
	i := n
	for i > 0 && c.spans[i-1].lo > lo {
		i--
	}
	if lo >= hi || i > 0 && c.spans[i-1].hi > lo || i < n && c.spans[i].lo < hi {
		return false
	}
	before, after := i > 0 && c.spans[i-1].hi == lo, i < n && c.spans[i].lo == hi
	switch {
	case before && after:
		c.spans[i-1].hi = c.spans[i].hi
		c.spans = append(c.spans[:i], c.spans[i+1:]...)
	case before:
		c.spans[i-1].hi = hi
	case after:
		c.spans[i].lo = lo
	case n == maxSpans:
		return false
	default:
		c.spans = append(c.spans, extentSpan{})
		copy(c.spans[i+1:], c.spans[i:])
		c.spans[i] = extentSpan{lo, hi}
	}
	return true
}

// whole says whether [lo, hi) has arrived.
func (c *coverage) whole(lo, hi int64) bool {
	return lo == hi || len(c.spans) == 1 && c.spans[0] == extentSpan{lo, hi}
}
