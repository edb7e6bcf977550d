package daemon

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/nbd"
)

// TestExposure: in the clear, nothing is served where others than this machine could listen, unless somebody insists.
func TestExposure(t *testing.T) {
	for _, a := range []struct {
		at                   string
		none, optional, must bool // whether it may be served without TLS, with it for who wants, with it for all
	}{
		{"unix:/run/x", true, true, true},
		{"tcp:127.0.0.1:1", true, true, true},
		{"tcp:[::1]:1", true, true, true},
		{"tcp:localhost:1", true, true, true},
		{"tcp:0.0.0.0:1", false, false, true},
		{"tcp::1", false, false, true},
		{"tcp:[::]:1", false, false, true},
		{"tcp:example.org:1", false, false, true},
		{"tcp:192.0.2.1:1", false, false, true},
	} {
		at, err := ParseAddress(a.at)
		require.NoError(t, err, a.at)
		for tls, want := range map[*TLS]bool{{}: a.none, {Certs: "c", Optional: true}: a.optional, {Certs: "c"}: a.must, {Insecure: true}: true} {
			err := tls.Allows(at)
			require.Equal(t, want, err == nil, "%s with %+v: %v", a.at, *tls, err)
		}
	}
	_, err := newExports("x", nil, TLS{})
	require.NoError(t, err)
	e, _ := newExports("x", nil, TLS{})
	require.ErrorContains(t, e.bind(Address{"tcp", "0.0.0.0:0"}), "beyond this machine")
	require.Empty(t, e.bound)
	l, err := Address{"tcp", "0.0.0.0:0"}.Listen()
	require.NoError(t, err)
	defer l.Close()
	require.ErrorContains(t, e.take(l), "beyond this machine")
}

// TestAccessRules: the first rule that names a client decides, and who is named by none has no access if there are rules.
func TestAccessRules(t *testing.T) {
	var rules TLS
	require.Equal(t, nbd.ReadWrite, rules.access(nbd.Peer{}, ""))
	for _, s := range []string{"alice=rw", "bob=ro", "eve=none", "host.example=rw", "plain=ro"} {
		r, err := ParseAccess(s)
		require.NoError(t, err)
		rules.Access = append(rules.Access, r)
	}
	named := func(names ...string) nbd.Peer { return nbd.Peer{TLS: true, Names: names} }
	require.Equal(t, nbd.ReadWrite, rules.access(named("alice"), ""))
	require.Equal(t, nbd.ReadOnly, rules.access(named("host.example", "bob"), ""), "the first rule")
	require.Equal(t, nbd.ReadWrite, rules.access(named("x", "host.example"), ""))
	require.Equal(t, nbd.NoAccess, rules.access(named("eve"), ""))
	require.Equal(t, nbd.NoAccess, rules.access(named("mallory"), ""))
	require.Equal(t, nbd.NoAccess, rules.access(named("plain"), ""), "a name in a certificate is not how it came")
	require.Equal(t, nbd.NoAccess, rules.access(named("*"), ""))
	require.Equal(t, nbd.ReadOnly, rules.access(nbd.Peer{}, ""))
	require.Equal(t, nbd.ReadOnly, rules.access(nbd.Peer{Names: []string{"alice"}}, ""), "names count with TLS alone")
	rules.Access = append(rules.Access, AccessRule{everybody, nbd.ReadOnly})
	require.Equal(t, nbd.ReadOnly, rules.access(named("mallory"), ""))
	for _, s := range []string{"", "alice", "=rw", "alice=", "alice=RW", "alice=rx"} {
		_, err := ParseAccess(s)
		require.Error(t, err, s)
	}
}

