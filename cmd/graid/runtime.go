package main

import (
	"fmt"
	"os"
	"path/filepath"

	"graid/block/file"
	"graid/daemon"
	"graid/raid/md"
)

// assembleFlags are what create, assemble and serve share: how an array is put together and where it is served.
func assembleFlags() []flag {
	return []flag{
		{name: "nbd", value: "ADDRESS", list: true, usage: "serve at unix:PATH or tcp:HOST:PORT; may be repeated (default: a socket in the runtime folder)"},
		{name: "export", value: "NAME", usage: "what the export is called (default: the array's name)"},
		{name: "tls-certs", value: "DIR", usage: "serve with TLS, to clients with a certificate: DIR has ca-cert.pem, server-cert.pem and server-key.pem; see `graid help pki`"},
		{name: "tls-mode", value: "MODE", usage: "require TLS, allow clients to go on without it, or off (default: require with --tls-certs, else off)"},
		{name: "tls-access", value: "CLIENT=rw|ro|none", list: true, usage: "what a client may do, by a name in its certificate; plain is clients without TLS, * all; " +
			"may be repeated, the first that fits decides, and then nobody else may (default: all may read and write)"},
		{name: "insecure", usage: "serve beyond this machine in the clear too, to anybody who can reach it"},
		{name: "io", value: "MODE", usage: "how members are read and written: auto, buffered or direct (default: auto)"},
		deadlineFlag,
		{name: "overlay", value: "DIR", usage: "keep every write in files in DIR and leave the members as they are"},
		{name: "on-event", value: "PROGRAM", usage: "run PROGRAM EVENT NAME [MEMBER] for every event, as mdadm --monitor --program does; see `graid help events`"},
		injectFlag,
	}
}

func startFlags() []flag {
	return []flag{
		{name: "readonly", short: "o", usage: "write nothing to any member, ever"},
		{name: "run", short: "R", usage: "start even if fewer members are here than there were last time"},
		{name: "force", short: "f", usage: "accept stale members, and a dirty array that is degraded: some writes may be lost"},
		{name: "uuid", short: "u", value: "UUID", usage: "only this array, where members of several are given"},
	}
}

// folderPath is the runtime folder that the environment asks for.
func folderPath() string { return daemon.Where(os.Getenv, os.Geteuid(), os.TempDir()) }

func openFolder() (daemon.Folder, error) { return daemon.OpenFolder(folderPath()) }
func lookFolder() (daemon.Folder, error) { return daemon.LookFolder(folderPath()) }

// config reads what the user asked of a running array. Nothing is opened or made but the runtime folder.
func (c *call) config(name string, members []string) (cfg daemon.Config, err error) {
	if err := daemon.CheckName(name); err != nil {
		return cfg, usage("%s: %v", c.verb.name, err)
	}
	if c.has("readonly") && c.given("overlay") {
		return cfg, usage("%s: --overlay keeps what is written and --readonly lets nothing be written: leave out one of them; "+
			"either way the members stay as they are", c.verb.name)
	}
	if err := daemon.CheckKinds(members); err != nil {
		return cfg, err
	}
	cfg = daemon.Config{Name: name, Export: c.get("export"), Run: c.has("run"), Force: c.has("force")}
	if c.given("export") && (cfg.Export == "" || len(cfg.Export) > maxExport) {
		return cfg, usage("%s: --export: give a name of 1 to %d bytes", c.verb.name, maxExport)
	}
	if cfg.TLS, err = c.tls(); err != nil {
		return cfg, err
	}
	for _, a := range c.list("nbd") {
		at, err := daemon.ParseAddress(a)
		if err == nil {
			err = cfg.TLS.Allows(at)
		}
		if err != nil {
			return cfg, usage("%s: --nbd: %v", c.verb.name, err)
		}
		cfg.Addresses = append(cfg.Addresses, at)
	}
	if cfg.Open.Mode, err = c.mode(); err != nil {
		return cfg, err
	}
	if cfg.Deadline, err = c.deadline(); err != nil {
		return cfg, err
	}
	if c.given("on-event") {
		if cfg.OnEvent, err = daemon.CheckProgram(c.get("on-event")); err != nil {
			return cfg, fmt.Errorf("%s: --on-event: %w", c.verb.name, err)
		}
	}
	cfg.State = daemon.WhereState(os.Getenv, os.Geteuid())
	cfg.Open.ReadOnly = c.has("readonly")
	if cfg.Open.Overlay = c.get("overlay"); cfg.Open.Overlay != "" {
		if cfg.Open.Overlay, err = filepath.Abs(cfg.Open.Overlay); err != nil {
			return cfg, err
		}
	}
	if cfg.UUID, err = c.uuid(); err != nil {
		return cfg, err
	}
	if cfg.Members, err = absolute(members); err != nil {
		return cfg, err
	}
	if cfg.Inject, err = c.rules(cfg.Members); err != nil {
		return cfg, err
	}
	cfg.Folder, err = openFolder()
	folder := cfg.Folder
	cfg.Open.Folder = &folder
	return cfg, err
}

