package main

import (
	"fmt"
	"path/filepath"
	"time"

	"graid/daemon"
)

const pkiFolder = "pki"

func pkiVerb() verb {
	return verb{
		name:  "pki",
		args:  "init | server HOST... | client NAME",
		short: "make the certificates that TLS needs, under the names that qemu and libnbd expect",
		long: `"init" makes an authority: ca-cert.pem and ca-key.pem; keep the key where nobody else can read it. "server" certifies a server under
the names and addresses that clients will use: server-cert.pem and server-key.pem, for --tls-certs of create, assemble and serve. "client" certifies
a client: client-cert.pem and client-key.pem, for clients' tls-certificates=DIR; --tls-access gives access by its NAME. Each folder gets ca-cert.pem
too, so it is complete. Nothing is overwritten.`,
		flags: []flag{
			{name: "ca", value: "DIR", usage: "folder of the authority (default: " + pkiFolder + ")"},
			{name: "dir", value: "DIR", usage: "folder to make the certificate in (default: HOST or NAME, in the authority's folder)"},
			{name: "days", value: "N", usage: "how long it is valid (default: 3650)"},
			{name: "name", value: "NAME", usage: "what the authority is called (default: graid)"},
		},
		run: pki,
	}
}

func pki(c *call) error {
	if len(c.args) == 0 {
		return usage("pki: say what to make: graid pki %s", c.verb.args)
	}
	days, err := c.count("days", 3650)
	if err != nil || days == 0 {
		return usage("pki: --days: give a number of days such as 365")
	}
	life := time.Duration(days) * 24 * time.Hour
	ca := pkiFolder
	if c.given("ca") {
		ca = c.get("ca")
	}
	what, names := c.args[0], c.args[1:]
	if what == "init" {
		return pkiInit(c, ca, names, life)
	}
	if what != "server" && what != "client" {
		return usage("pki: %q is none of init, server, client", what)
	}
	if len(names) == 0 || what == "client" && len(names) > 1 {
		return usage("pki: %s: give %s", what, map[string]string{"server": "the host names and addresses that clients will use, such as localhost 127.0.0.1",
			"client": "one name, by which --tls-access will know the client"}[what])
	}
	dir := c.get("dir")
	if dir == "" {
		if names[0] != filepath.Base(names[0]) || names[0] == ".." || names[0] == "." {
			return usage("pki: %s: %q is no name for a folder: give --dir DIR", what, names[0])
		}
		dir = filepath.Join(ca, names[0])
	}
	if what == "server" {
		if err := daemon.MakeServer(ca, dir, names, life); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s: made %s and %s: graid serve --tls-certs %s …\n", dir, daemon.ServerCert, daemon.ServerKey, dir)
		return nil
	}
	if err := daemon.MakeClient(ca, dir, names[0], life); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: made %s and %s: nbds://…?tls-certificates=%s\n", dir, daemon.ClientCert, daemon.ClientKey, dir)
	return nil
}

func pkiInit(c *call, ca string, rest []string, life time.Duration) error {
	if c.given("dir") {
		if c.given("ca") {
			return usage("pki: init: give --ca or --dir, they are the same here")
		}
		ca = c.get("dir")
	}
	if len(rest) > 0 {
		return usage("pki: init takes no arguments, got %q: --ca DIR says where", rest[0])
	}
	name := "graid"
	if c.given("name") {
		name = c.get("name")
	}
	if err := daemon.MakeCA(ca, name, life); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: made %s and %s: graid pki server HOST, graid pki client NAME\n", ca, daemon.CACert, daemon.CAKey)
	return nil
}
