package level5

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/plan"
)

// toy is members' rows, and what carries plans out on them.
type toy struct {
	rows  [][]byte // by role
	slots [][]byte
}

func (m *toy) mem(r plan.Ref) []byte { return m.slots[r.Slot][r.Off : r.Off+r.Len] }

// read does all of p but its writes.
func (m *toy) read(p *plan.Plan, user []byte) {
	m.slots = [][]byte{user}
	for _, n := range p.Slots[1:] {
		m.slots = append(m.slots, make([]byte, n))
	}
	for _, io := range p.Reads {
		copy(m.mem(io.Ref), m.rows[io.Role][io.Row:])
	}
	for _, c := range p.Calcs {
		m.sum(m.mem(c.Dst), p.Terms[c.Lo:c.Hi], false)
	}
}

// sum is the sum of terms, or of those that are not the caller's.
func (m *toy) sum(dst []byte, terms []plan.Term, scratch bool) {
	out := make([]byte, len(dst))
	for _, t := range terms {
		if scratch && t.Ref.Slot == plan.User {
			continue
		}
		for i, b := range m.mem(t.Ref) {
			out[i] ^= b
		}
	}
	copy(dst, out)
}

func (m *toy) write(io plan.IO) {
	if io.Op == block.WriteZeroes {
		clear(m.rows[io.Role][io.Row : io.Row+io.Ref.Len])
	} else {
		copy(m.rows[io.Role][io.Row:], m.mem(io.Ref))
	}
}

func (m *toy) clone() *toy {
	c := &toy{slots: m.slots}
	for _, r := range m.rows {
		c.rows = append(c.rows, append([]byte(nil), r...))
	}
	return c
}

// content is the array as it can be read with v.
func (m *toy) content(t *testing.T, l plan.Level, v *plan.View) []byte {
	var p plan.Plan
	got := make([]byte, l.Geometry().Size)
	for at := int64(0); at < int64(len(got)); {
		p.Reset()
		n, err := l.Plan(&p, block.Request{Op: block.Read, Off: at, Len: int64(len(got)) - at}, v)
		require.NoError(t, err)
		m.read(&p, got[at:at+n])
		at += n
	}
	return got
}

// TestHoleIsClosed makes every write on a small array, in every condition of its members, has any part of its I/O come through, loses any one member that the
// array can do without, and replays what the log had to say: what was not written to is what it was, and parity is true.
func TestHoleIsClosed(t *testing.T) {
	const chunk, stripes = 4, 2
	for _, roles := range []int{2, 3, 4} {
		for layout := range uint32(ParityLast + 1) {
			if roles > 3 && layout != LeftSymmetric {
				continue
			}
			l, err := NewLogged(roles, chunk, layout, chunk*stripes, 8192)
			require.NoError(t, err)
			g := l.Geometry()
			before := &toy{}
			rng := rand.New(rand.NewPCG(uint64(roles), uint64(layout)))
			for range roles {
				before.rows = append(before.rows, make([]byte, chunk*stripes))
			}
			for row := range chunk * stripes {
				var sum byte
				for role := range roles - 1 {
					before.rows[role][row] = byte(rng.Uint32())
					sum ^= before.rows[role][row]
				}
				before.rows[roles-1][row] = sum
			}
			healthy := plan.Healthy(roles)
			want := before.content(t, l, &healthy)
			for gone := -1; gone < roles; gone++ { // before the write
				v := plan.Healthy(roles)
				if gone >= 0 {
					v.Readable, v.Writable = v.Readable.Without(gone), v.Writable.Without(gone)
				}
				for _, op := range []block.Op{block.Write, block.WriteZeroes} {
					for off := int64(0); off < g.Size; off++ {
						for n := int64(1); n <= g.Size-off; n++ {
							closed(t, l.(plan.Logged), before, want, &v, block.Request{Op: op, Off: off, Len: n}, rng)
						}
					}
				}
			}
		}
	}
}

