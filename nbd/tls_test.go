package nbd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block/mem"
	"graid/nbd"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{key: key, cert: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

// issue makes a certificate for both ends of a connection.
func (a *authority) issue(t testing.TB, cn string, dns ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: cn}, DNSNames: dns, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// mutual is what a server needs that asks its clients for certificates.
func (a *authority) mutual(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.issue(t, "server", "localhost")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool()}
}

func (a *authority) client(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: a.pool(), ServerName: "localhost", Certificates: certs}
}

// mutual and outer are the two ends of a connection, made once.
func mutual(t testing.TB) *tls.Config {
	ends.once.Do(func() {
		ends.server, ends.client = tests().mutual(t), tests().client(tests().issue(t, "me"))
	})
	return ends.server
}

func outer(t testing.TB) *tls.Config { mutual(t); return ends.client }

var ends struct {
	once           sync.Once
	server, client *tls.Config
}

var tests = sync.OnceValue(func() *authority { return newAuthority(&testing.T{}) })

// secret is a server that wants TLS, of "disk", "other" and, for TLS alone even where that is optional, "vault".
func secret(t testing.TB) *nbd.Server {
	list := []nbd.Export{
		{Name: "disk", Description: "a disk", Dev: mem.New(1<<20, mem.Options{})},
		{Name: "other", Dev: mem.New(512<<10, mem.Options{})},
		{Name: "vault", TLS: true, Dev: mem.New(1<<20, mem.Options{})},
	}
	return &nbd.Server{TLS: tests().mutual(t), List: func() []nbd.Export { return list }}
}

// talk is a connection to s that has said 4:3.
func talk(t testing.TB, s *nbd.Server) net.Conn {
	nc, err := net.Dial("unix", start(t, s))
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.ReadFull(nc, make([]byte, 18))
	require.NoError(t, err)
	_, err = nc.Write([]byte{0, 0, 0, 3})
	require.NoError(t, err)
	return nc
}

// upgrade begins TLS.
func upgrade(t *testing.T, nc net.Conn, cfg *tls.Config) (*tls.Conn, error) {
	converse(t, nc, "> opt:STARTTLS", "< rep:STARTTLS:ACK")
	c := tls.Client(nc, cfg)
	err := c.Handshake()
	if err == nil {
		// With TLS 1.3 a client learns that its certificate is refused by what it reads next.
		if _, err = c.Write(encode(t, "opt:STARTTLS")); err == nil {
			want := encode(t, `rep:STARTTLS:ERR_INVALID "TLS is on already"`)
			got := make([]byte, len(want))
			if _, err = io.ReadFull(c, got); err == nil {
				require.Equal(t, want, got)
			}
		}
	}
	return c, err
}

func converse(t *testing.T, nc net.Conn, lines ...string) {
	t.Helper()
	for _, line := range lines {
		switch {
		case line == "< close":
			b, err := io.ReadAll(nc)
			if err != nil {
				require.ErrorContains(t, err, "reset")
			}
			require.Empty(t, b)
		case line[0] == '>':
			_, err := nc.Write(encode(t, line[2:]))
			require.NoError(t, err, line)
		default:
			expect(t, nc, line[2:])
		}
	}
}

// TestWithoutTLS: a server that wants TLS says so to everything else, whatever is asked, and tells no name.
func TestWithoutTLS(t *testing.T) {
	nc := talk(t, secret(t))
	for _, o := range []string{"LIST", "STRUCTURED_REPLY", "0x47524944", `INFO str:"disk" 2:0`, `GO str:"disk" 2:0`, `GO str:"none" 2:0`, "GO",
		`LIST_META_CONTEXT str:"disk" 4:0`, `SET_META_CONTEXT str:"disk" 4:0`} {
		code := split(o)[0]
		converse(t, nc, "> opt:"+o, "< rep:"+code+`:ERR_TLS_REQD "this server wants TLS: begin with STARTTLS"`)
	}
	converse(t, nc, "> opt:GO fill:65537:61", `< rep:GO:ERR_TOO_BIG "at most 65536 bytes of option data"`)
	converse(t, nc, `> opt:STARTTLS "x"`, `< rep:STARTTLS:ERR_INVALID "this option takes no data"`, "> opt:ABORT", "< rep:ABORT:ACK", "< close")
	for _, name := range []string{"disk", "none"} {
		converse(t, talk(t, secret(t)), `> opt:EXPORT_NAME "`+name+`"`, "< close")
	}
}

