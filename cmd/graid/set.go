package main

import (
	"context"
	"fmt"
	"strings"

	"graid/daemon"
)

func setVerb() verb {
	return verb{
		name:  "set",
		args:  "NAME MEMBER writemostly|-writemostly|failfast|-failfast",
		short: "set or clear a flag of a member of a running array",
		long: `Sets a flag of a member, or with - clears it, by the words that md has in sysfs; it is kept in the superblock. From a member that is writemostly
mirrors read only when nothing else can be read. On one that is failfast Linux does not try failed requests again; graid never does, and keeps
the flag for it.`,
		flags: []flag{
			{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30)"},
			{name: "json", usage: "print JSON"},
		},
		words: []string{"-" + daemon.WriteMostly, "-" + daemon.FailFast},
		run:   set,
	}
}

func set(c *call) error {
	if len(c.args) != 3 {
		return usage("set: name the array, one member and a flag: graid set NAME MEMBER writemostly")
	}
	name, what, word := c.args[0], c.args[1], c.args[2]
	flag, off := strings.CutPrefix(word, "-")
	if flag != daemon.WriteMostly && flag != daemon.FailFast {
		return usage("set: %q is none of writemostly, -writemostly, failfast, -failfast", word)
	}
	if err := daemon.CheckKinds(c.args[1:2]); err != nil {
		return err
	}
	timeout, err := c.seconds("timeout", patience)
	if err != nil {
		return err
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	var a daemon.Array
	err = c.patiently(folder, name, "set the flag", timeout, func(ctx context.Context) (err error) {
		a, err = folder.SetFlag(ctx, name, c.memberPath(what), flag, !off)
		return err
	})
	switch {
	case err != nil:
		return err
	case c.has("json"):
		return printJSON(c.out, a)
	case off:
		flag = "not " + flag
	}
	_, err = fmt.Fprintf(c.out, "%s: %s is %s now\n", name, daemon.Short(what), flag)
	return err
}
