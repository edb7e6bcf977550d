package md

// Enough says whether an array like ref can be read with only these roles, when its redundancy is right everywhere. For raid10 it asks,
// as mdadm does, that every window of as many consecutive roles as there are copies has one: that is never too hopeful.
func Enough(ref *Superblock, present []bool) bool {
	n := 0
	for _, p := range present {
		if p {
			n++
		}
	}
	missing := len(present) - n
	switch ref.Level {
	case 1:
		return n > 0
	case 4, 5:
		return missing <= 1
	case 6:
		return missing <= 2
	case 10:
		return enough10(ref.Layout, present)
	}
	return missing == 0
}

func enough10(layout uint32, present []bool) bool {
	near, copies := int(layout&0xff), int(layout&0xff)*int(layout>>8&0xff)
	if near == 0 || copies == 0 || len(present) == 0 {
		return false
	}
	for at := 0; ; {
		alive := false
		for i := range min(copies, len(present)) {
			alive = alive || present[(at+i)%len(present)]
		}
		if !alive {
			return false
		}
		if at = (at + near) % len(present); at == 0 {
			return true
		}
	}
}
