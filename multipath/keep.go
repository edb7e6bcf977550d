package multipath

import (
	"maps"
	"slices"

	"graid/block"
)

// kept is a write that was acknowledged and not flushed yet, or a part of one.
type kept struct {
	off, end int64
	mem      *chunk // nil: zeroes
	at       int64  // where in mem it begins
	flags    block.Flags
	key      string // who holds it
	seq      int64  // when it was acknowledged
}

// unflushed is the newest acknowledged content of every place that was written and not flushed: what a target that dies may lose.
// It is guarded by the map's mu.
type unflushed struct {
	chunks  *chunks
	regions map[int64][]kept // by off / regionSize; each in order, none overlapping
	keys    map[string]int   // pieces by who holds them
	bytes   int64
	seq     int64
}

const regionSize = 1 << 20 // bytes

// cost is what a piece counts for the limit.
func (k *kept) cost() int64 {
	if k.mem == nil {
		return 64
	}
	return k.end - k.off
}

// put takes a write in, in place of what was there.
func (u *unflushed) put(k kept) {
	u.cut(k.off, k.end)
	u.seq++
	k.seq = u.seq
	for k.off < k.end {
		piece := k
		piece.end = min(k.end, (k.off/regionSize+1)*regionSize)
		u.insert(piece)
		k.at += piece.end - k.off
		k.off = piece.end
	}
}

func (u *unflushed) insert(k kept) {
	n := k.off / regionSize
	list := u.regions[n]
	i, _ := slices.BinarySearchFunc(list, k.off, func(e kept, off int64) int { return int(e.off - off) })
	u.regions[n] = slices.Insert(list, i, k)
	u.count(&k, 1)
}

func (u *unflushed) count(k *kept, by int) {
	u.bytes += int64(by) * k.cost()
	if u.keys[k.key] += by; u.keys[k.key] == 0 {
		delete(u.keys, k.key)
	}
	switch {
	case k.mem == nil:
	case by > 0:
		k.mem.refs++
	default:
		u.chunks.drop(k.mem)
	}
}

// cut forgets what is in [off, end).
func (u *unflushed) cut(off, end int64) {
	for n := off / regionSize; n <= (end-1)/regionSize && len(u.regions) > 0; n++ {
		list := u.regions[n]
		if len(list) == 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(list, off, func(e kept, off int64) int {
			if e.end <= off {
				return -1
			}
			return 1
		})
		j := i
		var left []kept
		for ; j < len(list) && list[j].off < end; j++ {
			k := list[j]
			if k.off < off {
				head := k
				head.end = off
				left = append(left, head)
			}
			if k.end > end {
				tail := k
				tail.at += end - k.off
				tail.off = end
				left = append(left, tail)
			}
		}
		for _, k := range left {
			u.count(&k, 1)
		}
		for _, k := range list[i:j] {
			u.count(&k, -1)
		}
		u.store(n, slices.Replace(list, i, j, left...))
	}
}

func (u *unflushed) store(n int64, list []kept) {
	if len(list) == 0 {
		delete(u.regions, n)
		return
	}
	u.regions[n] = list
}

// orphan takes everything from those of whom is: nobody holds it any more.
func (u *unflushed) orphan(is func(key string) bool) {
	for _, list := range u.regions { // in any order: all are changed alike
		for i := range list {
			if is(list[i].key) {
				was := list[i]
				list[i].key = nobody
				u.count(&list[i], 1) // first: its memory is needed all the time
				u.count(&was, -1)
			}
		}
	}
}

// nobody is the key of what nobody holds.
const nobody = "nobody"

// flushed forgets what key held when seq was the newest.
func (u *unflushed) flushed(key string, seq int64) {
	for _, n := range slices.Sorted(maps.Keys(u.regions)) {
		list := u.regions[n]
		left := list[:0]
		for _, k := range list {
			if k.key == key && k.seq <= seq {
				u.count(&k, -1)
				continue
			}
			left = append(left, k)
		}
		clear(list[len(left):])
		u.store(n, left)
	}
}

// find is the first piece in [off, end) that is held by somebody of whom is.
func (u *unflushed) find(off, end int64, is func(key string) bool) (kept, bool) {
	for _, n := range slices.Sorted(maps.Keys(u.regions)) {
		if (n+1)*regionSize <= off || n*regionSize >= end {
			continue
		}
		for _, k := range u.regions[n] {
			if k.end > off && k.off < end && is(k.key) {
				return k, true
			}
		}
	}
	return kept{}, false
}

// holder is the first of those who hold something that is older than seq, or as old.
func (u *unflushed) holder(seq int64) (string, bool) {
	for _, n := range slices.Sorted(maps.Keys(u.regions)) {
		for _, k := range u.regions[n] {
			if k.seq <= seq {
				return k.key, true
			}
		}
	}
	return "", false
}

// covers says whether something in [off, end) is kept.
func (u *unflushed) covers(off, end int64) bool {
	_, is := u.find(off, end, func(string) bool { return true })
	return is
}
