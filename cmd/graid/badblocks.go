package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"graid/daemon"
)

func badBlocksVerb() verb {
	return verb{
		name:  "badblocks",
		args:  "NAME|MEMBER...",
		short: "list what the bad block logs of members name, and whether it is lost",
		long: `Lists the runs of members that must not be read: they refused to be written, or recovery met them where redundancy had nothing to fill
them with. Of a running array NAME it says as well which of the array's bytes that is, and whether the others have them all the same; exit status 3 says that some are lost. Of
MEMBERs of an array that does not run it shows the logs, as "mdadm --examine-badblocks" does.`,
		flags: []flag{{name: "json", usage: "print JSON"}},
		run:   badBlocks,
	}
}

func badBlocks(c *call) error {
	if len(c.args) == 0 {
		return usage("badblocks: name a running array, or members: graid badblocks NAME|MEMBER...")
	}
	name := ""
	list, err := c.runningLogs()
	if err == nil {
		name = c.args[0]
	} else if errors.Is(err, daemon.ErrNotRunning) && c.there() {
		list, err = c.logs()
	}
	switch {
	case err != nil:
		return err
	case c.has("json"):
		err = printJSON(c.out, list)
	case len(list) == 0:
		_, err = fmt.Fprintln(c.out, "no bad blocks are recorded")
	default:
		err = c.printBadBlocks(name, list)
	}
	if err == nil && slices.ContainsFunc(list, func(b daemon.BadBlock) bool { return b.Lost != nil && *b.Lost }) {
		return &attention{}
	}
	return err
}

// runningLogs asks the running array that is named.
func (c *call) runningLogs() ([]daemon.BadBlock, error) {
	name := c.args[0]
	if len(c.args) > 1 || daemon.CheckName(name) != nil {
		return nil, fmt.Errorf("%s: %w and no such file is here", name, daemon.ErrNotRunning)
	}
	folder, err := lookFolder()
	if err != nil {
		return nil, err
	}
	if _, err := folder.Status(c.ctx, name); err != nil {
		if errors.Is(err, daemon.ErrNotRunning) {
			err = fmt.Errorf("%s: %w and no such file is here: `graid status` lists the arrays that do", name, daemon.ErrNotRunning)
		}
		return nil, err
	}
	return folder.BadBlocks(c.ctx, name)
}

// there says whether the arguments are files, or at least several.
func (c *call) there() bool {
	_, err := os.Stat(c.args[0])
	return err == nil || daemon.IsRemote(c.args[0]) || len(c.args) > 1
}

// logs reads the logs of members.
func (c *call) logs() ([]daemon.BadBlock, error) {
	list := []daemon.BadBlock{}
	for _, e := range look(c.ctx, c.args) {
		x := explainOne(e, nil)
		if x.Magic == nil || x.Error != nil {
			return nil, fmt.Errorf("%s: %s", e.Path, *x.Error)
		}
		for _, b := range e.BadBlocks {
			list = append(list, daemon.BadBlock{Member: e.Path, Role: x.Role, Offset: b.Offset, Length: b.Length})
		}
	}
	return list, c.ctx.Err()
}

func (c *call) printBadBlocks(name string, list []daemon.BadBlock) error {
	var rows [][]string
	for _, b := range list {
		role := "-"
		if b.Role != nil {
			role = fmt.Sprint(*b.Role)
		}
		row := []string{role, fmt.Sprint(b.Offset), fmt.Sprint(b.Length)}
		if name != "" {
			row = append(row, arrayBytes(b.Array), whereItIs(b))
		}
		rows = append(rows, append(row, b.Member))
	}
	head := []string{"Role", "Offset", "Bytes", "Member"}
	if name != "" {
		head = []string{"Role", "Offset", "Bytes", "Of the array", "Data", "Member"}
	}
	if err := table(c.out, head, rows); err != nil {
		return err
	}
	text := `The member refused to be written there, or nobody could read it when it was filled: it is not read from the member. "graid badblocks NAME" of the array, while it runs, says what of it they are.`
	if name != "" {
		text = fmt.Sprintf("Nobody has what is lost: reading it is an error until it is written anew. The rest is read from the others; `graid repair %s` "+
			"writes it here again, and then it is off the list.", name)
	}
	_, err := fmt.Fprintln(c.out, wrap(text, width, ""))
	return err
}

// arrayBytes is "[0,4096) [8192,12288)".
func arrayBytes(list []daemon.Range) string {
	if len(list) == 0 {
		return "parity"
	}
	const most = 4
	var words []string
	for _, r := range list[:min(most, len(list))] {
		words = append(words, fmt.Sprintf("[%d,%d)", r.Offset, r.Offset+r.Length))
	}
	if n := len(list) - most; n > 0 {
		words = append(words, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(words, " ")
}

func whereItIs(b daemon.BadBlock) string {
	if b.Lost != nil && *b.Lost {
		return "lost"
	}
	return "others have it"
}
