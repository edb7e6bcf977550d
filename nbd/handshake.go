package nbd

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Reasons to close a connection during its handshake.
var (
	errAborted  = errors.New("client aborted the handshake")
	errProtocol = errors.New("protocol violation")
	errUnknown  = errors.New("unknown export")
	errCrowd    = errors.New("too many handshakes at once: the oldest is closed")
)

// option is one option of the handshake, with its data.
type option struct {
	code uint32
	data []byte
}

// handshake speaks fixed newstyle until an export is opened. The whole of it happens under one deadline.
func (c *conn) handshake() error {
	c.answer = be.AppendUint64(c.answer, magicServer)
	c.answer = be.AppendUint64(c.answer, magicOption)
	c.answer = be.AppendUint16(c.answer, flagFixedNewstyle|flagNoZeroes)
	if err := c.say(); err != nil {
		return err
	}
	if err := c.fill(4); err != nil {
		return err
	}
	flags := be.Uint32(c.in.next(4))
	if flags&^(flagFixedNewstyle|flagNoZeroes) != 0 {
		return fmt.Errorf("%w: unknown client flags %#x", errProtocol, flags)
	}
	c.noZeroes = flags&flagNoZeroes != 0

	for n := 0; n < c.lim.Options+c.listed; n++ {
		o, err := c.option()
		if err != nil {
			return err
		}
		if err := c.obey(o); err != nil {
			c.say()
			return err
		}
		if err := c.say(); err != nil || c.vol != nil {
			return err
		}
	}
	return fmt.Errorf("%w: more than %d options", errProtocol, c.lim.Options+c.listed)
}

// option reads one option. Data over the limit is never stored: it is read past and refused, and beyond MetaBytes it
// ends the connection. An option that was refused already comes back with code 0.
func (c *conn) option() (option, error) {
	if err := c.fill(16); err != nil {
		return option{}, err
	}
	head := c.in.next(16)
	if magic := be.Uint64(head); magic != magicOption {
		return option{}, fmt.Errorf("%w: option magic %#x", errProtocol, magic)
	}
	code, n := be.Uint32(head[8:]), be.Uint32(head[12:])
	limit := c.lim.OptionBytes
	if code == optListMeta || code == optSetMeta {
		limit = c.lim.MetaBytes
	}
	switch {
	case n > max(c.lim.MetaBytes, limit), n > limit && code == optExportName:
		return option{}, fmt.Errorf("%w: option %d with %d bytes of data", errProtocol, code, n)
	case n > limit:
		c.forget(code)
		c.refuse(code, repErrTooBig, fmt.Sprintf("at most %d bytes of option data", limit))
		return option{}, c.skip(int64(n))
	}
	data, err := c.data(int(n))
	return option{code: code, data: data}, err
}

// data reads n bytes of an option. Memory is taken as they arrive: who announces a MiB must send it.
func (c *conn) data(n int) ([]byte, error) {
	b := make([]byte, min(n, firstData))
	err := c.full(b)
	for err == nil && len(b) < n {
		at := len(b)
		b = append(b, make([]byte, min(n-at, at))...)
		err = c.full(b[at:])
	}
	return b, err
}

// obey answers one option into c.answer. GO and EXPORT_NAME set c.vol and so end the handshake.
func (c *conn) obey(o option) error {
	if o.code == 0 && o.data == nil {
		return nil // refused already
	}
	if c.wantsTLS() && o.code != optStartTLS && o.code != optAbort {
		if o.code == optExportName {
			return errPlain
		}
		c.refuse(o.code, repErrTLSReqd, "this server wants TLS: begin with STARTTLS")
		return nil
	}
	switch o.code {
	case optExportName:
		return c.exportName(string(o.data))
	case optAbort:
		c.reply(o.code, repAck, nil)
		return errAborted
	case optStartTLS:
		if c.srv.TLS != nil {
			return c.startTLS(o)
		}
		c.refuse(o.code, repErrPolicy, "there is no TLS here")
	case optList:
		c.list(o)
	case optInfo, optGo:
		c.info(o)
	case optStructuredReply:
		if len(o.data) > 0 {
			c.refuse(o.code, repErrInvalid, "this option takes no data")
			break
		}
		c.structured = true
		c.reply(o.code, repAck, nil)
	case optSession:
		c.session(o)
	case optListMeta, optSetMeta:
		c.meta(o)
	default:
		c.refuse(o.code, repErrUnsup, "unknown option")
	}
	return nil
}

