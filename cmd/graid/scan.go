package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"graid/block"
	"graid/daemon"
	"graid/raid"
	"graid/raid/md"
)

func scanVerb() verb {
	return verb{
		name:  "scan",
		args:  "PATH...",
		short: "group what is found into arrays and say how complete each is; writes nothing",
		long: `Looks at files, devices and what is in folders (one level deep), groups the members it finds into arrays, and says
which could be assembled and how complete each is. Writes nothing.`,
		flags: []flag{{name: "json", usage: "print JSON"}},
		run: func(c *call) error {
			if len(c.args) == 0 {
				return usage("scan: name files, devices or folders: graid scan PATH...")
			}
			if err := daemon.CheckKinds(c.args); err != nil {
				return err
			}
			list, closed, err := scan(c.ctx, c.args)
			if err != nil {
				return err
			}
			show := printScan
			if c.has("json") {
				show = func(w io.Writer, list []candidate) error { return printJSON(w, list) }
			}
			if err := show(c.out, list); err != nil || closed == nil {
				return err
			}
			return closed.attention()
		},
	}
}

// skipped is what could not be looked into, though it may be a member.
type skipped []error

func (s skipped) attention() error {
	text := s[0].Error()
	if n := len(s) - 1; n > 0 {
		text += fmt.Sprintf(" (and %s more, from %s on)", plural(n, "other"), s[1])
	}
	return &attention{"not looked into: " + text + ": there may be members among them: run it as somebody who may read them"}
}

// candidate is an array that scan found: what `scan --json` prints.
type candidate struct {
	UUID        string        `json:"uuid"`
	Name        string        `json:"name"`
	Level       string        `json:"level"`
	Layout      string        `json:"layout"`
	Metadata    string        `json:"metadata"`
	RaidDevices int           `json:"raid_devices"`
	ChunkBytes  int64         `json:"chunk_bytes"`
	SizeBytes   *int64        `json:"size_bytes"` // null = not known without the missing members
	Events      uint64        `json:"events"`
	Members     []scannedPart `json:"members"`
	Present     int           `json:"present"` // members that could be used
	Assemblable bool          `json:"assemblable"`
	NeedsRun    bool          `json:"needs_run"` // assemble wants --run: fewer members are here than there were last time
	WouldBe     string        `json:"would_be"`
	Problems    []string      `json:"problems"`
}

type scannedPart struct {
	Path   string `json:"path"`
	Role   *int   `json:"role"`
	State  string `json:"state"` // in_sync, rebuilding, spare, or stale
	Events uint64 `json:"events"`
}

// scan finds the members among paths and decides what arrays they make.
func scan(ctx context.Context, paths []string) (list []candidate, closed skipped, err error) {
	files, err := expand(paths)
	if err != nil {
		return nil, nil, err
	}
	var members []raid.Member
	defer func() { daemon.CloseMembers(members) }()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		m, err := daemon.OpenMembers([]string{f.path}, daemon.OpenOptions{ReadOnly: true, NoLock: true})
		if err != nil {
			if f.named {
				return nil, nil, err
			}
			if class := block.Classify(err); errors.Is(err, fs.ErrPermission) || class == block.Media {
				closed = append(closed, err)
			}
			continue // anything else is somebody else's business in that folder
		}
		members = append(members, m...)
	}
	found, decisions, err := raid.Survey(ctx, members, raid.Options{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	_, unasked, err := raid.Survey(ctx, members, raid.Options{}) // what assemble would decide if it is told nothing
	if err != nil {
		return nil, nil, err
	}
	list = []candidate{}
	for _, d := range decisions {
		c := candidateOf(d, found)
		if u := unasked[d.UUID]; c.Assemblable && u != nil && u.Verdict == md.NeedsRun {
			c.NeedsRun = true
			c.Problems = append(c.Problems, oneLine(u.Why))
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.UUID, b.UUID))
	})
	return list, closed, nil
}

// place is a file to look at; named says that the user said so, rather than the folder it is in.
type place struct {
	path  string
	named bool
}

// expand replaces folders by what is in them, one level deep, and drops what was named before.
func expand(paths []string) ([]place, error) {
	var list []place
	var seen []os.FileInfo
	add := func(path string, fi os.FileInfo, named bool) {
		for _, s := range seen {
			if os.SameFile(s, fi) {
				return
			}
		}
		seen = append(seen, fi)
		list = append(list, place{path, named})
	}
	for _, p := range paths {
		if daemon.IsRemote(p) {
			if !slices.Contains(list, place{p, true}) {
				list = append(list, place{p, true})
			}
			continue
		}
		fi, err := os.Stat(p)
		if err != nil {
			return nil, sayPath(err)
		}
		if !fi.IsDir() {
			add(p, fi, true)
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, sayPath(err)
		}
		for _, e := range entries {
			path := filepath.Join(p, e.Name())
			// Not a pipe, a terminal or a socket: merely opening one of those may do something.
			if fi, err := os.Stat(path); err == nil && (fi.Mode().IsRegular() || isBlock(fi.Mode())) {
				add(path, fi, false)
			}
		}
	}
	return list, nil
}