// TestOptionalTLS: where TLS is optional, an export that is for TLS alone looks without it like one that there is not.
func TestOptionalTLS(t *testing.T) {
	s := secret(t)
	s.TLSOptional = true
	converse(t, talk(t, s), "> opt:LIST", `< rep:LIST:SERVER str:"disk" "a disk"`, `< rep:LIST:SERVER str:"other"`, "< rep:LIST:ACK",
		`> opt:GO str:"vault" 2:0`, `< rep:GO:ERR_TLS_REQD "no such export without TLS"`, `> opt:GO str:"none" 2:0`, `< rep:GO:ERR_TLS_REQD "no such export without TLS"`,
		`> opt:INFO str:"vault" 2:0`, `< rep:INFO:ERR_TLS_REQD "no such export without TLS"`,
		"> opt:STRUCTURED_REPLY", "< rep:STRUCTURED_REPLY:ACK", `> opt:SET_META_CONTEXT str:"vault" 4:0`, `< rep:SET_META_CONTEXT:ERR_TLS_REQD "no such export without TLS"`,
		`> opt:GO str:"disk" 2:0`, "< rep:GO:REP_INFO 2:0 8:0x100000 2:0xded", "< rep:GO:ACK")
	s = secret(t)
	s.TLSOptional = true
	converse(t, talk(t, s), `> opt:EXPORT_NAME "vault"`, "< close")
	s = secret(t)
	s.TLSOptional = true
	c, err := upgrade(t, talk(t, s), tests().client(tests().issue(t, "me")))
	require.NoError(t, err)
	converse(t, c, `> opt:GO str:"vault" 2:0`, "< rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d", "< rep:GO:ACK")
}

// TestStartTLSForgets: what was agreed in the clear holds no more, and what came in the clear after STARTTLS is nobody's.
func TestStartTLSForgets(t *testing.T) {
	me := tests().client(tests().issue(t, "me"))
	s := secret(t)
	s.TLSOptional = true
	nc := talk(t, s)
	converse(t, nc, "> opt:STRUCTURED_REPLY", "< rep:STRUCTURED_REPLY:ACK",
		`> opt:SET_META_CONTEXT str:"disk" 4:1 str:"base:allocation"`, `< rep:SET_META_CONTEXT:META 4:1 "base:allocation"`, "< rep:SET_META_CONTEXT:ACK")
	c, err := upgrade(t, nc, me)
	require.NoError(t, err)
	converse(t, c, `> opt:GO str:"disk" 2:0`, "< rep:GO:REP_INFO 2:0 8:0x100000 2:0xd6d", "< rep:GO:ACK",
		"> req:0:BLOCK_STATUS:1:0:512", "< simple:EINVAL:1", "> req:0:READ:2:0:2", "< simple:OK:2 2:0", "> req:0:DISC:3:0:0", "< close")

	nc = talk(t, secret(t))
	_, err = nc.Write(append(encode(t, "opt:STARTTLS"), encode(t, "opt:LIST")...))
	require.NoError(t, err)
	converse(t, nc, "< close")

	// Contexts alone: structured replies agreed again after TLS bring back nothing that was chosen before.
	s = secret(t)
	s.TLSOptional = true
	nc = talk(t, s)
	converse(t, nc, "> opt:STRUCTURED_REPLY", "< rep:STRUCTURED_REPLY:ACK",
		`> opt:SET_META_CONTEXT str:"disk" 4:1 str:"base:allocation"`, `< rep:SET_META_CONTEXT:META 4:1 "base:allocation"`, "< rep:SET_META_CONTEXT:ACK")
	c, err = upgrade(t, nc, me)
	require.NoError(t, err)
	converse(t, c, "> opt:STRUCTURED_REPLY", "< rep:STRUCTURED_REPLY:ACK", `> opt:GO str:"disk" 2:0`, "< rep:GO:REP_INFO 2:0 8:0x100000 2:0xded", "< rep:GO:ACK",
		"> req:0:BLOCK_STATUS:1:0:512", `< chunk:DONE:ERROR:1 4:EINVAL 2:30 "no meta context was negotiated"`)
}

// TestCertificates: who has no certificate, one of somebody else's authority, or too old a TLS, is not served.
func TestCertificates(t *testing.T) {
	_, err := upgrade(t, talk(t, secret(t)), tests().client(tests().issue(t, "me")))
	require.NoError(t, err)
	_, err = upgrade(t, talk(t, secret(t)), tests().client())
	require.Error(t, err)
	_, err = upgrade(t, talk(t, secret(t)), tests().client(newAuthority(t).issue(t, "me")))
	require.Error(t, err)
	old := tests().client(tests().issue(t, "me"))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	s := secret(t)
	s.TLS.MinVersion = tls.VersionTLS10
	_, err = upgrade(t, talk(t, s), old)
	require.Error(t, err)
}

