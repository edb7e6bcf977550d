//go:build !unix

package crash

import "time"

var began = time.Now()

// cpuTime is the time since the process began.
func cpuTime() time.Duration { return time.Since(began) }
