package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"time"

	"graid/daemon"
	"graid/multipath"
)

func multipathVerb() verb {
	return verb{
		name:  "multipath",
		args:  "COMMAND NAME [ARGUMENT...]",
		short: "one device of several paths to the same medium, which outlives the paths",
		long: `Joins the paths to one medium into a map, and serves it over NBD as an array is. A path is the URI of an NBD export, a block device or a file,
with options: "nbd://host/disk,prio=50,group=a,weight=2,host=h,standby". When a path fails, requests go on over another; what was sent on the
failed path never lands on newer data.`,
		notes: `
  create NAME PATH...        run the map from a background process; prints the URI of the export (assemble is the same)
  serve NAME PATH...         the same in the foreground
  add NAME PATH              one more path; it is used once it was found to lead to the same medium
  remove NAME PATH           let go of a path
  fail NAME PATH             take a path out of use at once
  drain NAME PATH            take it out of use when the requests under way have ended
  reinstate NAME PATH        take it into use again, also if it was refused or is held down
  prefer NAME PATH|none      make its group the best as long as it has a path
  switch-group NAME GROUP    go to that group now
  stats [NAME]               paths and what went over them
  history NAME               what happened, and why
  explain NAME               why I/O goes where it goes
  quarantine NAME [release PATH]   what waits for an old write to end; release takes your word that it has
  fail-queued NAME           fail the requests that wait

"graid status" shows maps as "multipath -ll" does, "graid stop NAME" ends one.
`,
		flags: []flag{
			{name: "nbd", value: "ADDRESS", list: true, usage: "serve at unix:PATH or tcp:HOST:PORT; may be repeated (default: a socket in the runtime folder)"},
			{name: "export", value: "NAME", usage: "what the export is called (default: the map's name)"},
			{name: "io", value: "MODE", usage: "how files and block devices are read and written: auto, buffered or direct (default: auto)"},
			{name: "selector", value: "NAME", usage: strings.Join(multipath.Selectors, ", ") + " (default: least-bytes)"},
			{name: "failback", value: "WHEN", usage: "return to a better group: deferred, manual, immediate, followover (default: deferred, by 10s)"},
			{name: "no-path", value: "WHAT", usage: "requests while no path is there: fail, queue, queue:TIME (default: queue:30s)"},
			{name: "stale-write", value: "HOW", usage: "keep old writes off newer data by fence, quarantine, hook or trust, which does not (default: fence, else quarantine)"},
			{name: "quarantine", value: "TIME", usage: "how long at most (default: 60s)"},
			{name: "hook", value: "PROGRAM", usage: "run PROGRAM PATH to prove that the target behind a path is dead: status 0 says so"},
			{name: "io-timeout", value: "TIME", usage: "a path that has not answered fails (default: 5s)"},
			{name: "suspect", value: "TIME", usage: "it gets no new requests meanwhile (default: 1s)"},
			{name: "reserve", value: "SIZE", usage: "bytes at the end of the medium for proving that paths lead to it (default: none; samples are compared)"},
			{name: "force", short: "f", usage: "remove: even the last path"},
			{name: "json", usage: "print JSON"},
			{name: "background", quiet: true, usage: "report on standard output as JSON, log to the runtime folder"},
		},
		run: multipathRun,
	}
}

func multipathRun(c *call) error {
	if len(c.args) == 0 {
		return usage("multipath: name a command: `graid help multipath` lists them")
	}
	what, args := c.args[0], c.args[1:]
	switch what {
	case "create", "assemble", "serve":
		return mapStart(c, what, args)
	case "stats":
		c.args = args
		return mapStats(c)
	}
	if len(args) == 0 {
		return usage("multipath: %s: name the map", what)
	}
	folder, err := lookFolder()
	if err != nil {
		return err
	}
	name, args := args[0], args[1:]
	order := daemon.MapOrder{Do: what, Force: c.has("force")}
	want := 1
	switch what {
	case "history", "explain", "fail-queued":
		want = 0
	case "quarantine":
		if want = len(args); want != 0 && (want != 2 || args[0] != "release") {
			return usage("multipath: quarantine NAME, or quarantine NAME release PATH")
		}
	case "add", "remove", "fail", "drain", "reinstate", "prefer", "switch-group":
	default:
		near := nearest(what, []string{"create", "assemble", "serve", "add", "remove", "fail", "drain", "reinstate", "prefer", "switch-group", "stats", "history", "explain", "quarantine", "fail-queued"})
		if near != "" {
			return usage("multipath: unknown command %q: did you mean %s?", what, near)
		}
		return usage("multipath: unknown command %q: `graid help multipath` lists them", what)
	}
	if len(args) != want {
		return usage("multipath: %s takes the map's name and %d more, got %d", what, want, len(args))
	}
	switch {
	case what == "history":
		return mapHistory(c, folder, name)
	case what == "explain":
		lines, err := folder.Explain(c.ctx, name)
		if err != nil {
			return err
		}
		if c.has("json") {
			return printJSON(c.out, lines)
		}
		for _, l := range lines {
			fmt.Fprintln(c.out, l)
		}
		return nil
	case what == "quarantine" && want == 0:
		return mapQuarantine(c, folder, name)
	case what == "quarantine":
		order.Do, order.Path = "release", args[1]
	case what == "switch-group":
		order.Group = args[0]
	case what == "add":
		p, err := daemon.ParsePath(args[0])
		if err != nil {
			return usage("multipath: %v", err)
		}
		order.Path = p.String()
	case want == 1:
		order.Path = args[0]
	}
	m, err := folder.Order(c.ctx, name, order)
	if err != nil {
		return err
	}
	if c.has("json") {
		return printJSON(c.out, m)
	}
	printMap(c.out, m)
	return mapAttention(m)
}

