package level10

// Rows is below which row every role has what belongs there, when every array offset below pos has all its copies. With far copies, which begin
// in the second part of the members, that is none before everything has.
func (l *level) Rows(pos int64) int64 {
	turns := l.turns()
	if turns == 0 {
		if pos >= l.m.Chunks*l.m.Chunk {
			return l.m.Used * l.m.Chunk
		}
		return 0
	}
	return pos / l.m.Chunk * int64(l.m.Near) / int64(l.m.Roles) * turns * l.m.Chunk
}

// Pos is an array offset that comes after everything that has a copy below row only.
func (l *level) Pos(row int64) int64 {
	turns := l.turns()
	if turns == 0 {
		return 0
	}
	return row / (turns * l.m.Chunk) * int64(l.m.Roles) / int64(l.m.Near) * l.m.Chunk
}

// turns is how many rows of chunks the copies of one row of the array take, one after the other; 0 where they are far apart.
func (l *level) turns() int64 {
	switch {
	case l.m.Far == 1:
		return 1
	case l.m.Offset:
		return int64(l.m.Far)
	}
	return 0
}
