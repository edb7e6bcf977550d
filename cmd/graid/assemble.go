package main

import (
	"context"
	"fmt"
	"strings"

	"graid/daemon"
)

func assembleVerb() verb {
	return verb{
		name:  "assemble",
		args:  "NAME MEMBER...",
		short: "put an array together and serve it from a background process",
		long: `Puts the array together from its members and serves it over NBD from a background process, which ends with
"graid stop NAME". Prints the URI of the export. Exit status 3 if the array runs but is degraded.`,
		flags: append(startFlags(), assembleFlags()...),
		run:   assemble,
	}
}

func assemble(c *call) error {
	name, members, err := c.nameAndMembers()
	if err != nil {
		return err
	}
	cfg, err := c.config(name, members)
	if err != nil {
		return err
	}
	if err := daemon.CheckMembers(members); err != nil {
		return err
	}
	a, err := background(c.ctx, cfg, c.serveArgs(cfg))
	if err != nil {
		return err
	}
	for _, x := range a.Exports {
		fmt.Fprintln(c.out, x.URI)
	}
	return lookAt(a, cfg.Open.ReadOnly)
}

// serveArgs is the command line of the background process that does what cfg asks.
func (c *call) serveArgs(cfg daemon.Config) []string {
	args := append([]string{"serve", "--background"}, c.asked(cfg, true)...)
	if cfg.Force {
		args = append(args, "--force")
	}
	return append(append(append(args, injectArgs(cfg.Inject)...), "--", cfg.Name), cfg.Members...)
}

// again is the command line that has the array run as it does now, with these members: what was once enough, such as --force, is not told
// to be done again.
func (c *call) again(cfg daemon.Config, members []string) []string {
	args := []string{"assemble", cfg.Name}
	if !c.has("background") {
		args[0] = "serve"
	}
	args = append(args, c.asked(cfg, false)...)
	return append(append(args, injectArgs(about(cfg.Inject, members))...), members...)
}

// asked is the options that cfg was made from, with their values joined to them or as words of their own: all but what not every start is to
// have again.
func (c *call) asked(cfg daemon.Config, joined bool) (words []string) {
	for _, f := range append(startFlags(), assembleFlags()...) {
		var values []string
		switch f.name {
		case "force", injectFlag.name:
			continue
		case "overlay": // what has a path in it, as paths are now
			values = given(cfg.Open.Overlay)
		case "on-event":
			values = given(cfg.OnEvent)
		case "tls-certs":
			values = given(cfg.TLS.Certs)
		case "nbd":
			for _, a := range cfg.Addresses {
				values = append(values, a.String())
			}
		default:
			values = c.list(f.name)
		}
		switch {
		case c.verb.flag(f.name) == nil || f.name == "uuid" && cfg.UUID == nil: // of create, and there another one
		case f.value == "":
			if c.has(f.name) {
				words = append(words, "--"+f.name)
			}
		default:
			for _, v := range values {
				if joined {
					words = append(words, "--"+f.name+"="+v)
				} else {
					words = append(words, "--"+f.name, v)
				}
			}
		}
	}
	return words
}

// given is a list of the word, if there is one.
func given(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}

// background starts the array's process and waits until it serves.
func background(ctx context.Context, cfg daemon.Config, args []string) (daemon.Array, error) {
	r, err := cfg.Folder.Spawn(ctx, args)
	if err != nil {
		return daemon.Array{}, err
	}
	if r.Array == nil {
		return daemon.Array{}, &failure{r.Status, r.Error}
	}
	return *r.Array, nil
}

// lookAt says what needs attention in an array that was started, if anything does.
func lookAt(a daemon.Array, readonly bool) error {
	var what []string
	if a.Degraded > 0 {
		what = append(what, fmt.Sprintf("degraded: %d of %d members", a.RaidDevices-a.Degraded, a.RaidDevices))
		if gone := missing(a); gone != "" {
			what[0] += ", missing " + gone
		}
		if s := filling(a); s != "" {
			what[0] += ", " + s
		}
	}
	if a.ReadOnly && !readonly {
		what = append(what, "read-only: "+strings.Join(a.Reasons, "; "))
	}
	if len(what) == 0 {
		return nil
	}
	what = append(what, a.Findings...)
	return &attention{a.Name + " runs " + strings.Join(what, "; ")}
}

// filling names the members that are being filled: "m1 (e.img) is being rebuilt".
func filling(a daemon.Array) string {
	var list []string
	for _, m := range a.Members {
		if m.Role != nil && m.State == "rebuilding" {
			list = append(list, fmt.Sprintf("m%d (%s)", *m.Role, daemon.Short(m.Name())))
		}
	}
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0] + " is being rebuilt"
	}
	return strings.Join(list, ", ") + " are being rebuilt"
}

// missing names the roles that nobody fills, and who failed in them: "m3" or "m1 (b.img failed)".
func missing(a daemon.Array) string {
	var gone []string
	for _, m := range a.Members {
		if m.Role == nil || m.State != "missing" && m.State != "faulty" {
			continue
		}
		s := fmt.Sprintf("m%d", *m.Role)
		if m.State == "faulty" {
			s += " (" + daemon.Short(m.Name()) + " failed)"
		}
		gone = append(gone, s)
	}
	return strings.Join(gone, ", ")
}
