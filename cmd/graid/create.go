package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"graid/block"
	"graid/block/file"
	"graid/daemon"
	"graid/raid"
	"graid/raid/md"
)

func createVerb() verb {
	return verb{
		name:  "create",
		args:  "NAME --level L MEMBER...",
		short: "write superblocks on the members of a new array, and run it",
		long: `Makes a new array of the members and serves it, as assemble does. Options have mdadm's meaning and mdadm's
defaults. "missing" in place of a member leaves its slot empty. Everything that could be in the way is looked at before the
first byte is written: members that are in use, that are in another array, or that hold a file system or a partition table.`,
		flags: append([]flag{
			{name: "level", short: "l", value: "LEVEL", usage: "linear, 0, 1, 4, 5, 6 or 10; raid5 and so on mean the same"},
			{name: "raid-devices", short: "n", value: "N", usage: "how many slots (default: one per member that is no spare)"},
			{name: "spare-devices", short: "x", value: "N", usage: "how many of the members, the last ones, are spares (default: 0)"},
			{name: "chunk", short: "c", value: "SIZE", usage: "bytes on one member before the next (default: 512K)"},
			{name: "layout", short: "p", value: "LAYOUT", usage: "such as left-symmetric, n2, f2 or o2 (default: the level's)"},
			{name: "metadata", short: "e", value: "VERSION", usage: "1.0, 1.1 or 1.2: where the superblock lies (default: 1.2)"},
			{name: "bitmap", short: "b", value: "internal|none", usage: "write-intent bitmap: what a resync, and a member that comes back, go by (default: internal, for levels with redundancy)"},
			bitmapChunkFlag,
			{name: "consistency-policy", short: "k", value: "POLICY", usage: "resync, bitmap (default) or, for raid5, ppl: how members are made to agree after a crash"},
			{name: "size", short: "z", value: "SIZE", usage: "how much of each member to use (default: as much as the smallest has)"},
			{name: "data-offset", value: "SIZE", usage: "where data starts on each member (default: mdadm's choice)"},
			{name: "assume-clean", usage: "skip the first resync: only if the members are known to agree"},
			{name: "homehost", value: "HOST", usage: "the host's part of the stored name (default: this host; none = no such part)"},
			{name: "name", short: "N", value: "NAME", usage: "the stored name (default: NAME)"},
			{name: "uuid", short: "u", value: "UUID", usage: "the array's identity (default: random)"},
			{name: "write-mostly", value: "MEMBER", list: true, usage: "read from this mirror only when nothing else can be read; may be repeated"},
			{name: "failfast", value: "MEMBER", list: true, usage: "have Linux not try its failed requests again; graid never does; may be repeated"},
			{name: "force", short: "f", usage: "overwrite members that are in an array or hold something else"},
			{name: "member-size", value: "SIZE", usage: "make the member files that do not exist yet, sparse, of this size"},
			{name: "no-start", usage: "write the superblocks and leave it at that"},
			{name: "run", short: "R", quiet: true, usage: "as for mdadm: do not ask; graid never does"},
		}, assembleFlags()...),
		run: create,
	}
}

// missingWord stands for an absent member.
const missingWord = "missing"

func create(c *call) error {
	name, paths, err := c.nameAndMembers()
	if err != nil {
		return err
	}
	spec, err := c.spec(name, paths)
	if err != nil {
		return err
	}
	present := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return p == missingWord })
	cfg, err := c.config(name, present)
	if err != nil {
		return err
	}
	cfg.UUID, cfg.Force = nil, false
	if cfg.Open.Overlay != "" {
		return usage("create: --overlay keeps members as they are, and create is there to change them")
	}
	flagged, err := c.flagged(present)
	if err != nil {
		return err
	}
	made, err := makeFiles(c, present)
	if err != nil {
		return err
	}
	draft, err := write(c, spec, cfg, paths, flagged)
	if err != nil {
		if errors.Is(err, block.ErrNoSpace) {
			err = fmt.Errorf("%w: its file system is full: free some space there, then create it again with --force", err)
		}
		return errors.Join(err, remove(made))
	}
	for _, w := range draft.Warnings {
		fmt.Fprintln(c.err, "graid: note: "+oneLine(w))
	}
	describeDraft(c.out, name, paths, draft)
	if c.has("no-start") {
		return nil
	}
	args := c.serveArgs(cfg)
	if len(present) < len(paths) { // fewer than a whole array has, as the user asked for
		args = slices.Insert(args, 2, "--run")
	}
	a, err := background(c.ctx, cfg, args)
	if err != nil {
		return fmt.Errorf("the array was written but does not run: %w", err)
	}
	if s := progress(a); s != "" {
		fmt.Fprintf(c.out, "%s  %s\n", strings.Repeat(" ", len(name)), "in the background: "+s)
	}
	for _, x := range a.Exports {
		fmt.Fprintln(c.out, x.URI)
	}
	return lookAt(a, false)
}