// mapStart runs a map in this process, or in one of its own.
func mapStart(c *call, what string, args []string) error {
	cfg, err := mapConfig(c, args)
	if err != nil {
		return err
	}
	if what == "serve" {
		return mapServe(c, cfg)
	}
	folder, err := openFolder()
	if err != nil {
		return err
	}
	r, err := folder.Spawn(c.ctx, mapArgs(c, cfg, "--background"))
	if err != nil {
		return err
	}
	if r.Array == nil {
		return &failure{r.Status, r.Error}
	}
	m, err := folder.Map(c.ctx, cfg.Name)
	if err != nil {
		return err
	}
	if cfg.Options.Stale == multipath.StaleTrust {
		fmt.Fprintln(c.err, "graid: warning: --stale-write trust loses data: a write that hangs on a path that failed may land on top of a newer one")
	}
	for _, x := range m.Exports {
		fmt.Fprintln(c.out, x.URI)
	}
	return mapAttention(m)
}

// mapAttention says what needs attention in a map, if anything does. Paths that are on their way count only if they have not arrived soon.
func mapAttention(m daemon.Map) error {
	for _, g := range m.Groups {
		for _, p := range g.Paths {
			if p.State == multipath.StateRefused.String() {
				return &attention{fmt.Sprintf("%s: path %s is refused: %s", m.Name, p.Name, p.Reason)}
			}
		}
	}
	return nil
}

func mapServe(c *call, cfg daemon.MapConfig) error {
	if c.has("background") {
		cfg.LogFile = true
	} else {
		cfg.Log = slog.New(slog.NewTextHandler(c.err, nil))
	}
	p, err := daemon.StartMap(c.ctx, cfg)
	if c.has("background") {
		if err != nil {
			status := report(io.Discard, err)
			return errors.Join(daemon.Report{Error: err.Error(), Status: status}.Send(c.out), &failure{status, ""})
		}
		if err := (daemon.Report{Array: &daemon.Array{Name: cfg.Name}}).Send(c.out); err != nil {
			p.Stop(true) // nobody is there who would learn that the map runs
		}
		if f, ok := asFile(c.out); ok {
			f.Close()
		}
		return p.Wait(c.ctx)
	}
	if err != nil {
		return err
	}
	for _, x := range p.Map().Exports {
		fmt.Fprintln(c.out, x.URI)
	}
	return p.Wait(c.ctx)
}

// mapArgs is the command line that serves the map.
func mapArgs(c *call, cfg daemon.MapConfig, more ...string) []string {
	args := append([]string{"multipath"}, more...)
	for _, f := range c.verb.flags {
		switch {
		case f.quiet || f.name == "json" || f.name == "force":
		case f.name == "nbd":
			for _, a := range cfg.Addresses {
				args = append(args, "--nbd="+a.String())
			}
		case f.name == "hook" && c.given("hook"):
			path, _ := daemon.CheckProgram(c.get("hook"))
			args = append(args, "--hook="+path)
		case c.given(f.name):
			args = append(args, "--"+f.name+"="+c.get(f.name))
		}
	}
	args = append(args, "--", "serve", cfg.Name)
	for _, p := range cfg.Paths {
		args = append(args, p.String())
	}
	return args
}

