// Command graid is software RAID in user space: it creates, explains, assembles and serves arrays in the on-disk format of
// Linux md.
//
// Here are flags, tables and colours, one file per verb. What an array is, package raid knows; what a running array's
// process is, package daemon.
package main

import (
	"context"
	"os"
	"os/signal"
)

// version is what `graid version` prints; a release build sets it with -ldflags "-X main.version=…".
var version = "0.1.0-dev"

// Exit statuses, as the command line promises them.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitAttention = 3 // done, but something needs attention: a degraded array was assembled
)

func main() {
	outlivePipes()
	ctx, cancel := signal.NotifyContext(context.Background(), endings()...)
	status := run(ctx, os.Args[1:], std{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	cancel()
	os.Exit(status)
}

// verbs is everything graid can do, in the order that help shows it.
func verbs() []verb {
	return []verb{
		createVerb(), examineVerb(), scanVerb(), assembleVerb(), serveVerb(), dumpVerb(),
		statusVerb(), detailVerb(), watchVerb(), eventsVerb(), failVerb(), removeVerb(), addVerb(), reAddVerb(), replaceVerb(), badBlocksVerb(),
		growVerb(), setVerb(),
		checkVerb(), repairVerb(), syncActionVerb(), limitVerb(), waitVerb(), injectVerb(), stopVerb(), multipathVerb(), upVerb(), downVerb(), zeroSuperblockVerb(), pkiVerb(), demoVerb(),
		versionVerb(),
	}
}
