package netif

import "time"

// Choice decides which of several interfaces a connection uses: the first one wanted that is up, but no hasty return to a better one. As with IPMP,
// one that failed must have been up for a while before it is gone back to, so that a link that flaps does not take the connection along each time.
//
// It is a value that is told what there is; the zero value of everything but Want works.
type Choice struct {
	Want []string      // names or addresses, the best first
	Hold time.Duration // how long a better one must have been up without a break to be gone back to; 0 = at once

	using string
	since map[string]time.Duration // when it was first seen up without a break
}

// Observe is told what there is at a time, and answers what to use: one of Want, or "" if none is up. changed says that it is another one than before,
// again is when to be told anew though nothing has changed; 0 = not needed.
func (c *Choice) Observe(list []Interface, now time.Duration) (use string, changed bool, again time.Duration) {
	if c.since == nil {
		c.since = map[string]time.Duration{}
	}
	before := c.using
	c.using = ""
	for _, w := range c.Want {
		i, ok := Find(list, w)
		if !ok || !i.Up {
			delete(c.since, w)
			continue
		}
		at, seen := c.since[w]
		if !seen {
			at = now
			c.since[w] = now
		}
		left := at + c.Hold - now
		switch {
		case w == before:
			c.using = w
		case c.using == "" && (before == "" || left <= 0):
			c.using = w
		case c.using == "" && left > 0 && again == 0:
			again = left // a better one that has yet to prove itself
		}
		if c.using != "" {
			break
		}
	}
	if c.using == "" { // what was used is gone: whatever is up, however short
		again = 0
		for _, w := range c.Want {
			if _, up := c.since[w]; up {
				c.using = w
				break
			}
		}
	}
	return c.using, c.using != before, again
}
