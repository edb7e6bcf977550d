package daemon

import (
	"context"
	"net/http"
)

// BadBlock is a run of a member that its bad block log names. Sizes are bytes.
type BadBlock struct {
	Member string  `json:"member"` // path
	Role   *int    `json:"role"`   // null = none
	Offset int64   `json:"offset_bytes"`
	Length int64   `json:"length_bytes"`
	Array  []Range `json:"array"` // what of the array should be there; none where it is parity. null = it takes the running array to know
	Lost   *bool   `json:"lost"`  // whether nobody else has it; null = likewise
}

// Range is a part of an array.
type Range struct {
	Offset int64 `json:"offset_bytes"`
	Length int64 `json:"length_bytes"`
}

func (p *Process) badBlocks(w http.ResponseWriter, _ *http.Request) {
	a, list := p.Array(), []BadBlock{}
	for _, b := range p.array.BadBlocks() {
		d := BadBlock{Member: b.Member, Role: &b.Role, Offset: b.Offset, Length: b.Length, Array: []Range{}, Lost: &b.Lost}
		if m := a.Member(b.Member); m != nil {
			d.Offset += m.DataOffset
		}
		for _, r := range b.Array {
			d.Array = append(d.Array, Range{r[0], r[1] - r[0]})
		}
		list = append(list, d)
	}
	tell(w, list)
}

// BadBlocks asks the array what the bad block logs of its members name.
func (f Folder) BadBlocks(ctx context.Context, name string) (list []BadBlock, err error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	err = f.ask(ctx, name, http.MethodGet, "/badblocks", nil, &list)
	return list, err
}
