//go:build unix

// Command nbdclient compares graid's NBD client with libnbd, as fio's nbd engine uses it: on one server, in one run, in turns.
//
//	nbdclient [-time 2s] [-rounds 3]
//
// Two questions: how many requests a second go through at depth 16 to a server that takes 2 ms for each, and how many a second of CPU of the
// client's at depth 32 to one that takes no time, on a unix socket. The server is nbdkit's memory. CPU is what the client's process used from start
// to end, fio's with little more than its engine (gtod_reduce, one thread).
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"graid/block"
	"graid/nbd"
)

// size is of the export, bytes.
const size = 64 << 20

type load struct {
	name  string
	depth int
	delay bool // the server takes 2 ms for each request
	write bool
	perS  bool // requests a second count, not a second of CPU
}

var loads = []load{
	{"read 4K qd16, 2 ms", 16, true, false, true},
	{"write 4K qd16, 2 ms", 16, true, true, true},
	{"read 4K qd32", 32, false, false, false},
	{"write 4K qd32", 32, false, true, false},
}

type result struct{ perSecond, perCPU float64 }

func main() {
	span := flag.Duration("time", 2*time.Second, "length of one run")
	rounds := flag.Int("rounds", 3, "runs of each load with each client")
	child := flag.String("child", "", "URI to drive: how this command runs itself")
	depth := flag.Int("depth", 1, "of the child")
	write := flag.Bool("write", false, "of the child")
	flag.Parse()
	err := error(nil)
	if *child != "" {
		err = drive(*child, *depth, *write, *span)
	} else {
		err = compare(*span, *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nbdclient:", err)
		os.Exit(1)
	}
}

// drive keeps depth requests in flight and prints how many there were.
func drive(uri string, depth int, write bool, span time.Duration) error {
	ctx := context.Background()
	c, err := nbd.Dial(ctx, uri, nbd.Options{})
	if err != nil {
		return err
	}
	op := block.Read
	if write {
		op = block.Write
	}
	var all sync.WaitGroup
	var done atomic.Int64
	var failed atomic.Pointer[error]
	end := time.Now().Add(span)
	for i := range depth {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			b := block.Alloc(4096)
			n := int64(0)
			for ; time.Now().Before(end); n++ {
				if err := c.Do(ctx, block.Request{Op: op, Off: rng.Int64N(size/4096) * 4096, Len: 4096, Buf: b}); err != nil {
					failed.Store(&err)
					return
				}
			}
			done.Add(n)
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Println(done.Load())
	return c.Close()
}

func compare(span time.Duration, rounds int) error {
	dir, err := os.MkdirTemp("", "nbdclient")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	uris := map[bool]string{}
	for _, delay := range []bool{false, true} {
		path := filepath.Join(dir, fmt.Sprint(delay))
		args := []string{"-f", "-t", "64", "-U", path}
		if delay {
			args = append(args, "--filter=delay")
		}
		args = append(args, "memory", strconv.Itoa(size))
		if delay {
			args = append(args, "rdelay=2ms", "wdelay=2ms")
		}
		server := exec.Command("nbdkit", args...)
		server.Stderr = os.Stderr
		if err := server.Start(); err != nil {
			return err
		}
		defer func() { server.Process.Kill(); server.Wait() }()
		for range 500 {
			if _, err := os.Stat(path); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		uris[delay] = "nbd+unix:///?socket=" + path
	}
	clients := []func(string, load, time.Duration) (result, error){graid, fio}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "load\tgraid ops/s\tfio ops/s\tratio\tgraid cpu us/op\tfio cpu us/op\tratio per cpu\taim")
	for _, l := range loads {
		var results [2][]result
		for round := range rounds {
			order := []int{0, 1}
			if round%2 == 1 {
				order = []int{1, 0}
			}
			for _, i := range order {
				r, err := clients[i](uris[l.delay], l, span)
				if err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
				results[i] = append(results[i], r)
			}
		}
		ops := func(i int) float64 { return median(results[i], func(r result) float64 { return r.perSecond }) }
		cpu := func(i int) float64 { return median(results[i], func(r result) float64 { return r.perCPU }) }
		aim := "0.8 per cpu"
		if l.perS {
			aim = "1.0"
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.1f\t%.1f\t%.2f\t%s\n", l.name, ops(0), ops(1), ops(0)/ops(1), 1e6/cpu(0), 1e6/cpu(1), cpu(0)/cpu(1), aim)
	}
	return t.Flush()
}

// run runs a client and says what it used.
func run(n func(out []byte) (float64, error), span time.Duration, name string, args ...string) (result, error) {
	c := exec.Command(name, args...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return result{}, err
	}
	ops, err := n(out)
	used := (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	return result{ops / span.Seconds(), ops / used}, err
}

func graid(uri string, l load, span time.Duration) (result, error) {
	me, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	return run(func(out []byte) (n float64, err error) {
		_, err = fmt.Sscan(string(out), &n)
		return n, err
	}, span, me, "-child", uri, "-depth", strconv.Itoa(l.depth), "-time", span.String(), "-write="+strconv.FormatBool(l.write))
}

func fio(uri string, l load, span time.Duration) (result, error) {
	rw := "randread"
	if l.write {
		rw = "randwrite"
	}
	return run(func(out []byte) (float64, error) {
		var said struct {
			Jobs []struct {
				Read, Write struct {
					Total float64 `json:"total_ios"`
				}
			}
		}
		if err := json.Unmarshal(out[max(0, bytes.IndexByte(out, '{')):], &said); err != nil || len(said.Jobs) != 1 {
			return 0, fmt.Errorf("fio says %.100q: %v", out, err)
		}
		return said.Jobs[0].Read.Total + said.Jobs[0].Write.Total, nil
	}, span, "fio", "--name=x", "--ioengine=nbd", "--uri="+uri, "--rw="+rw, "--bs=4k", "--iodepth="+strconv.Itoa(l.depth), "--size="+strconv.Itoa(size),
		"--time_based", "--runtime="+strconv.FormatInt(span.Milliseconds(), 10)+"ms", "--thread=1", "--gtod_reduce=1", "--norandommap=1", "--randrepeat=1", "--output-format=json")
}

func median(list []result, of func(result) float64) float64 {
	var v []float64
	for _, r := range list {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return v[len(v)/2]
}
