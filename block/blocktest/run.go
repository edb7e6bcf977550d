// Package blocktest is the conformance suite that every block.Device passes, and Faulty, a device that fails on demand.
//
// It knows the contract of package block and nothing of any device.
package blocktest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// Open makes a fresh writable device of at least one byte and about size bytes; what it holds is its own affair. It
// arranges for t to clean up what it made; the suite closes the device, and closing it again must do no harm.
type Open func(t *testing.T, size int64) block.Device

// Option says what about a device differs from the ordinary.
type Option func(*suite)

// ReadOnly has the suite check that a device made by open refuses to be changed.
func ReadOnly(open Open) Option { return func(s *suite) { s.readOnly = open } }

// TornReads allows a read that overlaps a write in flight to see a part of a block old and a part new, as reads through
// the page cache of an operating system may. Two writes in flight still leave whole blocks.
func TornReads() Option { return func(s *suite) { s.tornReads = true } }

// Size is how large the suite wants its devices, bytes; the default is 4 MiB, 1 MiB under the race detector.
func Size(bytes int64) Option { return func(s *suite) { s.size = bytes } }

// Seed starts the random parts somewhere else than at 1.
func Seed(seed uint64) Option { return func(s *suite) { s.seed = seed } }

type suite struct {
	open      Open
	readOnly  Open
	tornReads bool
	size      int64
	seed      uint64
}

var background = context.Background()

// Run checks that the devices which open makes keep the contract of block.Device, each part on a device of its own.
func Run(t *testing.T, open Open, options ...Option) {
	s := &suite{open: open, size: 4 << 20, seed: 1}
	if raceEnabled { // some checks look at every byte, which the detector makes slow
		s.size = 1 << 20
	}
	for _, o := range options {
		o(s)
	}
	t.Run("info", s.info)
	t.Run("rules", s.rules)
	if s.readOnly != nil {
		t.Run("read only", s.refusesChange)
	}
	t.Run("zero length", s.zeroLength)
	t.Run("against a model", s.model)
	t.Run("memory", s.memory)
	t.Run("whole device", s.whole)
	t.Run("disjoint", s.disjoint)
	t.Run("overlapping writes", s.overlappingWrites)
	if !s.tornReads {
		t.Run("reads during writes", s.readsDuringWrites)
	}
	t.Run("cancelled", s.cancelled)
	t.Run("close", s.close)
	if !raceEnabled { // the detector allocates
		t.Run("allocations", s.allocations)
	}
}

// device opens a device for t and closes it in the end.
func (s *suite) device(t *testing.T) (block.Device, block.Info) {
	t.Helper()
	d := s.open(t, s.size)
	t.Cleanup(func() { _ = d.Close() }) // a second Close may say so
	return d, d.Info()
}

func (s *suite) rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, stream)) }

func (s *suite) info(t *testing.T) {
	d, info := s.device(t)
	require.NotEmpty(t, info.Name)
	require.Positive(t, info.Size)
	require.True(t, info.Block > 0 && info.Block&(info.Block-1) == 0, "block of %d bytes is not a power of two", info.Block)
	require.Zero(t, info.Size%info.Block, "a size of %d is not a multiple of a block of %d", info.Size, info.Block)
	require.True(t, info.Align >= 0 && info.Align&(info.Align-1) == 0, "alignment of %d bytes", info.Align)
	require.True(t, info.Writable)
	require.Equal(t, info, d.Info(), "Info is constant")
}

