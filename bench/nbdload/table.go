//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is what one workload gave on one server.
type row struct {
	load    workload
	server  string
	port    *port
	results []result
}

type table struct{ rows []*row }

// Whom others are compared to.
const (
	kit    = "nbdkit-file"
	qemu   = "qemu-nbd"
	single = "graid-single"
)

func (t *table) find(w workload, server string) *row {
	for _, r := range t.rows {
		if r.load == w && r.server == server {
			return r
		}
	}
	return nil
}

func opsOf(r result) float64 { return r.ops }

// perCPU is operations per microsecond of the server's CPU.
func perCPU(r result) float64 { return 1 / r.cpu }

// ratio is the median of what r and base gave in the same round.
func ratio(r, base *row, of func(result) float64) float64 {
	var list []float64
	for i := range min(len(r.results), len(base.results)) {
		list = append(list, of(r.results[i])/of(base.results[i]))
	}
	return median(list)
}

func (r *row) median(of func(result) float64) float64 {
	var list []float64
	for _, one := range r.results {
		list = append(list, of(one))
	}
	return median(list)
}

// median is that of list, or 0 of nothing.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return (list[len(list)/2] + list[(len(list)-1)/2]) / 2
}

func (t *table) print() {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "workload\tserver\tops/s\tMB/s\tcpu us/op\tops/%s\tper cpu\tper cpu/%s\tops/%s\n", kit, qemu, single)
	for i, r := range t.rows {
		name := r.load.name()
		if i > 0 && t.rows[i-1].load == r.load {
			name = ""
		}
		ops := r.median(opsOf)
		fmt.Fprintf(out, "%s\t%s\t%.0f\t%.0f\t%.1f", name, r.server, ops, ops*float64(r.load.size)/1e6, r.median(func(r result) float64 { return r.cpu }))
		t.cell(out, r, kit, opsOf)
		t.cell(out, r, kit, perCPU)
		t.cell(out, r, qemu, perCPU)
		t.cell(out, r, single, opsOf)
		fmt.Fprintln(out)
	}
	out.Flush()
}

func (t *table) cell(out *tabwriter.Writer, r *row, base string, of func(result) float64) {
	if b := t.find(r.load, base); b != nil && b != r {
		fmt.Fprintf(out, "\t%.2f", ratio(r, b, of))
		return
	}
	fmt.Fprint(out, "\t-")
}

// aim is what a server is to reach, of another one, in all of some workloads.
type aim struct {
	name         string
	server, base string
	of           func(result) float64
	least        float64
	where        func(workload) bool
}

func deep(w workload) bool    { return w.random && w.depth >= 16 }
func shallow(w workload) bool { return w.random && w.depth == 1 }
func large(w workload) bool   { return !w.random && w.tool == "" && w.size >= 1<<20 }
func random(w workload) bool  { return w.random }
func copying(w workload) bool { return w.tool != "" }

func reading(w workload) bool { return !w.write && w.tool == "" }

func both(a, b func(workload) bool) func(workload) bool {
	return func(w workload) bool { return a(w) && b(w) }
}

func writing(w workload) bool { return w.write }

var aims = []aim{
	{"random, qd16 and up: ops/s", single, kit, opsOf, 1.5, deep},
	{"random, qd16 and up: per CPU-second", single, kit, perCPU, 1.5, deep},
	{"random, qd1: ops/s", single, kit, opsOf, 1, shallow},
	{"1M: ops/s", single, kit, opsOf, 1, large},
	{"random, qd16 and up: per CPU-second", single, qemu, perCPU, 3, deep},
	{"random, qd1: per CPU-second", single, qemu, perCPU, 3, shallow},
	{"1M: per CPU-second", single, qemu, perCPU, 3, large},
	{"nbdcopy: ops/s", single, kit, opsOf, 1, copying},
	{"reads: ops/s", "graid-raid5", single, opsOf, 0.85, reading},
	{"4K random writes: ops/s", "graid-raid5", single, opsOf, 0.3, both(random, writing)},
	{"1M writes: ops/s", "graid-raid5", single, opsOf, 0.6, both(large, writing)},
}

// judge prints what was aimed at, and the workload that is the furthest from it.
func (t *table) judge() {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\naim\tof\tat least\tworst\tcells\twhere\n")
	for _, a := range aims {
		var worst *row
		least, cells, met := 0.0, 0, 0
		for _, r := range t.rows {
			b := t.find(r.load, a.base)
			if r.server != a.server || b == nil || !a.where(r.load) {
				continue
			}
			x := ratio(r, b, a.of)
			cells++
			if x >= a.least {
				met++
			}
			if worst == nil || x < least {
				worst, least = r, x
			}
		}
		if worst != nil {
			fmt.Fprintf(out, "%s, %s\t%s\t%.2f\t%.2f\t%d/%d\t%s\n", strings.TrimPrefix(a.server, "graid-"), a.name, a.base, a.least, least, met, cells, worst.load.name())
		}
	}
	out.Flush()
}
