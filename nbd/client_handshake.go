package nbd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
)

// export is what a server says about an export in the handshake.
type export struct {
	size       uint64
	flags      uint16
	least      uint32 // block sizes, bytes
	preferred  uint32
	most       uint32
	allocation bool // it answers block status of base:allocation
}

func (e *export) can(flag uint16) bool { return e.flags&flag != 0 }

// Limits of what a server may say in a handshake.
const (
	maxAnswer  = 64 << 10 // bytes of one reply to an option; more than any that has a meaning
	maxAnswers = 64       // replies to one option
	maxBlock   = 64 << 10 // bytes of a minimum block size: the protocol's limit
)

// handshake opens the export, under the deadline that dial set. What the server says before TLS is worth nothing after.
func (l *link) handshake() error {
	if err := l.greet(); err != nil {
		return fmt.Errorf("handshake: %w", tidy(err))
	}
	if l.c.uri.TLS {
		if err := l.startTLS(); err != nil {
			return fmt.Errorf("TLS: %w", tidy(err))
		}
	}
	if err := l.negotiate(); err != nil {
		return fmt.Errorf("handshake: %w", tidy(err))
	}
	return nil
}

// tidy says in words what the end of a stream means here.
func tidy(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the server closed the connection")
	}
	return err
}

// greet reads who the server is.
func (l *link) greet() error {
	if err := l.fill(18); err != nil {
		return err
	}
	b := l.in.next(18)
	if be.Uint64(b) != magicServer || be.Uint64(b[8:]) != magicOption {
		return errors.New("this is no NBD server, or one of before 2011")
	}
	flags := be.Uint16(b[16:])
	if flags&flagFixedNewstyle == 0 {
		return errors.New("the server does not speak the fixed newstyle protocol")
	}
	_, err := l.nc.Write(be.AppendUint32(nil, uint32(flags&(flagFixedNewstyle|flagNoZeroes))))
	return err
}

// startTLS goes on encrypted. Bytes that came in the clear and too early are no part of the encrypted stream: they end the connection.
func (l *link) startTLS() error {
	cfg, err := l.c.tlsConfig()
	if err != nil {
		return err
	}
	if err := l.ask(optStartTLS, nil, nil); err != nil {
		return err
	}
	if l.in.buffered() > 0 {
		return fmt.Errorf("%w: bytes in the clear behind the start of encryption", errProtocol)
	}
	nc := tls.Client(l.nc, cfg)
	if err := nc.Handshake(); err != nil {
		return err
	}
	l.nc, l.in.nc = nc, nc
	return nil
}

// negotiate asks for what the client can use, and opens the export.
func (l *link) negotiate() error {
	err := l.ask(optStructuredReply, nil, nil)
	if err != nil && !optional(err) {
		return err
	}
	l.structured = err == nil
	name := l.c.uri.Export
	if l.structured {
		if err := l.askContext(name); err != nil && !optional(err) {
			return err
		}
	}
	if err := l.askSession(name); err != nil {
		return err
	}
	return l.enter(name)
}

func (l *link) askContext(name string) error {
	b := appendString(appendString(nil, name), "")
	be.PutUint32(b[len(b)-4:], 1) // one query
	return l.ask(optSetMeta, appendString(b, contextAllocation), func(kind uint32, b []byte) error {
		if kind == repMetaContext && len(b) >= 4 && string(b[4:]) == contextAllocation {
			l.contextID, l.export.allocation = be.Uint32(b), true
		}
		return nil
	})
}