// TestAccess: what a client may do with which export depends on the names in its certificate. What it may not see it is not told of.
func TestAccess(t *testing.T) {
	rules := func(p nbd.Peer, export string) nbd.Access {
		switch {
		case slices.Contains(p.Names, "admin"), p.TLS && slices.Contains(p.Names, "host1.example") && export == "disk":
			return nbd.ReadWrite
		case export == "disk":
			return nbd.ReadOnly
		}
		return nbd.NoAccess
	}
	for _, a := range []struct {
		cert tls.Certificate
		sees []string
		disk string // flags of "disk"
	}{
		{tests().issue(t, "admin"), []string{`"disk" "a disk"`, `"other"`, `"vault"`}, "0xd6d"},
		{tests().issue(t, "x", "admin"), []string{`"disk" "a disk"`, `"other"`, `"vault"`}, "0xd6d"},
		{tests().issue(t, "", "host1.example"), []string{`"disk" "a disk"`}, "0xd6d"},
		{tests().issue(t, "guest"), []string{`"disk" "a disk"`}, "0x50f"},
	} {
		s := secret(t)
		s.Access = rules
		c, err := upgrade(t, talk(t, s), tests().client(a.cert))
		require.NoError(t, err)
		converse(t, c, "> opt:LIST")
		for _, name := range a.sees {
			converse(t, c, "< rep:LIST:SERVER str:"+name)
		}
		converse(t, c, "< rep:LIST:ACK")
		if len(a.sees) == 1 {
			converse(t, c, `> opt:GO str:"vault" 2:0`, `< rep:GO:ERR_UNKNOWN "no such export"`, `> opt:INFO str:"vault" 2:0`, `< rep:INFO:ERR_UNKNOWN "no such export"`)
		}
		converse(t, c, `> opt:GO str:"disk" 2:0`, "< rep:GO:REP_INFO 2:0 8:0x100000 2:"+a.disk, "< rep:GO:ACK")
		want := "EPERM"
		if a.disk == "0xd6d" {
			want = "OK"
		}
		converse(t, c, "> req:0:WRITE:1:0:3 \"abc\"", "< simple:"+want+":1")
	}
}

// TestAdmit: a client may be refused before it is greeted.
func TestAdmit(t *testing.T) {
	s := one(mem.New(4096, mem.Options{}))
	peers := make(chan nbd.Peer, 2)
	s.Admit = func(p nbd.Peer) error {
		if peers <- p; len(peers) > 1 {
			return io.ErrClosedPipe
		}
		return nil
	}
	path := start(t, s)
	dial(t, path, false)
	nc, err := net.Dial("unix", path)
	require.NoError(t, err)
	converse(t, nc, "< close")
	require.Len(t, peers, 2)
}

// TestSlowTLS: a client that takes its replies slowly is not closed, whatever a whole reply takes; one that takes nothing is, and
// nobody else waits for it. TLS would not survive a write that timed out half way.
func TestSlowTLS(t *testing.T) {
	s := secret(t)
	s.List = nil
	disk := mem.New(12<<20, mem.Options{})
	s.Exports = func(string) (*nbd.Export, error) { return &nbd.Export{Name: "disk", Dev: disk}, nil }
	s.Limits.Stall = 1500 * time.Millisecond
	enter := func() *tls.Conn {
		c, err := upgrade(t, talk(t, s), tests().client(tests().issue(t, "me")))
		require.NoError(t, err)
		converse(t, c, `> opt:GO str:"disk" 2:0`, "< rep:GO:REP_INFO 2:0 8:0xc00000 2:0xd6d", "< rep:GO:ACK")
		return c
	}
	c, stuck := enter(), enter()
	for _, c := range []net.Conn{c, stuck} {
		_, err := c.Write(encode(t, "req:0:READ:1:0:0xc00000"))
		require.NoError(t, err)
	}
	for n := 0; n < 16+12<<20; {
		time.Sleep(50 * time.Millisecond) // 60 of these are longer than a stall may be
		m, err := io.CopyN(io.Discard, c, int64(min(200<<10, 16+12<<20-n)))
		require.NoError(t, err, "after %d bytes", n)
		n += int(m)
	}
	require.Eventually(t, func() bool { return len(s.Clients()) > 0 && s.Clients()[0].Connections == 1 }, 20*time.Second, 5*time.Millisecond)
}
