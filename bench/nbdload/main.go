//go:build unix

// Command nbdload drives NBD servers side by side and prints how they compare.
//
//	nbdload [flags] NAME=PID,SOCKET,EXPORT …
//
// Every workload is run on every server in turn, forward in one round and backward in the next, and the median round counts.
// The load generator is one thread that writes what fits and reads what came, with plain blocking system calls, so that
// it costs less than the servers do. CPU is what the server's process used meanwhile, by its kernel.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// workload is one way to use a server: depth requests of size bytes in flight, at random or rising offsets.
type workload struct {
	name   string
	write  bool
	size   int
	depth  int
	random bool
}

var workloads = []workload{
	{"read 4K qd1", false, 4096, 1, true},
	{"read 4K qd16", false, 4096, 16, true},
	{"read 4K qd64", false, 4096, 64, true},
	{"write 4K qd1", true, 4096, 1, true},
	{"write 4K qd16", true, 4096, 16, true},
	{"write 4K qd64", true, 4096, 64, true},
	{"read 1M seq qd4", false, 1 << 20, 4, false},
	{"write 1M seq qd4", true, 1 << 20, 4, false},
}

// server is one target, with a result per workload and round.
type server struct {
	name, pid, socket, export string
	c                         *client
	results                   [][]result
}

type result struct {
	ops float64 // per second
	cpu float64 // of the server, microseconds per operation
}

func main() {
	span := flag.Duration("time", 250*time.Millisecond, "length of one run")
	rounds := flag.Int("rounds", 3, "runs of each workload on each server")
	base := flag.String("base", "qemu-nbd", "server that the ratios are to")
	flag.Parse()
	if err := compare(flag.Args(), *span, *rounds, *base); err != nil {
		fmt.Fprintln(os.Stderr, "nbdload:", err)
		os.Exit(1)
	}
}

func compare(args []string, span time.Duration, rounds int, base string) error {
	var servers []*server
	for _, a := range args {
		name, rest, _ := strings.Cut(a, "=")
		f := strings.Split(rest, ",")
		if len(f) != 3 {
			return fmt.Errorf("%q is not NAME=PID,SOCKET,EXPORT", a)
		}
		s := &server{name: name, pid: f[0], socket: f[1], export: f[2], results: make([][]result, len(workloads))}
		c, err := dial(s.socket, s.export)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.c = c
		if err := c.fill(); err != nil {
			return fmt.Errorf("%s: fill: %w", name, err)
		}
		servers = append(servers, s)
	}
	for w, load := range workloads {
		for range rounds {
			for _, s := range servers {
				r, err := s.measure(load, span)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", s.name, load.name, err)
				}
				s.results[w] = append(s.results[w], r)
			}
			slices.Reverse(servers)
		}
		if rounds%2 == 1 {
			slices.Reverse(servers)
		}
	}
	print(servers, base)
	return nil
}

func (s *server) measure(w workload, span time.Duration) (result, error) {
	before, err := cpu(s.pid)
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	n, err := s.c.run(w, span)
	took := time.Since(start)
	if err != nil {
		return result{}, err
	}
	after, err := cpu(s.pid)
	return result{ops: float64(n) / took.Seconds(), cpu: (after - before).Seconds() * 1e6 / float64(n)}, err
}

// cpu is user and system time of a process so far, from /proc, in ticks of 10 ms.
func cpu(pid string) (time.Duration, error) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

func print(servers []*server, base string) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "workload\tserver\tops/s\tMB/s\tto %s\tcpu us/op\n", base)
	for i, w := range workloads {
		reference := 0.0
		for _, s := range servers {
			if s.name == base {
				reference = s.ops(i)
			}
		}
		for _, s := range servers {
			ratio := "-"
			if reference > 0 {
				ratio = fmt.Sprintf("%.2f", s.ops(i)/reference)
			}
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%s\t%.1f\n", w.name, s.name, s.ops(i), s.ops(i)*float64(w.size)/1e6, ratio, s.cpu(i))
		}
	}
	t.Flush()
}

func (s *server) ops(w int) float64 {
	return median(s.results[w], func(r result) float64 { return r.ops })
}

func (s *server) cpu(w int) float64 {
	return median(s.results[w], func(r result) float64 { return r.cpu })
}

func median(list []result, of func(result) float64) float64 {
	v := make([]float64, len(list))
	for i, r := range list {
		v[i] = of(r)
	}
	slices.Sort(v)
	return v[len(v)/2]
}
