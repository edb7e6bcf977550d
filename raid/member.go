package raid

import (
	"sync/atomic"

	"graid/block"
	"graid/block/deadline"
	"graid/raid/md"
)

// member is a device in the array. Everything but the counters and the state is constant while the array is open.
type member struct {
	path   string
	dev    block.Device
	offset int64 // of the data area on dev, bytes
	size   int64 // of the data area, bytes
	inline bool  // dev's Read and Write are done in place

	filled atomic.Int64 // of one that replaces another: its progress, bytes of its data area

	bad     atomic.Pointer[badList] // its bad block log; nil = empty. Changed under Array.meta
	refuses atomic.Bool             // it has refused to write something that its log names since: reading that is no reason to try again

	// Guarded by Array.meta.
	logStale bool           // the log on the member is another one
	bitmap   *intent        // the bitmap that it holds; nil = none, or not known which
	byBits   bool           // of one that is being filled: it lacks only what the bitmap says
	sb       *md.Superblock // as it was last written; nil for a level that never writes one
	role     int            // -1: a spare
	state    string         // MemberInSync, …
	saved    int64          // of one that is being filled: its progress as of the last flush, bytes of its data area
	since    uint64         // the event at which it got its role in this life of the array; 0: it had it from the start

	readErrors, writeErrors, corrected atomic.Int64
	strikes                            strikes

	timed *deadline.Device // dev, as long as somebody waits for it: what reads that may be given up go to
	slow  slowness
}

// live says whether the member is written to: whether its superblock is kept up to date.
func (m *member) live() bool { return m != nil && m.state != MemberFaulty }
