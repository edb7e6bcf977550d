package fault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"graid/block"
)

// Sector is what a member writes whole or not at all, bytes.
const Sector = 512

// Parse reads rules: one a line, or separated by semicolons. Empty lines and what follows a # count for nothing. A member's name that is
// more than one word stands in quotes.
func Parse(text string) ([]Rule, error) {
	var list []Rule
	for i, l := range split(text) {
		name, words, err := fields(l)
		if err != nil {
			return nil, fmt.Errorf("fault %d, %q: %w", i+1, l, err)
		}
		if name == "" && len(words) == 0 {
			continue
		}
		r := Rule{Member: name}
		if err := r.parse(words); err != nil {
			return nil, fmt.Errorf("fault %d, %q: %w", i+1, l, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// split cuts text into rules: at line ends and semicolons that are not quoted, and leaves out empty ones and what follows a #. An end of
// line ends a quotation too.
func split(text string) (list []string) {
	start, quote, comment := 0, false, false
	end := -1 // where the comment begins
	flush := func(at int) {
		if end < 0 {
			end = at
		}
		if s := text[start:end]; at > start {
			list = append(list, strings.TrimSpace(s))
		}
		start, end, quote, comment = at+1, -1, false, false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n' || c == ';' && !quote:
			flush(i)
		case comment:
		case c == '\\' && quote && i+1 < len(text) && text[i+1] != '\n':
			i++
		case c == '"':
			quote = !quote
		case c == '#' && !quote:
			end, comment = i, true
		}
	}
	flush(len(text))
	return list
}

// fields is the member that line begins with, and the words after it.
func fields(line string) (member string, words []string, err error) {
	if !strings.HasPrefix(line, `"`) {
		words = strings.Fields(line)
		if len(words) == 0 {
			return "", nil, nil
		}
		return words[0], words[1:], nil
	}
	q, err := strconv.QuotedPrefix(line)
	if err == nil {
		member, err = strconv.Unquote(q)
	}
	if rest := strings.TrimPrefix(line, q); err != nil || rest != "" && !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "\t") {
		return "", nil, fmt.Errorf("a member in quotes that are not closed: give one such as \"my disk\"")
	}
	if member == "" {
		return "", nil, fmt.Errorf("a member without a name: give a path, a number or *")
	}
	return member, strings.Fields(line[len(q):]), nil
}

func (r *Rule) parse(words []string) (err error) {
	if len(words) > 0 {
		if r.Ops, err = parseOps(words[0]); err != nil {
			return err
		}
		if r.Ops != 0 {
			words = words[1:]
		}
	}
	if len(words) > 0 && strings.HasPrefix(words[0], "[") {
		if r.Off, r.Len, err = parseRange(words[0]); err != nil {
			return err
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return fmt.Errorf("no effect: give one of %s", strings.Join(effectNames[:], ", "))
	}
	if err = r.parseEffect(words[0]); err != nil {
		return err
	}
	for _, w := range words[1:] {
		if err = r.parseCondition(w); err != nil {
			return err
		}
	}
	return r.check()
}

// parseOps is the set of operations that word names, none if it names something else.
func parseOps(word string) (s Ops, err error) {
	for i, name := range strings.Split(word, ",") {
		op := block.Read
		for op <= block.WriteZeroes && op.String() != name {
			op++
		}
		switch {
		case op <= block.WriteZeroes:
			s |= ops(op)
		case i == 0:
			return 0, nil
		default:
			return 0, fmt.Errorf("operation %q: give read, write, flush, discard or zero", name)
		}
	}
	return s, nil
}

func parseRange(word string) (off, n int64, err error) {
	lo, hi, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(word, "["), ")"), ",+")
	if !ok || !strings.HasSuffix(word, ")") {
		return 0, 0, fmt.Errorf("range %q: give [offset,+length)", word)
	}
	if off, err = parseSize(lo); err != nil {
		return 0, 0, err
	}
	if n, err = parseSize(hi); err == nil && n == 0 {
		err = fmt.Errorf("range %q is empty", word)
	}
	return off, n, err
}

// maxSize is the largest size, bytes: the end of a range must not overflow.
const maxSize = 1 << 61

func parseSize(word string) (int64, error) {
	digits := strings.TrimRight(word, "KMGT")
	shift := 0
	if suffix := word[len(digits):]; len(suffix) == 1 {
		shift = 10 * (1 + strings.Index("KMGT", suffix))
	} else if suffix != "" {
		digits = word
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > maxSize>>shift {
		return 0, fmt.Errorf("size %q: give bytes, or a number with K, M, G or T", word)
	}
	return n << shift, nil
}

func (r *Rule) parseEffect(word string) (err error) {
	name, value, valued := strings.Cut(word, "=")
	i := slices.Index(effectNames[:], name)
	switch {
	case name == "rate" || name == "depth":
		return fmt.Errorf("%s is of a delay: give delay=0s %s", name, word)
	case i < 0:
		return fmt.Errorf("effect %q: give one of %s", name, strings.Join(effectNames[:], ", "))
	}
	r.Effect = Effect(i)
	switch r.Effect {
	case Shift:
		r.By, err = parseSize(value)
	case Late:
		r.Wait, err = parseTime(value)
	case Stall, Delay:
		lo, hi, both := strings.Cut(value, "..")
		if r.Wait, err = parseTime(lo); err == nil && both {
			if r.Upto, err = parseTime(hi); err == nil && r.Upto <= r.Wait {
				err = fmt.Errorf("time %q: give the shorter one first", value)
			}
		}
	default:
		if valued {
			err = fmt.Errorf("effect %q takes no value", name)
		}
	}
	return err
}

// maxTime is the longest time: At and For may be added.
const maxTime = 100 * 365 * 24 * time.Hour

func parseTime(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 || d > maxTime {
		return 0, fmt.Errorf("time %q: give a number with ns, us, ms, s, m or h", word)
	}
	return d, nil
}

func (r *Rule) parseCondition(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "at":
		r.At, err = parseTime(value)
	case "for":
		r.For, err = parseTime(value)
	case "after":
		r.After, err = parseCount(value)
	case "count":
		r.Count, err = parseCount(value)
	case "seed":
		r.Seed, err = parseCount(value)
	case "p":
		rest, ok := strings.CutPrefix(value, "1/")
		if r.OneIn, err = parseCount(rest); !ok || r.OneIn == 0 {
			err = fmt.Errorf("chance %q: give 1/n", value)
		}
	case "rate":
		r.Rate, err = parseSize(value)
	case "depth":
		r.Depth, err = parseCount(value)
	default:
		err = fmt.Errorf("condition %q: give at=, for=, after=, count=, p= or seed=", name)
	}
	return err
}

func parseCount(word string) (int64, error) {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("number %q: give a whole one", word)
	}
	return n, nil
}

