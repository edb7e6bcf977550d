package md

import (
	"context"

	"graid/block"
)

// BitmapPage is how many bytes of a bitmap are written at a time.
const BitmapPage = bitmapUnit

// Pages is how many pages the whole bitmap takes on disk.
func (m *Bitmap) Pages() int { return int(m.Len() / BitmapPage) }

// PageOf is the page that has bit i.
func (m *Bitmap) PageOf(i int64) int { return int((bitmapHead + i/8) / BitmapPage) }

// Set sets bit i.
func (m *Bitmap) Set(i int64) { m.Bits[i/8] |= 1 << (i % 8) }

// Clear clears bit i.
func (m *Bitmap) Clear(i int64) { m.Bits[i/8] &^= 1 << (i % 8) }

// WriteBitmapPages writes page first and those behind it, n in all, of m where s says the bitmap is. They are durable after a flush.
func WriteBitmapPages(ctx context.Context, dev block.Device, s *Superblock, m *Bitmap, first, n int) error {
	at := int64(first) * BitmapPage
	return write(ctx, dev, s.at(int64(s.BitmapOffset))+at, m.encodePart(at, int64(n)*BitmapPage), 0)
}

// encodePart is n bytes of m on disk, from byte at on.
func (m *Bitmap) encodePart(at, n int64) []byte {
	b := block.Alloc(n)
	clear(b)
	if at == 0 {
		m.encodeHead(b)
		copy(b[bitmapHead:], m.Bits)
	} else if at -= bitmapHead; at < int64(len(m.Bits)) {
		copy(b, m.Bits[at:])
	}
	return b
}