// mapConfig reads what the user asked of a map. Nothing is opened or made but the runtime folder.
func mapConfig(c *call, args []string) (cfg daemon.MapConfig, err error) {
	switch len(args) {
	case 0:
		return cfg, usage("multipath: name the map and its paths: graid multipath create NAME PATH...")
	case 1:
		return cfg, usage("multipath: name the paths of %s: graid multipath create NAME PATH...", args[0])
	}
	cfg = daemon.MapConfig{Name: args[0], Export: c.get("export")}
	if err := daemon.CheckName(cfg.Name); err != nil {
		return cfg, usage("multipath: %v", err)
	}
	for _, w := range args[1:] {
		p, err := daemon.ParsePath(w)
		if err != nil {
			return cfg, usage("multipath: %v", err)
		}
		if slices.ContainsFunc(cfg.Paths, func(q daemon.MapPath) bool { return q.Word == p.Word }) {
			return cfg, usage("multipath: %s is given twice", p.Word)
		}
		cfg.Paths = append(cfg.Paths, p)
	}
	for _, a := range c.list("nbd") {
		at, err := daemon.ParseAddress(a)
		if err != nil {
			return cfg, usage("multipath: --nbd: %v", err)
		}
		if err := (daemon.TLS{}).Allows(at); err != nil {
			return cfg, usage("multipath: --nbd: %v", err)
		}
		cfg.Addresses = append(cfg.Addresses, at)
	}
	if cfg.Mode, err = c.mode(); err != nil {
		return cfg, err
	}
	if cfg.Options, err = mapOptions(c); err != nil {
		return cfg, err
	}
	if cfg.Folder, err = openFolder(); err != nil {
		return cfg, err
	}
	cfg.Command = append([]string{"multipath"}, mapArgs(c, cfg)[1:]...)
	cfg.Command[slices.Index(cfg.Command, "serve")] = "create"
	return cfg, nil
}

func mapOptions(c *call) (o multipath.Options, err error) {
	if o.Selector, err = c.oneOf("selector", append([]string{multipath.LeastBytes}, multipath.Selectors...)...); err != nil {
		return o, err
	}
	when, err := c.oneOf("failback", "deferred", "manual", "immediate", "followover")
	if err != nil {
		return o, err
	}
	o.Failback = map[string]multipath.Failback{"manual": multipath.FailbackManual, "immediate": multipath.FailbackImmediate, "followover": multipath.FailbackFollowover}[when]
	how, err := c.oneOf("stale-write", "fence", "quarantine", "hook", "trust")
	if err != nil {
		return o, err
	}
	o.Stale = map[string]multipath.Stale{"quarantine": multipath.StaleQuarantine, "hook": multipath.StaleHook, "trust": multipath.StaleTrust}[how]
	if c.given("hook") != (how == "hook") {
		return o, usage("multipath: --hook and --stale-write hook belong together")
	}
	if c.given("hook") {
		program, err := daemon.CheckProgram(c.get("hook"))
		if err != nil {
			return o, fmt.Errorf("multipath: --hook: %w", err)
		}
		o.Hook = func(path string) error { return exec.CommandContext(context.Background(), program, path).Run() }
	}
	switch w := c.get("no-path"); {
	case !c.given("no-path"):
	case w == "fail":
		o.NoPath = multipath.NoPathFail
	case w == "queue":
		o.NoPath = multipath.NoPathQueue
	default:
		if o.NoPath, err = time.ParseDuration(strings.TrimPrefix(w, "queue:")); err != nil || !strings.HasPrefix(w, "queue:") || o.NoPath <= 0 {
			return o, usage("multipath: --no-path: %q is none of fail, queue and queue:TIME, such as queue:30s", w)
		}
	}
	for _, t := range []struct {
		name string
		to   *time.Duration
	}{{"quarantine", &o.Quarantine}, {"io-timeout", &o.IOTimeout}, {"suspect", &o.Suspect}} {
		if c.given(t.name) {
			if *t.to, err = time.ParseDuration(c.get(t.name)); err != nil || *t.to <= 0 {
				return o, usage("multipath: --%s: %q is no time: give one such as 5s or 800ms", t.name, c.get(t.name))
			}
		}
	}
	o.Reserve, err = c.size("reserve")
	return o, err
}

func mapHistory(c *call, folder daemon.Folder, name string) error {
	list, err := folder.MapHistory(c.ctx, name)
	if err != nil {
		return err
	}
	if c.has("json") {
		return printJSON(c.out, list)
	}
	for _, e := range list {
		e.At = e.At.Local()
		fmt.Fprintln(c.out, e)
	}
	return nil
}

