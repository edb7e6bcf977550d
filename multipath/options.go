package multipath

import (
	"context"
	"fmt"
	"time"

	"graid/block"
)

// Path is one way to the medium.
type Path struct {
	Name     string // unique in the map
	Host     string // what it has in common with others that fail together: an unreadable block is confirmed through another; empty: Name
	Group    string // paths of one group are used together; empty: those of one Priority
	Priority int    // the group of the highest average is used
	Weight   int    // of the weighted selectors, and relative throughput for least-bytes; 0 = 1
	Standby  bool   // a ghost: used only when no other path is there

	// Local says that the device belongs to this machine: an error of it means that the request is over, and what it acknowledged is
	// lost only with this machine. Requests are then made in place: neither a deadline nor a copy is kept of them.
	Local bool

	// Dev is the device, open. It is closed with the map, and used again after a failure if there is no Open.
	Dev block.Device
	// Open makes a session: a device of its own, which is closed when the path fails. It carries a deadline of its own.
	Open func(ctx context.Context) (block.Device, error)
}

// Stale says what is done about writes that were sent on a path that failed, and may still land.
type Stale uint8

// The policies against stale writes.
const (
	// StaleFence ends the session at the target through another path before anything is sent again, where both ends can (Fencer); waits
	// for the session's lease where that is known (Leaser); and else does as StaleQuarantine.
	StaleFence Stale = iota
	// StaleQuarantine sends the same bytes again at once, which is harmless, and holds later writes to the same place until the old one
	// is answered, or Quarantine is over.
	StaleQuarantine
	// StaleHook asks Options.Hook to prove that the target behind the path is dead before anything is sent again.
	StaleHook
	// StaleTrust sends again and holds nothing, as dm-multipath does. It loses data: a late write replaces a newer one.
	StaleTrust
)

var staleNames = [...]string{"fence", "quarantine", "hook", "trust"}

func (s Stale) String() string { return staleNames[s] }

// Failback says when I/O returns to a better group.
type Failback uint8

// The ways of failing back.
const (
	FailbackDeferred   Failback = iota // once the better group has been there for FailbackAfter
	FailbackManual                     // when SwitchGroup says so, or the present group has failed
	FailbackImmediate                  // at once
	FailbackFollowover                 // only at the moment the first path of a wholly dead group comes up
)

var failbackNames = [...]string{"deferred", "manual", "immediate", "followover"}

func (f Failback) String() string { return failbackNames[f] }

// NoPath values of Options that are not times.
const (
	NoPathFail  time.Duration = -1                     // requests fail at once
	NoPathQueue time.Duration = 1<<63 - 1              // requests wait for ever; they can be killed
	never                     = time.Duration(1 << 62) // further away than anything
)

// Options of a map. The zero value is right for paths over a network.
type Options struct {
	Selector  string        // one of Selectors; empty: least-bytes
	NoPath    time.Duration // how long requests wait while there is no path, from when the last was lost; 0: 30 s
	Stale     Stale
	Failback  Failback
	Check     Check
	IOTimeout time.Duration // hard: the path fails; 0: 5 s
	Suspect   time.Duration // soft: the path gets no new requests; 0: 1 s

	Quarantine    time.Duration // bound of the hold on overlapping writes; 0: 60 s
	FailbackAfter time.Duration // 0: 10 s
	ReconnectMin  time.Duration // 0: 100 ms, doubled for each failure in a row, up to
	ReconnectMax  time.Duration // 0: 10 s
	FlapWindow    time.Duration // a second failure within it holds the path down; 0: 60 s
	HoldMin       time.Duration // 0: 30 s, doubled for each further failure, up to
	HoldMax       time.Duration // 0: 30 min
	SlowRatio     float64       // times the best peer's latency; 0: 8
	MarginalScore float64       // errors, halved each minute; 0: 2.5, which is the third of a minute
	HedgeBudget   float64       // part of the reads that may be sent twice; 0: 0.05; less than 0: none

	Unflushed    int64 // bytes of acknowledged writes kept until they are flushed; 0: 64 MiB
	WriteThrough bool  // every write is durable before it is acknowledged: nothing is kept
	Reserve      int64 // bytes at the end of the medium that belong to the map, for nonces; 0: none, and samples are compared instead

	// Verify says whether dev is the right medium: a UUID in its superblock, say. ErrOther refuses the path, any other error fails it.
	Verify func(ctx context.Context, dev block.Device) error
	// Hook proves that the target behind the path of that name is dead, or says why it cannot. It is STONITH's place.
	Hook func(path string) error
	// OnEvent is told of everything that History holds, in order, one at a time. It may ask the map for its Status.
	OnEvent func(Event)

	Seed uint64 // of jitter and choices
}

// Check is how paths are looked at that are not used.
type Check struct {
	Kind string        // read (a random block), flush, none; empty: read
	Min  time.Duration // after a change; 0: 1 s, doubled each time all is well, up to
	Max  time.Duration // 0: 10 s
}

// withDefaults is o as it is meant.
func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.NoPath, 30*time.Second)
	def(&o.IOTimeout, 5*time.Second)
	def(&o.Suspect, time.Second)
	def(&o.Quarantine, time.Minute)
	def(&o.FailbackAfter, 10*time.Second)
	def(&o.ReconnectMin, 100*time.Millisecond)
	def(&o.ReconnectMax, 10*time.Second)
	def(&o.FlapWindow, time.Minute)
	def(&o.HoldMin, 30*time.Second)
	def(&o.HoldMax, 30*time.Minute)
	def(&o.Check.Min, time.Second)
	def(&o.Check.Max, 10*time.Second)
	if o.Selector == "" {
		o.Selector = LeastBytes
	}
	if o.SlowRatio == 0 {
		o.SlowRatio = 8
	}
	if o.MarginalScore == 0 {
		o.MarginalScore = 2.5
	}
	if o.HedgeBudget == 0 {
		o.HedgeBudget = 0.05
	}
	if o.Unflushed == 0 {
		o.Unflushed = 64 << 20
	}
	if o.Check.Kind == "" {
		o.Check.Kind = "read"
	}
	return o
}

// check refuses options that mean nothing.
func (o *Options) check() error {
	switch o.Check.Kind {
	case "read", "flush", "none":
	default:
		return fmt.Errorf("unknown checker %q: read, flush or none", o.Check.Kind)
	}
	switch {
	case o.Stale == StaleHook && o.Hook == nil:
		return fmt.Errorf("stale writes are to be stopped by a hook, and there is none")
	case o.Reserve < 0 || o.Reserve%4096 != 0:
		return fmt.Errorf("a reserve of %d bytes is not a multiple of 4096", o.Reserve)
	case o.Suspect > o.IOTimeout:
		return fmt.Errorf("a path is suspect after %v but fails after %v already", o.Suspect, o.IOTimeout)
	}
	return nil
}