// maxDepth is the longest queue of a Delay.
const maxDepth = 1024

// check refuses what could not mean anything.
func (r *Rule) check() error {
	if r.Ops != 0 && r.may() != 0 && r.Ops&^r.may() != 0 {
		return fmt.Errorf("%s is for %s only", r.Effect, r.may())
	}
	if r.Effect != Delay && (r.Rate > 0 || r.Depth > 0) {
		return fmt.Errorf("rate= and depth= are of a delay, not of %s", r.Effect)
	}
	switch r.Effect {
	case Shift:
		if r.By == 0 || r.By%Sector != 0 {
			return fmt.Errorf("shift of %d bytes: give a multiple of %d", r.By, Sector)
		}
	case Stall, Late:
		if r.Wait == 0 && r.Upto == 0 {
			return fmt.Errorf("%s of no time", r.Effect)
		}
	case Delay:
		switch {
		case r.Depth > maxDepth:
			return fmt.Errorf("depth of %d: the most is %d", r.Depth, maxDepth)
		case r.Wait == 0 && r.Upto == 0 && r.Rate == 0:
			return fmt.Errorf("delay of no time: give delay=5ms, or delay=0s rate=50M")
		}
	case Bad, Rot:
		if r.Len == 0 {
			return fmt.Errorf("%s needs a range", r.Effect)
		}
	}
	return nil
}
