package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"graid/nbd"
)

// TLS is how an array's exports are encrypted, and who may use them.
type TLS struct {
	Certs    string       // folder with ca-cert.pem, server-cert.pem and server-key.pem; "" = no TLS
	Optional bool         // clients may go on without
	Access   []AccessRule // the first that names a client decides; with none, all may read and write
	Insecure bool         // serve beyond this machine in the clear too
}

// everybody names all clients in a rule, and plain those without TLS.
const (
	everybody = "*"
	plain     = "plain"
)

// AccessRule is what the clients of a name may do.
type AccessRule struct {
	Client string // the common name or a host name in its certificate; "*" = all; "plain" = those without TLS
	Access nbd.Access
}

// means says whether the rule is about this client. What its certificate calls it cannot be one of our words.
func (r AccessRule) means(p nbd.Peer) bool {
	switch r.Client {
	case everybody:
		return true
	case plain:
		return !p.TLS
	}
	return p.TLS && slices.Contains(p.Names, r.Client)
}

var accessWords = map[string]nbd.Access{"rw": nbd.ReadWrite, "ro": nbd.ReadOnly, "none": nbd.NoAccess}

// ParseAccess reads CLIENT=rw, CLIENT=ro or CLIENT=none.
func ParseAccess(s string) (AccessRule, error) {
	client, word, ok := strings.Cut(s, "=")
	access, known := accessWords[word]
	if !ok || client == "" || !known {
		return AccessRule{}, fmt.Errorf("%q: write CLIENT=rw, CLIENT=ro or CLIENT=none; CLIENT is a name in a certificate, plain for clients without TLS, or * for all", s)
	}
	return AccessRule{client, access}, nil
}

// required says whether nobody is served in the clear.
func (t TLS) required() bool { return t.Certs != "" && !t.Optional }

// Allows refuses to serve at an address where what is read and written could be seen and changed on its way.
func (t TLS) Allows(a Address) error {
	host, port, err := net.SplitHostPort(a.At)
	if a.Network != "tcp" || t.required() || t.Insecure || err == nil && loopback(host) {
		return nil
	}
	return fmt.Errorf("tcp:%s: refusing to serve beyond this machine without TLS: give --tls-certs DIR, which `graid pki` makes, or use tcp:127.0.0.1:%s and a tunnel; "+
		"--insecure serves anybody, in the clear", a.At, port)
}

// config is the server's side of TLS; nil where there is none.
func (t TLS) config() (*tls.Config, error) {
	if t.Certs == "" {
		return nil, nil
	}
	ca, err := loadCert(filepath.Join(t.Certs, CACert))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{ServerCert, ServerKey} {
		if _, err := os.Stat(filepath.Join(t.Certs, name)); err != nil {
			return nil, fmt.Errorf("%w: `graid pki server` makes it", plainPath(err))
		}
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(t.Certs, ServerCert), filepath.Join(t.Certs, ServerKey))
	if err != nil {
		return nil, fmt.Errorf("%s: %s and %s: %w", t.Certs, ServerCert, ServerKey, err)
	}
	authority := x509.NewCertPool()
	authority.AddCert(ca)
	if _, err := own.Leaf.Verify(x509.VerifyOptions{Roots: authority, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			return nil, fmt.Errorf("%s: no longer valid since %s: remove it and its key, and have `graid pki server` make new ones",
				filepath.Join(t.Certs, ServerCert), own.Leaf.NotAfter.Format("2006-01-02"))
		}
		return nil, fmt.Errorf("%s: %w", filepath.Join(t.Certs, ServerCert), err)
	}
	return &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority, MinVersion: tls.VersionTLS12}, nil
}

// access is what a client may do.
func (t TLS) access(p nbd.Peer, _ string) nbd.Access {
	for _, r := range t.Access {
		if r.means(p) {
			return r.Access
		}
	}
	if len(t.Access) > 0 {
		return nbd.NoAccess
	}
	return nbd.ReadWrite
}
