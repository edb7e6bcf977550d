package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The files of a folder of certificates, by the names that qemu, libnbd and others who use GnuTLS look for.
const (
	CACert     = "ca-cert.pem"
	CAKey      = "ca-key.pem" // only where certificates are made
	ServerCert = "server-cert.pem"
	ServerKey  = "server-key.pem"
	ClientCert = "client-cert.pem"
	ClientKey  = "client-key.pem"
)

// backdate is how long ago new certificates began to be valid: other machines' clocks may be behind.
const backdate = time.Hour

// MakeCA makes an authority of its own in dir: its certificate, which everybody who is to believe it needs, and its key, which
// stays there. It overwrites nothing.
func MakeCA(dir, name string, life time.Duration) error {
	c, key, err := draft(dir, CACert, CAKey, name, life)
	if err != nil {
		return err
	}
	c.IsCA, c.BasicConstraintsValid, c.MaxPathLenZero = true, true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return sign(dir, CACert, CAKey, c, key, c, key)
}

// MakeServer has the authority in ca certify a server under these host names and addresses, in dir.
func MakeServer(ca, dir string, hosts []string, life time.Duration) error {
	return issue(ca, dir, ServerCert, ServerKey, hosts[0], life, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, h := range hosts {
			if ip := net.ParseIP(h); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, h)
			}
		}
	})
}

// MakeClient has the authority in ca certify a client, in dir; name is what access is given by.
func MakeClient(ca, dir, name string, life time.Duration) error {
	return issue(ca, dir, ClientCert, ClientKey, name, life, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
}

// issue makes a key and a certificate in dir, and puts the authority's certificate beside them.
func issue(ca, dir, certFile, keyFile, name string, life time.Duration, fill func(*x509.Certificate)) error {
	by, byKey, err := loadCA(ca)
	if err != nil {
		return err
	}
	c, key, err := draft(dir, certFile, keyFile, name, life)
	if err != nil {
		return err
	}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	fill(c)
	if err := sign(dir, certFile, keyFile, c, key, by, byKey); err != nil {
		return err
	}
	err = writePEM(filepath.Join(dir, CACert), "CERTIFICATE", by.Raw, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return same(filepath.Join(dir, CACert), by)
	}
	return err
}

// draft is a certificate to be filled in and signed, and its key, for files that must not be there yet.
func draft(dir, certFile, keyFile, name string, life time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	if err := absent(dir, certFile, keyFile); err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life)}, key, nil
}

// sign writes the certificate c for key, signed by by, and the key. The folder is made if there is none.
func sign(dir, certFile, keyFile string, c *x509.Certificate, key *ecdsa.PrivateKey, by *x509.Certificate, byKey *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return plainPath(err)
	}
	if err := writePEM(filepath.Join(dir, keyFile), "PRIVATE KEY", secret, 0o600); err != nil {
		return plainPath(err)
	}
	return plainPath(writePEM(filepath.Join(dir, certFile), "CERTIFICATE", der, 0o644))
}

// writePEM makes a file that must not be there.
func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	return errors.Join(err, f.Sync(), f.Close())
}

// absent refuses to make what is there: whoever uses it would be cut off.
func absent(dir string, files ...string) error {
	for _, name := range files {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return plainPath(err)
			}
			return fmt.Errorf("%s is there already: remove it, or name another folder", path)
		}
	}
	return nil
}

func same(path string, c *x509.Certificate) error {
	there, err := loadCert(path)
	if err != nil {
		return err
	}
	if !there.Equal(c) {
		return fmt.Errorf("%s is of another authority: name another folder", path)
	}
	return nil
}

func loadCA(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	c, err := loadCert(filepath.Join(dir, CACert))
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, CAKey)
	der, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok || !k.PublicKey.Equal(c.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", path, CACert)
	}
	return c, k, nil
}

func loadCert(path string) (*x509.Certificate, error) {
	der, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file: `graid pki init`, `server` and `client` make such folders", path)
	}
	if err != nil {
		return nil, plainPath(err)
	}
	p, _ := pem.Decode(b)
	if p == nil || p.Type != kind {
		return nil, fmt.Errorf("%s: holds no PEM block %q", path, kind)
	}
	return p.Bytes, nil
}
