package nbd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// connect opens a connection to the server, not yet spoken to.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: c.opt.Handshake}
	if c.uri.Host != "" {
		d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: c.opt.Silence / 2, Interval: max(c.opt.Silence/6, time.Second), Count: 3}
		d.SetMultipathTCP(c.opt.Multipath)
		if c.opt.Source != "" {
			ip := net.ParseIP(c.opt.Source)
			if ip == nil {
				return nil, fmt.Errorf("source address %q is no address", c.opt.Source)
			}
			d.LocalAddr = &net.TCPAddr{IP: ip}
		}
		d.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			if e := raw.Control(func(fd uintptr) { err = c.tune(fd) }); e != nil {
				return e
			}
			return err
		}
	}
	dial := d.DialContext
	if c.opt.Dial != nil {
		dial = c.opt.Dial
	}
	nc, err := dial(ctx, c.uri.network(), c.uri.address())
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err // the address is named by who dials
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return nc, err
}

// tune sets what a socket needs before it connects.
func (c *Client) tune(fd uintptr) error {
	if c.opt.Interface != "" {
		if err := bindTo(fd, c.opt.Interface); err != nil {
			return fmt.Errorf("bind to interface %s: %w", c.opt.Interface, err)
		}
	}
	return userTimeout(fd, c.opt.Silence)
}

// tlsConfig is what the URI and the options say about TLS.
func (c *Client) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.opt.TLS != nil {
		cfg = c.opt.TLS.Clone()
	}
	if dir := c.uri.Certs; dir != "" {
		if err := loadCerts(cfg, dir); err != nil {
			return nil, err
		}
	}
	if cfg.ServerName == "" {
		if cfg.ServerName = c.uri.Host; c.uri.Host == "" {
			cfg.ServerName = "localhost"
		}
	}
	if c.uri.Name != "" {
		cfg.ServerName = c.uri.Name
	}
	cfg.InsecureSkipVerify = cfg.InsecureSkipVerify || c.uri.Trusted
	return cfg, nil
}

// loadCerts reads a folder of certificates under the names that qemu and GnuTLS know them by. A client's own is optional.
func loadCerts(cfg *tls.Config, dir string) error {
	ca, err := os.ReadFile(filepath.Join(dir, "ca-cert.pem"))
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(ca) {
		return fmt.Errorf("certificates: %s holds none", filepath.Join(dir, "ca-cert.pem"))
	}
	cert, key := filepath.Join(dir, "client-cert.pem"), filepath.Join(dir, "client-key.pem")
	if _, err := os.Stat(cert); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificates: %s: %w", cert, err)
	}
	cfg.Certificates = []tls.Certificate{own}
	return nil
}
