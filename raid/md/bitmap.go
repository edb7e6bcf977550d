package md

import (
	"bytes"
	"fmt"
	"math/bits"
)

const (
	bitmapMagic  = 0x6d746962
	bitmapHead   = 256 // bytes before the bits
	bitmapUnit   = 4096
	maxBehind    = 16383
	bitmapNewest = 4       // the newest version that is understood
	maxBits      = 1 << 26 // 8 MiB of bits: 64 times what mdadm ever makes
)

// Bits of Bitmap.State.
const (
	BitmapStale      = 1 << 1
	BitmapWriteError = 1 << 2
	BitmapHostEndian = 1 << 15
)

// Bitmap is a write-intent bitmap: which pieces of the array may be out of sync.
type Bitmap struct {
	Version         uint32 // 3 host's byte order, 4 little endian, 5 clustered, 6 lockless
	UUID            UUID   // the array's
	Events          uint64 // the array's at the last update
	EventsCleared   uint64 // changes after this are all still set: a member that left later can be brought up to date by the bits
	SyncSize        uint64 // sectors that the bits cover: of a member; of the array for raid10
	State           uint32
	ChunkSize       uint32 // bytes per bit; sectors in version 6
	DaemonSleep     uint32 // seconds
	WriteBehind     uint32 // requests
	SectorsReserved uint32
	Nodes           uint32 // clustered
	ClusterName     string // clustered

	// Bits are as on disk, least significant first. They end where what was read ended: a bit beyond is not known.
	Bits []byte
}

// DecodeBitmap reads the bitmap that starts b, as much of it as b has. The lockless and the clustered kinds are decoded but for their
// bits, which Check refuses.
func DecodeBitmap(b []byte) (*Bitmap, error) {
	bad := func(field string, off int, got, want any) error {
		return &FormatError{"bitmap", field, int64(off), fmt.Sprint(got), fmt.Sprint(want)}
	}
	if len(b) < bitmapHead {
		return nil, bad("length", 0, len(b), "256 bytes or more")
	}
	word := func(off int) uint32 { return le.Uint32(b[off:]) }
	if word(0) != bitmapMagic {
		return nil, bad("magic", 0, fmt.Sprintf("%#x", word(0)), fmt.Sprintf("%#x", bitmapMagic))
	}
	m := &Bitmap{
		Version: word(4), UUID: UUID(b[8:]), Events: le.Uint64(b[24:]), EventsCleared: le.Uint64(b[32:]), SyncSize: le.Uint64(b[40:]),
		State: word(48), ChunkSize: word(52), DaemonSleep: word(56), WriteBehind: word(60), SectorsReserved: word(64), Nodes: word(68),
		ClusterName: name(b[72:136]),
	}
	unit := uint32(Sector)
	if m.Version == 6 {
		unit = 1
	}
	switch {
	case m.Version < 3 || m.Version > 6:
		return nil, bad("version", 4, m.Version, "3 to 6")
	case m.ChunkSize < unit || m.ChunkSize&(m.ChunkSize-1) != 0:
		return nil, bad("chunksize", 52, m.ChunkSize, "a power of two, 512 or more")
	case m.DaemonSleep == 0:
		return nil, bad("daemon_sleep", 56, 0, "1 or more")
	case m.WriteBehind > maxBehind:
		return nil, bad("write_behind", 60, m.WriteBehind, fmt.Sprintf("%d or less", maxBehind))
	}
	if m.Version <= bitmapNewest {
		n := min(uint64(len(b)-bitmapHead), (m.total()+7)/8)
		m.Bits = bytes.Clone(b[bitmapHead : bitmapHead+n])
	}
	return m, nil
}

// Encode is m as it goes onto the disk: head and bits, zero padded to whole 4 KiB.
func (m *Bitmap) Encode() []byte {
	b := make([]byte, m.Len())
	m.encodeHead(b)
	bits := b[bitmapHead : bitmapHead+(m.total()+7)/8]
	for i := copy(bits, m.Bits); i < len(bits); i++ {
		bits[i] = 0xff // what is not known is dirty
	}
	return b
}

