// Package fuzz makes worlds from seeds: arrays that live through I/O, faults, power cuts and starts, and judges that know what must be
// left of them. FAULTS.md is the fault model. No judge shares code with the engine.
//
//	go test ./fuzz -run TestWorld -seed=7       one world, with its transcript if it fails
//	go test ./fuzz -run TestWorlds -seeds=0-999 many; -all goes on after a failure
//	go test ./fuzz -run TestWorld -seed=7 -shrink      a small case that fails like it
//	go test ./fuzz -run TestWorld -case=FILE           a case in words
package fuzz
