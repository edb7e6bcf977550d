package fuzz

import (
	"testing"

	"graid/sim"
)

// typical is the world that figures are of: a raid5 of five members and 2,000 requests in five lives, with faults and cuts as drawn.
func typical(seed uint64) Case {
	c := NewCase(seed)
	for c.Level != 5 || c.Members != 5 || c.Beyond || c.Disk.Inline || c.Inlines > 0 {
		seed += 1000
		c = NewCase(seed)
	}
	c.Clients, c.Ops, c.Run, c.Share = 8, 64, 16, shareAll
	c.Mix = Mix{Read: 8, Write: 8, FUA: 1, Zeroes: 1, Flush: 1, Pause: 1}
	for i := range c.Sizes {
		c.Sizes[i] = 256 << 10
	}
	for len(c.Lives) < 5 {
		c.Lives = append(c.Lives, c.Lives...)
	}
	c.Lives = c.Lives[:5]
	for i := range c.Lives {
		if l := &c.Lives[i]; l.End != Stop { // after most of its requests
			l.Updates, l.Steps = 0, 3000+l.Steps%3000
		}
		c.Lives[i].Keep = sim.KeepAny
	}
	return c
}

// BenchmarkWorld says how many worlds and how many requests of members a processor does: in CPU time, so that neighbours do not matter.
func BenchmarkWorld(b *testing.B) {
	var requests, ios int64
	before := cpuTime()
	for i := 0; b.Loop(); i++ {
		r := Run(typical(uint64(i)), 0)
		if r.Err != nil {
			b.Fatal(r.Failed())
		}
		requests, ios = requests+r.Requests, ios+r.IOs
	}
	took := (cpuTime() - before).Seconds()
	if took > 0 {
		b.ReportMetric(float64(b.N)/took*3600, "worlds/core-hour")
		b.ReportMetric(float64(ios)/took, "IO/core-s")
	}
	b.ReportMetric(float64(requests)/float64(b.N), "requests/op")
}
