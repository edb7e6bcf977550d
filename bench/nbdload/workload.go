//go:build linux

package main

import (
	"fmt"
	"strings"
)

// workload is one way to use a server: depth requests of size bytes in flight on each connection, at random or rising offsets; or a tool that
// copies all of it.
type workload struct {
	network string // unix or tcp
	write   bool
	size    int
	depth   int
	conns   int
	random  bool
	tool    string
}

func (w workload) name() string {
	op := "read"
	if w.write {
		op = "write"
	}
	switch {
	case w.tool != "":
		return fmt.Sprintf("%s %s %s", w.network, w.tool, op)
	case w.random:
		return fmt.Sprintf("%s %s 4K qd%d c%d", w.network, op, w.depth, w.conns)
	}
	return fmt.Sprintf("%s %s %s seq qd%d c%d", w.network, op, short(w.size), w.depth, w.conns)
}

func short(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%dM", n>>20)
	}
	return fmt.Sprintf("%dK", n>>10)
}

// workloads is what is to be measured: a choice, or all.
func workloads(full bool, only string) (list []workload) {
	add := func(w workload) {
		if strings.Contains(w.name(), only) {
			list = append(list, w)
		}
	}
	for _, network := range []string{"unix", "tcp"} {
		for _, write := range []bool{false, true} {
			for _, conns := range []int{1, 2, 4} {
				for _, depth := range []int{1, 16, 64} {
					usual := network == "unix" && (conns == 1 || conns == 4 && depth == 16) || conns == 1 && depth == 16
					if full || usual || only != "" {
						add(workload{network: network, write: write, size: 4096, depth: depth, conns: conns, random: true})
					}
				}
			}
		}
	}
	for _, network := range []string{"unix", "tcp"} {
		for _, write := range []bool{false, true} {
			if network == "unix" || full || only != "" {
				add(workload{network: network, write: write, size: 1 << 20, depth: 4, conns: 1})
				add(workload{network: network, write: write, tool: "nbdcopy", size: 256 << 10})
			}
			if network == "unix" && write {
				add(workload{network: network, write: write, size: 4096, depth: 64, conns: 1})
			}
		}
	}
	return list
}
