package raid

import "graid/raid/plan"

// A piece that is filled is first read, from several members, and then written. So that neither readers nor writers wait for the other half, several pieces
// are under way at once, as long as nobody else wants the members.
const (
	abreastPieces = 4
	abreastPiece  = 256 << 10 // bytes of the sync space
)

// abreast calls piece for the pieces that a beginning of span falls into, side by side, each until it is done with its own, and returns how much of
// span is done without a gap.
func (a *Array) abreast(span plan.Span, piece func(plan.Span) (int64, error)) (done int64, err error) {
	if a.inflight.Load() > 1 || a.sync.most.Load() > 0 {
		return piece(span)
	}
	var lens, dones [abreastPieces]int64
	var errs [abreastPieces]error
	g := newGroup(a.sched)
	for i := range dones {
		part := plan.Span{Lo: span.Lo + int64(i)*abreastPiece, Hi: min(span.Hi, span.Lo+int64(i+1)*abreastPiece)}
		if part.Len() <= 0 {
			break
		}
		lens[i] = part.Len()
		g.Go(func() {
			for dones[i] < lens[i] && errs[i] == nil && !a.closing.Load() {
				var n int64
				n, errs[i] = piece(plan.Span{Lo: part.Lo + dones[i], Hi: part.Hi})
				dones[i] += n
			}
		})
	}
	g.Wait()
	for i := range dones {
		done += dones[i]
		if errs[i] != nil || dones[i] < lens[i] {
			return done, errs[i]
		}
	}
	return done, nil
}