// rules is every request that Check refuses: each is a Caller error of the right kind and changes nothing.
func (s *suite) rules(t *testing.T) {
	d, info := s.device(t)
	unit := max(info.Block, 512)
	good := fill(block.Alloc(unit), 0x11)
	require.NoError(t, block.WriteAt(background, d, good, 0))
	buf := func(n int64) []byte { return block.Alloc(n) }

	type bad struct {
		name string
		r    block.Request
		want error
	}
	const top = int64(^uint64(0) >> 1)
	last := top &^ (unit - 1)
	cases := []bad{
		{"an unknown operation", block.Request{Op: block.WriteZeroes + 1, Len: unit}, block.ErrInvalid},
		{"a flush with an offset", block.Request{Op: block.Flush, Off: unit}, block.ErrInvalid},
		{"a flush with a length", block.Request{Op: block.Flush, Len: unit}, block.ErrInvalid},
		{"a flush with a buffer", block.Request{Op: block.Flush, Buf: buf(unit)}, block.ErrInvalid},
	}
	for _, op := range []block.Op{block.Read, block.Write, block.Discard, block.WriteZeroes} {
		b := func(n int64) []byte {
			if op == block.Read || op == block.Write {
				return buf(n)
			}
			return nil
		}
		on := " (" + op.String() + ")"
		cases = append(cases,
			bad{"past the end" + on, block.Request{Op: op, Off: info.Size, Len: unit, Buf: b(unit)}, block.ErrRange},
			bad{"across the end" + on, block.Request{Op: op, Off: info.Size - unit, Len: 2 * unit, Buf: b(2 * unit)}, block.ErrRange},
			bad{"zero length past the end" + on, block.Request{Op: op, Off: info.Size + unit, Buf: b(0)}, block.ErrRange},
			bad{"before the start" + on, block.Request{Op: op, Off: -unit, Len: unit, Buf: b(unit)}, block.ErrRange},
			bad{"a negative length" + on, block.Request{Op: op, Off: unit, Len: -unit, Buf: b(0)}, block.ErrRange},
			bad{"an end that overflows" + on, block.Request{Op: op, Off: last, Len: unit, Buf: b(unit)}, block.ErrRange},
			bad{"a length that overflows" + on, block.Request{Op: op, Off: unit, Len: last, Buf: b(0)}, block.ErrRange},
		)
		if b(1) == nil {
			cases = append(cases, bad{"a buffer it does not take" + on, block.Request{Op: op, Len: unit, Buf: buf(unit)}, block.ErrInvalid})
		} else {
			cases = append(cases,
				bad{"no buffer" + on, block.Request{Op: op, Len: unit}, block.ErrInvalid},
				bad{"a short buffer" + on, block.Request{Op: op, Len: unit, Buf: buf(unit - 1)}, block.ErrInvalid},
				bad{"a long buffer" + on, block.Request{Op: op, Len: unit, Buf: buf(unit + 1)}, block.ErrInvalid},
			)
			if info.Align > 1 {
				cases = append(cases, bad{"a buffer out of alignment" + on, block.Request{Op: op, Len: unit, Buf: buf(unit + 1)[1:]}, block.ErrInvalid})
			}
		}
		if info.Block > 1 {
			cases = append(cases,
				bad{"an offset inside a block" + on, block.Request{Op: op, Off: info.Block / 2, Len: info.Block, Buf: b(info.Block)}, block.ErrInvalid},
				bad{"a length of half a block" + on, block.Request{Op: op, Len: info.Block / 2, Buf: b(info.Block / 2)}, block.ErrInvalid},
			)
		}
	}
	for _, c := range cases {
		err := d.Do(background, c.r)
		require.ErrorIs(t, err, c.want, c.name)
		require.Equal(t, block.Caller, block.Classify(err), "%s: %v", c.name, err)
	}
	got := scratch(unit)
	require.NoError(t, block.ReadAt(background, d, got, 0))
	require.Equal(t, good, got, "a refused request changed something")
}

