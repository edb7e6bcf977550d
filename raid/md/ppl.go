package md

import (
	"fmt"
	"hash/crc32"
)

// PPLHeaderSize is how many bytes of the log a header takes; the partial parity of its entries follows it, in their order.
const PPLHeaderSize = 4096

// PPLMaxEntries is how many entries a header has room for.
const PPLMaxEntries = 148

const (
	pplReserved   = 512 // bytes of ones that a header begins with
	pplSignature  = 512
	pplGeneration = 520
	pplCount      = 528
	pplChecksum   = 532
	pplEntries    = 536
	pplEntrySize  = 24
)

// PPLHeader is a header of raid5's partial parity log.
type PPLHeader struct {
	Signature  uint32 // SignaturePPL of the array's UUID
	Generation uint64
	Entries    []PPLEntry
}

// PPLEntry says where a write was under way.
type PPLEntry struct {
	DataSector uint64 // of the array: the first one modified
	PPSize     uint32 // bytes of partial parity; 0 = whole rows were written
	DataSize   uint32 // bytes of data modified
	ParityDisk uint32 // role
	Checksum   uint32 // crc32c of the partial parity
}

// PPLUnsynced is an entry that can never be recovered: it has nothing to recover, and not the checksum of nothing. graid's logs have it while the array's parity
// is not known to be true everywhere. Whoever recovers the others, Linux too, then counts a mismatch, and does not call the array clean.
var PPLUnsynced = PPLEntry{Checksum: 0xffffffff}

// Unsynced says whether h has the entry PPLUnsynced.
func (h *PPLHeader) Unsynced() bool {
	for _, e := range h.Entries {
		if e.PPSize == 0 && e.DataSize == 0 && e.Checksum == PPLUnsynced.Checksum {
			return true
		}
	}
	return false
}

// Len is how many bytes of the log h and its partial parity take.
func (h *PPLHeader) Len() int64 {
	n := int64(PPLHeaderSize)
	for _, e := range h.Entries {
		n += int64(e.PPSize)
	}
	return n
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SignaturePPL is the signature in every PPL header of the array with this UUID.
func SignaturePPL(set UUID) uint32 { return crc32.Checksum(set[:], castagnoli) }

// ChecksumPPL is the checksum that an entry has of its partial parity.
func ChecksumPPL(pp []byte) uint32 { return crc32.Checksum(pp, castagnoli) }

// EncodeTo writes h to the first PPLHeaderSize bytes of b. It has at most PPLMaxEntries entries.
func (h *PPLHeader) EncodeTo(b []byte) {
	b = b[:PPLHeaderSize]
	clear(b)
	for i := range pplReserved {
		b[i] = 0xff
	}
	le.PutUint32(b[pplSignature:], h.Signature)
	le.PutUint64(b[pplGeneration:], h.Generation)
	le.PutUint32(b[pplCount:], uint32(len(h.Entries)))
	for i, e := range h.Entries {
		at := b[pplEntries+i*pplEntrySize:][:pplEntrySize]
		le.PutUint64(at, e.DataSector)
		le.PutUint32(at[8:], e.PPSize)
		le.PutUint32(at[12:], e.DataSize)
		le.PutUint32(at[16:], e.ParityDisk)
		le.PutUint32(at[20:], e.Checksum)
	}
	le.PutUint32(b[pplChecksum:], crc32.Checksum(b, castagnoli))
}

// DecodePPL reads the header that starts b, 4096 bytes.
func DecodePPL(b []byte) (*PPLHeader, error) {
	bad := func(field string, off int, got, want any) error {
		return &FormatError{"partial parity log", field, int64(off), fmt.Sprint(got), fmt.Sprint(want)}
	}
	if len(b) < PPLHeaderSize {
		return nil, bad("length", 0, len(b), fmt.Sprintf("%d bytes", PPLHeaderSize))
	}
	b = b[:PPLHeaderSize]
	crc := crc32.Update(0, castagnoli, b[:pplChecksum])
	crc = crc32.Update(crc, castagnoli, make([]byte, 4))
	crc = crc32.Update(crc, castagnoli, b[pplChecksum+4:])
	if got := le.Uint32(b[pplChecksum:]); got != crc {
		return nil, bad("checksum", pplChecksum, fmt.Sprintf("%#08x", got), fmt.Sprintf("%#08x", crc))
	}
	n := le.Uint32(b[pplCount:])
	if n > PPLMaxEntries {
		return nil, bad("entries_count", pplCount, n, fmt.Sprintf("%d or less", PPLMaxEntries))
	}
	h := &PPLHeader{Signature: le.Uint32(b[pplSignature:]), Generation: le.Uint64(b[pplGeneration:])}
	for i := range int(n) {
		e := b[pplEntries+i*pplEntrySize:]
		h.Entries = append(h.Entries, PPLEntry{le.Uint64(e), le.Uint32(e[8:]), le.Uint32(e[12:]), le.Uint32(e[16:]), le.Uint32(e[20:])})
	}
	return h, nil
}

// decodePPL is DecodePPL of a header that is to be of the array s is a superblock of; nil if it is none.
func (s *Superblock) decodePPL(b []byte) *PPLHeader {
	h, err := DecodePPL(b)
	if err != nil || h.Signature != SignaturePPL(s.SetUUID) {
		return nil
	}
	return h
}
