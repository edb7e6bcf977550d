package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"graid/daemon"
	"graid/raid"
)

// width is what plain output fits into, columns. Paths and URIs are never cut: they stay usable.
const width = 80

func statusVerb() verb {
	return verb{
		name:  "status",
		args:  "[NAME]",
		short: "every running array, at one glance",
		long: `Shows every running array of this user, or one of them, as /proc/mdstat would, and says of each that is not healthy why. How long
background work has left counts all that is to follow it. Exit status 0 says that all of them answered, degraded or not: "graid detail
--test" tells those apart; 3 that a server died.`,
		flags: []flag{{name: "json", usage: "print JSON"}},
		run: func(c *call) error {
			list, err := running(c)
			if err != nil {
				return err
			}
			if c.has("json") {
				return statusJSON(c, list)
			}
			if len(list) == 0 {
				fmt.Fprintln(c.out, "no arrays are running")
				return nil
			}
			return statusPlain(c, list)
		},
	}
}

// running asks every array, or the one that is named.
func running(c *call) ([]daemon.Answer, error) {
	if len(c.args) > 1 {
		return nil, usage("%s: takes one name, got %q as well", c.verb.name, c.args[1])
	}
	folder, err := lookFolder()
	if err != nil {
		return nil, err
	}
	if len(c.args) == 0 {
		return folder.All(c.ctx)
	}
	a, err := folder.Look(c.ctx, c.args[0])
	if errors.Is(err, daemon.ErrNotRunning) {
		if left := folder.Died(c.args[0]); left != nil {
			return []daemon.Answer{{Name: c.args[0], Died: left}}, nil
		}
	}
	return []daemon.Answer{a}, err
}

// overview is what `status --json` prints.
type overview struct {
	Arrays    []daemon.Array `json:"arrays"`
	Multipath []daemon.Map   `json:"multipath"`
	Died      []dead         `json:"died"`
}

// dead is an array whose server died, and what to give graid to have it run again.
type dead struct {
	Name    string    `json:"name"`
	UUID    string    `json:"uuid"`
	PID     int       `json:"pid"`
	Members []string  `json:"members"`
	Command []string  `json:"command"`
	Started time.Time `json:"started"`
}

func statusJSON(c *call, list []daemon.Answer) error {
	o := overview{Arrays: []daemon.Array{}, Multipath: []daemon.Map{}, Died: []dead{}}
	for _, a := range list {
		switch s := a.Died; {
		case s != nil:
			o.Died = append(o.Died, dead{s.Name, s.UUID, s.PID, s.Members, revive(*s), s.Started.UTC()})
		case a.Map != nil:
			o.Multipath = append(o.Multipath, *a.Map)
		case a.Err == nil:
			o.Arrays = append(o.Arrays, a.Array)
		}
	}
	if err := printJSON(c.out, o); err != nil {
		return err
	}
	if err := trouble(list); err != nil {
		return err
	}
	if len(o.Died) > 0 {
		s := o.Died[0]
		return &attention{fmt.Sprintf("%s: its server (pid %d) died: `graid status` says how to start it again", s.Name, s.PID)}
	}
	return nil
}

func statusPlain(c *call, list []daemon.Answer) error {
	var well error
	for _, a := range list {
		switch {
		case a.Died != nil:
			printDead(c.out, *a.Died)
			well = &attention{} // it was said in its place
		case a.Err != nil:
			fmt.Fprintf(c.out, "%s  no answer\n", a.Name)
		case a.Map != nil:
			printMap(c.out, *a.Map)
		default:
			if err := printStatus(c.out, a.Array); err != nil {
				return err
			}
		}
	}
	return cmp.Or(trouble(list), well)
}

// printDead tells of an array whose server died, until somebody does something about it.
func printDead(w io.Writer, s daemon.State) {
	fmt.Fprintf(w, "%s  not running: its server (pid %d) died; start it again:\n     graid %s\n     or forget it: graid stop %s\n",
		s.Name, s.PID, strings.Join(quoted(revive(s)), " "), s.Name)
}

// revive is what to give graid to have a dead array run again.
func revive(s daemon.State) []string {
	if len(s.Command) > 0 {
		return s.Command
	}
	return append([]string{"assemble", s.Name}, s.Members...)
}