// tls reads who may be served and how.
func (c *call) tls() (t daemon.TLS, err error) {
	mode := c.get("tls-mode")
	certs := c.given("tls-certs")
	switch {
	case mode != "" && mode != "off" && mode != "allow" && mode != "require":
		return t, usage("%s: --tls-mode: %q is none of off, allow, require", c.verb.name, mode)
	case (mode == "allow" || mode == "require") && !certs:
		return t, usage("%s: --tls-mode %s needs --tls-certs DIR: `graid pki` makes such folders", c.verb.name, mode)
	case c.given("tls-access") && (!certs || mode == "off"):
		return t, usage("%s: --tls-access needs --tls-certs DIR: who a client is, its certificate says", c.verb.name)
	}
	t = daemon.TLS{Optional: mode == "allow", Insecure: c.has("insecure")}
	if certs && mode != "off" {
		if t.Certs, err = filepath.Abs(c.get("tls-certs")); err != nil {
			return t, err
		}
	}
	for _, a := range c.list("tls-access") {
		r, err := daemon.ParseAccess(a)
		if err != nil {
			return t, usage("%s: --tls-access: %v", c.verb.name, err)
		}
		t.Access = append(t.Access, r)
	}
	return t, nil
}

// maxExport is the protocol's limit on an export's name, bytes.
const maxExport = 4096

func (c *call) mode() (file.Mode, error) {
	word, err := c.oneOf("io", "auto", "buffered", "direct")
	if err != nil {
		return 0, err
	}
	return map[string]file.Mode{"auto": file.Auto, "buffered": file.Buffered, "direct": file.Direct}[word], nil
}

func (c *call) uuid() (*md.UUID, error) {
	if !c.given("uuid") {
		return nil, nil
	}
	u, err := md.ParseUUID(c.get("uuid"))
	if err != nil {
		return nil, usage("%s: --uuid: %v", c.verb.name, err)
	}
	return &u, nil
}

// absolute makes paths mean the same to a process that runs elsewhere.
func absolute(paths []string) ([]string, error) {
	var list []string
	for _, p := range paths {
		abs, err := daemon.MemberPath(p)
		if err != nil {
			return nil, err
		}
		list = append(list, abs)
	}
	return list, nil
}

// nameAndMembers splits the positional arguments of a verb that wants NAME MEMBER….
func (c *call) nameAndMembers() (name string, members []string, err error) {
	switch len(c.args) {
	case 0:
		return "", nil, usage("%s: name the array and its members: graid %s %s", c.verb.name, c.verb.name, c.verb.args)
	case 1:
		return "", nil, usage("%s: name the members of %s: graid %s %s", c.verb.name, c.args[0], c.verb.name, c.verb.args)
	}
	return c.args[0], c.args[1:], c.once(c.args[1:])
}

// once refuses a member that is given twice. One that has two names is found where it is opened.
func (c *call) once(members []string) error {
	seen := map[string]bool{}
	for _, m := range members {
		abs, err := filepath.Abs(m)
		if err != nil {
			return err
		}
		if seen[abs] && m != missingWord {
			return usage("%s: %s is given twice: a member can be given only once", c.verb.name, m)
		}
		seen[abs] = true
	}
	return nil
}

func (c *call) noArgs() error {
	if len(c.args) > 0 {
		return usage("%s: takes no arguments, got %q", c.verb.name, c.args[0])
	}
	return nil
}

// oneName is the positional argument of a verb that wants NAME alone.
func (c *call) oneName() (string, error) {
	switch len(c.args) {
	case 0:
		return "", usage("%s: name the array: graid %s %s", c.verb.name, c.verb.name, c.verb.args)
	case 1:
		return c.args[0], nil
	}
	return "", usage("%s: takes one name, got %q as well", c.verb.name, c.args[1])
}
