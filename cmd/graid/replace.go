package main

import (
	"context"
	"errors"
	"fmt"

	"graid/daemon"
	"graid/raid"
)

func replaceVerb() verb {
	return verb{
		name:  "replace",
		args:  "NAME MEMBER [--with NEW]",
		short: "fill a spare from a member that serves meanwhile, and have it take its place",
		long: `Marks MEMBER as requiring replacement: a spare is filled from it, in the background, and then takes its place. MEMBER remains in service until then,
so that the array has all its redundancy all the time; what it cannot read comes from the others. At the end it is marked faulty, and can be removed. With --with, NEW is the spare; if it is not one yet it is added first, as "graid add" does, and what it held is overwritten. Ctrl-C does
not stop it: to give it up, fail NEW.`,
		flags: []flag{
			{name: "with", value: "NEW", usage: "the spare, or a device that is made one (default: any spare)"},
			{name: "force", short: "f", usage: "overwrite NEW if it is in another array or holds something else"},
			{name: "member-size", value: "SIZE", usage: "make NEW, if it does not exist yet, a sparse file of this size"},
			{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30)"},
			{name: "json", usage: "print JSON"},
		},
		run: replace,
	}
}

func replace(c *call) error {
	if len(c.args) != 2 {
		return usage("replace: name the array and one member: graid replace NAME MEMBER --with NEW")
	}
	name, what := c.args[0], c.args[1]
	if err := daemon.CheckKinds([]string{what, c.get("with")}); err != nil {
		return err
	}
	if c.given("with") && (c.get("with") == "" || c.get("with") == missingWord) {
		return usage("replace: --with: name a spare, a file or a device")
	}
	if err := c.memberSize(); err != nil {
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
	a, err := folder.Status(c.ctx, name)
	if err != nil {
		return err
	}
	with, made, err := c.successor(a)
	if err != nil {
		return err
	}
	var done daemon.Changed
	err = c.patiently(folder, name, "replace the member", timeout, func(ctx context.Context) (err error) {
		done, err = folder.Replace(ctx, name, c.memberPath(what), daemon.ReplaceOptions{With: with, Force: c.has("force")})
		return err
	})
	if err != nil {
		return errors.Join(err, c.unmake(folder, name, made))
	}
	if c.has("json") {
		return printJSON(c.out, done.Array)
	}
	_, err = fmt.Fprintln(c.out, whoFollows(done.Array, done.Members[0], done.Members[1]))
	return err
}

// successor is the path of who is to replace a member, "" for any spare, and the file that was made for that.
func (c *call) successor(a daemon.Array) (path string, made []string, err error) {
	if !c.given("with") {
		return "", nil, nil
	}
	word := c.get("with")
	for _, m := range a.Members { // a spare by its last part, as members are called elsewhere
		if m.State == raid.MemberSpare && daemon.Short(m.Name()) == word {
			return m.Name(), nil, nil
		}
	}
	if path, err = daemon.MemberPath(word); err != nil || a.Member(path) != nil {
		return path, nil, err
	}
	if made, err = makeFiles(c, []string{path}); err != nil {
		return "", nil, err
	}
	if err := daemon.CheckMembers([]string{path}); err != nil {
		return "", nil, errors.Join(err, remove(made))
	}
	return path, made, nil
}

// whoFollows says what becomes of a member that is to be replaced.
func whoFollows(a daemon.Array, old, with string) string {
	text := fmt.Sprintf("%s: %s ", a.Name, daemon.Short(old))
	switch m := a.Member(with); {
	case m == nil || m.State == raid.MemberFaulty:
		return fmt.Sprintf("%sis not replaced: %s failed at once: `graid detail %s` has its errors", text, daemon.Short(with), a.Name)
	case m.State == raid.MemberInSync:
		return fmt.Sprintf("%swas replaced by %s: `graid remove %s %s` lets go of it", text, daemon.Short(with), a.Name, daemon.Short(old))
	case a.Sync.Action == "resync", a.Sync.Action == "recover" && !replacing(a):
		return fmt.Sprintf("%sis replaced by %s when the %s under way has ended; `graid wait %s` waits for that", text, daemon.Short(with), work(a.Sync.Action), a.Name)
	}
	return fmt.Sprintf("%sis being replaced by %s: `graid wait %s` waits for the end; it is faulty then, and can be removed", text, daemon.Short(with), a.Name)
}