// enter opens the export with GO.
func (l *link) enter(name string) error {
	e := &l.export
	e.least, e.preferred, e.most = 1, 4096, maxPayload
	known := false
	b := appendString(nil, name)
	b = be.AppendUint16(b, 1)
	b = be.AppendUint16(b, infoBlockSize)
	err := l.ask(optGo, b, func(kind uint32, b []byte) error {
		if kind != repInfo || len(b) < 2 {
			return nil
		}
		switch what, b := be.Uint16(b), b[2:]; {
		case what == infoExport && len(b) == 10:
			e.size, e.flags, known = be.Uint64(b), be.Uint16(b[8:]), true
		case what == infoBlockSize && len(b) == 12:
			e.least, e.preferred, e.most = be.Uint32(b), be.Uint32(b[4:]), be.Uint32(b[8:])
		case what == infoExport || what == infoBlockSize:
			return fmt.Errorf("%w: information %d of %d bytes", errProtocol, what, len(b))
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !known:
		return fmt.Errorf("%w: nothing said about the export", errProtocol)
	}
	return e.check()
}

// check refuses sizes that nothing can be done with, and makes the most of odd ones.
func (e *export) check() error {
	if e.size > 1<<63-1 {
		return fmt.Errorf("%w: an export of %d bytes", errProtocol, e.size)
	}
	if e.least == 0 || e.least&(e.least-1) != 0 || e.least > maxBlock || e.most < e.least {
		return fmt.Errorf("%w: blocks of %d to %d bytes", errProtocol, e.least, e.most)
	}
	if e.preferred < e.least || e.preferred&(e.preferred-1) != 0 {
		e.preferred = max(e.least, 4096)
	}
	e.most = min(e.most, maxPayload) &^ (e.least - 1)
	return nil
}

// refused is the server's no to an option.
type refused struct {
	option, kind uint32
	text         string
}

func (r *refused) Error() string {
	what := map[uint32]string{
		repErrUnsup: "it does not know this option", repErrPolicy: "not allowed", repErrInvalid: "invalid", repErrPlatform: "not possible there",
		repErrTLSReqd: "it wants TLS: use nbds:// or nbds+unix://", repErrUnknown: "there is no such export", repErrShutdown: "it is shutting down",
		repErrBlockSize: "it wants block sizes to be asked for", repErrTooBig: "too big",
	}[r.kind]
	if what == "" {
		what = fmt.Sprintf("error %#x", r.kind)
	}
	if r.option == optStartTLS && (r.kind == repErrUnsup || r.kind == repErrPolicy) {
		what = "it has no TLS: use nbd:// if the network can be trusted"
	}
	if r.text != "" {
		what += " (" + r.text + ")"
	}
	return "the server refuses: " + what
}

// optional says whether an error is a server's way to say that it does not have what was asked for, and the handshake can go on.
func optional(err error) bool {
	var r *refused
	return errors.As(err, &r) && r.kind != repErrTLSReqd && r.kind != repErrShutdown
}

// ask sends an option and hands its replies to take, up to the acknowledgement.
func (l *link) ask(code uint32, data []byte, take func(kind uint32, b []byte) error) error {
	b := be.AppendUint64(nil, magicOption)
	b = be.AppendUint32(b, code)
	b = be.AppendUint32(b, uint32(len(data)))
	if _, err := l.nc.Write(append(b, data...)); err != nil {
		return err
	}
	for range maxAnswers {
		kind, b, err := l.optionReply(code)
		switch {
		case err != nil:
			return err
		case kind == repAck:
			return nil
		case kind >= 1<<31:
			return &refused{code, kind, printable(b)}
		case take == nil:
			return fmt.Errorf("%w: reply %d to option %d", errProtocol, kind, code)
		}
		if err := take(kind, b); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: more than %d replies to option %d", errProtocol, maxAnswers, code)
}

// optionReply reads one reply to an option; its data is valid until the next.
func (l *link) optionReply(code uint32) (kind uint32, data []byte, err error) {
	if err := l.fill(20); err != nil {
		return 0, nil, err
	}
	b := l.in.next(20)
	kind = be.Uint32(b[12:])
	n := be.Uint32(b[16:])
	if be.Uint64(b) != magicAnswer || be.Uint32(b[8:]) != code || n > maxAnswer {
		return 0, nil, fmt.Errorf("%w: not a reply to option %d", errProtocol, code)
	}
	if int(n) > len(l.in.buf) {
		l.in.grow(maxAnswer)
	}
	if err := l.fill(int(n)); err != nil {
		return 0, nil, err
	}
	return kind, l.in.next(int(n)), nil
}

// appendString appends a string with its length before it.
func appendString(b []byte, s string) []byte {
	return append(be.AppendUint32(b, uint32(len(s))), s...)
}
