package main

import "fmt"

func stopVerb() verb {
	return verb{
		name:  "stop",
		args:  "NAME",
		short: "flush, mark clean and end a running array",
		long: `Flushes, marks the array clean and ends its server; the members and the name are free when it returns. Refuses
while clients are connected.`,
		flags: []flag{{name: "force", short: "f", usage: "cut off clients that are connected"}},
		run: func(c *call) error {
			name, err := c.oneName()
			if err != nil {
				return err
			}
			folder, err := lookFolder()
			if err != nil {
				return err
			}
			if err := folder.Stop(c.ctx, name, c.has("force")); err != nil {
				return err
			}
			fmt.Fprintln(c.out, name+" stopped")
			return nil
		},
	}
}

func waitVerb() verb {
	return verb{
		name:  "wait",
		args:  "NAME",
		short: "return when an array has no background work left",
		long:  `Returns when no background work, such as a resync, is left.`,
		run: func(c *call) error {
			name, err := c.oneName()
			if err != nil {
				return err
			}
			folder, err := lookFolder()
			if err != nil {
				return err
			}
			_, err = folder.Wait(c.ctx, name)
			return err
		},
	}
}

func failVerb() verb {
	return verb{
		name:  "fail",
		args:  "NAME MEMBER",
		short: "mark a member of a running array faulty",
		long: `Marks the member faulty, as if it had refused a write: the array goes on without it. The other members record that
before the command returns. MEMBER is a path, or the last part of one that is unique among the members. Refused where the array
would not survive it.`,
		run: func(c *call) error {
			if len(c.args) != 2 {
				return usage("fail: name the array and one member: graid fail NAME MEMBER")
			}
			folder, err := lookFolder()
			if err != nil {
				return err
			}
			a, err := folder.Fail(c.ctx, c.args[0], c.memberPath(c.args[1]))
			if err != nil {
				return err
			}
			return printStatus(c.out, a)
		},
	}
}

// memberPath is what to ask the array's process for: a path where the file is, the word as it is otherwise.
func (c *call) memberPath(arg string) string {
	return existing(arg)
}