func mapQuarantine(c *call, folder daemon.Folder, name string) error {
	m, err := folder.Map(c.ctx, name)
	if err != nil {
		return err
	}
	if c.has("json") {
		return printJSON(c.out, m)
	}
	if m.QuarantinedBytes == 0 {
		fmt.Fprintf(c.out, "%s: nothing is held\n", name)
		return nil
	}
	fmt.Fprintf(c.out, "%s: %s are held until old writes to them have ended; %d requests wait, the oldest for %v\n",
		name, human(m.QuarantinedBytes), m.Waiting, m.OldestWait.Round(time.Millisecond))
	for _, g := range m.Groups {
		for _, p := range g.Paths {
			if p.Quarantined > 0 {
				fmt.Fprintf(c.out, "     %s: %d writes were not answered\n", p.Name, p.Quarantined)
			}
		}
	}
	return nil
}

func mapStats(c *call) error {
	if len(c.args) > 1 {
		return usage("multipath: stats takes one name, got %q as well", c.args[1])
	}
	list, err := running(c)
	if err != nil {
		return err
	}
	maps := []daemon.Map{}
	for _, a := range list {
		if a.Map != nil {
			maps = append(maps, *a.Map)
		}
	}
	if c.has("json") {
		return printJSON(c.out, maps)
	}
	var rows [][]string
	for _, m := range maps {
		for _, g := range m.Groups {
			for _, p := range g.Paths {
				rows = append(rows, []string{m.Name, p.Name, p.State, fmt.Sprint(p.InFlight), fmt.Sprint(p.Requests), human(p.Bytes),
					p.Latency.Round(10 * time.Microsecond).String(), fmt.Sprint(p.Errors), fmt.Sprint(p.Failures), fmt.Sprint(p.Hedges)})
			}
		}
	}
	if len(rows) == 0 {
		fmt.Fprintln(c.out, "no maps are running")
		return nil
	}
	return table(c.out, []string{"map", "path", "state", "in flight", "requests", "bytes", "latency", "errors", "failures", "hedges"}, rows)
}

// printMap shows a map as `multipath -ll` does.
func printMap(w io.Writer, m daemon.Map) {
	p := paintFor(w)
	fmt.Fprintf(w, "%s  multipath  %s\n", p.bold(m.Name), p.state(m.State))
	fmt.Fprintf(w, "size=%s features='%s' stale_write='%s' failback='%s' wp=%s\n", human(m.SizeBytes), m.NoPath, m.Stale, m.Failback, access(m))
	if m.Waiting > 0 {
		fmt.Fprintf(w, "     %d requests wait, the oldest for %v\n", m.Waiting, m.OldestWait.Round(time.Millisecond))
	}
	if m.QuarantinedBytes > 0 {
		fmt.Fprintf(w, "     %s are held: an old write may still land there (graid multipath quarantine %s)\n", human(m.QuarantinedBytes), m.Name)
	}
	for i, g := range m.Groups {
		branch, stem := "|-+-", "| "
		if i == len(m.Groups)-1 {
			branch, stem = "`-+-", "  "
		}
		fmt.Fprintf(w, "%s policy='%s' prio=%.3g status=%s\n", branch, m.Selector, g.Priority, g.Status)
		for j, x := range g.Paths {
			twig := "|-"
			if j == len(g.Paths)-1 {
				twig = "`-"
			}
			fmt.Fprintf(w, "%s%s %s %s\n", stem, twig, x.Name, pathWords(x))
		}
	}
	for _, e := range m.Exports {
		clients := "no clients"
		if e.Clients == 1 {
			clients = "1 client"
		} else if e.Clients > 1 {
			clients = fmt.Sprintf("%d clients", e.Clients)
		}
		fmt.Fprintf(w, "     %s  %s\n", e.URI, clients)
	}
}

func access(m daemon.Map) string {
	for _, e := range m.Exports {
		if e.ReadOnly {
			return "ro"
		}
	}
	return "rw"
}

// pathWords is dm's, the checker's and the path's own word for how a path is, and why if it is not well.
func pathWords(x multipath.PathStatus) string {
	dm, checker := "failed", "faulty"
	switch x.State {
	case "up":
		dm, checker = "active", "ready"
	case "slow", "suspect":
		dm, checker = "active", "shaky"
	case "marginal":
		dm, checker = "active", "delayed"
	case "ghost":
		dm, checker = "active", "ghost"
	case "new", "connecting", "verifying":
		dm, checker = "undef", "i/o pending"
	}
	s := fmt.Sprintf("%s %s %s", dm, checker, x.State)
	if x.State != "up" && x.Reason != "" {
		s += ": " + x.Reason
	}
	if x.NextTry > 0 {
		s += fmt.Sprintf(" (again in %v)", x.NextTry.Round(100*time.Millisecond))
	}
	return s
}
