package raid

import (
	"sync"
	"sync/atomic"

	"graid/raid/md"
	"graid/raid/plan"
)

// intent is the write-intent bitmap of a running array: one word for each piece of the sync space that a bit stands for. A write counts itself
// in the words of the pieces that it touches, for as long as it is under way, and may do so only where the bit is durable on every member.
type intent struct {
	grain int64           // bytes of the sync space per bit
	words []atomic.Uint32 // writers under way, and the marks below
	on    atomic.Int64    // how many words have intentOn

	mu    sync.Mutex // for list surgery only
	wants []plan.Span

	// Guarded by Array.meta.
	image *md.Bitmap // what members hold, or are about to
	pages []bool     // of image that members lack
}

// The marks of a word.
const (
	intentOn      uint32 = 1 << 31 // the bit is set, and durably so on every member
	intentTouched uint32 = 1 << 30 // written to since the bits were last looked at
	intentNeeded  uint32 = 1 << 29 // members are not known to agree there: resync is to see to it
	intentWriters        = intentNeeded - 1
)

// newIntent is the bitmap that image is. What lies beyond synced, bytes of the sync space, and has its bit set is to be resynced.
func newIntent(image *md.Bitmap, synced int64) *intent {
	b := &intent{
		grain: int64(image.ChunkSize), words: make([]atomic.Uint32, image.Total()), image: image, pages: make([]bool, image.Pages()),
	}
	for i := range b.words {
		if !image.Bit(int64(i)) {
			continue
		}
		w := intentOn | intentTouched
		if int64(i+1)*b.grain > synced {
			w |= intentNeeded
		}
		b.words[i].Store(w)
		b.on.Add(1)
	}
	return b
}

// pieces is the range of words that s touches.
func (b *intent) pieces(s plan.Span) (lo, hi int) {
	return int(s.Lo / b.grain), min(int((s.Hi-1)/b.grain)+1, len(b.words))
}

// enter counts a write to s in, if all of it may begin.
func (b *intent) enter(s plan.Span) bool {
	lo, hi := b.pieces(s)
	for i := lo; i < hi; {
		w := b.words[i].Load()
		if w&intentOn == 0 {
			b.release(lo, i)
			return false
		}
		if b.words[i].CompareAndSwap(w, (w+1)|intentTouched) {
			i++
		}
	}
	return true
}

// leave counts a write to s out.
func (b *intent) leave(s plan.Span) { b.release(b.pieces(s)) }

func (b *intent) release(lo, hi int) {
	for i := lo; i < hi; i++ {
		b.words[i].Add(^uint32(0))
	}
}

// want asks whoever sets bits next to set those of s too: so many writers wait for one write of the bitmap.
func (b *intent) want(s plan.Span) {
	b.mu.Lock()
	b.wants = append(b.wants, s)
	b.mu.Unlock()
}

// set sets the bits that are wanted in the image, and returns what they are for. The caller holds meta.
func (b *intent) set() []plan.Span {
	b.mu.Lock()
	spans := b.wants
	b.wants = nil
	b.mu.Unlock()
	for _, s := range spans {
		lo, hi := b.pieces(s)
		for i := int64(lo); i < int64(hi); i++ {
			if !b.image.Bit(i) {
				b.image.Set(i)
				b.pages[b.image.PageOf(i)] = true
			}
		}
	}
	return spans
}

// admit lets writers into spans, whose bits are durable on every member now.
func (b *intent) admit(spans []plan.Span) {
	for _, s := range spans {
		lo, hi := b.pieces(s)
		for i := lo; i < hi; i++ {
			if b.words[i].Or(intentOn|intentTouched)&intentOn == 0 {
				b.on.Add(1)
			}
		}
	}
}

// idle is the pieces that nobody is writing to nor has written to since it was last called, and that agree. With all, those too that
// have just been written to.
func (b *intent) idle(all bool) (list []int) {
	for i := range b.words {
		w := b.words[i].Load()
		if w&intentOn == 0 || w&(intentNeeded|intentWriters) != 0 {
			continue
		}
		if b.words[i].CompareAndSwap(w, w&^intentTouched) && (all || w&intentTouched == 0) {
			list = append(list, i)
		}
	}
	return list
}

// drop clears the bits of list in the image, but of those that somebody has begun to write to. What was written to them until idle found
// them must be durable on every member: from here on a crash forgets that they were written to. The caller holds meta.
func (b *intent) drop(list []int) {
	for _, i := range list {
		if !b.words[i].CompareAndSwap(intentOn, 0) {
			continue
		}
		b.on.Add(-1)
		b.image.Clear(int64(i))
		b.pages[b.image.PageOf(int64(i))] = true
	}
}

// next is the first pieces from pos on that have one of the marks, as far as they follow each other; an empty span at end if there are none.
func (b *intent) next(pos, end int64, marks uint32) plan.Span {
	i := int(pos / b.grain)
	for i < len(b.words) && b.words[i].Load()&marks == 0 {
		i++
	}
	if i == len(b.words) {
		return plan.Span{Lo: end, Hi: end}
	}
	s := plan.Span{Lo: min(max(pos, int64(i)*b.grain), end)}
	for i < len(b.words) && b.words[i].Load()&marks != 0 {
		i++
	}
	s.Hi = max(s.Lo, min(int64(i)*b.grain, end))
	return s
}

// agreed says that everything below synced agrees but what is left behind, of a sync space that ends at end. What is below pos is known to already.
func (b *intent) agreed(pos, synced, end int64, left []plan.Span) {
	for i := pos / b.grain; i < int64(len(b.words)) && min((i+1)*b.grain, end) <= synced; i++ {
		if !meets(left, plan.Span{Lo: i * b.grain, Hi: (i + 1) * b.grain}) {
			b.words[i].And(^intentNeeded)
		}
	}
}

// needAll has resync go over every piece whose bit is set.
func (b *intent) needAll() {
	for i := range b.words {
		if b.words[i].Load()&intentOn != 0 {
			b.words[i].Or(intentNeeded)
		}
	}
}

// meets says whether s has something in common with one of spans.
func meets(spans []plan.Span, s plan.Span) bool {
	for _, o := range spans {
		if o.Lo < s.Hi && s.Lo < o.Hi {
			return true
		}
	}
	return false
}
