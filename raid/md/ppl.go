package md

import (
	"fmt"
	"hash/crc32"
)

const (
	pplHeaderSize = 4096
	pplSignature  = 512
	pplGeneration = 520
	pplCount      = 528
	pplChecksum   = 532
	pplEntries    = 536
	pplEntrySize  = 24
	pplMaxEntries = 148
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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SignaturePPL is the signature in every PPL header of the array with this UUID.
func SignaturePPL(set UUID) uint32 { return crc32.Checksum(set[:], castagnoli) }

// DecodePPL reads the header that starts b, 4096 bytes.
func DecodePPL(b []byte) (*PPLHeader, error) {
	bad := func(field string, off int, got, want any) error {
		return &FormatError{"partial parity log", field, int64(off), fmt.Sprint(got), fmt.Sprint(want)}
	}
	if len(b) < pplHeaderSize {
		return nil, bad("length", 0, len(b), fmt.Sprintf("%d bytes", pplHeaderSize))
	}
	b = b[:pplHeaderSize]
	crc := crc32.Update(0, castagnoli, b[:pplChecksum])
	crc = crc32.Update(crc, castagnoli, make([]byte, 4))
	crc = crc32.Update(crc, castagnoli, b[pplChecksum+4:])
	if got := le.Uint32(b[pplChecksum:]); got != crc {
		return nil, bad("checksum", pplChecksum, fmt.Sprintf("%#08x", got), fmt.Sprintf("%#08x", crc))
	}
	n := le.Uint32(b[pplCount:])
	if n > pplMaxEntries {
		return nil, bad("entries_count", pplCount, n, fmt.Sprintf("%d or less", pplMaxEntries))
	}
	h := &PPLHeader{Signature: le.Uint32(b[pplSignature:]), Generation: le.Uint64(b[pplGeneration:])}
	for i := range int(n) {
		e := b[pplEntries+i*pplEntrySize:]
		h.Entries = append(h.Entries, PPLEntry{le.Uint64(e), le.Uint32(e[8:]), le.Uint32(e[12:]), le.Uint32(e[16:]), le.Uint32(e[20:])})
	}
	return h, nil
}
