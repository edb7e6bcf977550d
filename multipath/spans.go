package multipath

// hold is a stretch of the medium that one write at a time may be sent to. It outlasts its write for as long as a copy of that may still land.
type hold struct {
	off, end int64
	waiting  bool // for its turn
	again    bool // a path failed under the write: some may have seen it, and then nothing older may be seen
	over     bool // the write has ended
	open     int  // copies of it that may still land
}

// spans are the holds, in the order they were asked for. It is guarded by the map's mu.
type spans struct {
	list    []*hold
	waiting int
}

// ask takes h in, and says whether it may go on at once.
func (s *spans) ask(h *hold) bool {
	h.waiting = s.blocked(h, len(s.list))
	s.list = append(s.list, h)
	if h.waiting {
		s.waiting++
	}
	return !h.waiting
}

// blocked says whether one of the first n holds is in the way of h.
func (s *spans) blocked(h *hold, n int) bool {
	for _, x := range s.list[:min(n, len(s.list))] {
		if x == h {
			break
		}
		if x.off < h.end && h.off < x.end {
			return true
		}
	}
	return false
}

// retry says whether h, which waits, may go on now.
func (s *spans) retry(h *hold) bool {
	if s.blocked(h, len(s.list)) {
		return false
	}
	h.waiting = false
	s.waiting--
	return true
}

// leave takes h back from a write that waited for it in vain.
func (s *spans) leave(h *hold) {
	if h.waiting {
		h.waiting = false
		s.waiting--
	}
	h.over = true
	s.drop(h)
}

// drop forgets h if nobody needs it any more, and says whether others wait.
func (s *spans) drop(h *hold) bool {
	if !h.over || h.open > 0 {
		return false
	}
	for i, x := range s.list {
		if x == h {
			copy(s.list[i:], s.list[i+1:])
			s.list[len(s.list)-1] = nil
			s.list = s.list[:len(s.list)-1]
			break
		}
	}
	return s.waiting > 0
}

// active says whether a write to [off, end) is under way.
func (s *spans) active(off, end int64) bool {
	for _, x := range s.list {
		if !x.over && !x.waiting && x.off < end && off < x.end {
			return true
		}
	}
	return false
}

// torn says whether a write to [off, end) is under way that a path failed under. What it wrote may have been read already, and be lost.
func (s *spans) torn(off, end int64) bool {
	for _, x := range s.list {
		if x.again && !x.over && x.off < end && off < x.end {
			return true
		}
	}
	return false
}

// quarantined is how many bytes no write may be sent to, as an old one may still land there.
func (s *spans) quarantined() (n int64) {
	for _, x := range s.list {
		if x.over {
			n += x.end - x.off
		}
	}
	return n
}