// closed tries one request: every subset of its writes where they are few, some where they are many.
func closed(t *testing.T, l plan.Logged, before *toy, want []byte, v *plan.View, r block.Request, rng *rand.Rand) {
	if r.Op == block.Write {
		r.Buf = make([]byte, r.Len)
		for i := range r.Buf {
			r.Buf[i] = byte(rng.Uint32())
		}
	}
	var p, q plan.Plan
	p.Reset()
	n, err := l.Plan(&p, r, v)
	require.NoError(t, err)
	start := before.clone()
	start.read(&p, r.Buf)
	parts := l.Partials(nil, &p, r.Off, n, v)
	var sums [][]byte
	for _, part := range parts {
		pp := make([]byte, part.Size())
		if part.Calc >= 0 {
			start.sum(pp, p.Terms[p.Calcs[part.Calc].Lo:p.Calcs[part.Calc].Hi], true)
		}
		sums = append(sums, pp)
	}
	whole := uint64(1)<<len(p.Writes) - 1
	for trial := range min(whole+1, 8) {
		came := trial
		if whole > 8 {
			came = rng.Uint64() & whole
		}
		for lost := -1; lost < l.Geometry().Roles; lost++ {
			after := *v
			if lost >= 0 {
				after.Readable, after.Writable = after.Readable.Without(lost), after.Writable.Without(lost)
			}
			if !l.Enough(after.Readable) {
				continue
			}
			m := start.clone()
			for i, io := range p.Writes {
				if came>>i&1 != 0 {
					m.write(io)
				}
			}
			for i, part := range parts {
				if part.Role == lost {
					continue // and its log with it
				}
				q.Reset()
				require.True(t, l.Replay(&q, part.Role, part.Off, part.Data, part.Size(), &after), "%+v", part)
				m.read(&q, sums[i])
				for _, io := range q.Writes {
					m.write(io)
				}
			}
			says := fmt.Sprintf("%s, writable %s, came through %b, lost %d\n%s%+v", r, v.Writable, came, lost, p.String(), parts)
			if after.Readable.Count() == l.Geometry().Roles {
				for row := range m.rows[0] {
					var sum byte
					for _, rows := range m.rows {
						sum ^= rows[row]
					}
					require.Zero(t, sum, "row %d: %s", row, says)
				}
			}
			got := m.content(t, l, &after)
			for i := range got {
				if int64(i) < r.Off || int64(i) >= r.Off+n {
					require.Equal(t, want[i], got[i], "byte %d: %s", i, says)
				}
			}
		}
	}
}

// TestWholesOfAPlan: a record has room for all that any plan has to say.
func TestWholesOfAPlan(t *testing.T) {
	for _, roles := range []int{2, 3, 8} {
		for _, chunk := range []int64{4096, 64 << 10, 1 << 20} {
			for _, room := range []int64{8192, 256 << 10} {
				l, err := NewLogged(roles, chunk, LeftSymmetric, 1<<30, room)
				require.NoError(t, err)
				v := plan.Healthy(roles)
				rng := rand.New(rand.NewPCG(1, 2))
				for range 200 {
					r := block.Request{Op: block.Write, Off: rng.Int64N(1<<20) * 512, Len: (1 + rng.Int64N(1<<14)) * 512}
					if rng.IntN(2) == 0 {
						r.Op = block.WriteZeroes
					}
					var p plan.Plan
					p.Reset()
					n, err := l.Plan(&p, r, &v)
					require.NoError(t, err)
					parts := l.(plan.Logged).Partials(nil, &p, r.Off, n, &v)
					bytes := map[int]int64{}
					for _, part := range parts {
						bytes[part.Role] += part.Size()
						require.LessOrEqual(t, bytes[part.Role], room)
					}
					require.LessOrEqual(t, len(parts), 70)
				}
			}
		}
	}
}

// TestReplayRefuses what no log says.
func TestReplayRefuses(t *testing.T) {
	l, err := NewLogged(4, 4096, LeftSymmetric, 1<<20, 8192)
	require.NoError(t, err)
	v := plan.Healthy(4)
	var p plan.Plan
	for _, c := range []struct {
		role          int
		off, data, pp int64
		says          string
	}{
		{3, 0, 0, 0, "nothing"},
		{3, -512, 512, 512, "before the array"},
		{3, 3 << 20, 512, 512, "beyond it"},
		{2, 0, 512, 512, "the parity is another role's"},
		{3, 0, 1024, 768, "not whole rows"},
		{3, 0, 5 << 10, 0, "not whole rows of all chunks"},
		{3, 4096, 3 * 512, 0, "all chunks, but not from the first on"},
		{3, 8192, 2 * 512, 512, "more chunks than there are"},
		{3, 0, 4 * 512, 512, "more chunks than a stripe has"},
		{3, 0, 8192, 8192, "more rows than a chunk has"},
		{3, 512, 3 * 4096, 0, "rows beyond the chunk"},
		{3, 0, 1 << 62, 512, "more than there is"},
	} {
		p.Reset()
		require.False(t, l.(plan.Logged).Replay(&p, c.role, c.off, c.data, c.pp, &v), c.says)
		require.Empty(t, p.Writes, c.says)
	}
	// What Linux describes but never writes: rows that begin in one chunk and end in the next.
	p.Reset()
	require.True(t, l.(plan.Logged).Replay(&p, 3, 3072, 2048, 4096, &v))
	require.Equal(t, `lock  [0,+4K)
read  m0 [3K,+1K) -> s2
read  m1 [0,+1K) -> s4
sum   s1 = user[0,+1K) s2
sum   s3 = user[1K,+1K) s4
write m3 [3K,+1K) <- s1
write m3 [0,+1K) <- s3
`, p.String())
}
