package nbd

import "time"

// Limits bound what one client may take. A zero field means its default.
type Limits struct {
	Connections int           // open at once, all exports together; more are closed on arrival. Default 256.
	Handshake   time.Duration // from accept to the end of the handshake. Default 10 s.
	Options     int           // options in one handshake. Default 32.
	OptionBytes uint32        // data of one option. Default 64 KiB.
	MetaBytes   uint32        // data of one meta context option, and the most that is skipped of any option. Default 1 MiB.

	Payload  uint32        // of one READ or WRITE, advertised as the maximum block size. Default 32 MiB.
	Skip     uint32        // payload of a refused WRITE that is read past; a longer one closes the connection. Default 64 MiB.
	Requests int           // in flight on one connection, replies not yet sent included. Default 128.
	Bytes    int64         // of buffers in flight on one connection; one request is always let in. Default 64 MiB.
	Workers  int           // tasks of one connection that wait for hardware. Default 32.
	Stall    time.Duration // a client that takes no byte of its replies for that long is closed. Default 30 s.
}

// Sizes that are not configurable.
const (
	maxName    = 4096 // bytes of an export name, a description or a context name: the protocol's limit on strings
	maxExtents = 2040 // of one BLOCK_STATUS reply: what a 16 KiB buffer holds
	maxText    = 1024 // bytes of an error message; the protocol allows 4096
	firstData  = 4096 // bytes of option data that are made room for before any arrived

	inboxLen   = 256 << 10 // bytes one read call may bring
	batchLen   = 256 << 10 // bytes of replies gathered before they leave
	largeBytes = 16 << 10  // payloads from here on are read straight into their buffer and sent from it
	holeBytes  = 64 << 10  // reads from here on ask whether they are one hole
)

func (l Limits) withDefaults() Limits {
	set(&l.Connections, 256)
	set(&l.Handshake, 10*time.Second)
	set(&l.Options, 32)
	set(&l.OptionBytes, 64<<10)
	set(&l.MetaBytes, 1<<20)
	set(&l.Payload, 32<<20)
	set(&l.Skip, 64<<20)
	set(&l.Requests, 128)
	set(&l.Bytes, 64<<20)
	set(&l.Workers, 32)
	set(&l.Stall, 30*time.Second)
	return l
}

func set[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
