package plan

// Part is the piece of a request that lies in one stripe.
type Part struct {
	Chunk  int64 // bytes
	Stripe int64
	Lo, Hi int64 // bytes of the stripe's data
	User   int64 // where Lo is in the caller's buffer
	Zero   bool  // the data is zeroes and the caller has no buffer
}

// Base is the stripe's first row.
func (a Part) Base() int64 { return a.Stripe * a.Chunk }

// Within is the rows of chunk i that a has, counted from the stripe's first; lo == hi when it has none.
func (a Part) Within(i int) (lo, hi int64) {
	start := int64(i) * a.Chunk
	lo, hi = max(a.Lo-start, 0), min(a.Hi-start, a.Chunk)
	return lo, max(lo, hi)
}

// Ref is where rows [lo, hi) of chunk i are in the caller's buffer.
func (a Part) Ref(i int, lo, hi int64) Ref {
	return UserRef(a.User+int64(i)*a.Chunk+lo-a.Lo, hi-lo)
}

// Span is the chunks that a touches: first to last, both included.
func (a Part) Span() (first, last int) {
	return int(a.Lo / a.Chunk), int((a.Hi - 1) / a.Chunk)
}

// Rect is data chunks First to Last × rows [Lo, Hi) of a stripe, counted from its first row.
type Rect struct {
	First, Last int
	Lo, Hi      int64
}

// Has says whether chunk i is in r.
func (r Rect) Has(i int) bool { return r.First <= i && i <= r.Last }

// Chunks is how many chunks r has.
func (r Rect) Chunks() int { return r.Last - r.First + 1 }

// Cover cuts a into rectangles: its first chunk may begin, and its last may end, in the middle.
func (a Part) Cover() (rects [3]Rect, n int) {
	first, last := a.Span()
	begin, end := a.Lo-int64(first)*a.Chunk, a.Hi-int64(last)*a.Chunk
	cuts := [...]int64{0, min(begin, end), max(begin, end), a.Chunk}
	for i := range 3 {
		r := Rect{first, last, cuts[i], cuts[i+1]}
		if r.Lo < begin {
			r.First++
		}
		if r.Hi > end {
			r.Last--
		}
		if r.Lo < r.Hi && r.First <= r.Last {
			rects[n] = r
			n++
		}
	}
	return rects, n
}
