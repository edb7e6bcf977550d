package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

const sector = 512 // bytes

// version is one content of a sector: a serial number that the content is made from, with the sector's place.
type version uint64

const (
	zero    version = 0           // all zeroes
	unknown version = 1<<64 - 1   // anything
	garbage version = 1<<64 - 2   // as read: nothing that was ever written there
	stamp           = 0x67726169d // in the first word of every sector written, beside its place
)

// imprint fills b, a sector, with version v of sector lba.
func imprint(b []byte, lba int64, v version) {
	if v == zero {
		clear(b[:sector])
		return
	}
	binary.LittleEndian.PutUint64(b, uint64(lba)^stamp<<28)
	binary.LittleEndian.PutUint64(b[8:], uint64(v))
	x := uint64(lba)*0x9E3779B97F4A7C15 + uint64(v)*0xBF58476D1CE4E5B9
	for i := 16; i < sector; i += 8 {
		x += 0x9E3779B97F4A7C15
		z := (x ^ x>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		binary.LittleEndian.PutUint64(b[i:], z^z>>31)
	}
}

// identify is the version of sector lba that b is.
func identify(b []byte, lba int64) version {
	v := version(binary.LittleEndian.Uint64(b[8:]))
	var whole [sector]byte
	switch {
	case v == zero && bytes.Equal(b[:sector], whole[:]):
		return zero
	case v == zero || v == garbage || v == unknown || binary.LittleEndian.Uint64(b) != uint64(lba)^stamp<<28:
		return garbage
	}
	if imprint(whole[:], lba, v); !bytes.Equal(b[:sector], whole[:]) {
		return garbage
	}
	return v
}

// describe says what b is, for whoever reads a report.
func describe(b []byte, lba int64) string {
	switch v := identify(b, lba); {
	case v == zero:
		return "zeroes"
	case v != garbage:
		return fmt.Sprintf("version %d", v)
	}
	if at := int64(binary.LittleEndian.Uint64(b) ^ stamp<<28); at >= 0 && at < 1<<40 {
		if v := identify(b, at); v != garbage {
			return fmt.Sprintf("version %d of sector %d", v, at)
		}
		return fmt.Sprintf("a mix that begins as version %d of sector %d", binary.LittleEndian.Uint64(b[8:]), at)
	}
	return fmt.Sprintf("garbage (%x…)", b[:16])
}

// written is a version on its way to being durable.
type written struct {
	v     version
	acked int64 // when it was acknowledged, on the judge's clock; 0: not
}

// state is what is known of a sector.
type state struct {
	base  []version // any of these may be what is durable
	since []written // written since, oldest first
	now   version   // what a read returns
	vague bool      // now is not known: it is any of base and since; the next read tells
	loose bool      // and may change from read to read: a write failed there
}

// versions judges the content of an array.
type versions struct {
	sectors []state
	serial  version
	clock   int64
	dirty   map[int64]bool // sectors with since

	// excused says whether sector lba may hold anything: what it should hold is beyond what redundancy can tell.
	excused func(lba int64) bool
	// unsure says whether reads after a cut may return now this and now that version: redundancy is not restored and members are going.
	unsure func() bool
}

func newVersions(sectors int64, v version) *versions {
	j := &versions{sectors: make([]state, sectors), dirty: map[int64]bool{}}
	for i := range j.sectors {
		j.sectors[i] = state{base: []version{v}, now: v, vague: v == unknown}
	}
	return j
}

// write makes the content of [lba, lba+n), n sectors, and takes note that it is on its way.
func (j *versions) write(lba, n int64, buf []byte) {
	for i := range n {
		v := zero
		if buf != nil {
			j.serial++
			v = j.serial
			imprint(buf[i*sector:], lba+i, v)
		}
		s := &j.sectors[lba+i]
		s.since = append(s.since, written{v, 0})
		j.dirty[lba+i] = true
	}
}

// acked says that the last write of those sectors succeeded; durable that it had FUA.
func (j *versions) acked(lba, n int64, durable bool) {
	j.clock++
	for i := lba; i < lba+n; i++ {
		s := &j.sectors[i]
		last := &s.since[len(s.since)-1]
		last.acked, s.now, s.vague, s.loose = j.clock, last.v, false, false
		if durable {
			s.base, s.since = append(s.base[:0], s.now), s.since[:0]
			delete(j.dirty, i)
		}
	}
}

// failed says that the last write of those sectors did not: it may have happened, or partly.
func (j *versions) failed(lba, n int64) {
	for i := lba; i < lba+n; i++ {
		j.sectors[i].vague, j.sectors[i].loose = true, true
	}
}

// discarded says that the sectors were discarded: they read as before or as zeroes.
func (j *versions) discarded(lba, n int64) {
	for i := lba; i < lba+n; i++ {
		s := &j.sectors[i]
		s.merge()
		s.base, s.vague = append(s.base, zero), true
	}
}

// merge makes everything that is on its way part of base.
func (s *state) merge() {
	for _, w := range s.since {
		if !slices.Contains(s.base, w.v) {
			s.base = append(s.base, w.v)
		}
	}
	s.since = s.since[:0]
}

// flushed says that a flush succeeded that began at that time of the judge's clock.
func (j *versions) flushed(began int64) {
	for i := range j.dirty {
		s := &j.sectors[i]
		for k := len(s.since) - 1; k >= 0; k-- {
			if w := s.since[k]; w.acked != 0 && w.acked <= began {
				s.base = append(s.base[:0], w.v)
				s.since = append(s.since[:0], s.since[k+1:]...)
				break
			}
		}
		if len(s.since) == 0 {
			delete(j.dirty, i)
		}
	}
}

// crashed says that the array went down: what was on its way may be there or not.
func (j *versions) crashed() {
	for i := range j.sectors {
		s := &j.sectors[i]
		if len(s.since) > 0 || len(s.base) > 1 {
			s.merge()
			s.vague, s.loose = true, false
		}
	}
	clear(j.dirty)
}

// read judges what a read of [lba, …) returned.
func (j *versions) read(lba int64, buf []byte) error {
	for i := range int64(len(buf) / sector) {
		if err := j.readOne(lba+i, buf[i*sector:(i+1)*sector]); err != nil {
			return err
		}
	}
	return nil
}

func (j *versions) readOne(lba int64, b []byte) error {
	s, got := &j.sectors[lba], identify(b, lba)
	if !s.vague && got == s.now {
		return nil
	}
	if s.now == unknown && !s.vague || s.vague && slices.Contains(s.base, unknown) {
		return nil
	}
	maybe := got != garbage && (slices.Contains(s.base, got) || slices.ContainsFunc(s.since, func(w written) bool { return w.v == got }))
	switch {
	case maybe && (s.vague || j.unsure() && len(s.base) > 1):
		s.now, s.vague = got, s.loose
		return nil
	case j.excused(lba):
		s.base, s.now = append(s.base[:0], unknown), unknown
		return nil
	}
	return fmt.Errorf("sector %d holds %s, and must hold %s", lba, describe(b, lba), s)
}

func (s *state) String() string {
	if !s.vague {
		return fmt.Sprintf("version %d (durable: one of %v, on their way: %v)", s.now, s.base, s.since)
	}
	return fmt.Sprintf("one of %v or of %v", s.base, s.since)
}

// collapse says that what sector lba holds now is durable on every copy.
func (j *versions) collapse(lba int64) {
	s := &j.sectors[lba]
	if s.vague {
		return
	}
	s.base, s.since, s.loose = append(s.base[:0], s.now), s.since[:0], false
	delete(j.dirty, lba)
}
