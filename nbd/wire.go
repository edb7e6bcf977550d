package nbd

import "encoding/binary"

// The numbers of the protocol, as its text gives them. Everything on the wire is big-endian.
const (
	magicServer uint64 = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption uint64 = 0x49484156454f5054 // "IHAVEOPT"
	magicAnswer uint64 = 0x0003e889045565a9 // before every reply to an option

	magicRequest uint32 = 0x25609513
	magicSimple  uint32 = 0x67446698
	magicChunk   uint32 = 0x668e33ef
)

// Handshake flags: the server's 16 bits and the client's 32 use the same two.
const (
	flagFixedNewstyle = 1 << 0
	flagNoZeroes      = 1 << 1
)

// Options a client may send.
const (
	optExportName      uint32 = 1
	optAbort           uint32 = 2
	optList            uint32 = 3
	optStartTLS        uint32 = 5
	optInfo            uint32 = 6
	optGo              uint32 = 7
	optStructuredReply uint32 = 8
	optListMeta        uint32 = 9
	optSetMeta         uint32 = 10
)

// Replies to options.
const (
	repAck         uint32 = 1
	repServer      uint32 = 2
	repInfo        uint32 = 3
	repMetaContext uint32 = 4

	repErrUnsup     uint32 = 1<<31 + 1
	repErrPolicy    uint32 = 1<<31 + 2
	repErrInvalid   uint32 = 1<<31 + 3
	repErrPlatform  uint32 = 1<<31 + 4
	repErrTLSReqd   uint32 = 1<<31 + 5
	repErrUnknown   uint32 = 1<<31 + 6
	repErrShutdown  uint32 = 1<<31 + 7
	repErrBlockSize uint32 = 1<<31 + 8
	repErrTooBig    uint32 = 1<<31 + 9
)

// Kinds of information about an export.
const (
	infoExport      uint16 = 0
	infoName        uint16 = 1
	infoDescription uint16 = 2
	infoBlockSize   uint16 = 3
)

// Transmission flags: what an export can do.
const (
	exportHasFlags    uint16 = 1 << 0
	exportReadOnly    uint16 = 1 << 1
	exportFlush       uint16 = 1 << 2
	exportFUA         uint16 = 1 << 3
	exportTrim        uint16 = 1 << 5
	exportWriteZeroes uint16 = 1 << 6
	exportDF          uint16 = 1 << 7
	exportMultiConn   uint16 = 1 << 8
	exportCache       uint16 = 1 << 10
	exportFastZero    uint16 = 1 << 11
)

// Commands of the transmission phase.
const (
	cmdRead        uint16 = 0
	cmdWrite       uint16 = 1
	cmdDisconnect  uint16 = 2
	cmdFlush       uint16 = 3
	cmdTrim        uint16 = 4
	cmdCache       uint16 = 5
	cmdWriteZeroes uint16 = 6
	cmdBlockStatus uint16 = 7
)

// Flags of commands.
const (
	cmdFUA      uint16 = 1 << 0
	cmdNoHole   uint16 = 1 << 1
	cmdDF       uint16 = 1 << 2
	cmdReqOne   uint16 = 1 << 3
	cmdFastZero uint16 = 1 << 4
)

// Chunks of a structured reply.
const (
	chunkDone uint16 = 1 // flag: no chunk follows for this cookie

	chunkNone        uint16 = 0
	chunkOffsetData  uint16 = 1
	chunkOffsetHole  uint16 = 2
	chunkBlockStatus uint16 = 5
	chunkError       uint16 = 1<<15 + 1
	chunkErrorOffset uint16 = 1<<15 + 2
)

// The bits of an extent in base:allocation.
const (
	stateHole uint32 = 1
	stateZero uint32 = 2
)

// Error numbers of the protocol; they are Linux's whatever the system.
const (
	errnoPerm     uint32 = 1
	errnoIO       uint32 = 5
	errnoNoMemory uint32 = 12
	errnoInvalid  uint32 = 22
	errnoNoSpace  uint32 = 28
	errnoOverflow uint32 = 75
	errnoNotSup   uint32 = 95
	errnoShutdown uint32 = 108
)

// Sizes of what goes over the wire, bytes.
const (
	requestLen = 28
	simpleLen  = 16
	chunkLen   = 20
	dataLen    = chunkLen + 8 // an OFFSET_DATA chunk up to its payload
)

var be = binary.BigEndian

// request is one decoded request header.
type request struct {
	flags  uint16
	cmd    uint16
	cookie uint64
	off    uint64
	len    uint32
}

// decodeRequest reads a header of requestLen bytes. It says false when the magic is wrong: whoever sent that is not
// talking this protocol, or is out of step.
func decodeRequest(b []byte) (request, bool) {
	_ = b[requestLen-1]
	return request{
		flags:  be.Uint16(b[4:]),
		cmd:    be.Uint16(b[6:]),
		cookie: be.Uint64(b[8:]),
		off:    be.Uint64(b[16:]),
		len:    be.Uint32(b[24:]),
	}, be.Uint32(b) == magicRequest
}

// putRequest appends the header of a request to b.
func putRequest(b []byte, q request) []byte {
	b = be.AppendUint32(b, magicRequest)
	b = be.AppendUint16(b, q.flags)
	b = be.AppendUint16(b, q.cmd)
	b = be.AppendUint64(b, q.cookie)
	b = be.AppendUint64(b, q.off)
	return be.AppendUint32(b, q.len)
}

// putSimple writes a simple reply header into the first simpleLen bytes of b.
func putSimple(b []byte, errno uint32, cookie uint64) {
	_ = b[simpleLen-1]
	be.PutUint32(b, magicSimple)
	be.PutUint32(b[4:], errno)
	be.PutUint64(b[8:], cookie)
}

// putChunk writes a chunk header into the first chunkLen bytes of b; n is the length of what follows, bytes.
func putChunk(b []byte, flags, kind uint16, cookie uint64, n int) {
	_ = b[chunkLen-1]
	be.PutUint32(b, magicChunk)
	be.PutUint16(b[4:], flags)
	be.PutUint16(b[6:], kind)
	be.PutUint64(b[8:], cookie)
	be.PutUint32(b[16:], uint32(n))
}
