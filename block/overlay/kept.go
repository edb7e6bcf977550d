package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"graid/block"
	"graid/sched"
)

// A kept store is: the bytes of the base that moved there, at their places; a page of head; the bitmap, one bit a unit,
// least significant first. Bits are only ever set, and only after what they stand for is durable, so whichever sectors of
// the bitmap a power cut keeps, it is right.
const (
	pageSize = 4 << 10 // bytes of the head, and of the bitmap written at once
	magic    = "graid overlay 1\n"
)

// kept is what a kept store needs.
type kept struct {
	at     int64        // where the head is, bytes
	saving *sched.Mutex // held by one flush at a time

	mu    sync.Mutex     // guards what follows
	pages map[int64]bool // pages of the bitmap that changed since they were last saved
	busy  bool           // some that were taken to be saved are not durable yet
}

// ErrForeign is a store that holds something else than changes to this base.
var ErrForeign = errors.New("not an overlay of this device")

func dataSize(base, unit int64) int64 { return (base + unit - 1) / unit * unit }

func storeSize(base, unit int64) int64 {
	bits := (base + unit - 1) / unit
	pages := (bits + pageSize*8 - 1) / (pageSize * 8)
	return dataSize(base, unit) + pageSize*(1+pages)
}

// StoreSize is how large a kept store over base has to be, bytes, if its blocks are at most 4 KiB.
func StoreSize(base block.Device) int64 {
	i := base.Info()
	return storeSize(i.Size, max(minUnit, i.Block))
}

func (k *kept) mark(unit int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pages == nil {
		k.pages = map[int64]bool{}
	}
	k.pages[unit/(pageSize*8)] = true
}

// dirty says whether a bit that is set may not be durable.
func (k *kept) dirty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pages) > 0 || k.busy
}

// take is the pages to save now.
func (k *kept) take() map[int64]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	pages := k.pages
	k.pages, k.busy = nil, true
	return pages
}

// saved is the end of what take began.
func (k *kept) saved() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = false
}

// untake gives back pages that could not be saved.
func (k *kept) untake(pages map[int64]bool) {
	for page := range pages {
		k.mark(page * pageSize * 8)
	}
}

// flush makes the store durable and then, if it is kept, the bits for what moved there before.
func (d *Device) flush(ctx context.Context) error {
	if d.kept == nil {
		return block.Sync(ctx, d.store)
	}
	ctx = context.WithoutCancel(ctx)
	d.kept.saving.Lock()
	defer d.kept.saving.Unlock()
	pages := d.kept.take()
	defer d.kept.saved()
	if err := d.save(ctx, pages); err != nil {
		d.kept.untake(pages)
		return err
	}
	return nil
}

func (d *Device) save(ctx context.Context, pages map[int64]bool) error {
	// The bits are copied before the flush: those set meanwhile may stand for bytes that it did not cover.
	images := make(map[int64][]byte, len(pages))
	for page := range pages {
		images[page] = d.page(page)
	}
	if err := block.Sync(ctx, d.store); err != nil || len(pages) == 0 {
		return err
	}
	for page, image := range images {
		if err := block.WriteAt(ctx, d.store, image, d.kept.at+pageSize*(1+page)); err != nil {
			return err
		}
	}
	return block.Sync(ctx, d.store)
}

const wordsPerPage = pageSize / 8

// page is a page of the bitmap as it is stored.
func (d *Device) page(page int64) []byte {
	image := block.Alloc(pageSize)
	for i := range int64(wordsPerPage) {
		if at := page*wordsPerPage + i; at < int64(len(d.present)) {
			binary.LittleEndian.PutUint64(image[8*i:], d.present[at].Load())
		}
	}
	return image
}

// load reads the head and the bitmap of a store that was used, or begins one.
func (d *Device) load(ctx context.Context, id [16]byte) error {
	head := d.head(id)
	found := block.Alloc(pageSize)
	if err := block.ReadAt(ctx, d.store, found, d.kept.at); err != nil {
		return err
	}
	if allZero(found) {
		return d.store.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Off: d.kept.at, Len: pageSize, Buf: head})
	}
	if err := compare(found, head); err != nil {
		return err
	}
	image := block.Alloc(pageSize)
	for lo := 0; lo < len(d.present); lo += wordsPerPage {
		if err := block.ReadAt(ctx, d.store, image, d.kept.at+pageSize*int64(1+lo/wordsPerPage)); err != nil {
			return err
		}
		for i := range min(wordsPerPage, len(d.present)-lo) {
			d.present[lo+i].Store(binary.LittleEndian.Uint64(image[8*i:]))
		}
	}
	return nil
}

// head is the page before the bitmap: magic, base's size, unit, base's ID, CRC-32C of the whole with zeroes in its place.
func (d *Device) head(id [16]byte) []byte {
	h := block.Alloc(pageSize)
	copy(h, magic)
	binary.LittleEndian.PutUint64(h[16:], uint64(d.info.Size))
	binary.LittleEndian.PutUint64(h[24:], uint64(d.unit))
	copy(h[32:48], id[:])
	binary.LittleEndian.PutUint32(h[48:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
	return h
}

// compare says how the head that was found is not the one that this base would have.
func compare(found, want []byte) error {
	size := func(h []byte) uint64 { return binary.LittleEndian.Uint64(h[16:]) }
	switch {
	case string(found[:16]) != magic:
		return fmt.Errorf("%w: holds something else", ErrForeign)
	case string(found) == string(want):
		return nil
	case size(found) != size(want):
		return fmt.Errorf("%w: of one of %d bytes, not %d", ErrForeign, size(found), size(want))
	case string(found[32:48]) != string(want[32:48]):
		return fmt.Errorf("%w: of %x, not %x", ErrForeign, found[32:48], want[32:48])
	}
	return fmt.Errorf("%w: its head is damaged or of other blocks", ErrForeign)
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
