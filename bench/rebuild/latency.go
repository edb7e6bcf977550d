//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"graid/block"
)

const (
	latencyFor  = 700 * time.Millisecond
	latencyRate = 2000 // requests per second
)

// latencies measures reads and writes with nothing going on, while the last member is filled, while that is limited, and while it has a target for
// how long requests take.
func (r *rig) latencies(limit int64, target time.Duration) error {
	for _, when := range []struct {
		name   string
		fill   bool
		limit  int64
		target time.Duration
	}{
		{"idle", false, 0, 0}, {"recovery", true, 0, 0}, {fmt.Sprintf("limit %dM", limit>>20), true, limit, 0},
		{fmt.Sprintf("latency %v", target), true, 0, target},
	} {
		line := fmt.Sprintf("%-36s", r.name+", "+when.name)
		var filled string
		for _, op := range []block.Op{block.Read, block.Write} {
			list, speed, err := r.use(op, when.fill, when.limit, when.target)
			if err != nil {
				return err
			}
			if when.fill {
				filled += fmt.Sprintf(" %10.0f", speed/1e6)
			}
			line += fmt.Sprintf(" %9v %9v", quantile(list, 0.5), quantile(list, 0.99))
		}
		fmt.Println(line + filled)
	}
	return nil
}

// use sends requests at a steady rate for a while, and returns how long each took. When filling, the last member is filled all that time, again and
// again if need be, and speed is how fast, bytes per second.
func (r *rig) use(op block.Op, filling bool, limit int64, target time.Duration) (list []time.Duration, speed float64, err error) {
	buf := block.Alloc(4096)
	blocks := r.Info().Size / int64(len(buf))
	var took time.Duration
	var filled int64
	for took < latencyFor*9/10 { // a rest that is too short says nothing
		if filling {
			r.Limit(0, limit)
			r.LimitLatency(target)
			if err := r.lose(); err != nil {
				return nil, 0, err
			}
		}
		began := time.Now()
		for next := began; next.Sub(began) < latencyFor-took; next = next.Add(time.Second / latencyRate) {
			if filling && r.Status().Degraded == 0 {
				break
			}
			time.Sleep(time.Until(next))
			sent := time.Now()
			if err := r.Do(ctx, block.Request{Op: op, Off: rand.Int64N(blocks) * 4096, Len: 4096, Buf: buf}); err != nil {
				return nil, 0, err
			}
			list = append(list, time.Since(sent))
		}
		took += time.Since(began)
		if !filling {
			continue
		}
		if s := r.Status(); s.Degraded == 0 {
			filled += r.rows
		} else {
			filled += s.Sync.Done
		}
		r.Limit(0, 0)
		r.LimitLatency(0)
		if _, err := r.await(); err != nil {
			return nil, 0, err
		}
	}
	return list, float64(filled) / took.Seconds(), nil
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[int(q*float64(len(list)-1))].Round(100 * time.Nanosecond)
}

func create(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}