func (s *suite) refusesChange(t *testing.T) {
	d := s.readOnly(t, s.size)
	t.Cleanup(func() { _ = d.Close() })
	info := d.Info()
	require.False(t, info.Writable)
	unit := max(info.Block, 512)
	before, after := scratch(unit), scratch(unit)
	require.NoError(t, block.ReadAt(background, d, before, 0))
	for _, r := range []block.Request{
		{Op: block.Write, Len: unit, Buf: fill(block.Alloc(unit), 0x77)},
		{Op: block.Discard, Len: unit},
		{Op: block.WriteZeroes, Len: unit},
	} {
		require.ErrorIs(t, d.Do(background, r), block.ErrReadOnly, r.Op)
	}
	require.NoError(t, block.Sync(background, d), "a flush of a read-only device has nothing to do")
	require.NoError(t, block.ReadAt(background, d, after, 0))
	require.Equal(t, before, after)
}

func (s *suite) zeroLength(t *testing.T) {
	d, info := s.device(t)
	for _, off := range []int64{0, info.Size / 2 / info.Block * info.Block, info.Size} {
		for _, op := range []block.Op{block.Read, block.Write, block.Discard, block.WriteZeroes} {
			r := block.Request{Op: op, Off: off}
			require.NoError(t, d.Do(background, r), "%v", r)
			if op == block.Read || op == block.Write {
				r.Buf = []byte{}
				require.NoError(t, d.Do(background, r), "%v", r)
			}
		}
	}
	list, err := block.Extents(background, d, info.Size, 0, nil)
	require.NoError(t, err)
	require.Empty(t, list)
}

// cancelled: a context that is done may stop a request from starting, and then it says so; it never spoils one.
func (s *suite) cancelled(t *testing.T) {
	d, info := s.device(t)
	unit := max(info.Block, 512)
	old := fill(block.Alloc(unit), 0x21)
	fresh := fill(block.Alloc(unit), 0x42)
	require.NoError(t, block.WriteAt(background, d, old, 0))
	ctx, cancel := context.WithCancel(background)
	cancel()
	err := block.WriteAt(ctx, d, fresh, 0)
	got := scratch(unit)
	require.NoError(t, block.ReadAt(background, d, got, 0))
	if err == nil {
		require.Equal(t, fresh, got)
		return
	}
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, block.Caller, block.Classify(err))
	require.Equal(t, old, got)
}

// close: afterwards every request is a Gone error.
func (s *suite) close(t *testing.T) {
	d, info := s.device(t)
	unit := max(info.Block, 512)
	require.NoError(t, d.Close())
	for _, r := range []block.Request{
		{Op: block.Read, Len: unit, Buf: block.Alloc(unit)},
		{Op: block.Write, Len: unit, Buf: block.Alloc(unit)},
		{Op: block.Write, Flags: block.FUA, Len: unit, Buf: block.Alloc(unit)},
		{Op: block.Discard, Len: unit},
		{Op: block.WriteZeroes, Len: unit},
		{Op: block.Flush},
	} {
		err := d.Do(background, r)
		require.Error(t, err, "%v", r)
		require.Equal(t, block.Gone, block.Classify(err), "%v: %v", r, err)
	}
	if e, ok := d.(block.Extenter); ok {
		_, err := e.Extents(background, 0, unit, nil)
		require.Equal(t, block.Gone, block.Classify(err), "extents: %v", err)
	}
}

// allocations: an Inline device reads and writes without allocating, once what it reads and writes is there.
func (s *suite) allocations(t *testing.T) {
	d, info := s.device(t)
	if !info.Inline {
		return // it may have to wait, and then it may have to allocate
	}
	unit := max(info.Block, 4096)
	buf := block.Alloc(unit)
	for _, op := range []block.Op{block.Write, block.Read} {
		r := block.Request{Op: op, Off: unit, Len: unit, Buf: buf}
		require.NoError(t, d.Do(background, r))
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = d.Do(background, r) }), "allocations of a %v", op)
	}
}

// fill makes b all v.
func fill(b []byte, v byte) []byte {
	for i := range b {
		b[i] = v
	}
	return b
}

// scratch is n bytes of aligned memory that nothing was read into yet.
func scratch(n int64) []byte { return fill(block.Alloc(n), 0xA5) }