// write checks all there is to check and then writes the superblocks. The name is held meanwhile, so that nobody else runs
// an array under it, and the members are let go of at the end.
func write(c *call, spec md.Spec, cfg daemon.Config, paths []string, flagged map[string][]string) (draft *md.Draft, err error) {
	if !c.has("no-start") {
		claim, err := cfg.Folder.Claim(cfg.Name)
		if err != nil {
			return nil, err
		}
		defer claim.Release()
		for _, a := range cfg.Addresses {
			l, err := a.Listen()
			if err != nil {
				return nil, err
			}
			l.Close()
		}
	}
	opened, err := daemon.OpenMembers(cfg.Members, cfg.Open)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, m := range opened {
			err = errors.Join(err, m.Dev.Close())
		}
	}()
	var members []raid.Member
	next := 0
	for _, p := range paths {
		if p == missingWord {
			members = append(members, raid.Member{})
			continue
		}
		m := opened[next]
		next++
		m.Path, m.WriteMostly, m.FailFast = p, slices.Contains(flagged[mostlyFlag.name], p), slices.Contains(flagged[fastFlag.name], p)
		if !c.has("force") {
			if err := refuseContent(c.ctx, m); err != nil {
				return nil, err
			}
		}
		members = append(members, m)
	}
	if !c.given("bitmap") && !c.given("consistency-policy") && !c.given("bitmap-chunk") {
		spec = withoutRoom(c.err, spec, members)
	}
	draft, err = raid.Create(c.ctx, spec, members, raid.Options{Force: c.has("force")})
	return draft, named(err, paths)
}

// withoutRoom is spec without its bitmap, which nobody asked for, if that is all that stands in the way.
func withoutRoom(w io.Writer, spec md.Spec, members []raid.Member) md.Spec {
	var news []md.NewMember
	for _, m := range members {
		n := md.NewMember{Missing: m.Dev == nil}
		if m.Dev != nil {
			n.Size = m.Dev.Info().Size
		}
		news = append(news, n)
	}
	bare := spec
	bare.Bitmap = false
	if _, err := spec.Draft(news); err == nil || !spec.Bitmap {
		return spec
	}
	if _, err := bare.Draft(news); err != nil {
		return spec
	}
	fmt.Fprintln(w, "graid: note: there is no room for a write-intent bitmap before the data: the array has none")
	return bare
}

var numbered = regexp.MustCompile(`\bmember (\d+)\b`)

// named puts paths where an error has numbers: what decides on a new array knows its members by number alone.
func named(err error, paths []string) error {
	if err == nil || !numbered.MatchString(err.Error()) {
		return err
	}
	return errors.New(numbered.ReplaceAllStringFunc(err.Error(), func(s string) string {
		i, _ := strconv.Atoi(s[len("member "):])
		if i >= len(paths) {
			return s
		}
		return paths[i]
	}))
}

