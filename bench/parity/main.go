// Parity measures package parity against its peers, on one thread, and prints a table: GB/s of source bytes, medians of interleaved runs.
package main

import (
	"crypto/subtle"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/klauspost/reedsolomon"
	"github.com/templexxx/xorsimd"
	"golang.org/x/sys/unix"

	mem "graid/bench/parity/memory"
	"graid/parity"
)

var (
	rounds = flag.Int("rounds", 31, "`runs` of each contestant in each cell")
	span   = flag.Duration("span", time.Millisecond, "how long a run takes, about")
	only   = flag.String("only", "", "comma-separated `cells` to measure, by the words in their names: xor-4, pq-10, L2, 64K")
	dram   = flag.Int64("dram", 1<<30, "`bytes` in the working set that no cache holds")
)

// sets are the working sets: small enough for one cache, too large for the one before.
var sets = []struct {
	name  string
	bytes int64
}{{"L1", 32 << 10}, {"L2", 1 << 20}, {"L3", 16 << 20}, {"DRAM", 0}}

// contestant does groups of blocks.
type contestant struct {
	name string
	run  func(n int) // as many groups, from the cell's next on
}

// cell is one row of the table: an operation, a number of sources, a size and a working set.
type cell struct {
	sums, sources, size int
	set                 string
	groups              [][][]byte      // sources, then sums
	table               *unsafe.Pointer // the same, as C wants it
	codec               reedsolomon.Encoder
	next                int // group
}

func main() {
	flag.Parse()
	runtime.LockOSThread()
	sets[3].bytes = *dram
	arena, err := unix.Mmap(-1, 0, int(*dram), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		log.Fatal(err)
	}
	unix.Madvise(arena, unix.MADV_HUGEPAGE)
	x := uint64(1)
	for i := 0; i < len(arena); i += 8 {
		x = x*6364136223846793005 + 1442695040888963407
		*(*uint64)(unsafe.Pointer(&arena[i])) = x
	}
	_, level := parity.Kernels()
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("kernels %s, %d rounds of %v, load average %s\n", level, *rounds, *span, strings.TrimSpace(string(load)))
	memory(arena)
	for sums, op := range []string{1: "xor", 2: "pq"} {
		for _, sources := range [][]int{{}, {2, 3, 4, 7, 10}, {4, 6, 10}}[sums] {
			for _, set := range sets {
				for _, size := range []int{4 << 10, 64 << 10, 512 << 10} {
					c := &cell{sums: sums, sources: sources, size: size, set: set.name}
					name := fmt.Sprintf("%s-%d %s %dK", op, sources, set.name, size>>10)
					if wanted(name) && c.lay(arena, set.bytes) {
						report(name, c, contestants(c, level))
						free(c.table)
					}
				}
			}
		}
	}
	load, _ = os.ReadFile("/proc/loadavg")
	fmt.Printf("load average at the end %s\n", strings.TrimSpace(string(load)))
}

func wanted(name string) bool {
	for _, word := range strings.Split(*only, ",") {
		if word != "" && !strings.Contains(" "+name+" ", " "+word+" ") {
			return false
		}
	}
	return true
}

// lay puts as many groups into the working set as it holds; false if that is none.
func (c *cell) lay(arena []byte, bytes int64) bool {
	blocks := c.sources + c.sums
	n := int(bytes) / (blocks * c.size)
	for g := range n {
		var group [][]byte
		for b := range blocks {
			at := (g*blocks + b) * c.size
			group = append(group, arena[at:at+c.size:at+c.size])
		}
		c.groups = append(c.groups, group)
	}
	var err error
	c.codec, err = reedsolomon.New(c.sources, c.sums, reedsolomon.WithMaxGoroutines(1), reedsolomon.WithFastOneParityMatrix())
	if err != nil {
		log.Fatal(err)
	}
	if n > 0 {
		c.table = table(c.groups)
	}
	return n > 0
}

// each calls do with the sources and the sums of n groups, round and round.
func (c *cell) each(n int, do func(data, sums [][]byte)) {
	at := c.next
	for range n {
		g := c.groups[at]
		do(g[:c.sources], g[c.sources:])
		if at++; at == len(c.groups) {
			at = 0
		}
	}
}