// trouble is the error for arrays that did not answer.
func trouble(list []daemon.Answer) error {
	for _, a := range list {
		if a.Err != nil {
			return a.Err
		}
	}
	return nil
}

// printStatus says how an array is, in lines that fit the width, and what to do about what is wrong.
//
//	md0  raid5  degraded  3/4 members  64K chunks  189M  resync 12.4% 183M/s 41m left
//	     m3 missing: …
//	     nbd+unix:///md0?socket=/run/graid/md0.nbd  1 client
func printStatus(w io.Writer, a daemon.Array) error {
	p := paintFor(w)
	indent := strings.Repeat(" ", len(a.Name)+2)
	line := &line{w: w, indent: indent}
	line.add(a.Name, p.bold(a.Name))
	line.add(a.Level, a.Level)
	state := a.State
	if a.ReadOnly && state != "readonly" {
		state += " (read-only)"
	}
	line.add(state, p.state(a.State)+strings.TrimPrefix(state, a.State))
	line.plain(fmt.Sprintf("%d/%d members", a.RaidDevices-a.Degraded, a.RaidDevices))
	if a.ChunkBytes > 0 {
		line.plain(human(a.ChunkBytes) + " chunks")
	}
	line.plain(human(a.SizeBytes))
	if s := progress(a); s != "" {
		line.plain(s)
		if shows(w) {
			line.end()
			line.plain(bar(a.Sync.Done, max(a.Sync.Total, 1), width-len(indent)-2))
		}
	}
	for _, s := range outlook(a) {
		line.plain(s)
	}
	line.end()
	if err := unwell(w, p, a, indent); err != nil {
		return err
	}
	for _, m := range a.Members {
		if s := memberLine(a, m); s != "" {
			line.plain(s)
		}
	}
	line.end()
	if s := mismatches(a); s != "" {
		line.plain(s)
		line.end()
	}
	for _, why := range a.Reasons {
		line.plain("read-only: " + why)
		line.end()
	}
	if a.Overlay != nil {
		line.plain("overlay: the members are only read; writes go to " + *a.Overlay)
		line.end()
	}
	for _, f := range a.Findings {
		line.plain(f)
		line.end()
	}
	for _, x := range a.Exports {
		fmt.Fprintf(w, "%s%s  %s\n", indent, x.URI, plural(x.Clients, "client"))
	}
	return line.err
}

// memberLine tells of a member that is not simply in sync.
func memberLine(a daemon.Array, m daemon.Member) string {
	if m.State == raid.MemberReplacement {
		return "" // it is told of with the one that it replaces
	}
	role := ""
	switch {
	case m.Role != nil:
		role = fmt.Sprintf("m%d", *m.Role)
	case m.State == "spare":
		role = "spare"
	}
	name := daemon.Short(m.Name())
	if m.Path == nil {
		return role + " missing"
	}
	var notes []string
	if m.State != "in_sync" && m.State != "spare" {
		notes = append(notes, m.State)
	}
	notes = append(notes, replacement(a, m)...)
	if n := m.Errors.Read; n > 0 {
		notes = append(notes, plural(int(n), "read error"))
	}
	if n := m.Errors.Write; n > 0 {
		notes = append(notes, plural(int(n), "write error"))
	}
	if n := m.Errors.Corrected; n > 0 {
		notes = append(notes, fmt.Sprintf("%d corrected", n))
	}
	if s := m.Tardy(); s != "" {
		notes = append(notes, s)
	}
	if n := m.BadBlocks; n > 0 {
		notes = append(notes, human(n)+" bad blocks")
	}
	if len(notes) == 0 && m.State != "spare" {
		return ""
	}
	return strings.TrimSpace(role + " " + name + " " + strings.Join(notes, ", "))
}

// replacement is "replaced by e.img 34%", for the member that it is about.
func replacement(a daemon.Array, m daemon.Member) []string {
	t := a.Replacement(m)
	if t == nil {
		return nil
	}
	percent := ""
	if size := memberSize(a); size > 0 && t.Recovered != nil {
		percent = fmt.Sprintf(" %.0f%%", min(100, 100*float64(*t.Recovered)/float64(size)))
	}
	return []string{"replaced by " + daemon.Short(t.Name()) + percent}
}

