//go:build linux

// Command nbdload drives NBD servers side by side and prints how they compare.
//
//	nbdload [flags] NAME=PID,unix:PATH,EXPORT NAME=PID,tcp:HOST:PORT,EXPORT …
//
// Every workload is run on every server in turn, forward in one round and backward in the next: A B B A. Ratios are of runs of the same round,
// so that what else the machine does meanwhile meets both; the median round counts. Depth is of each connection.
// The load generator is a thread for each connection that writes what fits and reads what came, with plain blocking system
// calls, so that it costs less than the servers do. CPU is what the server's process used meanwhile, by its own clock.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

func main() {
	span := flag.Duration("time", 100*time.Millisecond, "length of one run")
	rounds := flag.Int("rounds", 4, "runs of each workload on each server")
	full := flag.Bool("full", false, "all workloads: takes four times as long")
	only := flag.String("only", "", "only workloads whose name has this in it")
	dir := flag.String("dir", os.TempDir(), "folder for what nbdcopy reads")
	limit := flag.Duration("limit", 10*time.Minute, "leave out the workloads that would begin later than this")
	flag.Parse()
	runtime.GOMAXPROCS(8) // threads that sit in system calls must not keep each other from running
	if err := compare(flag.Args(), workloads(*full, *only), *span, *rounds, *dir, time.Now().Add(*limit)); err != nil {
		fmt.Fprintln(os.Stderr, "nbdload:", err)
		os.Exit(1)
	}
}

func compare(args []string, loads []workload, span time.Duration, rounds int, dir string, deadline time.Time) error {
	servers, err := parse(args)
	if err != nil {
		return err
	}
	copies, err := newCopier(dir)
	if err != nil {
		return err
	}
	defer copies.close()
	if copies.size, err = fill(servers); err != nil {
		return err
	}
	if err := copies.prepare(); err != nil {
		return err
	}
	var t table
	for _, w := range loads {
		if time.Now().After(deadline) {
			fmt.Printf("out of time: %s is left out\n", w.name())
			continue
		}
		r, err := measure(w, servers, span, rounds, copies)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name(), err)
		}
		t.rows = append(t.rows, r...)
	}
	t.print()
	t.judge()
	return nil
}

// measure runs w on every server that has its transport, round by round.
func measure(w workload, servers []*server, span time.Duration, rounds int, copies *copier) ([]*row, error) {
	var rows []*row
	for _, s := range servers {
		if p := s.ports[w.network]; p != nil && (w.tool == "" || copies.tool != "") {
			rows = append(rows, &row{load: w, server: s.name, port: p})
		}
	}
	for round := range rounds {
		for i := range rows {
			r := rows[i]
			if round%2 == 1 {
				r = rows[len(rows)-1-i]
			}
			one, err := r.port.run(w, span, copies)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.server, err)
			}
			r.results = append(r.results, one)
		}
	}
	return rows, nil
}