// spec reads the options that say what the array is to be.
func (c *call) spec(name string, paths []string) (s md.Spec, err error) {
	if err := daemon.CheckName(name); err != nil {
		return s, usage("create: %v", err)
	}
	if !c.given("level") {
		return s, usage("create: which level? give --level linear, 0, 1, 4, 5, 6 or 10")
	}
	if s.Level, err = md.ParseLevel(c.get("level")); err != nil {
		return s, usage("create: --level: %v", err)
	}
	s.Layout = -1
	if c.given("layout") {
		layout, err := md.ParseLayout(s.Level, c.get("layout"))
		if err != nil {
			return s, usage("create: --layout: %v", err)
		}
		s.Layout = int(layout)
	}
	for _, o := range []struct {
		name string
		to   *int64
	}{{"chunk", &s.Chunk}, {"size", &s.Size}, {"data-offset", &s.DataOffset}} {
		if *o.to, err = c.size(o.name); err != nil {
			return s, err
		}
		if c.given(o.name) && *o.to == 0 {
			return s, usage("create: --%s: 0 is no size", o.name)
		}
	}
	if s.Version, err = md.ParseVersion(c.get("metadata")); err != nil {
		return s, usage("create: --metadata: %v", err)
	}
	if s.Version == md.V090 {
		return s, usage("create: --metadata 0.90 is read but not written: use 1.0, 1.1 or 1.2")
	}
	if err := c.grain(s); err != nil {
		return s, err
	}
	if err := c.counts(&s, paths); err != nil {
		return s, err
	}
	s.PPL = c.get("consistency-policy") == "ppl"
	if s.Bitmap, err = c.bitmap(s); err != nil {
		return s, err
	}
	if s.BitmapChunk, err = c.bitmapChunk(); err != nil {
		return s, err
	}
	if s.BitmapChunk > 0 && !s.Bitmap {
		return s, usage("create: --bitmap-chunk: the array is to have no bitmap: leave it out")
	}
	s.AssumeClean, s.Name, s.Created = c.has("assume-clean"), name, time.Now()
	if c.given("name") {
		s.Name = c.get("name")
	}
	if s.Homehost, err = homehost(c); err != nil {
		return s, err
	}
	u, err := c.uuid()
	if u != nil {
		s.UUID = *u
	}
	return s, err
}

// grain refuses sizes that no members could make right.
func (c *call) grain(s md.Spec) error {
	const page = 4 << 10
	if s.Chunk%page != 0 || s.Chunk > 1<<30 {
		return usage("create: --chunk %s: give a multiple of 4K, up to 1G, such as 64K", c.get("chunk"))
	}
	if s.Chunk&(s.Chunk-1) != 0 && s.Level >= 4 {
		return usage("create: --chunk %s: %s needs a power of two, such as 64K", c.get("chunk"), md.LevelName(s.Level))
	}
	if s.DataOffset%page != 0 {
		return usage("create: --data-offset %s: give a multiple of 4K, such as 1M", c.get("data-offset"))
	}
	if s.Version == md.V10 && s.DataOffset != 0 {
		return usage("create: --data-offset: metadata 1.0 has its data at the start of the member: leave it out, or use --metadata 1.2")
	}
	if s.Size%1024 != 0 {
		return usage("create: --size %s: give a multiple of 1K, such as 1G", c.get("size"))
	}
	return c.memberSize()
}

func (c *call) counts(s *md.Spec, paths []string) (err error) {
	if s.Spares, err = c.count("spare-devices", 0); err != nil {
		return err
	}
	if s.RaidDevices, err = c.count("raid-devices", len(paths)-s.Spares); err != nil {
		return err
	}
	if s.RaidDevices+s.Spares != len(paths) || s.RaidDevices < 1 {
		return usage("create: %d members for %d slots and %s: name one member, or the word missing, for each", len(paths), s.RaidDevices, plural(s.Spares, "spare"))
	}
	if slices.Contains(paths[s.RaidDevices:], missingWord) {
		return usage("create: a spare cannot be missing: give fewer --spare-devices")
	}
	if len(paths) == 1 && paths[0] == missingWord || !slices.ContainsFunc(paths, func(p string) bool { return p != missingWord }) {
		return usage("create: every member is missing: an array needs at least one")
	}
	return nil
}