// TestOwner: another user's process is not let in by the sockets that this one makes; where a service manager made them, it decides.
func TestOwner(t *testing.T) {
	require.NoError(t, owner(nbd.Peer{UID: -1}))
	require.NoError(t, owner(nbd.Peer{UID: 0}))
	require.NoError(t, owner(nbd.Peer{UID: os.Geteuid()}))
	require.ErrorContains(t, owner(nbd.Peer{UID: os.Geteuid() + 4711}), "user")
	e, err := newExports("x", nil, TLS{})
	require.NoError(t, err)
	require.NotNil(t, e.server.Admit)
	dir, err := os.MkdirTemp("", "graid-o-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	l, err := Address{"unix", filepath.Join(dir, "s")}.Listen()
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as of one that was handed over
	require.NoError(t, e.take(l))
	require.Nil(t, e.server.Admit)
	e.close()
	_, err = os.Stat(filepath.Join(dir, "s"))
	require.NoError(t, err, "it is not ours to remove")
}

// TestPKI: certificates are made where they are asked for, overwrite nothing, and keys are their owner's alone; what cannot work is
// refused before anybody is served.
func TestPKI(t *testing.T) {
	dir := t.TempDir()
	ca, server, client := filepath.Join(dir, "ca"), filepath.Join(dir, "server"), filepath.Join(dir, "client")
	require.NoError(t, MakeCA(ca, "us", time.Hour))
	require.NoError(t, MakeServer(ca, server, []string{"localhost", "127.0.0.1"}, time.Hour))
	require.NoError(t, MakeClient(ca, client, "alice", time.Hour))
	for _, key := range []string{filepath.Join(ca, CAKey), filepath.Join(server, ServerKey), filepath.Join(client, ClientKey)} {
		fi, err := os.Stat(key)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode().Perm(), key)
	}
	c, err := loadCert(filepath.Join(server, ServerCert))
	require.NoError(t, err)
	require.Equal(t, []string{"localhost"}, c.DNSNames)
	require.Equal(t, "127.0.0.1", c.IPAddresses[0].String())
	cfg, err := TLS{Certs: server}.config()
	require.NoError(t, err)
	require.NotNil(t, cfg)

	require.ErrorContains(t, MakeCA(ca, "us", time.Hour), "there already")
	require.ErrorContains(t, MakeServer(ca, server, []string{"x"}, time.Hour), "there already")
	require.ErrorContains(t, MakeClient(dir, client, "x", time.Hour), "ca-cert.pem: no such file")
	other := filepath.Join(dir, "other")
	require.NoError(t, MakeCA(other, "them", time.Hour))
	require.ErrorContains(t, MakeClient(other, server, "x", time.Hour), "another authority")

	for name, spoil := range map[string]func(dir string){
		"no such file": func(dir string) { os.Remove(filepath.Join(dir, ServerKey)) },
		"no PEM block": func(dir string) { os.WriteFile(filepath.Join(dir, CACert), []byte("hello"), 0o644) },
		"private key does": func(dir string) {
			b, _ := os.ReadFile(filepath.Join(client, ClientKey))
			os.WriteFile(filepath.Join(dir, ServerKey), b, 0o600)
		},
		"unknown authority": func(dir string) {
			b, _ := os.ReadFile(filepath.Join(other, CACert))
			os.WriteFile(filepath.Join(dir, CACert), b, 0o644)
		},
		"incompatible key": func(dir string) { swap(t, dir, client) },
		"no longer valid":  func(dir string) { expire(t, ca, dir) },
	} {
		bad := filepath.Join(dir, name)
		require.NoError(t, MakeServer(ca, bad, []string{"localhost"}, time.Hour))
		spoil(bad)
		_, err := TLS{Certs: bad}.config()
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, bad)
	}
	none, err := TLS{}.config()
	require.NoError(t, err)
	require.Nil(t, none)
}

// swap gives the server a client's certificate.
func swap(t *testing.T, dir, client string) {
	for from, to := range map[string]string{ClientCert: ServerCert, ClientKey: ServerKey} {
		b, err := os.ReadFile(filepath.Join(client, from))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, to), b, 0o600))
	}
}

// expire gives the server a certificate that was good until a minute ago.
func expire(t *testing.T, ca, dir string) {
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, MakeServer(ca, dir, []string{"localhost"}, -time.Minute))
}
