package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// run is a whole use of graid: the arguments after the program's name in, the exit status out. This file alone knows the
// command line library; what the library would print or decide by itself (usage after an error, os.Exit) is switched off.
func run(ctx context.Context, args []string, s std) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &output{w: s.out, end: cancel}
	s.out = out
	return report(s.err, out.verdict(dispatch(ctx, args, s)))
}

func dispatch(ctx context.Context, args []string, s std) error {
	all := verbs()
	if len(args) == 0 {
		return usage("no verb given: `graid help` lists them, `graid demo` is a tour")
	}
	switch name := args[0]; name {
	case "help", "--help", "-h":
		return help(s.out, all, args[1:])
	case "--version", "-v", "-V":
		args = []string{"version"}
	}
	i := slices.IndexFunc(all, func(v verb) bool { return v.name == args[0] })
	if i < 0 {
		return unknownVerb(all, args[0])
	}
	v := &all[i]
	ordered, asked, err := reorder(v, args[1:])
	if err != nil {
		return err
	}
	if asked {
		printVerb(s.out, v)
		return nil
	}
	app := &cli.App{
		Name:                      "graid",
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true, // a path may have a comma in it
		Writer:                    s.out,
		ErrWriter:                 s.err,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) },
		Commands:                  []*cli.Command{command(v, s)},
	}
	return app.RunContext(ctx, append([]string{"graid", v.name}, ordered...))
}

func command(v *verb, s std) *cli.Command {
	c := &cli.Command{
		Name:         v.name,
		HideHelp:     true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usage("%s: %v", v.name, err) },
	}
	for _, f := range v.flags {
		var short []string
		if f.short != "" {
			short = []string{f.short}
		}
		if f.value == "" {
			c.Flags = append(c.Flags, &cli.BoolFlag{Name: f.name, Aliases: short, Value: f.on})
		} else {
			c.Flags = append(c.Flags, &cli.StringSliceFlag{Name: f.name, Aliases: short})
		}
	}
	c.Action = func(cc *cli.Context) error {
		made := &call{std: s, ctx: cc.Context, verb: v, args: cc.Args().Slice(), on: map[string]bool{}, value: map[string][]string{}}
		for _, f := range v.flags {
			switch {
			case f.value == "":
				made.on[f.name] = cc.Bool(f.name)
			case cc.IsSet(f.name):
				made.value[f.name] = cc.StringSlice(f.name)
			}
			if len(made.value[f.name]) > 1 && !f.list {
				return usage("%s: --%s given %d times, but only one value can hold", v.name, f.name, len(made.value[f.name]))
			}
		}
		return v.run(made)
	}
	return c
}

// reorder puts the options of a verb before its positional arguments, because the library stops looking for options at the
// first argument that is none. What follows "--" is positional. asked says that the user wants help.
func reorder(v *verb, args []string) (ordered []string, asked bool, err error) {
	var opts, rest []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if arg == "-" || !strings.HasPrefix(arg, "-") || slices.Contains(v.words, arg) {
			rest = append(rest, arg)
			continue
		}
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name == "help" || name == "h" {
			return nil, true, nil
		}
		f := v.flag(name)
		if short := v.joined(arg); f == nil && short != nil {
			f, value, joined = short, arg[2:], true
		}
		if f == nil {
			return nil, false, unknownFlag(v, arg)
		}
		switch {
		case f.on && (value == "true" || value == "false"):
			opts = append(opts, "--"+f.name+"="+value)
		case f.value == "" && joined:
			return nil, false, usage("%s: --%s takes no value", v.name, f.name)
		case f.value == "":
			opts = append(opts, "--"+f.name)
		case joined:
			opts = append(opts, "--"+f.name+"="+value)
		case i+1 == len(args):
			return nil, false, usage("%s: --%s needs a value: %s", v.name, f.name, f.value)
		default:
			i++
			opts = append(opts, "--"+f.name+"="+args[i])
		}
	}
	return append(append(opts, "--"), rest...), false, nil
}

func (v *verb) flag(name string) *flag {
	for i, f := range v.flags {
		if name == f.name || name == f.short && name != "" {
			return &v.flags[i]
		}
	}
	return nil
}

// joined is the option of an argument such as -l5 or -e1.2, as they are often written for mdadm; nil if it is none.
func (v *verb) joined(arg string) *flag {
	if len(arg) < 3 || arg[1] == '-' || arg[2] < '0' || arg[2] > '9' {
		return nil
	}
	if f := v.flag(arg[1:2]); f != nil && f.value != "" {
		return f
	}
	return nil
}

func unknownVerb(all []verb, got string) error {
	var names []string
	for _, v := range all {
		names = append(names, v.name)
	}
	if near := nearest(got, append(names, "help")); near != "" {
		return usage("unknown verb %q: did you mean `graid %s`?", got, near)
	}
	return usage("unknown verb %q: `graid help` lists the verbs", got)
}

func unknownFlag(v *verb, got string) error {
	if name, _, _ := strings.Cut(strings.TrimLeft(got, "-"), "="); v.flag("nbd") != nil && name == "http" {
		return fmt.Errorf("%s: --%s is not there yet in this version: serve at a unix socket or on 127.0.0.1, and tunnel it", v.name, name)
	}
	var names []string
	for _, f := range v.flags {
		if !f.quiet {
			names = append(names, f.name)
		}
	}
	name, _, _ := strings.Cut(strings.TrimLeft(got, "-"), "=")
	if near := nearest(name, names); near != "" {
		return usage("%s: unknown option %s: did you mean --%s?", v.name, got, near)
	}
	return usage("%s: unknown option %s: `graid help %s` lists the options", v.name, got, v.name)
}

// nearest is the word that got was most likely meant to be, or "".
func nearest(got string, words []string) string {
	best, dist := "", max(2, len(got)/3)+1
	for _, w := range words {
		d := edits(got, w)
		if len(got) > 2 && strings.HasPrefix(w, got) {
			d = 0
		}
		if d < dist && d < len(w) {
			best, dist = w, d
		}
	}
	return best
}

// edits is the Levenshtein distance of a and b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost = 1 + min(diag, row[j], row[j-1])
			}
			diag, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
