package nbd

import (
	"fmt"
	"math/bits"
	"reflect"

	"graid/block"
	"graid/block/unalign"
)

// Export is a device under a name that clients ask for.
//
// Dev may have any Block: requests that are not a multiple of it are read, modified and written under a lock that all
// connections of the Server share. Whoever writes to Dev beside the Server must stay out of its way.
type Export struct {
	Name        string // at most 4096 bytes of UTF-8; "" is the default export
	Description string // for people
	Dev         block.Device
	ReadOnly    bool // refuse changes even if Dev would take them
	TLS         bool // for clients with TLS alone, where TLS is optional: others are not told that it exists
}

// volume is an export opened by at least one connection.
type volume struct {
	Export
	dev   block.Device // Dev, taking requests of any alignment
	info  block.Info   // of dev
	size  uint64       // bytes
	holes bool         // dev knows its holes
}

func newVolume(e Export, dev block.Device) *volume {
	v := &volume{Export: e, dev: dev, info: dev.Info()}
	v.size = uint64(v.info.Size)
	v.ReadOnly = e.ReadOnly || !v.info.Writable
	_, v.holes = e.Dev.(block.Extenter)
	return v
}

// flags are the transmission flags. Flush on a Device covers every write that completed anywhere, so connections always
// may be mixed; FUA and CACHE are harmless where nothing can be changed.
func (v *volume) flags(structured bool) uint16 {
	f := exportHasFlags | exportFlush | exportFUA | exportMultiConn | exportCache
	if structured {
		f |= exportDF
	}
	if v.ReadOnly {
		return f | exportReadOnly
	}
	return f | exportTrim | exportWriteZeroes | exportFastZero
}

// preferred is the block size advertised as efficient, bytes: a power of two, at least 4096 and within the payload limit.
func (v *volume) preferred(payload uint32) uint32 {
	p := int64(4096)
	if o := v.info.Optimal; o > p {
		p = 1 << (bits.Len64(uint64(o)) - 1)
	}
	return uint32(min(p, 32<<20, int64(payload)))
}

// open finds the export called name and counts one more user of it; nil when there is none of that name.
func (s *Server) open(name string) (*volume, error) {
	e, err := s.lookup(name)
	if err != nil || e == nil || e.Dev == nil {
		return nil, err
	}
	dev, err := s.align(e.Dev)
	if err != nil {
		return nil, err
	}
	return newVolume(*e, dev), nil
}

// align is dev, taking requests of any alignment. All connections share one such layer, and so one lock: or two of them
// could lose each other's half of a block.
func (s *Server) align(dev block.Device) (block.Device, error) {
	if dev.Info().Block <= 1 {
		return dev, nil
	}
	if !reflect.TypeOf(dev).Comparable() {
		return nil, fmt.Errorf("a device of type %T cannot be recognised when it is opened again: pass a pointer", dev)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wrapped[dev]
	if w == nil {
		w = &wrapper{dev: unalign.Wrap(dev, s.sched())}
		if s.wrapped == nil {
			s.wrapped = map[block.Device]*wrapper{}
		}
		s.wrapped[dev] = w
	}
	w.users++
	return w.dev, nil
}

// wrapper is the aligning layer of one device, for as long as a connection uses it.
type wrapper struct {
	dev   block.Device
	users int
}

func (s *Server) release(v *volume) {
	if v.dev == v.Dev {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.wrapped[v.Dev]; w != nil {
		if w.users--; w.users == 0 {
			delete(s.wrapped, v.Dev)
		}
	}
}

// lookup asks Exports, or looks through List when there is no Exports; then "" is the first of the list.
func (s *Server) lookup(name string) (*Export, error) {
	if s.Exports != nil {
		return s.Exports(name)
	}
	if s.List == nil {
		return nil, nil
	}
	for i, e := range s.List() {
		if e.Name == name || (name == "" && i == 0) {
			return &e, nil
		}
	}
	return nil, nil
}
