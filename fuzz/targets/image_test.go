package targets

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"graid/block"
	"graid/raid/md"
)

var (
	ctx = context.Background()
	le  = binary.LittleEndian
)

// image is a small Device of bytes that notes what no caller may do.
type image struct {
	bytes    []byte
	block    int64
	bad      int64 // a sector that cannot be read; -1 = none
	writable bool
	breach   string
}

func (d *image) Info() block.Info {
	return block.Info{Name: "image", Size: int64(len(d.bytes)), Block: d.block, Inline: true, Writable: d.writable}
}

func (d *image) Close() error { return nil }

func (d *image) Do(_ context.Context, r block.Request) error {
	switch lo, n := r.Off, r.Len; {
	case lo < 0 || n < 0 || lo > int64(len(d.bytes)) || n > int64(len(d.bytes))-lo, lo%d.block != 0 || n%d.block != 0, r.Op != block.Flush && int64(len(r.Buf)) != n:
		d.breach = fmt.Sprintf("%v on %d bytes in blocks of %d", r, len(d.bytes), d.block)
		return block.ErrRange
	case r.Op == block.Read && d.bad >= 0 && lo <= d.bad*md.Sector && d.bad*md.Sector < lo+n:
		return block.ErrMedia
	case r.Op == block.Read:
		copy(r.Buf, d.bytes[lo:])
	case r.Op == block.Write && d.writable:
		copy(d.bytes[lo:], r.Buf)
	case r.Op != block.Flush:
		d.breach = r.String() + " by who only looks"
	}
	return nil
}

// at is up to n bytes of the image from a sector on; what is not on it is left out.
func (d *image) at(sector uint64, n int) []byte {
	lo := min(sector, uint64(len(d.bytes))/md.Sector) * md.Sector
	return d.bytes[lo:min(lo+uint64(n), uint64(len(d.bytes)))]
}

// claim makes of what lies at p a superblock that says so, with a right checksum.
func (d *image) claim(p md.Place) {
	b := d.at(p.Sector, 4096)
	if len(b) < 4096 {
		return
	}
	le.PutUint32(b, md.Magic)
	if p.Version == md.V090 {
		le.PutUint32(b[4:], 0)
		le.PutUint32(b[4*38:], 0)
		le.PutUint32(b[4*38:], words(b))
		return
	}
	le.PutUint32(b[4:], 1)
	le.PutUint64(b[144:], p.Sector)
	le.PutUint32(b[216:], 0)
	le.PutUint32(b[216:], words(b[:256+2*min(le.Uint32(b[220:]), 1920)]))
}

// words is the sum that both kinds of superblock have for a checksum.
func words(b []byte) uint32 {
	var sum uint64
	for ; len(b) >= 4; b = b[4:] {
		sum += uint64(le.Uint32(b))
	}
	if len(b) == 2 {
		sum += uint64(le.Uint16(b))
	}
	return uint32(sum) + uint32(sum>>32)
}

// belong makes what lies at a sector the bitmap, or the partial parity log, of the array with this UUID.
func (d *image) belong(sector uint64, set md.UUID, log bool) {
	b := d.at(sector, 4096)
	switch {
	case len(b) < 4096:
	case log:
		le.PutUint32(b[512:], md.SignaturePPL(set))
		le.PutUint32(b[532:], 0)
		le.PutUint32(b[532:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	default:
		copy(b, "bitm")
		copy(b[8:], set[:])
	}
}
