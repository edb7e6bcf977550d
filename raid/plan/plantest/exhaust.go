package plantest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
)

// exam is one level against its model.
type exam struct {
	t         *testing.T
	level     plan.Level
	g         plan.Geometry
	model     Model
	data      []byte  // what the array holds
	clean     Members // … and the members then
	rand      *rand.Rand
	plan      plan.Plan
	places    [][]Place // of each array byte
	work      Members
	want      Members
	wrote     [][]bool // by role and row
	user      []byte
	fresh     []byte // what is written
	stride    int    // of requests in worlds with faults: one in so many is made
	request   int
	positions map[Place]int64
}

// Exhaust makes every request there is on a small array, in every world there is, and compares all that the members hold afterwards
// with what the model says, byte by byte; then it syncs those worlds. stride thins the requests in worlds with two faults, with a fault
// and no redundancy to rely on, or with preferences: one in so many is made.
func Exhaust(t *testing.T, level plan.Level, model Model, stride int) {
	t.Helper()
	x := &exam{t: t, level: level, g: level.Geometry(), model: model, rand: rand.New(rand.NewPCG(1, 2)), stride: stride}
	x.data, x.fresh, x.user = x.random(x.g.Size), x.random(x.g.Size), make([]byte, x.g.Size)
	x.clean = model.members(x.g, x.data)
	x.work, x.want = x.clean.Clone(), x.clean.Clone()
	for range x.g.Roles {
		x.wrote = append(x.wrote, make([]bool, x.g.Rows))
	}
	for off := range x.g.Size {
		x.places = append(x.places, model.Places(off))
	}
	n := 0
	x.worlds(func(w *world) {
		n++
		x.requests(w)
		x.syncs(w)
	})
	x.flips()
	t.Logf("%d worlds, %d requests", n, x.request)
}

func (x *exam) random(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(x.rand.Uint32())
	}
	return b
}

func (x *exam) requests(w *world) {
	stride := 1
	if w.faults > 1 || w.faults == 1 && (w.Synced < x.g.SyncSize || x.g.SyncSize == 0) || w.Prefer != 0 {
		stride = x.stride
	}
	i := x.request
	for off := range x.g.Size {
		for n := int64(1); off+n <= x.g.Size; n++ {
			if i++; i%stride != 0 {
				continue
			}
			x.request++
			x.read(w, off, n)
			x.write(w, block.Write, off, n)
			x.write(w, block.WriteZeroes, off, n)
			x.write(w, block.Discard, off, n)
		}
	}
}

func (x *exam) failed(w *world, what any, err error) {
	x.t.Helper()
	require.FailNow(x.t, fmt.Sprintf("%v in%s: %v\n%s", what, w, err, &x.plan))
}

// one plans, judges and runs a prefix of r.
func (x *exam) one(w *world, r block.Request) (int64, error) {
	x.plan.Reset()
	n, err := x.level.Plan(&x.plan, r, &w.View)
	if err != nil {
		if !errors.Is(err, plan.ErrFailed) || !w.mayFail {
			x.failed(w, r, err)
		}
		return 0, err
	}
	if err := Laws(&x.plan, x.g, r, n, &w.View); err != nil {
		x.failed(w, r, err)
	}
	Run(&x.plan, x.work, r.Buf)
	return n, nil
}

func (x *exam) read(w *world, off, n int64) {
	x.work.copyFrom(w.members)
	r := block.Request{Op: block.Read, Off: off, Len: n, Buf: fill(x.user[:n], scratch)}
	done := int64(0)
	for done < n {
		took, err := x.one(w, r.Slice(done, n))
		if err != nil {
			x.honest(w, r.Slice(done, n))
			break
		}
		done += took
	}
	if !bytes.Equal(r.Buf[:done], x.data[off:off+done]) {
		x.failed(w, r, errors.New("reads something else"))
	}
}

// honest wants a request that was refused to have a byte that no member has. With parity that is for mayFail to say.
func (x *exam) honest(w *world, r block.Request) {
	if x.model.Parity != nil {
		return
	}
	for off := r.Off; off < r.End(); off++ {
		kept := false
		for _, at := range x.places[off] {
			kept = kept || w.valid(at) && (r.Op != block.Read || !w.Avoid.Has(at.Role))
		}
		if !kept {
			return
		}
	}
	x.failed(w, r, errors.New("refused although every byte is there"))
}

func (x *exam) write(w *world, op block.Op, off, n int64) {
	x.work.copyFrom(w.members)
	r := block.Request{Op: op, Off: off, Len: n}
	if op == block.Write {
		r.Buf = x.user[:n]
		copy(r.Buf, x.fresh)
	}
	done := int64(0)
	for done < n {
		took, err := x.one(w, r.Slice(done, n))
		if err != nil {
			x.honest(w, r.Slice(done, n))
			break
		}
		done += took
	}
	if r.Buf != nil && !bytes.Equal(r.Buf, x.fresh[:n]) {
		x.failed(w, r, errors.New("changes the caller's buffer"))
	}
	x.compare(w, r, off, off+done)
}

// compare wants every member to hold what it must after [lo, hi) was written, and nothing else to have changed.
func (x *exam) compare(w *world, r block.Request, lo, hi int64) {
	x.want.copyFrom(x.clean)
	for role := range x.wrote {
		clear(x.wrote[role])
	}
	for off := lo; off < hi; off++ {
		if r.Op == block.Discard && x.partial(r, off) {
			continue
		}
		b := byte(0)
		switch {
		case r.Op == block.Write:
			b = x.fresh[off-lo]
		case r.Op == block.Discard && x.g.SyncSize == 0:
			b = discarded
		}
		kept := false
		for _, at := range x.places[off] {
			x.want[at.Role][at.Row] = b
			x.wrote[at.Role][at.Row] = true
			kept = kept || w.Writable.Has(at.Role) && w.valid(at)
			parities, n := x.model.sums(x.want, at.Role, at.Row, b^x.data[off])
			for _, role := range parities[:n] {
				x.wrote[role][at.Row] = true
			}
			kept = kept || x.computable(w, at.Row)
		}
		if !kept {
			x.failed(w, r, fmt.Errorf("byte %d is acknowledged and cannot be read back", off))
		}
	}
	for role := range x.want {
		for row, b := range x.work[role] {
			must := w.members[role][row]
			if x.wrote[role][row] && w.Writable.Has(role) {
				must = x.want[role][row]
			}
			if b != must {
				x.failed(w, r, fmt.Errorf("m%d row %d holds %#x, must be %#x", role, row, b, must))
			}
		}
	}
}

// partial says whether off is in a stripe that a Discard does not clear: it has not all of it.
func (x *exam) partial(r block.Request, off int64) bool {
	if x.model.Parity == nil {
		return false
	}
	start := off - off%x.model.Stripe
	return start < r.Off || start+x.model.Stripe > r.End()
}

// computable says whether every byte of a row can be read or computed: no more are lost than there are parities.
func (x *exam) computable(w *world, row int64) bool {
	lost := 0
	for role := range x.g.Roles {
		if !w.valid(Place{role, row}) || !w.Writable.Has(role) {
			lost++
		}
	}
	return x.model.Parity != nil && lost <= x.model.parities()
}
