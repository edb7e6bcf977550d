package nbd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"graid/sched"
)

// Access is what a client may do with an export.
type Access int

// From the most to the least.
const (
	ReadWrite Access = iota
	ReadOnly
	NoAccess // as far as this client is told, there is no such export
)

// errPlain is why a client that asks for an export without TLS is closed where there is no other way to say no.
var errPlain = errors.New("asked for an export without TLS")

// wantsTLS says whether this client has to begin TLS before anything else.
func (c *conn) wantsTLS() bool { return c.srv.TLS != nil && !c.srv.TLSOptional && !c.peer.TLS }

// startTLS goes on encrypted. Whatever was agreed in the clear is forgotten: somebody between may have said it. For the same
// reason nothing that came in the clear is taken for something that came encrypted: a client waits for our answer before it
// goes on, so what is there already ends the connection.
func (c *conn) startTLS(o option) error {
	switch {
	case c.peer.TLS:
		c.refuse(o.code, repErrInvalid, "TLS is on already")
		return nil
	case len(o.data) > 0:
		c.refuse(o.code, repErrInvalid, "this option takes no data")
		return nil
	case c.in.buffered() > 0:
		return fmt.Errorf("%w: more in the clear after STARTTLS", errProtocol)
	}
	c.reply(o.code, repAck, nil)
	if err := c.say(); err != nil {
		return err
	}
	cfg := c.srv.TLS.Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	c.lower = &lower{Conn: c.raw, s: c.srv.sched()}
	nc := tls.Server(c.lower, cfg)
	if err := nc.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	peer := c.peer
	peer.TLS, peer.Names = true, namesOf(nc.ConnectionState().PeerCertificates)
	c.srv.known(c, peer)
	c.structured, c.allocation, c.metaName, c.listed = false, false, "", 0
	c.nc, c.in, c.outbox.sock.nc = nc, inbox{nc: nc, buf: make([]byte, 4096)}, nc
	return nil
}

// namesOf are the names that a certificate, which was verified, is for: those of the machine, and then what it is called.
func namesOf(chain []*x509.Certificate) []string {
	if len(chain) == 0 {
		return nil
	}
	names := append([]string(nil), chain[0].DNSNames...)
	if cn := chain[0].Subject.CommonName; cn != "" {
		names = append(names, cn)
	}
	return names
}

// access is what this client may do with an export.
func (c *conn) access(e Export) Access {
	switch {
	case e.TLS && !c.peer.TLS:
		return NoAccess
	case c.srv.Access == nil:
		return ReadWrite
	}
	return c.srv.Access(c.peer, e.Name)
}

// unknown refuses an option for an export that this client does not get. Before TLS, one that there is not looks like one that
// wants TLS: names are for those who may know them.
func (c *conn) unknown(code uint32) {
	if c.srv.TLS != nil && !c.peer.TLS {
		c.refuse(code, repErrTLSReqd, "no such export without TLS")
		return
	}
	c.refuse(code, repErrUnknown, "no such export")
}

// lower is what is under TLS. TLS does not survive a write that timed out, and one of its writes may be many: so here each record, 16
// KiB, has the time that a stall may last.
type lower struct {
	net.Conn
	s     sched.Sched
	stall time.Duration // 0 in the handshake, which has a deadline of its own
}

func (l *lower) Write(b []byte) (int, error) {
	if l.stall > 0 {
		if err := l.Conn.SetWriteDeadline(l.s.Wall().Add(l.stall)); err != nil {
			return 0, err
		}
	}
	return l.Conn.Write(b)
}
