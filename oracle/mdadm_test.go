package oracle

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// facts are what a member's superblock says, as both mdadm and graid can tell it. A key that one of them has no word for is absent.
type facts map[string]string

// mdadmFacts is what mdadm --examine prints of a member, field by field. It reads plain files and needs no kernel.
func mdadmFacts(t testing.TB, path string) facts {
	t.Helper()
	cmd := exec.Command(lookTool("mdadm"), "--examine", path)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "mdadm --examine %s: %s", path, out)
	raw := map[string]string{}
	var this []string
	for _, line := range strings.Split(string(out), "\n") {
		if key, value, ok := strings.Cut(line, " : "); ok {
			raw[strings.TrimSpace(key)] = strings.TrimSpace(value)
		} else if fields := strings.Fields(line); len(fields) > 5 && fields[0] == "this" {
			this = fields[1:] // 0.90: number major minor raiddisk state...
		}
	}

	f := facts{
		"magic":         raw["Magic"],
		"metadata":      strings.TrimSuffix(raw["Version"], ".00"),
		"level":         raw["Raid Level"],
		"raid_devices":  raw["Raid Devices"],
		"events":        raw["Events"],
		"update_time":   mdadmTime(t, raw["Update Time"]),
		"creation_time": mdadmTime(t, raw["Creation Time"]),
		"checksum_ok":   fmt.Sprint(strings.HasSuffix(raw["Checksum"], "- correct")),
		"layout":        raw["Layout"],
	}
	if f["level"] == "-unknown-" || f["level"] == "" {
		t.Fatalf("mdadm --examine %s: no level in\n%s", path, out)
	}
	if f["layout"] == "" && f["level"] == "raid0" {
		delete(f, "layout") // mdadm speaks of it only where a feature bit says that it means something
	}
	f["chunk_bytes"] = "0"
	if chunk := raw["Chunk Size"] + raw["Rounding"]; chunk != "" {
		f["chunk_bytes"] = fmt.Sprint(mdadmSize(t, chunk))
	}
	if size, ok := raw["Used Dev Size"]; ok {
		f["used_size_bytes"] = amount(t, size)
	}
	if f["metadata"] == "0.90" {
		return f.old(t, raw, this)
	}
	f["array_uuid"] = raw["Array UUID"]
	f["device_uuid"] = raw["Device UUID"]
	f["name"] = strings.TrimSpace(strings.Split(raw["Name"], "(local")[0])
	f["feature_map"] = raw["Feature Map"]
	f["data_offset_bytes"] = "0"
	if offset, ok := raw["Data Offset"]; ok { // it says nothing of 0
		f["data_offset_bytes"] = sectors(t, offset)
	}
	f["data_size_bytes"] = sectors(t, raw["Avail Dev Size"])
	if size := raw["Array Size"]; size != "" {
		f["array_size_bytes"] = kibibytes(t, size)
	}
	if offset, ok := raw["Recovery Offset"]; ok {
		f["recovery_offset_bytes"] = sectors(t, offset)
	}
	if offset, ok := raw["Resync Offset"]; ok {
		f["resync_offset_bytes"] = sectors(t, offset)
	}
	f["state"] = strings.Split(raw["State"], " ")[0]
	f["bitmap"] = fmt.Sprint(raw["Internal Bitmap"] != "")
	f["ppl"] = fmt.Sprint(raw["PPL"] != "")
	f["super_offset_bytes"] = sectors(t, raw["Super Offset"])
	f["array_state"] = strings.Fields(raw["Array State"])[0]
	f["write_mostly"] = fmt.Sprint(strings.Contains(raw["Flags"], "write-mostly"))
	role, active := strings.CutPrefix(raw["Device Role"], "Active device ")
	if !active {
		role = "null"
	}
	f["role"] = role
	return f
}

// old adds what is particular to a 0.90 superblock.
func (f facts) old(t testing.TB, raw map[string]string, this []string) facts {
	f["array_uuid"] = strings.Fields(raw["UUID"])[0]
	f["state"] = raw["State"]
	if size := raw["Array Size"]; size != "" {
		f["array_size_bytes"] = kibibytes(t, size)
	}
	f["data_offset_bytes"] = "0"
	f["bitmap"] = fmt.Sprint(strings.HasPrefix(raw["Internal Bitmap"], "present"))
	f["role"] = "null"
	require.NotEmpty(t, this, "no line of its own descriptor")
	if strings.Contains(strings.Join(this, " "), "active sync") {
		f["role"] = this[3]
	}
	return f
}

var number = regexp.MustCompile(`^(\d+)`)

func sectors(t testing.TB, s string) string { return scaled(t, s, 512) }

func kibibytes(t testing.TB, s string) string { return scaled(t, s, 1024) }

// amount is a size that says of itself whether it is in sectors; otherwise it is in KiB.
func amount(t testing.TB, s string) string {
	t.Helper()
	if strings.Contains(s, "sectors") {
		return sectors(t, s)
	}
	return kibibytes(t, s)
}

func scaled(t testing.TB, s string, unit int64) string {
	t.Helper()
	m := number.FindString(s)
	require.NotEmpty(t, m, "%q starts with no number", s)
	n, err := strconv.ParseInt(m, 10, 64)
	require.NoError(t, err)
	return fmt.Sprint(n * unit)
}

// mdadmSize is mdadm's 4K, 64K, 1M.
func mdadmSize(t testing.TB, s string) int64 {
	t.Helper()
	unit := map[byte]int64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[s[len(s)-1]]
	n, err := strconv.ParseInt(s[:len(s)-1], 10, 64)
	require.NoError(t, err)
	require.NotZero(t, unit, "%q", s)
	return n * unit
}

func mdadmTime(t testing.TB, s string) string {
	t.Helper()
	when, err := time.Parse("Mon Jan _2 15:04:05 2006", s)
	require.NoError(t, err)
	return fmt.Sprint(when.Unix())
}

// mdadmBitmap is what mdadm --examine-bitmap printed of a member's write-intent bitmap. It takes a plain file for a bitmap
// file, so it ran in the guest.
func mdadmBitmap(t testing.TB, path string) facts {
	t.Helper()
	out := slurp(t, path)
	raw := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		if key, value, ok := strings.Cut(line, " : "); ok {
			raw[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	m := bitCounts.FindStringSubmatch(raw["Bitmap"])
	require.NotNil(t, m, "mdadm --examine-bitmap: %s", out)
	return facts{
		"uuid": raw["UUID"], "version": raw["Version"], "events": raw["Events"], "events_cleared": raw["Events Cleared"],
		"sync_size_bytes": kibibytes(t, raw["Sync Size"]), "bits": m[1], "dirty_bits": m[2],
	}
}

var bitCounts = regexp.MustCompile(`^(\d+) bits \(chunks\), (\d+) dirty`)