// bitmap decides on a write-intent bitmap from --bitmap and --consistency-policy, which say the same in two ways. Unasked, every array with
// redundancy has one.
func (c *call) bitmap(s md.Spec) (bool, error) {
	redundant := s.Level > 0
	policy, bitmap := c.get("consistency-policy"), c.get("bitmap")
	switch policy {
	case "", "resync", "bitmap":
	case "ppl":
		if s.Level != 5 {
			return false, usage("create: --consistency-policy ppl is for raid5: use resync or bitmap")
		}
	default:
		return false, usage("create: --consistency-policy: %q is none of resync, bitmap, ppl", policy)
	}
	switch {
	case bitmap != "" && bitmap != "internal" && bitmap != "none":
		return false, usage("create: --bitmap: %q is neither internal nor none", bitmap)
	case !redundant && (bitmap == "internal" || policy != ""):
		return false, usage("create: %s has no redundancy to keep consistent: leave out --bitmap and --consistency-policy", md.LevelName(s.Level))
	case bitmap == "internal" && (policy == "resync" || policy == "ppl"), bitmap == "none" && policy == "bitmap":
		return false, usage("create: --bitmap %s and --consistency-policy %s contradict each other", bitmap, policy)
	case bitmap != "" || policy != "":
		return bitmap == "internal" || policy == "bitmap", nil
	}
	return redundant, nil
}

func homehost(c *call) (string, error) {
	switch host := c.get("homehost"); {
	case !c.given("homehost"):
		host, err := os.Hostname()
		if err != nil {
			return "", nil // a name without a host's part is as good
		}
		return host, nil
	case host == "none":
		return "", nil
	default:
		return host, nil
	}
}

// flagged checks that what is to have a flag is among the members, and returns by flag who that is, as the members are written.
func (c *call) flagged(members []string) (map[string][]string, error) {
	lists := map[string][]string{}
	for _, f := range []string{mostlyFlag.name, fastFlag.name} {
		for _, w := range c.list(f) {
			i := slices.IndexFunc(members, func(m string) bool { return existing(m) == existing(w) })
			if i < 0 {
				return nil, usage("create: --%s %s: is not among the members", f, w)
			}
			lists[f] = append(lists[f], members[i])
		}
	}
	return lists, nil
}

// makeFiles makes the members that do not exist yet, if --member-size says how large, and returns which it made.
func makeFiles(c *call, paths []string) (made []string, err error) {
	size, err := c.size("member-size")
	if err != nil {
		return nil, err
	}
	if !c.given("member-size") {
		for _, p := range paths {
			if _, err := os.Stat(p); errors.Is(err, os.ErrNotExist) && !daemon.IsRemote(p) {
				return nil, fmt.Errorf("%s: does not exist: check the path, or let --member-size 1G make it", p)
			}
		}
		return nil, nil
	}
	for _, p := range paths {
		if _, err := os.Stat(p); !errors.Is(err, os.ErrNotExist) || daemon.IsRemote(p) || slices.Contains(made, p) {
			continue
		}
		if err := file.Create(p, size); err != nil {
			return nil, errors.Join(err, remove(made))
		}
		made = append(made, p)
	}
	return made, nil
}

func remove(files []string) (err error) {
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// describeDraft says what was made.
func describeDraft(w io.Writer, name string, paths []string, d *md.Draft) {
	var sb *md.Superblock
	for _, s := range d.Supers {
		if s != nil && s.Role() >= 0 {
			sb = s
		}
	}
	if sb == nil {
		return
	}
	sizes := make([]int64, sb.RaidDisks)
	here := 0
	for _, s := range d.Supers {
		if s == nil {
			continue
		}
		if r := s.Role(); r >= 0 && r < len(sizes) {
			sizes[r] = int64(s.DataSize) * md.Sector
			here++
		}
	}
	l := &line{w: w, indent: strings.Repeat(" ", len(name)+2)}
	l.plain(name)
	l.plain(md.LevelName(sb.Level))
	if s := md.LayoutName(sb.Level, sb.Layout); s != "" {
		l.plain(s)
	}
	l.plain(fmt.Sprintf("%d/%d members", here, sb.RaidDisks))
	if n := len(paths) - sb.RaidDisks; n > 0 {
		l.plain(plural(n, "spare"))
	}
	if sb.ChunkSize > 0 {
		l.plain(human(int64(sb.ChunkSize)*md.Sector) + " chunks")
	}
	if g, err := raid.GeometryOf(sb, sizes); err == nil {
		l.plain(human(g.Size))
	}
	l.plain("metadata " + sb.Version.String())
	if d.Bitmap != nil {
		l.plain("internal bitmap")
	}
	l.plain("UUID " + sb.SetUUID.String())
	l.end()
}
