package fuzz

import "math/rand/v2"

// enrich draws what came into worlds last, from a stream of its own: worlds that get none of it are what they were.
func (c *Case) enrich(rng *rand.Rand) {
	c.drawPPL(rng)
}
