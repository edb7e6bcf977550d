//go:build !unix

package fuzz

import "time"

var began = time.Now()

// cpuTime is not known here: it is the time since the process began.
func cpuTime() time.Duration { return time.Since(began) }
