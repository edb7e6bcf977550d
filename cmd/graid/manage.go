package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"graid/daemon"
	"graid/raid"
)

func addVerb() verb {
	return verb{
		name:  "add",
		args:  "NAME MEMBER...",
		short: "give a running array new members, in place of missing ones or as spares",
		long: `Makes each MEMBER a spare of the running array; what it held is overwritten. Where a member is missing or has failed,
the spare takes its place at once and is rebuilt in the background, while the array goes on; otherwise it waits until one fails. A
member that was away while the array had a write-intent bitmap has its place again, and only what it missed is copied. One that is in use, in another array, or that holds a file system or a partition table is refused before anything is
written. Members of an array that was assembled with --overlay are overlaid too.`,
		flags: []flag{
			{name: "spare", usage: "as a spare, even if it is a member that was away: rebuild it in full"},
			mostlyFlag, fastFlag,
			{name: "force", short: "f", usage: "overwrite members that are in another array or hold something else"},
			{name: "member-size", value: "SIZE", usage: "make the member files that do not exist yet, sparse, of this size"},
			{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30)"},
		},
		run: add,
	}
}

// Flags that new members are given, those that "graid set" changes.
var (
	mostlyFlag = flag{name: "write-mostly", usage: "read from these mirrors only when nothing else can be read"}
	fastFlag   = flag{name: "failfast", usage: "have Linux not try their failed requests again; graid never does"}
)

func reAddVerb() verb {
	return verb{
		name:  "re-add",
		args:  "NAME MEMBER...",
		short: "take back members that were away, and copy only what they missed",
		long: `Gives each MEMBER its place in the running array back, after it failed, was removed, or was missing when the array was started. The
write-intent bitmap says what it missed, and only that is copied. Refused, with nothing written, where the bitmap cannot say so, or
somebody else has the place: "graid add" rebuilds it in full then.`,
		flags: []flag{
			mostlyFlag, fastFlag,
			{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30)"},
		},
		run: add,
	}
}

