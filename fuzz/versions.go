package fuzz

import (
	"fmt"
	"slices"
)

// written is a version that may be what is durable.
type written struct {
	v            version
	began, ended int64 // on the judge's clock; ended is 0 while it is under way
	ok           bool  // acknowledged: what ended before it began is gone for good
}

// old is the time of what an earlier life wrote: before everything.
const old = 1

// state is what is known of a sector.
type state struct {
	all    []written // any of these may be what is durable
	past   []written // and these may be what a read returns that began long ago
	now    version   // what a read returns
	vague  bool      // now is not known: a read tells
	loose  bool      // and may change from read to read: a write failed there
	listed bool      // a flush has to look at it
	crowd  bool      // writes were under way together: nobody knows which came last
	under  int       // writes under way
	ended  int64     // when the last of them was over
}

// versions judges the content of an array. Its clock goes on with whatever begins or ends.
type versions struct {
	sectors  []state
	serial   version
	clock    int64
	reading  int     // reads under way
	dirty    []int64 // sectors that are listed
	suspects []int64 // sectors of which the last crash left several contents

	// excused says whether sector lba may hold anything: what it should hold is beyond what redundancy can tell.
	excused func(lba int64) bool
	// unsure says whether reads after a cut may return now this and now that version: redundancy is not restored and members are going.
	unsure func() bool
}

func newVersions(sectors int64, v version) *versions {
	j := &versions{sectors: make([]state, sectors), clock: old}
	for i := range j.sectors {
		j.sectors[i] = state{all: []written{{v, 0, old, true}}, now: v, vague: v == unknown}
	}
	return j
}

// begin is the time at which something begins.
func (j *versions) begin() int64 {
	j.clock++
	return j.clock
}

// write makes the content of [lba, lba+n), n sectors, takes note that it is on its way, and returns its version; buf nil is zeroes.
func (j *versions) write(lba, n int64, buf []byte) (v version, began int64) {
	began = j.begin()
	if buf != nil {
		j.serial++
		v = j.serial
	}
	for i := range n {
		if buf != nil {
			imprint(buf[i*sector:], lba+i, v)
		}
		s := &j.sectors[lba+i]
		s.all = append(s.all, written{v, began, 0, false})
		s.under++
		s.crowd = s.under > 1
		j.list(lba + i)
	}
	return v, began
}

func (j *versions) list(lba int64) {
	if s := &j.sectors[lba]; !s.listed {
		s.listed = true
		j.dirty = append(j.dirty, lba)
	}
}

// fate is how a change ended.
type fate uint8

const (
	done    fate = iota
	durable      // done, with FUA
	maybe        // a discard: what is there is what was, or zeroes
	failed       // it may have happened, or partly
)

// wrote says that the write that began then is over.
func (j *versions) wrote(lba, n, began int64, how fate) {
	j.clock++
	for i := lba; i < lba+n; i++ {
		s := &j.sectors[i]
		at := len(s.all) - 1
		for s.all[at].began != began {
			at--
		}
		w := &s.all[at]
		w.ended, w.ok, s.ended = j.clock, how <= durable, j.clock
		switch {
		case how == failed:
			s.vague, s.loose = true, true
		case how == maybe || s.crowd:
			s.vague = true
		default:
			s.now, s.vague, s.loose = w.v, false, false
		}
		if s.under--; s.under == 0 {
			s.crowd = false
		}
		if how == durable {
			j.supersede(s, began)
		}
	}
}

// supersede drops what ended before that time: something that began then is durable.
func (j *versions) supersede(s *state, began int64) {
	if j.reading == 0 {
		s.past = s.past[:0]
	} else {
		for _, w := range s.all {
			if w.ended != 0 && w.ended < began {
				s.past = append(s.past, w)
			}
		}
	}
	s.all = slices.DeleteFunc(s.all, func(w written) bool { return w.ended != 0 && w.ended < began })
}

