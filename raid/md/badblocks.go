package md

import "fmt"

// BadBlock is a run of a member that cannot be believed, bytes from the start of the member.
type BadBlock struct {
	Offset int64 `json:"offset_bytes"`
	Length int64 `json:"length_bytes"`
}

const (
	bbLogBytes  = maxBBLog * Sector
	bbMaxRun    = 512 // sectors of one entry
	bbEntries   = bbLogBytes / 8
	bbMaxSector = 1<<54 - 1 // where a run may end: 2^63 bytes are no device
)

// DecodeBadBlocks reads a bad block log whose units are shifted left by shift. It ends with the first entry of all ones, or with b.
func DecodeBadBlocks(b []byte, shift uint8) ([]BadBlock, error) {
	var list []BadBlock
	for i := 0; i+8 <= min(len(b), bbLogBytes); i += 8 {
		entry := le.Uint64(b[i:])
		if entry == ^uint64(0) {
			break
		}
		bad := func(want string) error {
			return &FormatError{"bad block log", fmt.Sprintf("entry %d", i/8), int64(i), fmt.Sprintf("%#x", entry), want}
		}
		at, n := entry>>10, entry&0x3ff
		if n == 0 {
			return nil, bad("a length of 1 or more")
		}
		if at+n > bbMaxSector>>shift {
			return nil, bad("a sector that a device can have")
		}
		list = append(list, BadBlock{int64(at << shift * Sector), int64(n << shift * Sector)})
	}
	return list, nil
}

// EncodeBadBlocks is the log of 4 KiB that says list, in units of sectors; runs are split as the format needs it. A list that does not
// fit is an error: then the member has to be failed.
func EncodeBadBlocks(list []BadBlock) ([]byte, error) {
	b := make([]byte, 0, bbLogBytes)
	for _, bad := range list {
		if bad.Offset < 0 || bad.Length <= 0 || (bad.Offset|bad.Length)%Sector != 0 || bad.Offset/Sector > bbMaxSector-bad.Length/Sector {
			return nil, fmt.Errorf("bad block [%d,+%d) is not whole sectors of a device", bad.Offset, bad.Length)
		}
		for at, n := bad.Offset/Sector, bad.Length/Sector; n > 0; {
			if len(b) == bbLogBytes {
				return nil, fmt.Errorf("bad block log is full: it has room for %d entries", bbEntries)
			}
			run := min(n, bbMaxRun)
			b = le.AppendUint64(b, uint64(at)<<10|uint64(run))
			at, n = at+run, n-run
		}
	}
	for len(b) < bbLogBytes {
		b = append(b, 0xff)
	}
	return b, nil
}
