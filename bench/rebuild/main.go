//go:build unix

// Command rebuild measures how fast a lost member is filled again, and what those who use the array meanwhile notice of it.
//
//	rebuild [-size BYTES] [-rounds 4] [-dir /dev/shm] [-only raid5] [-cpuprofile FILE]
//
// Speed is a ratio: a plain copy of what the survivors hold, by one task, piece by piece, is done in turn with the recovery, and the median
// of the rounds counts; so is what is read for a second of CPU, which says more on a busy machine. Such a copy writes every byte that it reads; one that reads the same, and writes as little as recovery does, is measured as well.
// Members are memory, files on a tmpfs, and memory as slow as disks; copies of disks read and write at the same time.
// Latency is of 4 KiB requests at random places, two thousand a second, first with nothing else going on.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"graid/raid/md"
)

// shape is an array to be measured.
type shape struct {
	name string
	n    int
	spec md.Spec
}

var shapes = []shape{
	{"raid1 of 2", 2, md.Spec{Level: 1}},
	{"raid5 of 4", 4, md.Spec{Level: 5, Layout: -1, Chunk: 512 << 10}},
	{"raid6 of 5", 5, md.Spec{Level: 6, Layout: -1, Chunk: 512 << 10}},
}

func main() {
	size := flag.Int64("size", 128<<20, "bytes of each member")
	rounds := flag.Int("rounds", 4, "how often each is done")
	dir := flag.String("dir", "/dev/shm", "where member files are made: a tmpfs")
	limit := flag.Int64("limit", 50<<20, "what recovery is limited to, bytes per second, in the third of the latencies")
	target := flag.Duration("latency", 3*time.Millisecond, "the target for how long requests take in the last of the latencies")
	only := flag.String("only", "", "only arrays, and members, whose name has this in it")
	profile := flag.String("cpuprofile", "", "file for a CPU profile of the recoveries")
	flag.Parse()
	if err := run(*size, *rounds, *dir, *limit, *target, *only, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "rebuild:", err)
		os.Exit(1)
	}
}

func run(size int64, rounds int, dir string, limit int64, target time.Duration, only, profile string) error {
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	dir, err := os.MkdirTemp(dir, "graid-rebuild-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%-20s %10s %10s %12s %6s %8s %12s %6s %8s\n",
		"recovery", "read MB/s", "filled", "plain copy", "ratio", "per cpu", "as much I/O", "ratio", "per cpu")
	list, err := rigs(size, dir, only)
	os.RemoveAll(dir) // they are open: whatever ends this, nothing of them stays
	for _, r := range list {
		defer r.close()
		if err == nil {
			err = r.speed(rounds)
		}
	}
	if err != nil || profile != "" {
		return err
	}
	fmt.Printf("\n%-36s %9s %9s %9s %9s %10s %10s\n", "4K while", "read p50", "p99", "write p50", "p99", "filled, r", "filled, w")
	for _, r := range list {
		if err := r.latencies(limit, target); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// rigs is one of each, but for those whose name does not have only in it.
func rigs(size int64, dir, only string) (list []*rig, err error) {
	for _, s := range shapes {
		for _, kind := range []string{"memory", "files", "disks"} {
			name := s.name + ", " + kind
			if !strings.Contains(name, only) {
				continue
			}
			r, err := newRig(s, kind, size, dir)
			if err != nil {
				return list, fmt.Errorf("%s: %w", name, err)
			}
			r.name = name
			list = append(list, r)
		}
	}
	return list, nil
}

// speed fills the last member and copies, in turn, and prints the medians of both, and of their ratios: of how fast they read, and of how much they read for
// the CPU that they cost.
func (r *rig) speed(rounds int) error {
	var speed, ratio, perCPU [3][]float64
	read := float64(r.rows) * float64(r.reads)
	for range rounds {
		var took, cost [3]time.Duration
		for i, task := range []func() (time.Duration, error){r.recover, r.copy, r.gather} {
			var err error
			before := cpu()
			if took[i], err = task(); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			cost[i] = cpu() - before
		}
		for i := range took {
			speed[i] = append(speed[i], read/took[i].Seconds()/1e6)
			ratio[i] = append(ratio[i], took[i].Seconds()/took[0].Seconds())
			perCPU[i] = append(perCPU[i], cost[i].Seconds()/cost[0].Seconds())
		}
	}
	m := median(speed[0])
	fmt.Printf("%-20s %10.0f %10.0f %12.0f %6.2f %8.2f %12.0f %6.2f %8.2f\n", r.name, m, m/float64(r.reads),
		median(speed[1]), median(ratio[1]), median(perCPU[1]), median(speed[2]), median(ratio[2]), median(perCPU[2]))
	return nil
}

func median(list []float64) float64 {
	slices.Sort(list)
	return (list[len(list)/2] + list[(len(list)-1)/2]) / 2
}

// cpu is what this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
