package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"graid/block/fault"
	"graid/daemon"
)

// injectFlag is what create, assemble and serve share with the verb inject.
var injectFlag = flag{name: "inject", value: "RULE", list: true,
	usage: "make a member fail, such as 'b.img write media'; may be repeated; `graid help inject` has the words"}

func injectVerb() verb {
	return verb{
		name:  "inject",
		args:  "NAME [RULE...]",
		short: "make members of a running array fail, for tests",
		long: `Makes members of a running array fail, so that what uses the array can be tried on a device that fails on command.
Without a RULE it lists those there are and how many requests each has hit. Rules hit superblocks and bitmaps as well as data; none
but torn, lost, shift and late changes what a member holds, and nothing survives the array's process.`,
		flags: []flag{
			{name: "list", usage: "list the rules, their numbers, hits and the requests they keep waiting"},
			{name: "json", usage: "print JSON"},
			{name: "clear", usage: "take the rules of the numbers that follow NAME away, or all; what is stuck goes on"},
		},
		notes: injectNotes,
		run:   inject,
	}
}

const injectNotes = `
  RULE      MEMBER [OPERATIONS] [RANGE] EFFECT [CONDITION...], in one argument

  MEMBER      a path, the last part of one, a role such as 3 or m3, or * for all;
              in double quotes if there are spaces in it
  OPERATIONS  read, write, flush, discard and zero, with commas; default: all
              that the effect can be about
  RANGE       [OFFSET,+LENGTH) in the member's own bytes, such as [1M,+4K):
              only requests that touch it; data starts at the data offset

  EFFECT      what becomes of a request
  media       fails: the medium is bad there (EIO); reads are answered from
              redundancy and rewritten, writes cost the array the member
  path        fails: the way to the member is gone
  gone        fails: the member itself is gone
  nospace     a change fails: the backing storage is full
  refuse      a change fails: the member takes no writes any more
  torn        a write reaches some of its sectors, then fails
  lost        a change is acknowledged and not done
  shift=SIZE  a write is acknowledged and lands so many bytes further on
  lie         a flush is acknowledged and not done
  stall=TIME  takes so much longer; stall=1ms..5ms draws from between
  delay=TIME  waits its turn in a device with that latency; rate=SIZE bytes a
              second and depth=N requests at a time: delay=5ms rate=50M
  stuck       hangs until the rule is cleared
  late=TIME   a write fails after TIME and lands half of that later
  bad         the range cannot be read until it is written again
  rot         one bit of each sector of the range is read wrong until it is
              written again; the member itself keeps the right one

  CONDITION   at=TIME for=TIME after=N count=N p=1/N seed=N: from when on, since
              the rule was given, and for how long; so many requests pass, so
              many are hit; each with that chance, and the chances again

  What makes a request wait adds up; of the rest the first rule counts.
  While a superblock waits, status does too; inject always answers.

  graid inject md0 'b.img write media'             b fails at the next write
  graid inject md0 'm1 read [1M,+64K) media'       sectors that cannot be read
  graid inject md0 '* stall=1ms..20ms p=1/10'      now and then, somewhat slow
  graid inject md0 '2 write stuck count=1'         one write hangs; then
  graid inject md0 --clear 4                       rule 4 ends, and it goes on
  graid assemble md0 --inject '* read media p=1/1000 seed=7' a.img b.img c.img
`

// example is a rule that is right, for who got one wrong.
const example = `a right one is 'b.img write media count=1'`

func inject(c *call) error {
	if len(c.args) == 0 {
		return usage("inject: name the array and what is to go wrong: graid inject md0 RULE; %s", example)
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	name, rest := c.args[0], c.args[1:]
	var list daemon.FaultList
	switch {
	case c.has("clear"):
		ids, err := ruleNumbers(rest)
		if err != nil {
			return err
		}
		list, err = folder.ClearFaults(c.ctx, name, ids)
		if err != nil {
			return err
		}
	case len(rest) == 0:
		if list, err = folder.Faults(c.ctx, name); err != nil {
			return err
		}
	case c.has("list"):
		return usage("inject: --list takes no rules: leave out %q, or --list", rest[0])
	default:
		rules, err := parseRules("inject", rest)
		if err != nil {
			return err
		}
		var texts []string
		for _, r := range rules {
			texts = append(texts, r.String())
		}
		if list, err = folder.Inject(c.ctx, name, texts); err != nil {
			return err
		}
	}
	if c.has("json") {
		return printJSON(c.out, list)
	}
	return printRules(c, list)
}

func ruleNumbers(words []string) (ids []int, err error) {
	for _, w := range words {
		id, err := strconv.Atoi(w)
		if err != nil || id < 1 {
			return nil, usage("inject: --clear: %q is not the number of a rule: `graid inject NAME --list` shows them", w)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// parseRules reads rules and refuses what no member can follow. A member with a slash in its name is a path, and becomes absolute.
func parseRules(where string, texts []string) (list []fault.Rule, err error) {
	for _, text := range texts {
		rules, err := fault.Parse(text)
		if err == nil && len(rules) == 0 {
			err = fmt.Errorf("%q says nothing", text)
		}
		for i := range rules {
			if err == nil {
				err = rules[i].Real()
			}
			if m := &rules[i].Member; err == nil && *m != filepath.Base(*m) {
				*m, err = filepath.Abs(*m)
			}
		}
		if err != nil {
			return nil, usage("%s: %v; %s", where, err, example)
		}
		list = append(list, rules...)
	}
	return list, nil
}

// rules reads --inject, as far as it can be judged before a member is opened.
func (c *call) rules(members []string) ([]fault.Rule, error) {
	where := c.verb.name + ": --inject"
	list, err := parseRules(where, c.list("inject"))
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if len(about([]fault.Rule{r}, members)) == 0 {
			return nil, usage("%s: %s is not among the members; %s", where, r.Member, example)
		}
	}
	return list, nil
}

// about is those of the rules that may be about these members: by name, by role, or about all.
func about(rules []fault.Rule, members []string) (list []fault.Rule) {
	for _, r := range rules {
		names := func(m string) bool { return m == r.Member || filepath.Base(m) == r.Member }
		if r.Member == "*" || daemon.IsRole(r.Member) || slices.ContainsFunc(members, names) {
			list = append(list, r)
		}
	}
	return list
}

// injectArgs are the options that make another graid inject the same.
func injectArgs(rules []fault.Rule) (args []string) {
	for _, r := range rules {
		args = append(args, "--inject="+r.String())
	}
	return args
}

func printRules(c *call, list daemon.FaultList) error {
	if len(list.Rules) == 0 {
		fmt.Fprintln(c.out, "no faults are injected into "+list.Name)
		return nil
	}
	var rows [][]string
	for _, e := range list.Rules {
		rows = append(rows, []string{strconv.Itoa(e.ID), strconv.FormatInt(e.Hits, 10), strconv.Itoa(e.Waiting), strings.TrimSpace(e.Rule)})
	}
	return table(c.out, []string{"No", "Hits", "Waiting", "Rule"}, rows)
}
