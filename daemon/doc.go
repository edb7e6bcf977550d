// Package daemon is a running array's process: one process per array, so that a crash, a stuck member or a bug in one array
// touches no other.
//
// It opens the members, assembles the array (package raid), serves it (package nbd), and answers questions about it on a
// control socket in the runtime folder. It knows folders, sockets, locks and processes. It knows nothing of flags, tables or
// colours, which are the command's, and nothing of superblocks, which are raid/md's.
//
// In the runtime folder an array called NAME has:
//
//	NAME.lock  held while the array runs; who holds it owns the name and the other files
//	NAME.json  what runs there, for who looks without asking (State); it and the log outlive a process that is killed, until
//	           another runs under the name or somebody stops what is not there any more
//	NAME.sock  HTTP and JSON: GET /status, GET /events, POST /fail, POST /fail/detached, POST /add, POST /remove, POST /scrub,
//	           POST /scrub/wait, POST /idle, POST /limit, POST /wait, POST /stop, GET and POST /inject, POST /inject/clear
//	NAME.nbd   the NBD export, unless another address was asked for
//	NAME.log   what a background process has to say
package daemon