func add(c *call) error {
	name, paths, err := c.nameAndMembers()
	if err != nil {
		return err
	}
	if err := daemon.CheckKinds(paths); err != nil {
		return err
	}
	if slices.Contains(paths, missingWord) {
		return usage("%s: nothing can be added that is missing: name a file or a device", c.verb.name)
	}
	if err := c.memberSize(); err != nil {
		return err
	}
	timeout, err := c.seconds("timeout", patience)
	if err != nil {
		return err
	}
	members, err := absolute(paths)
	if err != nil {
		return err
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	if _, err := folder.Status(c.ctx, name); err != nil {
		return err
	}
	made, err := makeFiles(c, members)
	if err != nil {
		return err
	}
	if err := daemon.CheckMembers(members); err != nil {
		return errors.Join(err, remove(made))
	}
	var done daemon.Changed
	err = c.patiently(folder, name, "add the member", timeout, func(ctx context.Context) (err error) {
		done, err = folder.Add(ctx, name, members, daemon.AddOptions{
			Force: c.has("force"), WriteMostly: c.has(mostlyFlag.name), FailFast: c.has(fastFlag.name), Anew: c.has("spare"), ReAdd: c.verb.name == "re-add",
		})
		return err
	})
	if err != nil {
		return errors.Join(err, c.unmake(folder, name, made))
	}
	for _, m := range done.Members {
		fmt.Fprintln(c.out, whatNext(done.Array, m))
	}
	return nil
}

// unmake removes the files that were made to be members and are none. Of a server that does not say so now, nothing is known.
func (c *call) unmake(folder daemon.Folder, name string, made []string) error {
	a, err := folder.Status(context.WithoutCancel(c.ctx), name)
	if err != nil || c.ctx.Err() != nil {
		return nil
	}
	return remove(slices.DeleteFunc(made, func(path string) bool {
		return slices.ContainsFunc(a.Members, func(m daemon.Member) bool { return m.Name() == path })
	}))
}

// whatNext says what becomes of a member that was added.
func whatNext(a daemon.Array, path string) string {
	text := a.Name + ": " + daemon.Short(path)
	i := slices.IndexFunc(a.Members, func(m daemon.Member) bool { return m.Name() == path })
	if i < 0 {
		return text + " was added and has gone again"
	}
	switch m := a.Members[i]; {
	case m.State == raid.MemberRebuilding:
		return fmt.Sprintf("%s takes over m%d: recovery onto it begins; `graid wait %s` waits for its end", text, *m.Role, a.Name)
	case m.State == raid.MemberInSync:
		return fmt.Sprintf("%s took over m%d and is in sync", text, *m.Role)
	case m.State == raid.MemberFaulty:
		return fmt.Sprintf("%s was added and failed at once: `graid detail %s` has its errors", text, a.Name)
	case before(a.Members[:i]) >= open(a):
		return text + " is a spare: it takes over when a member fails"
	case a.Sync.Action != "idle":
		return fmt.Sprintf("%s is a spare: it takes over a missing member when the %s under way has ended", text, work(a.Sync.Action))
	}
	return fmt.Sprintf("%s is a spare and does not take over the missing member: the server's log may say why", text)
}

// open is how many roles nobody fills.
func open(a daemon.Array) (n int) {
	for _, m := range a.Members {
		if m.Role != nil && m.State != raid.MemberInSync && m.State != raid.MemberRebuilding && m.State != raid.MemberReplacement {
			n++
		}
	}
	return n
}

// before is how many spares take over sooner than what comes after them.
func before(members []daemon.Member) (n int) {
	for _, m := range members {
		if m.State == raid.MemberSpare {
			n++
		}
	}
	return n
}

// work is what background work is called in a sentence.
func work(action string) string {
	if action == "recover" {
		return "recovery"
	}
	return action
}

// memberSize refuses a size that no member can have.
func (c *call) memberSize() error {
	size, err := c.size("member-size")
	if err == nil && c.given("member-size") && (size == 0 || size%512 != 0) {
		err = usage("%s: --member-size %s: give a multiple of 512 bytes, such as 1G", c.verb.name, c.get("member-size"))
	}
	return err
}

func removeVerb() verb {
	return verb{
		name:  "remove",
		args:  "NAME MEMBER|failed|detached",
		short: "let go of a faulty member or of a spare",
		long: `Takes a member that failed, or a spare, out of the running array and closes it: it is free for other uses then. "failed"
stands for all that are faulty, "detached" for all whose file or device is not there any more. A member that is in use must be
failed first.`,
		flags: []flag{{name: "timeout", value: "SECONDS", usage: "how long to wait for the server (default: 30)"}},
		run: func(c *call) error {
			if len(c.args) != 2 {
				return usage("remove: name the array and one member: graid remove NAME MEMBER, or failed, or detached")
			}
			name, what := c.args[0], c.args[1]
			if err := daemon.CheckKinds(c.args[1:]); err != nil {
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
			if what != daemon.AllFailed && what != daemon.AllDetached {
				what = c.memberPath(what)
			}
			var done daemon.Changed
			err = c.patiently(folder, name, "remove the member", timeout, func(ctx context.Context) (err error) {
				done, err = folder.Remove(ctx, name, what)
				return err
			})
			if err != nil {
				return err
			}
			for _, m := range done.Members {
				fmt.Fprintf(c.out, "%s: %s removed\n", name, daemon.Short(m))
			}
			if len(done.Members) == 0 {
				fmt.Fprintf(c.out, "%s: no member is %s\n", name, map[string]string{daemon.AllFailed: "faulty", daemon.AllDetached: "detached"}[what])
			}
			return nil
		},
	}
}

// memberPath is what to ask the array's process for: a path where the file is, the word as it is otherwise.
func (c *call) memberPath(arg string) string {
	if _, err := os.Stat(arg); err != nil && !daemon.IsRemote(arg) && filepath.Base(arg) != arg {
		if abs, err := filepath.Abs(arg); err == nil {
			return abs // of what has gone, the server knows where it was
		}
	}
	return existing(arg)
}
