package md

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// LevelLinear is the level number of linear.
const LevelLinear = -1

// LevelName is mdadm's name of a level: "raid5", "linear".
func LevelName(level int) string {
	switch level {
	case LevelLinear:
		return "linear"
	case -4:
		return "multipath"
	case -5:
		return "faulty"
	case 0, 1, 4, 5, 6, 10:
		return "raid" + strconv.Itoa(level)
	}
	return fmt.Sprintf("level(%d)", level)
}

// ParseLevel reads mdadm's words for the levels that graid knows: "raid5", "RAID5", "5", "linear", "stripe", "mirror" …
func ParseLevel(word string) (int, error) {
	w := strings.ToLower(word)
	switch w {
	case "linear", "-1":
		return LevelLinear, nil
	case "stripe":
		return 0, nil
	case "mirror":
		return 1, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(w, "raid"), 10, 8)
	if err == nil && slices.Contains([]uint64{0, 1, 4, 5, 6, 10}, n) {
		return int(n), nil
	}
	return 0, fmt.Errorf("level %q is not known: give linear, 0, 1, 4, 5, 6 or 10", word)
}

// The layouts of raid0. The one that an array without FeatureRaid0Layout has cannot be told from its superblock.
const (
	Raid0Original  = 1
	Raid0Alternate = 2
)

var raid5Layouts = []string{
	"left-asymmetric", "right-asymmetric", "left-symmetric", "right-symmetric", "parity-first", "parity-last",
}

var raid6Layouts = map[uint32]string{
	8: "ddf-zero-restart", 9: "ddf-N-restart", 10: "ddf-N-continue",
	16: "left-asymmetric-6", 17: "right-asymmetric-6", 18: "left-symmetric-6", 19: "right-symmetric-6", 20: "parity-first-6",
}

var layoutShort = map[string]string{
	"la": "left-asymmetric", "ra": "right-asymmetric", "ls": "left-symmetric", "rs": "right-symmetric", "default": "left-symmetric",
}

// LayoutName is mdadm's name of a layout: "left-symmetric", "near=2", "original". It is "" where the level has none.
func LayoutName(level int, layout uint32) string {
	unknown := fmt.Sprintf("layout(%#x)", layout)
	switch level {
	case 0:
		switch layout {
		case 0:
			return ""
		case Raid0Original:
			return "original"
		case Raid0Alternate:
			return "alternate"
		}
		return unknown
	case 5, 6:
		if layout < uint32(len(raid5Layouts)) {
			return raid5Layouts[layout]
		}
		if name := raid6Layouts[layout]; level == 6 && name != "" {
			return name
		}
		return unknown
	case 10:
		return raid10Name(layout)
	}
	return ""
}

func raid10Name(layout uint32) string {
	near, far, mode := layout&0xff, layout>>8&0xff, layout>>17&3
	if near == 0 || far == 0 || mode == 3 || layout>>19 != 0 {
		return fmt.Sprintf("layout(%#x)", layout)
	}
	var words []string
	if near > 1 || far == 1 {
		words = append(words, fmt.Sprintf("near=%d", near))
	}
	if far > 1 {
		word := "far"
		if layout>>16&1 != 0 {
			word = "offset"
		}
		words = append(words, fmt.Sprintf("%s=%d", word, far))
	}
	switch mode {
	case 1:
		words = append(words, "far-sets")
	case 2:
		words = append(words, "improved")
	}
	return strings.Join(words, ", ")
}

// ParseLayout reads mdadm's words for a layout: "left-symmetric", "ls", "n2", "f2", "o2", "original", "alternate", "parity-last" …
func ParseLayout(level int, word string) (uint32, error) {
	w := strings.ToLower(word)
	switch level {
	case 0:
		switch w {
		case "original":
			return Raid0Original, nil
		case "alternate":
			return Raid0Alternate, nil
		}
		return 0, fmt.Errorf("layout %q is none of raid0: give original or alternate", word)
	case 5, 6:
		if full, ok := layoutShort[w]; ok {
			w = full
		}
		if i := slices.Index(raid5Layouts, w); i >= 0 {
			return uint32(i), nil
		}
		for layout, name := range raid6Layouts {
			if level == 6 && strings.ToLower(name) == w {
				return layout, nil
			}
		}
		return 0, fmt.Errorf("layout %q is none of %s: give left-symmetric, right-symmetric, left-asymmetric, right-asymmetric, "+
			"parity-first or parity-last", word, LevelName(level))
	case 10:
		return parseRaid10(word)
	}
	return 0, fmt.Errorf("%s has no layouts: leave %q out", LevelName(level), word)
}

func parseRaid10(word string) (uint32, error) {
	if word != "" {
		if n, err := strconv.ParseUint(word[1:], 10, 8); err == nil && n >= 1 {
			switch word[0] {
			case 'n':
				return 0x100 | uint32(n), nil
			case 'f':
				return uint32(n)<<8 | 1, nil
			case 'o':
				return 0x10000 | uint32(n)<<8 | 1, nil
			}
		}
	}
	return 0, fmt.Errorf("layout %q is none of raid10: give n2, f2 or o2 (near, far or offset, and how many copies)", word)
}

// DefaultLayout is the layout that mdadm gives a new array of the level.
func DefaultLayout(level int) uint32 {
	switch level {
	case 0:
		return Raid0Original
	case 5, 6:
		return 2
	case 10:
		return 0x102
	}
	return 0
}
