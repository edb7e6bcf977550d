// Package nbd is both ends of the NBD protocol. A Server serves block devices to qemu, nbdcopy, the Linux kernel and whatever else speaks it; a
// Client is an export of such a server as a block device.
//
// It knows the wire and block.Device. It knows nothing of arrays, members or files: the daemon hands it devices with names.
//
// A connection of a server goes through two phases:
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
// the buffer. Writes in it that continue each other are carried out as one. Whatever may wait for hardware goes to a bounded set of workers. A reply that the socket does not take at
// once is queued and drained by a task of its own, so that neither reader nor worker ever waits for a slow client; what is
// queued counts in the connection's budget, and a connection over its budget is not read from.
//
// With TLS the handshake begins anew after STARTTLS: nothing that was said before holds, and where TLS is required nothing but STARTTLS
// and ABORT is answered before. What a client may do with an export depends on the names in its certificate.
//
// A client has one or more connections and any number of callers. One caller sends for all who have something to send; a task of each connection
// receives, straight into the memory of the caller for as long as that waits; a third looks after deadlines:
//
//	callers ─▶ queue ─▶ one of them sends, in batches ─▶ socket
//	   ▲                                                    │
//	   └──── done, refused, late or lost ◀── receiver ◀─────┘
//
// What is late keeps its place until the server answers, and what comes then is thrown away.
package nbd