// replacing says whether the work under way is for members that serve meanwhile.
func replacing(a daemon.Array) bool {
	has := func(state string) bool {
		return slices.ContainsFunc(a.Members, func(m daemon.Member) bool { return m.State == state })
	}
	return a.Sync.Action == "recover" && has(raid.MemberReplacement) && !has(raid.MemberRebuilding)
}

// shows says whether bars are of use on w: it is a terminal, or a picture for one.
func shows(w io.Writer) bool {
	_, picture := w.(*colour)
	return picture || isTerminal(w)
}

// progress is "recover m1 12.4% 183M/s 41m left", or "" when nothing is going on.
func progress(a daemon.Array) string {
	s := a.Sync
	if s.Action == "idle" || s.Action == "" {
		return ""
	}
	text := s.Action
	if replacing(a) {
		text = "replace"
	}
	for _, m := range a.Members {
		if m.State == raid.MemberRebuilding && m.Role != nil && s.Action == "recover" {
			text += fmt.Sprintf(" m%d", *m.Role)
		}
	}
	if s.Total > 0 {
		text += fmt.Sprintf(" %.1f%%", 100*float64(s.Done)/float64(s.Total))
	}
	if s.Speed > 0 {
		text += " " + human(s.Speed) + "/s"
	}
	if s.ETA != nil {
		text += " " + daemon.Span(time.Duration(*s.ETA)*time.Second) + " left"
	}
	return text
}

// outlook is what limits background work, and what follows it.
func outlook(a daemon.Array) (list []string) {
	s := a.Sync
	switch s.LimitedBy {
	case daemon.LimitSet:
		list = append(list, fmt.Sprintf("limited to %s/s", human(s.Most)))
	case daemon.LimitUserIO:
		list = append(list, "limited by user I/O")
	case daemon.LimitMembers:
		list = append(list, "limited by members")
	}
	for _, p := range s.Next {
		list = append(list, "then "+work(p.Action))
	}
	return list
}

// unwell says on lines of its own why an array is not healthy. What calls for attention alone is said where it is shown.
func unwell(w io.Writer, p paint, a daemon.Array, indent string) error {
	switch h := a.Health; h.Verdict {
	case "", daemon.Healthy, daemon.Attention:
		return nil
	default:
		text := wrap(h.Verdict+": "+h.Reason, width-len(indent), indent+"  ")
		_, err := fmt.Fprintf(w, "%s%s\n", indent, p.verdict(h.Verdict)+strings.TrimPrefix(text, h.Verdict))
		return err
	}
}

// line lays words out in lines of at most width columns, two spaces between them, what follows indented.
type line struct {
	w      io.Writer
	indent string
	used   int // columns of the current line; 0 = nothing yet
	first  bool
	err    error
}

func (l *line) plain(s string) { l.add(s, s) }

// add puts shown, which takes as many columns as text, on the line or on the next one.
func (l *line) add(text, shown string) {
	if l.used > 0 && l.used+2+utf8.RuneCountInString(text) > width {
		l.end()
	}
	lead := "  "
	if l.used == 0 {
		lead = ""
		if l.first {
			lead = l.indent
		}
	}
	l.used += len(lead) + utf8.RuneCountInString(text)
	l.write(lead + shown)
}

func (l *line) end() {
	l.first = true
	if l.used > 0 {
		l.write("\n")
	}
	l.used = 0
}

func (l *line) write(s string) {
	if _, err := io.WriteString(l.w, s); err != nil && l.err == nil {
		l.err = err
	}
}

// quoted makes words safe to paste into a shell.
func quoted(words []string) []string {
	var q []string
	for _, w := range words {
		if strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+,:@%=-") != "" || w == "" {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		q = append(q, w)
	}
	return q
}

// existing is the absolute path of what is there, and any other word as it is.
func existing(arg string) string {
	if daemon.IsRemote(arg) {
		if place, err := daemon.MemberPath(arg); err == nil {
			return place
		}
	}
	if _, err := os.Stat(arg); err != nil {
		return arg
	}
	if abs, err := filepath.Abs(arg); err == nil {
		return abs
	}
	return arg
}
