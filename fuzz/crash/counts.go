package crash

import (
	"fmt"
	"time"
)

// Counts is what was enumerated.
type Counts struct {
	Histories int64
	Moments   int64 // crash points that may leave other images than their neighbours
	States    int64 // (history, moment, subset, loss), each judged
	Second    int64 // those of them where a recovery was cut
	Distinct  int64 // images recovered by the engine: everything else was identical to one of them
	Outcomes  int64 // different things that were read from them
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Histories, c.Moments, c.States, c.Second = c.Histories+o.Histories, c.Moments+o.Moments, c.States+o.States, c.Second+o.Second
	c.Distinct, c.Outcomes = c.Distinct+o.Distinct, c.Outcomes+o.Outcomes
}

// Line is the counts for whoever runs it: of so many histories that there are, and after so much time of a processor.
func (c *Counts) Line(name string, of int, took time.Duration) string {
	s := max(took.Seconds(), 0.001)
	return fmt.Sprintf("%-10s %5d of %5d histories %7d moments %9d states (%8d of two crashes) %7d images %6d outcomes %6.1f s CPU %7.0f states/s %6.0f images/s",
		name, c.Histories, of, c.Moments, c.States, c.Second, c.Distinct, c.Outcomes, s, float64(c.States)/s, float64(c.Distinct)/s)
}
