package nbd

// fault is why a request is refused: an error number of the protocol, and a word to people. The zero fault is none.
type fault struct {
	errno uint32
	text  string
}

func invalid(text string) fault { return fault{errnoInvalid, text} }

var shuttingDown = fault{errnoShutdown, "the server is shutting down"}

// rules are what a connection's requests are measured by.
type rules struct {
	size       uint64 // of the export, bytes
	payload    uint32 // limit of READ and WRITE, bytes
	readOnly   bool
	structured bool
	allocation bool
}

// flagsOf are the flags that a command may carry. FUA is legal on all of them once it is advertised.
var flagsOf = [...]uint16{
	cmdRead:        cmdFUA | cmdDF,
	cmdWrite:       cmdFUA,
	cmdDisconnect:  0xffff,
	cmdFlush:       cmdFUA,
	cmdTrim:        cmdFUA,
	cmdCache:       cmdFUA,
	cmdWriteZeroes: cmdFUA | cmdNoHole | cmdFastZero,
	cmdBlockStatus: cmdFUA | cmdReqOne,
}

// check is every rule of the transmission phase about one request; afterwards nothing is checked again. The order
// decides which error is told: what the command is, whether it is allowed, where it points.
func (r *rules) check(q request) fault {
	switch {
	case int(q.cmd) >= len(flagsOf):
		return invalid("unknown command")
	case q.flags&^flagsOf[q.cmd] != 0:
		return invalid("flags that this command does not have")
	case q.flags&cmdDF != 0 && !r.structured:
		return invalid("DF without structured replies")
	case q.cmd == cmdBlockStatus && !r.allocation:
		return invalid("no meta context was negotiated")
	case q.cmd == cmdDisconnect:
		return fault{}
	case q.cmd == cmdFlush:
		if q.off != 0 || q.len != 0 {
			return invalid("flush takes no range")
		}
		return fault{}
	case changes(q.cmd) && r.readOnly:
		return fault{errnoPerm, "the export is read-only"}
	case q.off > r.size || uint64(q.len) > r.size-q.off:
		if q.cmd == cmdWrite || q.cmd == cmdWriteZeroes {
			return fault{errnoNoSpace, "beyond the end of the export"}
		}
		return invalid("beyond the end of the export")
	case (q.cmd == cmdRead || q.cmd == cmdWrite) && q.len > r.payload:
		return invalid("longer than the maximum block size")
	case q.cmd == cmdBlockStatus && q.len == 0:
		return invalid("block status of nothing")
	}
	return fault{}
}

func changes(cmd uint16) bool { return cmd == cmdWrite || cmd == cmdTrim || cmd == cmdWriteZeroes }