func isBlock(m os.FileMode) bool { return m&os.ModeDevice != 0 && m&os.ModeCharDevice == 0 }

// sayPath turns "open /x: permission denied" into "/x: permission denied".
func sayPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

func candidateOf(d *md.Decision, found []*md.Examined) candidate {
	ref := d.Ref
	c := candidate{UUID: d.UUID.String(), Members: []scannedPart{}, Problems: []string{}, WouldBe: raid.StateFailed}
	if ref != nil {
		c.Name, c.Level, c.Layout, c.Metadata = ref.Name, md.LevelName(ref.Level), md.LayoutName(ref.Level, ref.Layout), ref.Version.String()
		c.RaidDevices, c.ChunkBytes, c.Events = ref.RaidDisks, int64(ref.ChunkSize)*md.Sector, ref.Events
		c.SizeBytes = arraySize(ref, found)
	}
	for role, s := range d.Slots {
		if s.Found < 0 {
			continue
		}
		state := "in_sync"
		if s.State == md.Recovering {
			state = "rebuilding"
		} else {
			c.Present++
		}
		c.Members = append(c.Members, part(found[s.Found], &role, state))
	}
	for _, i := range d.Spares {
		c.Members = append(c.Members, part(found[i], nil, "spare"))
	}
	for _, i := range d.Stale {
		c.Members = append(c.Members, part(found[i], nil, "stale"))
	}
	c.judge(d)
	return c
}

func part(e *md.Examined, role *int, state string) scannedPart {
	p := scannedPart{Path: e.Path, Role: role, State: state}
	if e.SB != nil {
		p.Events = e.SB.Events
		if r := e.SB.Role(); role == nil && state == "stale" && r >= 0 {
			p.Role = &r
		}
	}
	return p
}

// judge says what assembling the array now would come to.
func (c *candidate) judge(d *md.Decision) {
	c.Assemblable = d.Verdict <= md.StartDegraded
	if d.Why != "" {
		c.Problems = append(c.Problems, oneLine(d.Why))
	}
	for _, s := range append(slices.Clone(d.Findings), d.ReadOnly...) {
		c.Problems = append(c.Problems, oneLine(s))
	}
	switch {
	case !c.Assemblable:
	case c.Present < c.RaidDevices:
		c.WouldBe = raid.StateDegraded
	case len(d.ReadOnly) > 0:
		c.WouldBe = raid.StateReadOnly
	case d.Dirty:
		c.WouldBe = raid.StateActive
	default:
		c.WouldBe = raid.StateClean
	}
}

func printScan(w io.Writer, list []candidate) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no members of arrays found")
		return err
	}
	p := paintFor(w)
	for i, c := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		name := c.Name
		if name == "" {
			name = "(no name)"
		}
		l := &line{w: w, indent: "  "}
		l.add(name, p.bold(name))
		l.plain(c.Level)
		verdict := "would be " + c.WouldBe
		if !c.Assemblable {
			verdict = "cannot be assembled"
		}
		l.add(verdict, p.with(map[bool]string{true: "32", false: "31"}[c.Assemblable], verdict))
		l.plain(fmt.Sprintf("%d/%d members", c.Present, c.RaidDevices))
		if c.ChunkBytes > 0 {
			l.plain(human(c.ChunkBytes) + " chunks")
		}
		if c.SizeBytes != nil {
			l.plain(human(*c.SizeBytes))
		}
		l.plain("UUID " + c.UUID)
		l.end()
		for _, s := range c.Problems {
			fmt.Fprintf(w, "  %s\n", s)
		}
		if err := printParts(w, c.Members); err != nil {
			return err
		}
		if c.Assemblable {
			run := ""
			if c.NeedsRun {
				run = "--run "
			}
			fmt.Fprintf(w, "  graid assemble %s%s %s\n", run, shortName(c.Name), strings.Join(quoted(usable(c.Members)), " "))
		}
	}
	return nil
}

func printParts(w io.Writer, parts []scannedPart) error {
	var rows [][]string
	for _, m := range parts {
		role := "-"
		if m.Role != nil {
			role = fmt.Sprintf("m%d", *m.Role)
		}
		rows = append(rows, []string{"  " + role, m.State, fmt.Sprintf("events %d", m.Events), m.Path})
	}
	return table(w, nil, rows)
}

func usable(parts []scannedPart) []string {
	var list []string
	for _, m := range parts {
		if m.State != "stale" {
			list = append(list, m.Path)
		}
	}
	return list
}

// shortName is a name to run an array under: what it is called, without the host that made it.
func shortName(stored string) string {
	if _, name, ok := strings.Cut(stored, ":"); ok {
		stored = name
	}
	if daemon.CheckName(stored) != nil {
		return "md0"
	}
	return stored
}
