//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
)

// copier copies with nbdcopy: four connections, and many requests of 256 KiB in flight on each.
type copier struct {
	tool string // its path; empty where there is none
	file *os.File
	size uint64
}

func newCopier(dir string) (*copier, error) {
	path, err := exec.LookPath("nbdcopy")
	if err != nil {
		fmt.Fprintln(os.Stderr, "nbdcopy is not installed: its rows are left out")
	}
	f, err := os.CreateTemp(dir, "nbdload-")
	if err != nil {
		return nil, err
	}
	return &copier{tool: path, file: f}, nil
}

// prepare fills the file that is copied.
func (c *copier) prepare() error {
	b := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(b)
	for off := uint64(0); off < c.size; off += uint64(len(b)) {
		if _, err := c.file.WriteAt(b[:min(uint64(len(b)), c.size-off)], int64(off)); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) close() {
	c.file.Close()
	os.Remove(c.file.Name())
}

// run copies all of p to nothing, or the file to p, and returns how many requests that is.
func (c *copier) run(p *port, w workload) (int, error) {
	u := url.URL{Scheme: "nbd", Host: p.address, Path: "/" + p.export}
	if p.network == "unix" {
		u = url.URL{Scheme: "nbd+unix", Path: "/" + p.export, RawQuery: "socket=" + p.address}
	}
	args := []string{u.String(), "null:"}
	n := p.clients[0].size
	if w.write {
		args, n = []string{c.file.Name(), u.String()}, c.size
	}
	if out, err := exec.Command(c.tool, args...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("nbdcopy: %w: %s", err, bytes.TrimSpace(out))
	}
	return int(n) / w.size, nil
}
