// Command hole measures what closing the write hole of RAID 6 would cost: a log of partial P and Q sums, each on the member that has that parity.
// README.md beside it has the design and the figures. What is here does the I/O of the design and none of its recovery: it is for measuring.
//
//	hole [-seconds 2] [-rounds 3] [-dir DIR] [-disk DIR] [-only WORD]
//
// Each cell is the array as it is, and the same array behind both ways to log, in turn, A B C C B A; what counts is the median of the ratios.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	seconds := flag.Float64("seconds", 1, "how long each measurement writes")
	rounds := flag.Int("rounds", 3, "how often each is done, forth and back")
	tmpfs := flag.String("dir", "/dev/shm", "where files go whose flush costs nothing")
	disk := flag.String("disk", "/var/tmp", "where files go whose flush is a disk's")
	only := flag.String("only", "", "only cells whose name has this in it")
	flag.Parse()
	kinds := []kind{{"memory", "", false}, {"tmpfs", *tmpfs, false}, {"disk, buffered", *disk, false}, {"disk, direct", *disk, true}}
	fmt.Printf("%-16s %-22s %9s %9s %9s %9s %9s\n", "members", "writes", "as is", "through", "ratio", "behind", "ratio")
	for _, k := range kinds {
		for _, w := range works {
			if !strings.Contains(k.name+" "+w.name, *only) {
				continue
			}
			if err := measure(k, w, time.Duration(*seconds*float64(time.Second)), *rounds); err != nil {
				fmt.Fprintln(os.Stderr, "hole:", k.name, w.name, err)
				os.Exit(1)
			}
		}
	}
}

// measure is one row of the table.
func measure(k kind, w work, long time.Duration, rounds int) error {
	r, err := newRig(k)
	if err != nil {
		return err
	}
	defer r.close()
	ways := []func() target{
		func() target { return plain{r.Array} },
		func() target { return newThrough(r) },
		func() target { return newBehind(r) },
	}
	var speeds [3][]float64
	for range rounds {
		for _, i := range []int{0, 1, 2, 2, 1, 0} {
			s, err := w.run(ways[i](), r.Info().Size, long)
			if err != nil {
				return err
			}
			speeds[i] = append(speeds[i], s)
		}
	}
	ratio := func(i int) float64 {
		var list []float64
		for n := range speeds[0] {
			list = append(list, speeds[i][n]/speeds[0][n])
		}
		return median(list)
	}
	const mb = 1e6
	fmt.Printf("%-16s %-22s %7.1f M %7.1f M %9.2f %7.1f M %9.2f\n", k.name, w.name,
		median(speeds[0])/mb, median(speeds[1])/mb, ratio(1), median(speeds[2])/mb, ratio(2))
	return nil
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
