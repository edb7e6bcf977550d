package plantest

import (
	_ "embed"
	"encoding/json"
)

// Maps are layouts as Linux md has them: computed by an independent model of its formulas that real kernels' arrays agreed with.
type Maps struct {
	Parity  []ParityMap `json:"raid456"`
	Mirrors []MirrorMap `json:"raid10"`
}

// ParityMap is where raid4, 5 or 6 with some number of disks puts the first stripes.
type ParityMap struct {
	Level     int
	Algorithm uint32 `json:"alg"`
	Disks     int
	Rows      []ParityRow
}

// ParityRow is one stripe: the roles of its parities and of its data chunks in order.
type ParityRow struct {
	Stripe    int64
	P         int
	Q         *int
	Data      []int
	Exponents []int `json:"qexp"`
}

// MirrorMap is where a raid10 of members of DevChunks chunks puts the first chunks: [role, chunk of the member] for each copy.
type MirrorMap struct {
	Layout      string // hexadecimal, with 0x
	Disks       int
	DevChunks   int64    `json:"dev_chunks"`
	ArrayChunks int64    `json:"array_chunks"`
	UsedChunks  int64    `json:"used_chunks"`
	Stride      int64    `json:"stride_chunks"`
	Safe        bool     // false: places or members coincide
	First       [][]Pair `json:"first"`
}

// Pair is role and chunk of the member.
type Pair [2]int64

//go:embed testdata/maps.json
var mapsJSON []byte

// LoadMaps is all of them.
func LoadMaps() (m Maps, err error) {
	err = json.Unmarshal(mapsJSON, &m)
	return m, err
}
