package main

import (
	"context"
	"fmt"

	"graid/daemon"
)

func failVerb() verb {
	return verb{
		name:  "fail",
		args:  "NAME MEMBER|detached",
		short: "mark a member of a running array faulty",
		long: `Marks the member faulty, as if it had refused a write: the array goes on without it. The other members record that
before the command returns. MEMBER is a path, or the last part of one that is unique among the members; "detached" stands for all whose
file or device is not there any more. Refused where the array would not survive it.`,
		flags: []flag{{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30)"}},
		run:   fail,
	}
}

func fail(c *call) error {
	if len(c.args) != 2 {
		return usage("fail: name the array and one member: graid fail NAME MEMBER, or detached")
	}
	name, what := c.args[0], c.args[1]
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	if err := daemon.CheckKinds(c.args[1:]); err != nil {
		return err
	}
	timeout, err := c.seconds("timeout", patience)
	if err != nil {
		return err
	}
	var a daemon.Array
	err = c.patiently(folder, name, "mark the member faulty on the others", timeout, func(ctx context.Context) (err error) {
		if what != daemon.AllDetached {
			a, err = folder.Fail(ctx, name, c.memberPath(what))
			return err
		}
		done, err := folder.FailDetached(ctx, name)
		if err == nil && len(done.Members) == 0 {
			fmt.Fprintf(c.out, "%s: no member is detached\n", name)
		}
		a = done.Array
		return err
	})
	if err != nil {
		return err
	}
	return printStatus(c.out, a)
}
