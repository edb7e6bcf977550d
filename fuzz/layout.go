package fuzz

import "slices"

// place is where a chunk, or a copy of it, is: a row of a role's data area, bytes.
type place struct {
	role int
	row  int64
}

// layout is where everything is: tables made the slow way, from md's description of its levels and not from the engine.
type layout struct {
	level, members int
	chunk          int64
	used           int64     // of each member, bytes
	rows           int64     // of each member that redundancy covers; 0 without
	chunks         [][]place // by chunk of the array: its copies
	parity         []int     // by stripe: the role that has it; nil without
	second         []int     // by stripe: the role that has Q; nil but in raid6
	coef           [][]byte  // by stripe, by role: its coefficient in Q
}

// newLayout is the layout of an array whose members have so many bytes for data, by role; used is the superblock's size, bytes.
func newLayout(level, word int, chunk int64, sizes []int64, used int64) *layout {
	l := &layout{level: level, members: len(sizes), chunk: chunk, rows: used, used: used}
	switch level {
	case -1:
		for role, size := range sizes {
			for row := int64(0); row+chunk <= size; row += chunk {
				l.chunks = append(l.chunks, []place{{role, row}})
			}
		}
		l.rows = 0
	case 0:
		l.striped(word, sizes)
		l.rows = 0
	case 1:
		l.chunk = sector
		for row := int64(0); row < used; row += sector {
			var all []place
			for role := range sizes {
				all = append(all, place{role, row})
			}
			l.chunks = append(l.chunks, all)
		}
	case 4, 5:
		l.rows = used / chunk * chunk
		l.withParity(word)
	case 6:
		l.rows = used / chunk * chunk
		l.withTwo(word)
	case 10:
		l.copied(word)
	}
	return l
}

// striped is raid0: row after row, over the members that are long enough.
func (l *layout) striped(word int, sizes []int64) {
	for row := int64(0); ; row += l.chunk {
		var here []int
		for role, size := range sizes {
			if size/l.chunk*l.chunk >= row+l.chunk {
				here = append(here, role)
			}
		}
		if len(here) == 0 {
			return
		}
		for i := range here {
			if word == 1 { // the original layout counts chunks from the beginning of the array
				i = len(l.chunks) % len(here)
			}
			l.chunks = append(l.chunks, []place{{here[i], row}})
		}
	}
}

// withParity is raid4 and raid5: md's algorithms 0 to 5.
func (l *layout) withParity(algorithm int) {
	if l.level == 4 {
		algorithm = 5
	}
	n := l.members
	for stripe := range int(l.rows / l.chunk) {
		p := [...]int{n - 1 - stripe%n, stripe % n, n - 1 - stripe%n, stripe % n, 0, n - 1}[algorithm]
		l.parity = append(l.parity, p)
		var order []int
		for i := range n {
			if algorithm == 2 || algorithm == 3 {
				i = (p + 1 + i) % n
			}
			if i != p {
				order = append(order, i)
			}
		}
		for _, role := range order {
			l.chunks = append(l.chunks, []place{{role, int64(stripe) * l.chunk}})
		}
	}
}

// copied is raid10: near, far and offset copies, without far sets.
func (l *layout) copied(word int) {
	near, far, offset := word&0xff, word>>8&0xff, word&0x10000 != 0
	d := l.members
	per := int(l.rows / l.chunk) // chunks of a member
	total := per / far * d / near
	used := (total*near*far + d - 1) / d
	for c := range total {
		var all []place
		for i := range near {
			at := c*near + i
			for k := range far {
				row := at/d + k*(used/far)
				if offset {
					row = at/d*far + k
				}
				all = append(all, place{(at%d + k*near) % d, int64(row) * l.chunk})
			}
		}
		l.chunks = append(l.chunks, all)
	}
	l.rows = 0 // its sync space is the array
}

// size is the array's, bytes.
func (l *layout) size() int64 { return int64(len(l.chunks)) * l.chunk }

// places is where the sector at off bytes of the array is: every copy.
func (l *layout) places(off int64) (all []place) {
	for _, p := range l.chunks[off/l.chunk] {
		all = append(all, place{p.role, p.row + off%l.chunk})
	}
	return all
}

// enough says whether the array can be read from these roles alone.
func (l *layout) enough(here []bool) bool {
	missing := 0
	for _, h := range here {
		if !h {
			missing++
		}
	}
	switch {
	case l.second != nil:
		return missing <= 2
	case l.parity != nil:
		return missing <= 1
	}
	for _, copies := range l.chunks {
		if !slices.ContainsFunc(copies, func(p place) bool { return here[p.role] }) {
			return false
		}
	}
	return true
}