func contestants(c *cell, level string) []contestant {
	kernels, forced := isal[level]
	if !forced {
		kernels = isal[""]
	}
	us := contestant{"graid", func(n int) {
		c.each(n, func(data, sums [][]byte) {
			if c.sums == 1 {
				parity.XOR(sums[0], data...)
			} else {
				parity.PQ(sums[0], sums[1], data...)
			}
		})
	}}
	stream := contestant{"stream", func(n int) {
		c.each(n, func(data, sums [][]byte) {
			if c.sums == 1 {
				parity.XORStream(sums[0], data...)
			} else {
				parity.PQStream(sums[0], sums[1], data...)
			}
		})
	}}
	isal := contestant{"ISA-L", func(n int) {
		c.runISAL(kernels[c.sums-1], n)
	}}
	all := []contestant{us, stream, isal}
	if forced { // the others choose for themselves
		return all
	}
	all = append(all, contestant{"klauspost", func(n int) {
		c.each(n, func(data, sums [][]byte) {
			if err := c.codec.Encode(data[:c.sources+c.sums]); err != nil {
				panic(err)
			}
		})
	}})
	if c.sums == 1 {
		all = append(all, contestant{"xorsimd", func(n int) {
			c.each(n, func(data, sums [][]byte) { xorsimd.Encode(sums[0], data) })
		}}, contestant{"subtle", func(n int) {
			c.each(n, func(data, sums [][]byte) {
				subtle.XORBytes(sums[0], data[0], data[1])
				for _, d := range data[2:] {
					subtle.XORBytes(sums[0], sums[0], d)
				}
			})
		}})
	}
	return all
}

// report measures one cell and prints its line.
func report(name string, c *cell, all []contestant) {
	got := make([][]float64, len(all))
	order := make([]int, len(all))
	many := make([]int, len(all))
	for i, x := range all {
		order[i] = i
		many[i] = c.howMany(x)
	}
	for r := range *rounds {
		for k := range order {
			i := order[(k+r)%len(order)] // nobody always follows the same one
			got[i] = append(got[i], c.rate(all[i], many[i]))
		}
	}
	var line strings.Builder
	fmt.Fprintf(&line, "%-18s", name)
	medians := make([]float64, len(all))
	for i, x := range all {
		slices.Sort(got[i])
		medians[i] = got[i][len(got[i])/2]
		fmt.Fprintf(&line, " %s %5.1f", x.name, medians[i])
	}
	ours := medians[0]
	if c.set == "DRAM" {
		ours = medians[1] // nobody reads the sums again before they are gone from the cache
	}
	best := slices.Max(medians[2:])
	fmt.Fprintf(&line, " | best %.2f isal %.2f read %.2f", ours/best, ours/medians[2], ours/limits[c.set])
	fmt.Println(line.String())
}

// howMany is how many passes or groups make a run of the span.
func (c *cell) howMany(x contestant) int {
	n := 1
	for {
		start := time.Now()
		c.advance(x, n)
		if took := time.Since(start); took >= *span/4 {
			return max(1, int(float64(n)*float64(*span)/float64(took)))
		}
		n *= 2
	}
}

// advance does n groups from where the last one stopped.
func (c *cell) advance(x contestant, n int) {
	x.run(n)
	c.next = (c.next + n) % len(c.groups)
}

// rate is GB/s of source bytes. In the caches a first pass gets the working set there.
func (c *cell) rate(x contestant, n int) float64 {
	if c.set != "DRAM" {
		c.advance(x, min(n, len(c.groups)))
	}
	start := time.Now()
	c.advance(x, n)
	return float64(n*c.sources*c.size) / float64(time.Since(start))
}

// limits are the machine's read bandwidths by working set, GB/s.
var limits = map[string]float64{}

// memory measures how fast memory of every working set is read and copied.
func memory(arena []byte) {
	for _, set := range sets {
		b := arena[:set.bytes]
		var reads, copies []float64
		at := 0
		next := func(n int) []byte {
			if at+n > len(b) {
				at = 0
			}
			at += n
			return b[at-n : at]
		}
		piece := min(len(b)/2, 256<<10)
		timed := func(do func()) float64 {
			n := 0
			start := time.Now()
			for time.Since(start) < *span {
				do()
				n++
			}
			return float64(n*piece) / float64(time.Since(start))
		}
		for range *rounds {
			reads = append(reads, timed(func() { mem.Read(next(piece)) }))
			copies = append(copies, timed(func() { x := next(piece); copy(x[:piece/2], x[piece/2:]) })/2)
		}
		slices.Sort(reads)
		slices.Sort(copies)
		limits[set.name] = reads[len(reads)/2]
		fmt.Printf("%-5s read %.0f copy %.0f GB/s\n", set.name, limits[set.name], copies[len(copies)/2])
	}
}
