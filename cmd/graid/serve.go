package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"graid/daemon"
)

func serveVerb() verb {
	return verb{
		name:  "serve",
		args:  "NAME MEMBER...",
		short: "the same in the foreground, for containers and service managers",
		long: `Puts the array together and serves it until it is told to end: by SIGINT, SIGTERM or SIGHUP, or by "graid stop NAME". It
then flushes, marks the array clean and exits with status 0. Prints the URI of the export when it serves; what happens to the
array is logged to standard error. Sockets that a service manager hands over (LISTEN_FDS) are served at instead of the default one.`,
		flags: append(append(startFlags(), assembleFlags()...),
			flag{name: "stdio", usage: "serve one client, which has started this, on standard input and output, and end when it has gone"},
			flag{name: "background", quiet: true, usage: "report on standard output as JSON, log to the runtime folder"}),
		run: serve,
	}
}

func serve(c *call) error {
	if c.has("background") {
		return serveBackground(c)
	}
	cfg, err := serveConfig(c)
	if err != nil {
		return err
	}
	cfg.Log = slog.New(slog.NewTextHandler(c.err, nil))
	if cfg.Listeners, err = handedOver(); err != nil {
		return err
	}
	if c.has("stdio") {
		switch {
		case len(cfg.Addresses) > 0:
			return usage("serve: --stdio serves one client alone: leave out --nbd")
		case len(cfg.Listeners) > 0:
			return usage("serve: --stdio, but a socket to listen at was handed over: leave out --stdio")
		}
		in, okIn := c.in.(*os.File)
		out, okOut := asFile(c.out)
		if !okIn || !okOut {
			return usage("serve: --stdio needs standard input and output of its own")
		}
		if cfg.Conn, err = stdio(in, out); err != nil {
			return fmt.Errorf("serve: --stdio: %w", err)
		}
	}
	p, err := daemon.Start(c.ctx, cfg)
	if err != nil {
		return err
	}
	a := p.Array()
	if err := lookAt(a, cfg.Open.ReadOnly); err != nil {
		report(c.err, err)
	}
	for _, x := range a.Exports {
		fmt.Fprintln(c.out, x.URI)
	}
	return p.Wait(c.ctx)
}

func serveConfig(c *call) (daemon.Config, error) {
	name, members, err := c.nameAndMembers()
	if err != nil {
		return daemon.Config{}, err
	}
	cfg, err := c.config(name, members)
	cfg.Vet = refuseContent
	cfg.Command = func(members []string) []string { return c.again(cfg, members) }
	return cfg, err
}

// serveBackground is what assemble and create start. Its standard output is a pipe to who started it: one Report goes there,
// and nothing afterwards.
func serveBackground(c *call) error {
	p, err := startBackground(c)
	if err != nil {
		status := report(io.Discard, err)
		return errors.Join(daemon.Report{Error: err.Error(), Status: status}.Send(c.out), &failure{status, ""})
	}
	a := p.Array()
	if err := (daemon.Report{Array: &a}).Send(c.out); err != nil {
		p.Stop(true) // nobody is there who would learn that the array runs
	}
	if f, ok := asFile(c.out); ok {
		f.Close()
	}
	return p.Wait(c.ctx)
}

func startBackground(c *call) (*daemon.Process, error) {
	cfg, err := serveConfig(c)
	if err != nil {
		return nil, err
	}
	cfg.LogFile = true
	p, err := daemon.Start(c.ctx, cfg)
	if err != nil {
		return nil, err
	}
	// Should there be a bug that ends the process, its last words are in the log.
	if f, err := os.OpenFile(cfg.Folder.LogPath(cfg.Name), os.O_WRONLY|os.O_APPEND, 0); err == nil {
		_ = debug.SetCrashOutput(f, debug.CrashOptions{})
		f.Close()
	}
	return p, nil
}
