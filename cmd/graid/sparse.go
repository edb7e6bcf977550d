package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// sparse is a sink that makes a file with holes where the content is zero. The file has its name only once it is whole.
type sparse struct {
	f       *os.File
	name    string
	replace bool
	at      int64
}

// grain is the smallest run of zeroes that is left out, bytes: the block of most file systems.
const grain = 4096

func (s *sparse) write(p []byte) error {
	for len(p) > 0 {
		n := zeroRun(p)
		if !bytes.Equal(p[:min(n, grain)], zeroes[:min(n, grain)]) {
			if _, err := s.f.WriteAt(p[:n], s.at); err != nil {
				return fmt.Errorf("%s: %w", s.name, cause(err))
			}
		}
		s.at += int64(n)
		p = p[n:]
	}
	return nil
}

// zeroRun is how many bytes of p, in whole grains, are alike: all zero or none of them all zero.
func zeroRun(p []byte) int {
	isZero := func(off int) bool {
		g := p[off:min(off+grain, len(p))]
		return bytes.Equal(g, zeroes[:len(g)])
	}
	first, n := isZero(0), grain
	for n < len(p) && isZero(n) == first {
		n += grain
	}
	return min(n, len(p))
}

func (s *sparse) skip(n int64) error {
	s.at += n
	return nil
}

func (s *sparse) finish(err error) error {
	if err == nil {
		err = s.whole()
	}
	err = errors.Join(err, s.f.Close())
	if err == nil {
		err = s.publish()
	}
	if err != nil {
		os.Remove(s.f.Name())
	}
	return err
}

func (s *sparse) whole() error {
	if err := s.f.Truncate(s.at); err != nil {
		return fmt.Errorf("%s: %w", s.name, cause(err))
	}
	if err := s.f.Chmod(0o666 &^ umask()); err != nil {
		return fmt.Errorf("%s: %w", s.name, cause(err))
	}
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("%s: %w", s.name, cause(err))
	}
	return nil
}

// publish gives the file its name. A link fails if the name was taken meanwhile, which a rename would not.
func (s *sparse) publish() error {
	if s.replace {
		return os.Rename(s.f.Name(), s.name)
	}
	err := os.Link(s.f.Name(), s.name)
	switch {
	case err == nil:
		return os.Remove(s.f.Name())
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s: somebody else made it in the meantime: name another file", s.name)
	}
	var no syscall.Errno // file systems without links
	if errors.As(err, &no) {
		return os.Rename(s.f.Name(), s.name)
	}
	return err
}
