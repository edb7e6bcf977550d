package nbd

import "time"

// Limits bound what one client may take. A zero field means its default.
type Limits struct {
	Connections int           // open at once, all exports together; more are closed on arrival. Default 1024.
	Handshakes  int           // connections in their handshake; with one more, the oldest of them is closed. Default 128.
	Handshake   time.Duration // from accept to the end of the handshake. Default 10 s.
	Options     int           // options in one handshake, beside one for each name that a LIST told. Default 32.
	OptionBytes uint32        // data of one option. Default 64 KiB.
	MetaBytes   uint32        // data of one meta context option, and the most that is skipped of any option. Default 1 MiB.

	Payload  uint32        // of one READ or WRITE, advertised as the maximum block size. Default 32 MiB.
	Skip     uint32        // payload of a refused WRITE that is read past; a longer one closes the connection. Default 64 MiB.
	Requests int           // in flight on one connection, replies not yet sent included. Default 128.
	Bytes    int64         // of buffers in flight on one connection; one request is always let in. Default 64 MiB.
	Workers  int           // tasks of one connection that wait for hardware. Default 32.
	Stall    time.Duration // a client that takes no byte of its replies for that long is closed. Default 30 s.

	ClientBytes int64         // as Bytes, of all connections of one client: a process, an address, the name in a certificate. Default 256 MiB.
	ServerBytes int64         // as Bytes, of all connections. Default 1 GiB.
	Silence     time.Duration // a TCP peer whose machine acknowledges nothing for that long is closed; at least 4 s. Default 30 s.
	Pause       time.Duration // after a pause of this process that is longer, every connection is closed, what is unread with it. Default 5 s.
}

// Sizes that are not configurable.
const (
	maxName    = 4096 // bytes of an export name, a description or a context name: the protocol's limit on strings
	maxExtents = 2040 // of one BLOCK_STATUS reply: what a 16 KiB buffer holds
	maxText    = 1024 // bytes of an error message; the protocol allows 4096
	maxListed  = 1024 // names told by LIST that a handshake may ask about beside its other options
	firstData  = 4096 // bytes of option data that are made room for before any arrived

	inboxLen   = 256 << 10 // bytes one read call may bring
	batchLen   = 256 << 10 // bytes of replies gathered before they leave
	leanLen    = 16 << 10  // both, of a connection that has not needed more yet
	smallCost  = 68 << 10  // what a request of up to 64 KiB takes of the budget: a connection with nothing in flight always may
	largeBytes = 16 << 10  // payloads from here on are read straight into their buffer and sent from it
	unixBuffer = 256 << 10 // of replies that the system holds for a client on a unix socket, which grows by itself on TCP
	holeBytes  = 64 << 10  // reads from here on ask whether they are one hole
)

func (l Limits) withDefaults() Limits {
	set(&l.Connections, 1024)
	set(&l.Handshakes, 128)
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
	set(&l.ClientBytes, 256<<20)
	set(&l.ServerBytes, 1<<30)
	set(&l.Silence, 30*time.Second)
	set(&l.Pause, 5*time.Second)
	return l
}

func set[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