// flushed says that a flush succeeded that began at that time.
func (j *versions) flushed(began int64) {
	left := j.dirty[:0]
	for _, lba := range j.dirty {
		s := &j.sectors[lba]
		latest, more := int64(0), false
		for _, w := range s.all {
			if done := w.ended != 0 && w.ended <= began; done && w.ok {
				latest = max(latest, w.began)
			} else if !done {
				more = true
			}
		}
		if j.supersede(s, latest); more {
			left = append(left, lba)
		} else {
			s.listed = false
		}
	}
	j.dirty = left
}

// crashed says that the array went down: what was on its way may be there or not.
func (j *versions) crashed() {
	j.suspects, j.reading = j.suspects[:0], 0
	for i := range j.sectors {
		s := &j.sectors[i]
		s.under, s.crowd, s.listed, s.ended, s.past = 0, false, false, 0, nil
		if len(s.all) == 1 && !s.loose {
			continue
		}
		j.suspects = append(j.suspects, int64(i))
		var kept []written
		for _, w := range s.all {
			if !slices.ContainsFunc(kept, func(k written) bool { return k.v == w.v }) {
				kept = append(kept, written{w.v, 0, old, true})
			}
		}
		s.all, s.vague, s.loose = kept, true, false
	}
	j.dirty = j.dirty[:0]
}

// read judges what a read of [lba, …) returned that began then. seen, if it is not nil, is told each version.
func (j *versions) read(lba int64, buf []byte, began int64, seen func(lba int64, v version)) error {
	j.clock++
	for i := range int64(len(buf) / sector) {
		got, err := j.readOne(lba+i, buf[i*sector:(i+1)*sector], began)
		if err != nil {
			return err
		}
		if seen != nil {
			seen(lba+i, got)
		}
	}
	return nil
}

func (j *versions) readOne(lba int64, b []byte, began int64) (version, error) {
	s, got := &j.sectors[lba], identify(b, lba)
	quiet := s.under == 0 && s.ended < began // nothing was written meanwhile
	if quiet && !s.vague && got == s.now {
		return got, nil
	}
	if quiet && !s.vague && s.now == unknown {
		return garbage, nil
	}
	latest := int64(0)
	for _, w := range s.all {
		if w.ok && w.ended != 0 && w.ended < began {
			latest = max(latest, w.began)
		}
	}
	may := func(v version) bool { // the sector may hold v
		holds := func(w written) bool { return w.v == v && (w.ended == 0 || w.ended >= latest) }
		return slices.ContainsFunc(s.all, holds) || !quiet && slices.ContainsFunc(s.past, holds)
	}
	anyhow := got != garbage && slices.ContainsFunc(s.all, func(w written) bool { return w.v == got })
	switch {
	case !(quiet && !s.vague) && may(unknown):
		return garbage, nil
	case got != garbage && !quiet && may(got):
		return got, nil
	case got != garbage && s.vague && may(got), anyhow && j.unsure() && len(s.all) > 1:
		s.now, s.vague = got, s.loose
		return got, nil
	case j.excused(lba):
		s.all = slices.DeleteFunc(s.all, func(w written) bool { return w.ended != 0 })
		s.all = append(s.all, written{unknown, 0, old, true})
		s.now, s.vague = unknown, s.under > 0
		return garbage, nil
	}
	return got, fmt.Errorf("sector %d holds %s, and must hold %s", lba, describe(b, lba), s)
}

func (s *state) String() string {
	if !s.vague {
		return fmt.Sprintf("version %d (may be durable: %v)", s.now, s.all)
	}
	return fmt.Sprintf("one of %v", s.all)
}

// collapse says that what sector lba holds now is durable on every copy.
func (j *versions) collapse(lba int64) {
	s := &j.sectors[lba]
	if s.vague || s.under > 0 {
		return
	}
	s.all, s.loose = append(s.all[:0], written{s.now, 0, old, true}), false
}
