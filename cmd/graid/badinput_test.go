package main

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wrong is one way to go wrong. It starts in a folder with these members, made by graid itself:
//
//	a0 a1 a2 a3  raid5 "a"      b0 b1  raid1 "b"      c0 c1  raid0 "c"      blank  all hole
type wrong struct {
	name   string
	setup  func(w *wreck)
	args   string // split at spaces
	status int
	says   []string
}

// wreck is the folder of one case.
type wreck struct {
	*testing.T
	dir string
}

func (w *wreck) in(name string) string { return filepath.Join(w.dir, name) }

func (w *wreck) run(args string) said {
	w.Helper()
	return graid(w.T, w.dir, strings.Fields(args)...)
}

// must runs what has to work for the case to be one.
func (w *wreck) must(args string) {
	w.Helper()
	s := w.run(args)
	require.Contains(w, []int{exitDone, exitAttention}, s.status, s)
}

func (w *wreck) put(name string, off int64, what string) {
	f, err := os.OpenFile(w.in(name), os.O_RDWR|os.O_CREATE, 0o644)
	require.NoError(w, err)
	_, err = f.WriteAt([]byte(what), off)
	require.NoError(w, err)
	require.NoError(w, f.Close())
}

func (w *wreck) copy(from, to string) {
	b, err := os.ReadFile(w.in(from))
	require.NoError(w, err)
	require.NoError(w, os.WriteFile(w.in(to), b, 0o644))
}

// Of the superblock 1.2 of every member here: where it is, and where its fields are. Bytes.
const (
	sbAt       = 4096
	sbFeatures = 8
	sbPad0     = 12
	sbSetUUID  = 16
	sbLevel    = 72
	sbLayout   = 76
	sbSize     = 80
	sbChunk    = 88
	sbDisks    = 92
	sbDataOff  = 128
	sbDataSize = 136
	sbSuperOff = 144
	sbEvents   = 200
	sbResync   = 208
	sbSum      = 216
	sbMaxDev   = 220
)

// edit changes superblocks and makes their checksums right again.
func (w *wreck) edit(change func(sb []byte), names ...string) {
	for _, name := range names {
		f, err := os.OpenFile(w.in(name), os.O_RDWR, 0)
		require.NoError(w, err)
		sb := make([]byte, 4096)
		_, err = f.ReadAt(sb, sbAt)
		require.NoError(w, err)
		change(sb)
		binary.LittleEndian.PutUint32(sb[sbSum:], 0)
		var total uint64
		n := 256 + 2*min(binary.LittleEndian.Uint32(sb[sbMaxDev:]), 1920)
		for i := uint32(0); i+4 <= n; i += 4 {
			total += uint64(binary.LittleEndian.Uint32(sb[i:]))
		}
		binary.LittleEndian.PutUint32(sb[sbSum:], uint32(total)+uint32(total>>32))
		_, err = f.WriteAt(sb, sbAt)
		require.NoError(w, err)
		require.NoError(w, f.Close())
	}
}

func put32(at int, v uint32) func([]byte) {
	return func(sb []byte) { binary.LittleEndian.PutUint32(sb[at:], v) }
}

func put64(at int, v uint64) func([]byte) {
	return func(sb []byte) { binary.LittleEndian.PutUint64(sb[at:], v) }
}

