package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"graid/daemon"
	"graid/raid"
	"graid/raid/md"
)

func examineVerb() verb {
	return verb{
		name:  "examine",
		args:  "MEMBER...",
		short: "read and explain each member's superblock; writes nothing",
		long: `Reads and explains each member's superblock (1.0, 1.1, 1.2, 0.90), its write-intent bitmap, bad block log and
partial parity log. Writes nothing, and looks at members of running arrays too.`,
		flags: []flag{{name: "json", usage: "print JSON"}},
		run: func(c *call) error {
			if len(c.args) == 0 {
				return usage("examine: name at least one member: graid examine MEMBER...")
			}
			found := look(c.ctx, c.args)
			if err := c.ctx.Err(); err != nil {
				return err
			}
			list := explain(found)
			if c.has("json") {
				if err := printJSON(c.out, list); err != nil {
					return err
				}
				return unusable(list)
			}
			for i, e := range list {
				if i > 0 {
					fmt.Fprintln(c.out)
				}
				if err := printExamined(c.out, e, found[i]); err != nil {
					return err
				}
			}
			return unusable(list)
		},
	}
}

// look examines every path; what goes wrong with one is its Err.
func look(ctx context.Context, paths []string) []*md.Examined {
	var list []*md.Examined
	for _, p := range paths {
		list = append(list, lookAtOne(ctx, p))
	}
	return list
}

func lookAtOne(ctx context.Context, path string) *md.Examined {
	members, err := daemon.OpenMembers([]string{path}, daemon.OpenOptions{ReadOnly: true, NoLock: true})
	if err != nil {
		return &md.Examined{Path: path, Err: strip(path, err)}
	}
	defer daemon.CloseMembers(members)
	e, err := md.Examine(ctx, path, members[0].Dev)
	if err != nil {
		return &md.Examined{Path: path, Size: members[0].Dev.Info().Size, Err: strip(path, err)}
	}
	return e
}

// strip takes the path off an error that starts with it: it is said once.
func strip(path string, err error) error {
	if s, ok := strings.CutPrefix(err.Error(), path+": "); ok {
		return errors.New(s)
	}
	return err
}

// unusable is the error for members without a superblock that can be trusted.
func unusable(list []examined) error {
	var bad []string
	var first error
	for _, e := range list {
		if e.Error == nil {
			continue
		}
		bad = append(bad, e.Path)
		if first == nil {
			first = fmt.Errorf("%s: %s", e.Path, *e.Error)
		}
	}
	if len(bad) > 1 {
		return fmt.Errorf("%d of %d members have no superblock that can be used: %s", len(bad), len(list), strings.Join(bad, ", "))
	}
	return first
}

// arraySize is the size of the array that sb is of, as far as the members that were looked at say it; nil = it depends on
// members that were not.
func arraySize(sb *md.Superblock, all []*md.Examined) *int64 {
	if sb.RaidDisks < 0 || sb.RaidDisks > 1<<12 {
		return nil
	}
	sizes := make([]int64, sb.RaidDisks)
	known := 0
	for _, e := range all {
		if e.SB == nil || e.SB.SetUUID != sb.SetUUID {
			continue
		}
		if r := e.SB.Role(); r >= 0 && r < len(sizes) {
			if sizes[r] == 0 {
				known++
			}
			sizes[r] = int64(e.SB.DataSize) * md.Sector
		}
	}
	if (sb.Level == -1 || sb.Level == 0) && known < len(sizes) {
		return nil
	}
	if parity := map[int]int{4: 1, 6: 2}[sb.Level]; parity > 0 { // explained, though not run yet
		chunk := max(uint64(sb.ChunkSize), 1)
		size := int64(sb.Size/chunk*chunk) * md.Sector * int64(sb.RaidDisks-parity)
		return &size
	}
	g, err := raid.GeometryOf(sb, sizes)
	if err != nil {
		return nil
	}
	return &g.Size
}

