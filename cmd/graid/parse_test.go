package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "512": 512, "4096": 4096, "64K": 64 << 10, "64k": 64 << 10, "1M": 1 << 20, "2G": 2 << 30, "3T": 3 << 40, "8388607T": 8388607 << 40,
	} {
		n, err := parseSize(in)
		require.NoError(t, err, in)
		require.Equal(t, want, n, in)
	}
	for _, in := range []string{"", "K", "64KB", "64KiB", "1.5G", "-1", "+1", " 1", "1 K", "0x10", "1e6", "1P", "64kib", "M1", "1_000", "٤"} {
		_, err := parseSize(in)
		require.ErrorContains(t, err, "write 4096, 64K, 1M or 2G", in)
	}
	for _, in := range []string{"8388608T", "9223372036854775808", "99999999999999999999K"} {
		_, err := parseSize(in)
		require.ErrorContains(t, err, "too large", in)
	}
}

func TestHuman(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 512: "512", 1023: "1023", 1024: "1K", 1536: "1.5K", 64 << 10: "64K", 93 << 20: "93M", 1<<30 + 1: "1.0G", 1<<40 - 1: "1023.9G", -1024: "-1K",
	} {
		require.Equal(t, want, human(n))
	}
}

// TestReorder holds the promise that options may stand anywhere, and that -- ends them.
func TestReorder(t *testing.T) {
	v := &verb{name: "v", flags: []flag{{name: "level", short: "l", value: "L"}, {name: "force", short: "f"}, {name: "nbd", value: "A", list: true}}}
	for in, want := range map[string]string{
		"a b --level 5 c":             "--level=5 -- a b c",
		"--level=5 a":                 "--level=5 -- a",
		"-l 5 -f a":                   "--level=5 --force -- a",
		"a -f":                        "--force -- a",
		"-l5 a -l1=2 b":               "--level=5 --level=1=2 -- a b",
		"a -- --level -f":             "-- a --level -f",
		"a - b":                       "-- a - b",
		"--nbd x a --nbd y":           "--nbd=x --nbd=y -- a",
		"--nbd -weird a":              "--nbd=-weird -- a",
		"--level= a":                  "--level= -- a",
		"--level 5 -- --force --":     "--level=5 -- --force --",
		"a --nbd=unix:/p=q,r --force": "--nbd=unix:/p=q,r --force -- a",
	} {
		got, asked, err := reorder(v, strings.Fields(in))
		require.NoError(t, err, in)
		require.False(t, asked)
		require.Equal(t, want, strings.Join(got, " "), in)
	}
	for in, want := range map[string]string{
		"--levle 5": "did you mean --level?",
		"--zzz":     "`graid help v` lists",
		"a --level": "--level needs a value: L",
		"--force=1": "--force takes no value",
		"-f1":       "unknown option -f1",
		"-l":        "--level needs a value",
		"-lx":       "unknown option -lx",
		"--l5":      "unknown option --l5",
	} {
		_, _, err := reorder(v, strings.Fields(in))
		require.ErrorContains(t, err, want, in)
	}
	_, asked, err := reorder(v, []string{"a", "--help"})
	require.NoError(t, err)
	require.True(t, asked)
}

func TestNearest(t *testing.T) {
	words := []string{"create", "examine", "scan", "assemble", "status", "stop"}
	for in, want := range map[string]string{"creat": "create", "exmaine": "examine", "assmeble": "assemble", "sttus": "status", "exam": "examine", "frobnicate": "", "x": ""} {
		require.Equal(t, want, nearest(in, words), in)
	}
}

// TestLine: no line is wider than the width unless one word is.
func TestLine(t *testing.T) {
	var b bytes.Buffer
	l := &line{w: &b, indent: "     "}
	for range 30 {
		l.plain("sixteen letters!")
	}
	l.end()
	for s := range strings.Lines(b.String()) {
		require.LessOrEqual(t, len(s), width+1)
	}
	require.Equal(t, 8, strings.Count(b.String(), "\n"))
}

func TestOneLine(t *testing.T) {
	require.Equal(t, "a b?c", oneLine("\na\nb\x1bc\n"))
}
