//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// server is a target: one store, at one or two addresses.
type server struct {
	name  string
	ports map[string]*port // by network
}

// port is one address of a server.
type port struct {
	pid              int
	network, address string
	export           string
	clients          []*client
}

// result is one run.
type result struct {
	ops float64 // per second
	cpu float64 // of the server, microseconds per operation
}

func parse(args []string) (list []*server, err error) {
	for _, a := range args {
		name, rest, _ := strings.Cut(a, "=")
		f := strings.Split(rest, ",")
		if len(f) != 3 {
			return nil, fmt.Errorf("%q is not NAME=PID,NETWORK:ADDRESS,EXPORT", a)
		}
		p := &port{export: f[2]}
		if p.pid, err = strconv.Atoi(f[0]); err != nil {
			return nil, fmt.Errorf("%q: %w", a, err)
		}
		p.network, p.address, _ = strings.Cut(f[1], ":")
		s := named(list, name)
		if s == nil {
			s = &server{name: name, ports: map[string]*port{}}
			list = append(list, s)
		}
		s.ports[p.network] = p
	}
	return list, nil
}

func named(list []*server, name string) *server {
	for _, s := range list {
		if s.name == name {
			return s
		}
	}
	return nil
}

// fill connects to every address and writes all of what is there, so that no run finds holes. It returns the size of the smallest.
func fill(servers []*server) (size uint64, err error) {
	for _, s := range servers {
		for _, p := range s.ports {
			if err := p.connect(1); err != nil {
				return 0, fmt.Errorf("%s: %w", s.name, err)
			}
			if err := p.clients[0].fill(); err != nil {
				return 0, fmt.Errorf("%s: fill: %w", s.name, err)
			}
			if n := p.clients[0].size; size == 0 || n < size {
				size = n
			}
		}
	}
	return size, nil
}

// connect makes sure that there are n connections.
func (p *port) connect(n int) error {
	for len(p.clients) < n {
		c, err := dial(p.network, p.address, p.export, uint64(len(p.clients)))
		if err != nil {
			return err
		}
		p.clients = append(p.clients, c)
	}
	return nil
}

func (p *port) run(w workload, span time.Duration, copies *copier) (result, error) {
	if err := p.connect(w.conns); err != nil {
		return result{}, err
	}
	before, err := cpu(p.pid)
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	var n int
	if w.tool != "" {
		n, err = copies.run(p, w)
	} else {
		n, err = p.load(w, span)
	}
	took := time.Since(start)
	if err != nil {
		return result{}, err
	}
	after, err := cpu(p.pid)
	return result{ops: float64(n) / took.Seconds(), cpu: (after - before).Seconds() * 1e6 / float64(n)}, err
}

// load runs w on as many connections as it wants, and returns how many requests were done.
func (p *port) load(w workload, span time.Duration) (done int, err error) {
	var all sync.WaitGroup
	counts, errs := make([]int, w.conns), make([]error, w.conns)
	for i := range w.conns {
		all.Go(func() { counts[i], errs[i] = p.clients[i].run(w, i, span) })
	}
	all.Wait()
	for i, n := range counts {
		done += n
		if err == nil {
			err = errs[i]
		}
	}
	return done, err
}

// cpu is user and system time of a process so far: Linux makes the number of such a clock from that of the process.
func cpu(pid int) (time.Duration, error) {
	const sched = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
