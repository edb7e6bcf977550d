package plan

// Partial is what a partial parity log has to say of rows of one stripe before they are written: bytes throughout.
type Partial struct {
	Role int   // whose parity it is
	Off  int64 // of the array: the first byte that is modified
	Data int64 // how much is modified: the same rows of so many chunks in a row
	Rows int64 // how many rows are modified
	Calc int   // Plan.Calcs[Calc] without the caller's bytes is what is not modified; -1: all of the rows is
}

// Logged is a level that may have a partial parity log. Parity is the sum of a stripe's data; of what a write does not modify the sum is known before
// the first byte is written, and with it the parity can be made right afterwards, whatever part of the write came through.
type Logged interface {
	Level

	// Partials appends to list what the log has to say before p, which Plan made for [off, off+n) of the array, writes anything. Rows whose parity
	// is not written, or could not be read afterwards, are not logged: no role's rows are computed from it.
	Partials(list []Partial, p *Plan, off, n int64, v *View) []Partial

	// Replay plans what makes parity true after the write that a log on role says was under way, of data bytes from off on, with the partial parity of rows
	// [0, pp) in the caller's buffer. It plans nothing for rows of which something modified cannot be read: what is missing there is whatever parity says.
	// It says no to what no log says.
	Replay(p *Plan, role int, off, data, pp int64, v *View) bool
}

// Size is how much partial parity it has, bytes.
func (p *Partial) Size() int64 {
	if p.Calc < 0 {
		return 0
	}
	return p.Rows
}