// printExamined shows a superblock as mdadm --examine does, with its labels.
func printExamined(w io.Writer, e examined, raw *md.Examined) error {
	p := paintFor(w)
	f := &facts{w: w}
	f.print("%s:\n", p.bold(e.Path))
	if e.Error != nil {
		f.say("Error", "%s", p.bad(oneLine(*e.Error)))
	}
	sb := raw.SB
	if sb == nil {
		return f.err
	}
	f.say("Magic", "%08x", uint32(md.Magic))
	f.say("Version", "%s", sb.Version)
	if sb.Version != md.V090 {
		f.say("Feature Map", "0x%x%s", uint32(sb.Features), bracket(sb.Features.Names()))
	}
	f.say("Array UUID", "%s", sb.SetUUID)
	if sb.Version != md.V090 {
		f.say("Name", "%s", sb.Name)
	}
	f.say("Creation Time", "%s", clock(sb.Created()))
	f.say("Raid Level", "%s", e.Level)
	f.say("Raid Devices", "%d", sb.RaidDisks)
	f.gap()
	f.say("Avail Dev Size", "%s", sectors(sb.DataSize))
	if e.ArraySize != nil {
		f.say("Array Size", "%s", both(*e.ArraySize))
	}
	if sb.Size > 0 && sb.Size != sb.DataSize {
		f.say("Used Dev Size", "%s", sectors(sb.Size))
	}
	f.say("Data Offset", "%d sectors", sb.DataOffset)
	f.say("Super Offset", "%d sectors", sb.SuperOffset)
	f.say("State", "%s", p.state(e.State))
	if e.ResyncOffset != nil {
		f.say("Resync Offset", "%d sectors", sb.ResyncOffset)
	}
	if e.RecoveryOffset != nil {
		f.say("Recovery Offset", "%d sectors", sb.RecoveryOffset)
	}
	if sb.Version != md.V090 {
		f.say("Device UUID", "%s", sb.DeviceUUID)
	}
	f.gap()
	printBitmap(f, e)
	printReshape(f, sb)
	if len(e.Flags) > 0 {
		f.say("Flags", "%s", strings.Join(e.Flags, " "))
	}
	f.say("Update Time", "%s", clock(sb.Updated()))
	if sb.BBLogOffset != 0 {
		f.say("Bad Block Log", "%s", badBlockWords(sb, e))
	}
	if e.PPL != nil {
		f.say("PPL", "%d sectors at offset %d sectors from superblock%s", sb.PPLSize, sb.PPLOffset, pplWords(e.PPL))
	}
	sum := "correct"
	if !e.ChecksumOK {
		sum = p.bad("wrong")
	}
	f.say("Checksum", "%x - %s", sb.Checksum, sum)
	f.say("Events", "%d", sb.Events)
	f.gap()
	if e.Layout != "" {
		f.say("Layout", "%s", e.Layout)
	}
	if sb.ChunkSize > 0 {
		f.say("Chunk Size", "%s", human(e.ChunkBytes))
	}
	f.say("Device Role", "%s", roleWords(e))
	f.say("Array State", "%s ('A' active, '.' missing, 'R' replacing)", slots(sb))
	for _, o := range raw.Others {
		f.say("Also here", "a superblock %s of array %s at sector %d", o.Version, o.SetUUID, o.SuperOffset)
	}
	return f.err
}

func printBitmap(f *facts, e examined) {
	b := e.Bitmap
	if b == nil {
		return
	}
	f.say("Internal Bitmap", "%d sectors from superblock", b.Offset/md.Sector)
	if b.Error != nil {
		f.say("Bitmap Error", "%s", *b.Error)
		return
	}
	f.say("Bitmap", "%d bits (chunks of %s), %d dirty, events %d, cleared %d, version %d",
		b.Bits, human(b.Chunk), b.Dirty, b.Events, b.EventsCleared, b.Version)
}

func printReshape(f *facts, sb *md.Superblock) {
	if sb.Features&md.FeatureReshape == 0 {
		return
	}
	f.say("Reshape pos'n", "%d sectors", sb.ReshapePosition)
	if sb.DeltaDisks != 0 {
		f.say("Delta Devices", "%d (%d->%d)", sb.DeltaDisks, sb.RaidDisks-sb.DeltaDisks, sb.RaidDisks)
	}
	f.say("New Shape", "%s %s, %s chunks", md.LevelName(sb.NewLevel), md.LayoutName(sb.NewLevel, sb.NewLayout), human(int64(sb.NewChunk)*md.Sector))
}

func badBlockWords(sb *md.Superblock, e examined) string {
	s := fmt.Sprintf("%d entries available at offset %d sectors", int(sb.BBLogSize)*md.Sector/8, sb.BBLogOffset)
	if n := len(e.BadBlocks); n > 0 {
		s += fmt.Sprintf(" - bad blocks present: %d", n)
	}
	return s
}

func pplWords(p *pplInfo) string {
	if p.Error != nil {
		return ", " + *p.Error
	}
	return fmt.Sprintf(", generation %d, %d entries", p.Generation, p.Entries)
}

func roleWords(e examined) string {
	if e.Role != nil && e.MemberState == "replacement" {
		return fmt.Sprintf("Replacement device %d", *e.Role)
	}
	if e.Role != nil {
		return fmt.Sprintf("Active device %d", *e.Role)
	}
	return e.MemberState
}

// slots is mdadm's picture of the array as this superblock remembers it: "AA.A".
func slots(sb *md.Superblock) string {
	n := sb.RaidDisks
	if sb.Features&md.FeatureReshape != 0 && sb.DeltaDisks < 0 {
		n -= sb.DeltaDisks // those of the old shape are still needed
	}
	n = min(max(n, 0), 1<<12)
	count := make([]int, n)
	for i := range sb.Roles {
		if r := sb.RoleOf(i); r >= 0 && r < n {
			count[r]++
		}
	}
	var b strings.Builder
	for _, c := range count {
		b.WriteByte(".AR"[min(c, 2)])
	}
	return b.String()
}

func sectors(n uint64) string {
	bytes := float64(n) * md.Sector
	if bytes < 1<<30 {
		return fmt.Sprintf("%d sectors (%.2f MiB %.2f MB)", n, bytes/(1<<20), bytes/1e6)
	}
	return fmt.Sprintf("%d sectors (%.2f GiB %.2f GB)", n, bytes/(1<<30), bytes/1e9)
}

func bracket(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

func stamp(t time.Time) *time.Time { return &t }