var wrongs = []wrong{
	// Wrong use: nothing is even looked at.
	{name: "unknown verb", args: "exmaine a0", status: 2, says: []string{`unknown verb "exmaine"`, "graid examine"}},
	{name: "verb from nowhere", args: "frobnicate", status: 2, says: []string{"frobnicate", "graid help"}},
	{name: "unknown option", args: "create n --levl 5 blank", status: 2, says: []string{"--levl", "--level"}},
	{name: "option without its value", args: "create n blank --level", status: 2, says: []string{"--level", "value"}},
	{name: "switch with a value", args: "assemble n a0 --force=yes", status: 2, says: []string{"--force", "no value"}},
	{name: "option twice", args: "create n --level 1 --level 5 blank", status: 2, says: []string{"--level", "2 times"}},
	{name: "no members", args: "create n --level 5", status: 2, says: []string{"create", "members"}},
	{name: "nothing at all", args: "assemble", status: 2, says: []string{"assemble", "NAME MEMBER"}},
	{name: "no level", args: "create n blank b0", status: 2, says: []string{"--level"}},
	{name: "level that is none", args: "create n --level 7 blank b0", status: 2, says: []string{"7", "--level"}},
	{name: "size not a number", args: "create n --level 5 --chunk lots blank", status: 2, says: []string{"--chunk", `"lots"`, "64K"}},
	{name: "size in another's units", args: "create n --level 5 --chunk 64KB blank", status: 2, says: []string{`"64KB"`, "64K"}},
	{name: "size with a point", args: "dump --offset 1.5G a0 a1 a2 a3", status: 2, says: []string{"--offset", `"1.5G"`, "2G"}},
	{name: "size too large", args: "create n --level 1 --size 9999999999T blank b0", status: 2, says: []string{"--size", "too large"}},
	{name: "chunk of nothing", args: "create n --level 5 --chunk 0 blank b0", status: 2, says: []string{"--chunk"}},
	{name: "count not a number", args: "create n --level 5 --raid-devices four blank", status: 2, says: []string{"--raid-devices", `"four"`}},
	{name: "count that does not match", args: "create n --level 5 --raid-devices 4 blank b0", status: 2, says: []string{"2 members", "4 slots"}},
	{name: "layout of another level", args: "create n --level 5 --layout n2 --force b0 b1 blank", status: 2, says: []string{"--layout", "n2"}},
	{name: "layout of another level, raid10", args: "create n --level 10 --layout left-symmetric b0 b1", status: 2, says: []string{"--layout", "left-symmetric"}},
	{name: "layout where there is none", args: "create n --level 1 --layout n2 b0 b1", status: 2, says: []string{"--layout"}},
	{name: "metadata that is none", args: "create n --level 1 --metadata 2.0 b0 b1", status: 2, says: []string{"2.0", "1.2"}},
	{name: "metadata of the past", args: "create n --level 1 --metadata 0.90 b0 b1", status: 2, says: []string{"0.90", "1.2"}},
	{name: "bitmap in a file", args: "create n --level 1 --bitmap /x b0 b1", status: 2, says: []string{"--bitmap", "internal"}},
	{name: "ppl", args: "create n --level 6 --consistency-policy ppl b0 b1 blank", status: 2, says: []string{"ppl", "raid5"}},
	{name: "policies that contradict", args: "create n --level 1 --consistency-policy bitmap --bitmap none b0 b1", status: 2, says: []string{"contradict"}},
	{name: "bitmap without redundancy", args: "create n --level 0 --bitmap internal b0 b1", status: 2, says: []string{"no redundancy"}},
	{name: "uuid that is none", args: "assemble n --uuid 1234 a0 a1 a2 a3", status: 2, says: []string{"--uuid", "32 hex digits"}},
	{name: "all missing", args: "create n --level 1 missing missing", status: 2, says: []string{"missing"}},
	{name: "name with a slash", args: "create dev/md0 --level 1 b0 b1", status: 2, says: []string{"dev/md0", "md0"}},
	{name: "name too long", args: "assemble " + strings.Repeat("n", 65) + " a0", status: 2, says: []string{"longer than 64"}},
	{name: "write-mostly of a stranger", args: "create n --level 1 --write-mostly a0 b0 b1", status: 2, says: []string{"a0", "not among the members"}},
	{name: "io mode", args: "assemble n --io fast a0 a1 a2 a3", status: 2, says: []string{"fast", "direct"}},
	{name: "address that is none", args: "assemble n --nbd here a0 a1 a2 a3", status: 2, says: []string{`"here"`, "tcp:127.0.0.1:10809"}},
	{name: "TLS optional for the world", args: "assemble n --nbd tcp:0.0.0.0:10809 --tls-certs nowhere --tls-mode allow a0 a1 a2 a3", status: 2, says: []string{"0.0.0.0", "beyond this machine"}},
	{name: "TLS without certificates", args: "assemble n --tls-mode require a0 a1 a2 a3", status: 2, says: []string{"--tls-certs"}},
	{name: "TLS of a kind", args: "assemble n --tls-mode maybe a0 a1 a2 a3", status: 2, says: []string{"maybe", "off, allow, require"}},
	{name: "access without TLS", args: "assemble n --tls-access a=rw a0 a1 a2 a3", status: 2, says: []string{"--tls-certs"}},
	{name: "access of a kind", args: "assemble n --tls-certs nowhere --tls-access a=rx a0 a1 a2 a3", status: 2, says: []string{"a=rx", "CLIENT=rw"}},
	{name: "certificates that are not there", args: "assemble n --tls-certs nowhere a0 a1 a2 a3", status: 1, says: []string{"nowhere/ca-cert.pem", "no such file", "graid pki"}},
	{name: "standard input and an address", args: "serve n --stdio --nbd tcp:127.0.0.1:0 a0 a1 a2 a3", status: 2, says: []string{"--nbd"}},
	{name: "pki of nothing", args: "pki", status: 2, says: []string{"init"}},
	{name: "pki of a kind", args: "pki make", status: 2, says: []string{"make"}},
	{name: "pki for nobody", args: "pki client", status: 2, says: []string{"name"}},
	{name: "pki without an authority", args: "pki client alice", status: 1, says: []string{"pki/ca-cert.pem", "graid pki init"}},
	{name: "pki beyond its folder", args: "pki client ../alice", status: 2, says: []string{"../alice", "--dir"}},
	{name: "address for the world", args: "assemble n --nbd tcp:0.0.0.0:10809 a0 a1 a2 a3", status: 2, says: []string{"0.0.0.0", "beyond this machine"}},
	{name: "address of another machine", args: "assemble n --nbd tcp:192.0.2.1:10809 a0 a1 a2 a3", status: 2, says: []string{"beyond this machine"}},
	{name: "port that is none", args: "assemble n --nbd tcp:localhost:nbd a0 a1 a2 a3", status: 2, says: []string{"port"}},
	{name: "port beyond all", args: "assemble n --nbd tcp:127.0.0.1:65536 a0 a1 a2 a3", status: 2, says: []string{"port"}},
	{name: "socket path too long", args: "assemble n --nbd unix:/" + strings.Repeat("x", 120) + " a0 a1 a2 a3", status: 2, says: []string{"too long"}},
	{name: "dump from beyond the end", args: "dump --offset 1G -o out a0 a1 a2 a3", status: 2, says: []string{"--offset", "beyond the end"}},
	{name: "dump to beyond the end", args: "dump --length 1G -o out a0 a1 a2 a3", status: 2, says: []string{"--length", "beyond the end"}},
	{name: "dump onto a member", args: "dump -o a0 --force a0 a1 a2 a3", status: 2, says: []string{"a0", "member"}},
	{name: "detail of nobody", args: "detail", status: 2, says: []string{"detail NAME"}},
	{name: "fail of nothing", args: "fail n", status: 2, says: []string{"fail NAME MEMBER"}},

	// Paths.
	{name: "examine what is not there", args: "examine gone", status: 1, says: []string{"gone", "no such file"}},
	{name: "assemble what is not there", args: "assemble n a0 a1 gone", status: 1, says: []string{"gone", "no such file"}},
	{name: "create of what is not there", args: "create n --level 1 gone blank", status: 1, says: []string{"gone", "does not exist", "--member-size"}},
	{name: "dump of what is not there", args: "dump -o out a0 a1 gone", status: 1, says: []string{"gone", "no such file"}},
	{name: "scan of what is not there", args: "scan gone", status: 1, says: []string{"gone", "no such file"}},
	{name: "folder", args: "assemble n a0 .", status: 1, says: []string{"folder"}},
	{name: "folder to create on", args: "create n --level 1 blank .", status: 1, says: []string{"folder"}},
	{name: "character device", args: "assemble n a0 a1 /dev/null", status: 1, says: []string{"/dev/null"}},
	{name: "member over the network", args: "assemble n a0 nbd+unix:///x?socket=gone", status: 1, says: []string{"nbd+unix:///x?socket=", "gone: cannot be reached", "no such file"}},
	{name: "link in a circle", setup: func(w *wreck) { require.NoError(w, os.Symlink("loop", w.in("loop"))) }, args: "assemble n a0 loop", status: 1, says: []string{"loop"}},

	// Members that are not, or not of one array.
	{name: "empty file", setup: func(w *wreck) { w.put("empty", 0, "") }, args: "assemble n empty", status: 1, says: []string{"empty"}},
	{name: "no superblock", args: "assemble n blank", status: 1, says: []string{"blank", "no md superblock"}},
	{name: "no superblock among members", args: "assemble n a0 a1 a2 blank", status: 1, says: []string{"blank", "no md superblock"}},
	{name: "examine without superblock", args: "examine blank", status: 1, says: []string{"blank", "no md superblock"}},
	{name: "truncated", setup: func(w *wreck) { require.NoError(w, os.Truncate(w.in("a3"), 3<<19)) }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "truncated"}},
	{name: "truncated into the superblock", setup: func(w *wreck) { require.NoError(w, os.Truncate(w.in("a3"), sbAt+100)) }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3"}},
	{name: "flipped magic", setup: func(w *wreck) { require.NoError(w, flip(w.in("a3"), sbAt)) }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "no md superblock"}},
	{name: "flipped bit", setup: func(w *wreck) { require.NoError(w, flip(w.in("a3"), sbAt+sbEvents)) }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "sb_csum"}},
	{name: "flipped bit, examined", setup: func(w *wreck) { require.NoError(w, flip(w.in("a3"), sbAt+sbEvents)) }, args: "examine a3", status: 1, says: []string{"a3", "sb_csum"}},
	{name: "flipped bit in the role table", setup: func(w *wreck) { require.NoError(w, flip(w.in("a3"), sbAt+256+200)) }, args: "dump -o out a0 a1 a2 a3", status: 1, says: []string{"a3", "sb_csum"}},
	{name: "feature from the future", setup: func(w *wreck) { w.edit(put32(sbFeatures, 0x10000), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "feature"}},
	{name: "clustered", setup: func(w *wreck) { w.edit(put32(sbFeatures, 0x101), "b0", "b1") }, args: "assemble n b0 b1", status: 1, says: []string{"cluster"}},
	{name: "pad that is not empty", setup: func(w *wreck) { w.edit(put32(sbPad0, 1), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "pad0"}},
	{name: "role table beyond all", setup: func(w *wreck) { w.edit(put32(sbMaxDev, 1921), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "max_dev"}},
	{name: "superblock from elsewhere", setup: func(w *wreck) { w.edit(put64(sbSuperOff, 16), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "super_offset"}},
	{name: "data in the superblock", setup: func(w *wreck) { w.edit(put64(sbDataOff, 0), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "data_offset"}},
	{name: "data beyond the device", setup: func(w *wreck) { w.edit(put64(sbDataSize, 1<<40), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "data_size"}},
	{name: "level that disagrees", setup: func(w *wreck) { w.edit(put32(sbLevel, 4), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "level"}},
	{name: "chunk that disagrees", setup: func(w *wreck) { w.edit(put32(sbChunk, 256), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "chunk"}},
	{name: "slots that disagree", setup: func(w *wreck) { w.edit(put32(sbDisks, 5), "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"a3", "raid devices"}},
	{name: "clone", setup: func(w *wreck) { w.copy("a0", "clone") }, args: "assemble n a0 a1 a2 a3 clone", status: 1, says: []string{"clone", "a0"}},
	{name: "twice", args: "assemble n a0 a1 ./a0 a2", status: 2, says: []string{"a0", "twice"}},
	{name: "twice to be read", args: "dump -o out a0 a1 a0", status: 2, says: []string{"a0", "twice"}},
	{name: "twice by another name", setup: func(w *wreck) { require.NoError(w, os.Link(w.in("a0"), w.in("same"))) }, args: "assemble n a0 a1 same a2", status: 1, says: []string{"same", "a0"}},
	{name: "twice by a link", setup: func(w *wreck) { require.NoError(w, os.Symlink("a0", w.in("sym"))) }, args: "create n --level 1 --force a0 sym", status: 1, says: []string{"sym", "a0"}},
	{name: "two arrays", args: "assemble n a0 a1 b0 b1", status: 1, says: []string{"2 arrays", "--uuid"}},
	{name: "another array's uuid", args: "assemble n --uuid 00000000:00000000:00000000:00000001 a0 a1 a2 a3", status: 1, says: []string{"00000000:00000000:00000000:00000001"}},

	// Arrays that must not start.
	{name: "too few", args: "assemble n a0 a1", status: 1, says: []string{"2 of 4"}},
	{name: "too few even by force", args: "assemble n --force --run a0 a1", status: 1, says: []string{"2 of 4"}},
	{name: "too few to dump", args: "dump -o out a0 a1", status: 1, says: []string{"2 of 4"}},
	{name: "half a stripe", args: "assemble n --run c0", status: 1, says: []string{"1 of 2"}},
	{name: "fewer than last time", args: "assemble n a0 a1 a2", status: 1, says: []string{"--run"}},
	{name: "stale member", setup: func(w *wreck) { w.edit(put64(sbEvents, 90), "a0", "a1") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"--force"}},
	{name: "dirty and degraded", setup: func(w *wreck) { w.edit(put64(sbResync, 0), "a0", "a1", "a2") }, args: "assemble n --run a0 a1 a2", status: 1, says: []string{"--force"}},
	{name: "level nobody runs", setup: func(w *wreck) { w.edit(put32(sbLevel, 0xfffffffc), "a0", "a1", "a2", "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"multipath"}},
	{name: "layout unheard of", setup: func(w *wreck) { w.edit(put32(sbLayout, 77), "a0", "a1", "a2", "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"layout", "77"}},
	{name: "chunk that cannot be", setup: func(w *wreck) { w.edit(put32(sbChunk, 100), "a0", "a1", "a2", "a3") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"chunk"}},
	{name: "no slots", setup: func(w *wreck) { w.edit(put32(sbDisks, 0), "b0", "b1") }, args: "assemble n b0 b1", status: 1, says: nil},

	// Arrays that must not be made.
	{name: "member of an array", args: "create n --level 1 a0 blank", status: 1, says: []string{"a0", "raid5", "--force"}},
	{name: "too small", setup: func(w *wreck) { require.NoError(w, resize(w.in("tiny"), 4096)) }, args: "create n --level 1 blank tiny", status: 1, says: []string{"tiny"}},
	{name: "size beyond the members", args: "create n --level 1 --size 1G --force b0 b1", status: 1, says: []string{"size"}},
	{name: "offset beyond the members", args: "create n --level 1 --data-offset 1G --force b0 b1", status: 1, says: nil},
	{name: "chunk no power of two", args: "create n --level 5 --chunk 12K --force b0 b1 blank", status: 2, says: []string{"chunk", "power of two"}},
	{name: "chunk below a page", args: "create n --level 0 --chunk 1K --force b0 b1", status: 2, says: []string{"chunk", "4"}},
	{name: "offset within a page", args: "create n --level 1 --data-offset 3 --force b0 b1", status: 2, says: []string{"--data-offset 3", "4K"}},
	{name: "offset where there is none", args: "create n --level 1 --metadata 1.0 --data-offset 1M --force b0 b1", status: 2, says: []string{"--data-offset", "1.2"}},
	{name: "size within a KiB", args: "create n --level 1 --size 3 --force b0 b1", status: 2, says: []string{"--size 3", "1K"}},
	{name: "member of no size", args: "create n --level 1 --member-size 0 new0 new1", status: 2, says: []string{"--member-size 0"}},
	{name: "chunk beyond the members", args: "create n --level 5 --chunk 1G --force b0 b1 blank", status: 1, says: nil},
	{name: "raid5 of one", args: "create n --level 5 blank", status: 1, says: []string{"raid5", "2"}},
	{name: "raid10 of one", args: "create n --level 10 blank", status: 1, says: []string{"raid10", "2"}},
	{name: "more copies than members", args: "create n --level 10 --layout n3 --force b0 b1", status: 1, says: nil},
	{name: "missing without redundancy", args: "create n --level 0 blank missing", status: 1, says: []string{"missing"}},
	{name: "new files are taken away again", args: "create n --level 1 --member-size 2M new a0", status: 1, says: []string{"a0", "--force"}},
	{name: "new files too small", args: "create n --level 1 --member-size 4K new0 new1", status: 1, says: []string{"new0"}},

	// What else can be in the way.
	{name: "output exists", args: "dump -o blank a0 a1 a2 a3", status: 1, says: []string{"blank", "exists", "--force"}},
	{name: "output is a folder", args: "dump --force -o . a0 a1 a2 a3", status: 1, says: []string{"folder"}},
	{name: "output in no folder", args: "dump -o no/where a0 a1 a2 a3", status: 1, says: []string{"no/where"}},
	{name: "socket in no folder", args: "assemble n --nbd unix:no/where a0 a1 a2 a3", status: 1, says: []string{"no/where"}},
	{name: "socket on a file", args: "assemble n --nbd unix:blank a0 a1 a2 a3", status: 1, says: []string{"blank", "in the way"}},
	{name: "create with the socket on a file", args: "create n --level 1 --nbd unix:blank --force b0 b1", status: 1, says: []string{"blank", "in the way"}},
	{name: "overlay nowhere", args: "assemble n --overlay no/where a0 a1 a2 a3", status: 1, says: []string{"no/where"}},
	{name: "status of nobody", args: "status n", status: 1, says: []string{"n: no such array runs"}},
	{name: "stop of nobody", args: "stop n", status: 1, says: []string{"n: no such array runs"}},
	{name: "fail of nobody", args: "fail n a0", status: 1, says: []string{"n: no such array runs"}},
	{name: "runtime folder is a file", setup: func(w *wreck) { w.put("run", 0, "x") }, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"runtime folder", "GRAID_RUNTIME_DIR"}},
	{name: "runtime folder for all", setup: func(w *wreck) {
		require.NoError(w, os.Mkdir(w.in("run"), 0o777))
		require.NoError(w, os.Chmod(w.in("run"), 0o777))
	}, args: "assemble n a0 a1 a2 a3", status: 1, says: []string{"runtime folder", "others"}},
}

// TestBadInput holds for each wrong: one line on standard error that names what is wrong, the right exit status, and not one byte of
// any file changed, none made and none gone.
func TestBadInput(t *testing.T) {
	wrongs := slices.Clone(wrongs)
	for name, at := range map[string]signature{
		"ext4": signatures[0], "xfs": signatures[1], "btrfs": signatures[2], "swap": signatures[12], "lvm": signatures[14], "luks": signatures[16], "gpt": signatures[18],
	} {
		wrongs = append(wrongs, wrong{name: "create on " + name, args: "create n --level 1 b0 blank", status: 1, says: []string{"blank", at.what, "--force"},
			setup: func(w *wreck) { w.fresh("b0"); w.put("blank", at.at, at.magic) }})
	}
	wrongs = append(wrongs,
		wrong{name: "create on gpt's copy", args: "create n --level 1 b0 blank", status: 1, says: []string{"blank", "GPT"},
			setup: func(w *wreck) { w.fresh("b0"); w.put("blank", fixtureSize-512, "EFI PART") }},
		wrong{name: "create on mbr", args: "create n --level 1 b0 blank", status: 1, says: []string{"blank", "MBR"},
			setup: func(w *wreck) {
				w.fresh("b0")
				w.put("blank", 446, "\x80\x00\x01\x00\x83\x00\x00\x00\x00\x08\x00\x00\x00\x10\x00\x00")
				w.put("blank", 510, "\x55\xaa")
			}},
		wrong{name: "create on zfs", args: "create n --level 1 b0 blank", status: 1, says: []string{"blank", "ZFS"},
			setup: func(w *wreck) { w.fresh("b0"); w.put("blank", 132<<10, "\x0c\xb1\xba\x00\x00\x00\x00\x00") }},
	)
	require.GreaterOrEqual(t, len(wrongs), 50)
	fixture := t.TempDir()
	f := &wreck{t, fixture}
	f.must("create a --level 5 --no-start --member-size 2M --chunk 64K a0 a1 a2 a3")
	f.must("create b --level 1 --bitmap none --no-start --member-size 2M b0 b1")
	f.must("create c --level 0 --no-start --member-size 2M --chunk 64K c0 c1")
	f.fresh("blank")
	for _, c := range wrongs {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &wreck{t, t.TempDir()}
			for _, name := range []string{"a0", "a1", "a2", "a3", "b0", "b1", "c0", "c1", "blank"} {
				copySparse(t, filepath.Join(fixture, name), w.in(name))
			}
			if c.setup != nil {
				c.setup(w)
			}
			w.refuses(c.args, c.status, c.says...)
		})
	}
}

const fixtureSize = 2 << 20

// fresh makes the file all hole.
func (w *wreck) fresh(name string) {
	require.NoError(w, os.RemoveAll(w.in(name)))
	require.NoError(w, resize(w.in(name), fixtureSize))
}

// refuses runs a command that must be refused and leave everything as it is.
func (w *wreck) refuses(args string, status int, says ...string) {
	w.Helper()
	w.Cleanup(func() { stopAll(w.in("run")) }) // what was not refused, and should have been, is no reason to leave it running
	before := w.picture()
	s := w.run(args)
	require.Equal(w, status, s.status, s)
	require.Regexp(w, `^graid: [^\n]+\n$`, s.err)
	for _, word := range says {
		require.Contains(w, s.err, word)
	}
	require.NotContains(w, s.err, "goroutine")
	require.NotContains(w, s.err, "%!")
	require.Equal(w, before, w.picture(), s)
}

// picture is what is in the folder: every file's content and when it was last written. The runtime folder may come and go.
func (w *wreck) picture() map[string]string {
	w.Helper()
	p := map[string]string{}
	list, err := os.ReadDir(w.dir)
	require.NoError(w, err)
	for _, e := range list {
		fi, err := e.Info()
		require.NoError(w, err)
		if e.Name() == "run" && fi.IsDir() {
			left, err := os.ReadDir(w.in("run"))
			require.NoError(w, err)
			require.Empty(w, left)
			continue
		}
		p[e.Name()] = fi.Mode().String()
		if fi.Mode().IsRegular() {
			p[e.Name()] = fi.ModTime().String() + " " + sum(w.in(e.Name()))
		}
	}
	return p
}

// copySparse copies a member of the fixture: all that is not zero is in its first 64 KiB.
func copySparse(t *testing.T, from, to string) {
	t.Helper()
	fi, err := os.Stat(from)
	require.NoError(t, err)
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	head := make([]byte, 64<<10)
	_, err = in.ReadAt(head, 0)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, head, 0o644))
	require.NoError(t, os.Truncate(to, fi.Size()))
}

// TestInTheWay: what only another process can be.
func TestInTheWay(t *testing.T) {
	w := &wreck{t, t.TempDir()}
	t.Cleanup(func() { stopAll(w.in("run")) })
	w.must("create one --level 1 --member-size 8M a b")
	w.must("create two --level 1 --no-start --member-size 8M c d")
	for _, c := range []struct {
		args string
		says []string
	}{
		{"assemble one c d", []string{"name taken", "one"}},
		{"create one --level 1 --force c d", []string{"name taken", "one"}},
		{"assemble three a b", []string{"a: in use"}},
		{"assemble three --readonly a b", []string{"a: in use"}},
		{"create three --level 1 --force c a", []string{"a: in use"}},
		{"dump -o out a b", []string{"a: in use"}},
		{"assemble two --nbd unix:run/one.nbd c d", []string{"one.nbd", "somebody serves there"}},
		{"fail one c", []string{"c: not a member of one"}},
	} {
		before := []string{sum(w.in("a")), sum(w.in("b")), sum(w.in("c")), sum(w.in("d"))}
		s := w.run(c.args)
		require.Equal(t, exitFailed, s.status, s)
		require.Regexp(t, `^graid: [^\n]+\n$`, s.err)
		for _, word := range c.says {
			require.Contains(t, s.err, word, c.args)
		}
		require.Equal(t, before, []string{sum(w.in("a")), sum(w.in("b")), sum(w.in("c")), sum(w.in("d"))})
		require.NoFileExists(t, w.in("out"))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s := w.run("assemble two c d --nbd tcp:" + l.Addr().String())
	require.Equal(t, exitFailed, s.status, s)
	require.Contains(t, s.err, "address already in use")
	w.must("examine a b") // looking is allowed
	w.must("scan a b c d")
	w.must("stop one")
}
