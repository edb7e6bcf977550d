package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"graid/block"
)

// Parse reads faults: one a line, or separated by semicolons. Empty lines and what follows a # count for nothing.
func Parse(text string) ([]Fault, error) {
	var list []Fault
	for i, l := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' }) {
		l, _, _ = strings.Cut(l, "#")
		words := strings.Fields(l)
		if len(words) == 0 {
			continue
		}
		f, err := parseFault(words)
		if err != nil {
			return nil, fmt.Errorf("fault %d, %q: %w", i+1, strings.TrimSpace(l), err)
		}
		list = append(list, f)
	}
	return list, nil
}

func parseFault(words []string) (f Fault, err error) {
	f.Member = words[0]
	words = words[1:]
	if len(words) > 0 {
		if f.Ops, err = parseOps(words[0]); err != nil {
			return f, err
		}
		if f.Ops != 0 {
			words = words[1:]
		}
	}
	if len(words) > 0 && strings.HasPrefix(words[0], "[") {
		if f.Off, f.Len, err = parseRange(words[0]); err != nil {
			return f, err
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return f, fmt.Errorf("no effect: give one of %s", strings.Join(effectNames[:], ", "))
	}
	if err = f.parseEffect(words[0]); err != nil {
		return f, err
	}
	for _, w := range words[1:] {
		if err = f.parseCondition(w); err != nil {
			return f, err
		}
	}
	return f, f.check()
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

func parseSize(word string) (int64, error) {
	digits := strings.TrimRight(word, "KMGT")
	shift := 0
	if suffix := word[len(digits):]; len(suffix) == 1 {
		shift = 10 * (1 + strings.Index("KMGT", suffix))
	} else if suffix != "" {
		digits = word
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("size %q: give bytes, or a number with K, M, G or T", word)
	}
	return n << shift, nil
}

func (f *Fault) parseEffect(word string) (err error) {
	name, value, valued := strings.Cut(word, "=")
	i := slices.Index(effectNames[:], name)
	if i < 0 {
		return fmt.Errorf("effect %q: give one of %s", name, strings.Join(effectNames[:], ", "))
	}
	f.Effect = Effect(i)
	switch f.Effect {
	case Shift:
		f.By, err = parseSize(value)
	case Stall, Late:
		f.Wait, err = parseTime(value)
	default:
		if valued {
			err = fmt.Errorf("effect %q takes no value", name)
		}
	}
	return err
}

func parseTime(word string) (time.Duration, error) {
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("time %q: give a number with ns, us, ms, s, m or h", word)
	}
	return d, nil
}

func (f *Fault) parseCondition(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "at":
		f.At, err = parseTime(value)
	case "for":
		f.For, err = parseTime(value)
	case "after":
		f.After, err = parseCount(value)
	case "count":
		f.Count, err = parseCount(value)
	case "p":
		rest, ok := strings.CutPrefix(value, "1/")
		if f.OneIn, err = parseCount(rest); !ok || f.OneIn == 0 {
			err = fmt.Errorf("chance %q: give 1/n", value)
		}
	default:
		err = fmt.Errorf("condition %q: give at=, for=, after=, count= or p=", name)
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

// check refuses what could not mean anything.
func (f *Fault) check() error {
	if f.Ops != 0 && f.may() != 0 && f.Ops&^f.may() != 0 {
		return fmt.Errorf("%s is for %s only", f.Effect, f.may())
	}
	switch f.Effect {
	case Shift:
		if f.By == 0 || f.By%Sector != 0 {
			return fmt.Errorf("shift of %d bytes: give a multiple of %d", f.By, Sector)
		}
	case Stall, Late:
		if f.Wait == 0 {
			return fmt.Errorf("%s of no time", f.Effect)
		}
	case Bad, Rot:
		if f.Len == 0 {
			return fmt.Errorf("%s needs a range", f.Effect)
		}
	}
	return nil
}

// may is the operations that f's effect can mean; 0 when it has a meaning for all.
func (f *Fault) may() Ops {
	if int(f.Effect) < len(effectOps) {
		return effectOps[f.Effect]
	}
	return 0
}
