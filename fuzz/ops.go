package fuzz

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Op is one thing that a client does. Its text is "w 12+3": a letter, and sectors or a time.
type Op struct {
	Kind   byte
	LBA, N int64 // sectors
	Pause  time.Duration
}

// The kinds.
const (
	opRead    = 'r'
	opWrite   = 'w'
	opFUA     = 'W' // a write with FUA
	opZeroes  = 'z'
	opDiscard = 'd'
	opFlush   = 'f'
	opPause   = 'p'
)

// onSectors are the kinds that have any.
const onSectors = "rwWzd"

// MarshalText writes what UnmarshalText reads.
func (o Op) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

func (o Op) String() string {
	switch {
	case strings.IndexByte(onSectors, o.Kind) >= 0:
		return fmt.Sprintf("%c %d+%d", o.Kind, o.LBA, o.N)
	case o.Kind == opPause:
		return "p " + o.Pause.String()
	}
	return string(o.Kind)
}

// UnmarshalText reads the text of an Op.
func (o *Op) UnmarshalText(b []byte) (err error) {
	text := string(b)
	switch kind, rest, _ := strings.Cut(text, " "); {
	case kind == "f" && rest == "":
		*o = Op{Kind: opFlush}
	case kind == "p":
		o.Kind = opPause
		o.Pause, err = time.ParseDuration(rest)
	case len(kind) == 1 && strings.Contains(onSectors, kind):
		o.Kind = kind[0]
		_, err = fmt.Sscanf(rest, "%d+%d", &o.LBA, &o.N)
	default:
		err = fmt.Errorf("%q: give r, w, W, z or d with first+count, f, or p with a time", text)
	}
	return err
}

// script is what client id does in a life: as the case has it, or as its stream has it, on an array of that many sectors.
func (c *Case) script(rng *rand.Rand, l *Life, id int, sectors int64) []Op {
	if c.Scripted {
		if id < len(l.Clients) {
			return l.Clients[id]
		}
		return nil
	}
	var ops []Op
	for range c.Ops {
		if o := c.op(rng, id, sectors); o.Kind != 0 {
			ops = append(ops, o)
		}
	}
	return ops
}

// op draws what client id does next. In a world whose sectors are not shared each client writes runs of its own, that lie between those of others.
func (c *Case) op(rng *rand.Rand, id int, sectors int64) Op {
	m := &c.Mix
	pick := rng.IntN(m.Read + m.Write + m.FUA + m.Zeroes + m.Discard + m.Flush + m.Pause)
	for _, k := range []struct {
		n    int
		kind byte
	}{{m.Read, opRead}, {m.Write, opWrite}, {m.FUA, opFUA}, {m.Zeroes, opZeroes}, {m.Discard, opDiscard}, {m.Flush, opFlush}, {m.Pause, opPause}} {
		if pick -= k.n; pick >= 0 {
			continue
		}
		o := Op{Kind: k.kind}
		switch {
		case k.kind == opPause:
			o.Pause = time.Duration(rng.Int64N(int64(c.Disk.Least) * 1000))
		case k.kind == opFlush:
		case c.Share == shareAll || c.Share == shareReads && k.kind == opRead:
			o.LBA, o.N = c.anywhere(rng, sectors)
		default:
			o.LBA, o.N = c.own(rng, id, sectors)
		}
		if unit := c.unit(); unit > 1 {
			o.LBA, o.N = o.LBA/unit*unit, (o.N+unit-1)/unit*unit
			o.N = min(o.N, sectors-o.LBA)
		}
		if o.N == 0 && strings.IndexByte(onSectors, o.Kind) >= 0 {
			return Op{}
		}
		return o
	}
	panic("fuzz: a mix of nothing")
}

// own draws a stretch of the client's own sectors; n is 0 when it has none.
func (c *Case) own(rng *rand.Rand, id int, sectors int64) (lba, n int64) {
	runs := (sectors + c.Run - 1) / c.Run
	mine := (runs - int64(id) + int64(c.Clients) - 1) / int64(c.Clients)
	if mine <= 0 {
		return 0, 0
	}
	lo := (rng.Int64N(mine)*int64(c.Clients) + int64(id)) * c.Run
	hi := min(lo+c.Run, sectors)
	if rng.IntN(4) == 0 {
		return lo, hi - lo
	}
	lba = lo + rng.Int64N(hi-lo)
	return lba, 1 + rng.Int64N(hi-lba)
}

// anywhere draws a stretch near one of a few places.
func (c *Case) anywhere(rng *rand.Rand, sectors int64) (lba, n int64) {
	places := 1 + sectors/(c.Run*8+64)
	lba = rng.Int64N(places)*(c.Run*8+64) + rng.Int64N(c.Run*2)
	if lba >= sectors {
		lba = rng.Int64N(sectors)
	}
	return lba, 1 + rng.Int64N(min(c.Run, sectors-lba))
}
