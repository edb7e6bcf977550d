// Package nbd serves block devices to NBD clients: qemu, nbdcopy, the Linux kernel and whatever else speaks the protocol.
//
// It knows the wire and block.Device. It knows nothing of arrays, members or files: the daemon hands it devices with names.
//
// A connection goes through two phases:
//
//	           option, answered                    request, replied
//	           ┌──────┐                            ┌──────┐
//	           ▼      │          GO or             ▼      │        DISC, end of stream, shutdown
//	accept ─▶ handshake ──── EXPORT_NAME ────▶ transmission ─────────────▶ draining ─▶ closed
//	              │                                  │                                    ▲
//	              └── ABORT, limit, deadline ────────┴── bad magic, oversize, stalled ────┘
//
// In transmission one task reads. Its buffer is filled by one read call that may carry many requests; those that an Inline
// device can answer at once are answered in place, and their replies leave together when no complete request is left in
// the buffer. Whatever may wait for hardware goes to a bounded set of workers. A reply that the socket does not take at
// once is queued and drained by a task of its own, so that neither reader nor worker ever waits for a slow client; what is
// queued counts in the connection's budget, and a connection over its budget is not read from.
package nbd