func (m *Bitmap) encodeHead(b []byte) {
	le.PutUint32(b, bitmapMagic)
	le.PutUint32(b[4:], m.Version)
	copy(b[8:], m.UUID[:])
	le.PutUint64(b[24:], m.Events)
	le.PutUint64(b[32:], m.EventsCleared)
	le.PutUint64(b[40:], m.SyncSize)
	le.PutUint32(b[48:], m.State)
	le.PutUint32(b[52:], m.ChunkSize)
	le.PutUint32(b[56:], m.DaemonSleep)
	le.PutUint32(b[60:], m.WriteBehind)
	le.PutUint32(b[64:], m.SectorsReserved)
	le.PutUint32(b[68:], m.Nodes)
	copy(b[72:136], m.ClusterName)
}

// Len is how many bytes the whole bitmap takes on disk: a multiple of 4 KiB.
func (m *Bitmap) Len() int64 {
	return int64(roundUp(bitmapHead+(m.total()+7)/8, bitmapUnit))
}

// chunk is how many sectors a bit covers.
func (m *Bitmap) chunk() uint64 {
	if m.Version == 6 {
		return uint64(m.ChunkSize)
	}
	return uint64(m.ChunkSize) / Sector
}

func (m *Bitmap) total() uint64 {
	n := m.SyncSize / m.chunk()
	if m.SyncSize%m.chunk() != 0 {
		n++
	}
	return n
}

// Total is how many bits the bitmap has, whether or not they were read.
func (m *Bitmap) Total() int64 { return int64(m.total()) }

// Dirty is how many of the bits that were read are set.
func (m *Bitmap) Dirty() int64 {
	total, n := m.total(), 0
	for i, b := range m.Bits {
		if left := total - min(total, uint64(i)*8); left < 8 {
			b &= 1<<left - 1
		}
		n += bits.OnesCount8(b)
	}
	return int64(n)
}

// Bit says whether piece i may be out of sync. One that is not known may be.
func (m *Bitmap) Bit(i int64) bool {
	if i < 0 || i/8 >= int64(len(m.Bits)) {
		return true
	}
	return m.Bits[i/8]>>(i%8)&1 != 0
}

// SetAll sets every bit.
func (m *Bitmap) SetAll() {
	m.Bits = bytes.Repeat([]byte{0xff}, int((m.total()+7)/8))
	if left := m.total() % 8; left != 0 {
		m.Bits[len(m.Bits)-1] = 1<<left - 1
	}
}

// ClearAll clears every bit.
func (m *Bitmap) ClearAll() { m.Bits = make([]byte, (m.total()+7)/8) }

// Stale says whether the bits must not be believed by an array at this events counter: then every one is to be taken for set.
func (m *Bitmap) Stale(arrayEvents uint64) bool {
	return m.Events < arrayEvents || m.State&BitmapStale != 0
}

// Check says why m cannot be used for the array that s is a member of.
func (m *Bitmap) Check(s *Superblock) error {
	want := s.SetUUID
	if s.Version == V090 {
		want = s.bytes090()
	}
	at := int64(s.SuperOffset) + int64(s.BitmapOffset)
	switch {
	case m.UUID != want:
		return &FormatError{"bitmap", "uuid", 8, m.UUID.String(), "the array's, " + want.String()}
	case m.Version == 5:
		return &FormatError{"bitmap", "version", 4, "5", "3 or 4: this one is shared by several hosts"}
	case m.Version > bitmapNewest:
		return &FormatError{"bitmap", "version", 4, fmt.Sprint(m.Version), "3 or 4: this one is lockless, of Linux 6.18 and later"}
	case m.total() > maxBits:
		return &FormatError{"bitmap", "sync_size", 40, fmt.Sprint(m.SyncSize), fmt.Sprintf("%d bits or less", int64(maxBits))}
	case s.Version == V12 && at < int64(s.DataOffset) && at+m.Len()/Sector > int64(s.DataOffset),
		s.Version == V11 && at < int64(s.DataOffset) && at+m.Len()/Sector > int64(s.DataOffset),
		s.Version == V10 && at < int64(s.SuperOffset) && at+int64(bitmapHead+m.total()/8)/Sector > int64(s.SuperOffset):
		return &FormatError{"bitmap", "sync_size", 40, fmt.Sprint(m.SyncSize), "a bitmap that ends where something else begins"}
	}
	return nil
}