// exportName is the old way in: it has no way to say no but to close.
func (c *conn) exportName(name string) error {
	v := c.find(name)
	if v == nil {
		return fmt.Errorf("%w %.80q", errUnknown, name)
	}
	c.enter(v, name)
	c.answer = be.AppendUint64(c.answer, v.size)
	c.answer = be.AppendUint16(c.answer, v.flags(c.structured))
	if !c.noZeroes {
		c.answer = append(c.answer, make([]byte, 124)...)
	}
	return nil
}

func (c *conn) list(o option) {
	switch {
	case len(o.data) > 0:
		c.refuse(o.code, repErrInvalid, "this option takes no data")
		return
	case c.srv.List == nil:
		c.refuse(o.code, repErrPolicy, "listing exports is not allowed here")
		return
	}
	names := 0
	for _, e := range c.srv.List() {
		if !validName(e.Name) || c.access(e) == NoAccess {
			continue
		}
		names++
		b := be.AppendUint32(nil, uint32(len(e.Name)))
		b = append(b, e.Name...)
		c.reply(o.code, repServer, append(b, clip(e.Description, maxName)...))
	}
	c.listed = min(names, maxListed)
	c.reply(o.code, repAck, nil)
}

// info answers INFO and GO alike; after GO the connection is the export's.
func (c *conn) info(o option) {
	name, rest, ok := cutString(o.data)
	if !ok || len(rest) < 2 || len(rest) != 2+2*int(be.Uint16(rest)) {
		c.refuse(o.code, repErrInvalid, "lengths inside the option do not add up")
		return
	}
	if len(name) > maxName {
		c.refuse(o.code, repErrInvalid, "a name has at most 4096 bytes")
		return
	}
	v := c.find(name)
	if v == nil {
		c.unknown(o.code)
		return
	}
	asked := map[uint16]bool{}
	for rest = rest[2:]; len(rest) > 0; rest = rest[2:] {
		asked[be.Uint16(rest)] = true
	}
	b := be.AppendUint16(nil, infoExport)
	b = be.AppendUint64(b, v.size)
	c.reply(o.code, repInfo, be.AppendUint16(b, v.flags(c.structured)))
	if asked[infoName] {
		c.reply(o.code, repInfo, append(be.AppendUint16(nil, infoName), v.Name...))
	}
	if asked[infoDescription] && v.Description != "" {
		c.reply(o.code, repInfo, append(be.AppendUint16(nil, infoDescription), clip(v.Description, maxName)...))
	}
	if asked[infoBlockSize] {
		b := be.AppendUint16(nil, infoBlockSize)
		b = be.AppendUint32(b, 1)
		b = be.AppendUint32(b, v.preferred(c.lim.Payload))
		c.reply(o.code, repInfo, be.AppendUint32(b, c.lim.Payload))
	}
	c.reply(o.code, repAck, nil)
	if o.code == optGo {
		c.enter(v, name)
		return
	}
	c.srv.release(v)
}

// enter ends the handshake. A meta context chosen for another export is worth nothing here.
func (c *conn) enter(v *volume, name string) {
	c.vol = v
	c.allocation = c.allocation && c.metaName == name
}

// find opens the export of that name, nil if there is none for this client or it cannot be opened: the log knows why.
func (c *conn) find(name string) *volume {
	if !validName(name) {
		return nil
	}
	v, err := c.srv.open(name)
	if err != nil {
		c.log().Warn("open export", "export", name, "err", err)
	}
	if v == nil {
		return nil
	}
	switch c.access(v.Export) {
	case NoAccess:
		c.log().Warn("refused an export", "export", v.Name)
		c.srv.release(v)
		return nil
	case ReadOnly:
		v.ReadOnly = true
	}
	return v
}

// reply appends one reply to an option.
func (c *conn) reply(code, kind uint32, b []byte) {
	c.answer = be.AppendUint64(c.answer, magicAnswer)
	c.answer = be.AppendUint32(c.answer, code)
	c.answer = be.AppendUint32(c.answer, kind)
	c.answer = be.AppendUint32(c.answer, uint32(len(b)))
	c.answer = append(c.answer, b...)
}

func (c *conn) refuse(code, kind uint32, text string) { c.reply(code, kind, []byte(text)) }

// say sends what was answered, waiting until the socket took it: in a handshake the deadline bounds that.
func (c *conn) say() error {
	_, err := c.nc.Write(c.answer)
	c.answer = c.answer[:0]
	return err
}

// cutString takes a 32-bit length and that many bytes off b.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := be.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}

func validName(name string) bool {
	if len(name) > maxName || !utf8.ValidString(name) {
		return false
	}
	for i := range len(name) {
		if name[i] == 0 {
			return false
		}
	}
	return true
}

// clip is s without what exceeds n bytes, cut between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
