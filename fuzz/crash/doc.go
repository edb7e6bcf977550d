// Package crash enumerates what a crash may leave. A short history runs once on a real array over members of a few sectors, and every command
// that a member got is recorded. Then, for each moment of it, each subset of what was not durable at that moment is an image; the real engine
// recovers each, with all members or with some lost at once, and a judge that shares no code with it says whether what it then reads may be.
//
// Identical images are recovered once and judged every time: against what had been promised at each moment that can leave them.
//
//	go test ./fuzz/crash                                   a bounded part
//	make crash DEPTH=2                                     every history of two writes, all levels
//	go test ./fuzz/crash -run TestReplay -state='...'      the one state that a failure names
package crash
