package md_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// vector is what a real Linux wrote on a real member, and what it means. The superblocks were decoded by an independent model.
type vector struct {
	Name, Args   string
	DevSectors   uint64          `json:"dev_sectors"`
	SBSector     uint64          `json:"sb_sector"`
	Expect       map[string]any  `json:"expect"`
	SB           string          `json:"sb"`
	Bitmap       string          `json:"bitmap"`
	BitmapSector uint64          `json:"bitmap_sector"`
	BitmapExpect *bitmapExpected `json:"bitmap_expect"`
	PPL          string          `json:"ppl_head"`
}

type bitmapExpected struct {
	Version       uint32
	UUID          string
	Events        uint64
	EventsCleared uint64 `json:"events_cleared"`
	SyncSize      uint64 `json:"sync_size"`
	State         uint32
	ChunkSize     uint32 `json:"chunksize"`
	DaemonSleep   uint32 `json:"daemon_sleep"`
	WriteBehind   uint32 `json:"write_behind"`
	Reserved      uint32 `json:"sectors_reserved"`
	Nodes         uint32
	NBits         int64 `json:"nbits"`
	Set           []int64
}

func vectors(testing.TB) []vector { return loadVectors() }

var loadVectors = sync.OnceValue(func() []vector {
	f, err := os.Open("testdata/superblocks.json.gz")
	must(err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(err)
	var list []vector
	d := json.NewDecoder(z)
	d.UseNumber()
	must(d.Decode(&list))
	return list
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func unpack(t testing.TB, s string) []byte {
	raw, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	z, err := gzip.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return b
}

func (v vector) decode(t testing.TB) (*md.Superblock, []byte) {
	b := unpack(t, v.SB)
	sb, err := md.Decode(b, v.SBSector, v.DevSectors)
	require.NoError(t, err, v.Name)
	return sb, b
}

// TestSuperblocksOfLinux decodes every superblock that Linux wrote, compares every field, and encodes it to the same bytes.
func TestSuperblocksOfLinux(t *testing.T) {
	list := vectors(t)
	require.Len(t, list, 266)
	for _, v := range list {
		sb, raw := v.decode(t)
		if sb.Version == md.V090 {
			require.Equal(t, ours090(sb), strip(t, v), v.Name)
			continue
		}
		require.Equal(t, ours1(sb), strip(t, v), v.Name)
		enc := sb.Encode()
		require.Equal(t, raw[:len(enc)], enc, v.Name)
		require.Equal(t, enc, sb.Clone().Encode(), v.Name)
		require.Equal(t, make([]byte, len(raw)-len(enc)), raw[len(enc):], v.Name)
	}
}

// strip makes the numbers of a vector's expectation comparable: as JSON prints them.
func strip(t *testing.T, v vector) map[string]string {
	m := map[string]string{}
	for k, x := range v.Expect {
		b, err := json.Marshal(x)
		require.NoError(t, err)
		m[k] = string(b)
	}
	require.Equal(t, "true", m["csum_ok"], v.Name)
	delete(m, "csum_ok")
	return m
}

func text(m map[string]any) map[string]string {
	out := map[string]string{}
	for k, x := range m {
		b, _ := json.Marshal(x)
		out[k] = string(b)
	}
	return out
}

func ours1(s *md.Superblock) map[string]string {
	var role any = s.Role()
	switch s.Role() {
	case md.RoleSpare:
		role = "spare"
	case md.RoleFaulty:
		role = "faulty"
	case md.RoleJournal:
		role = "journal"
	}
	return text(map[string]any{
		"minor": int(s.Version - md.V10), "sb_start": s.SuperOffset, "feature_map": s.Features, "set_uuid": hex.EncodeToString(s.SetUUID[:]),
		"set_name": s.Name, "ctime": s.CTimeRaw, "utime": s.Updated().Unix(), "level": s.Level, "layout": s.Layout, "size": s.Size,
		"chunk": s.ChunkSize, "raid_disks": s.RaidDisks, "bitmap_offset": s.BitmapOffset, "new_level": s.NewLevel,
		"reshape_position": s.ReshapePosition, "delta_disks": s.DeltaDisks, "new_layout": s.NewLayout, "new_chunk": s.NewChunk,
		"new_offset": s.NewOffset, "ppl_offset": s.PPLOffset, "ppl_size": s.PPLSize, "data_offset": s.DataOffset, "data_size": s.DataSize,
		"super_offset": s.SuperOffset, "recovery_offset": s.RecoveryOffset, "dev_number": s.DevNumber, "cnt_corrected_read": s.CorrectedReads,
		"device_uuid": hex.EncodeToString(s.DeviceUUID[:]), "devflags": s.DevFlags, "bblog_shift": s.BBLogShift, "bblog_size": s.BBLogSize,
		"bblog_offset": s.BBLogOffset, "events": s.Events, "resync_offset": s.ResyncOffset, "sb_csum": s.Checksum, "max_dev": s.MaxDev,
		"lbs": s.LogicalBlockSize, "role": role, "roles": s.Roles[:16],
	})
}

func ours090(s *md.Superblock) map[string]string {
	var id []byte // the vectors have the bytes of the disk; we have those that mdadm prints
	for i := 0; i < 16; i += 4 {
		id = append(id, s.SetUUID[i+3], s.SetUUID[i+2], s.SetUUID[i+1], s.SetUUID[i])
	}
	x := s.V090
	nr := 0
	for _, r := range s.Roles {
		if r < md.EntryMax {
			nr++
		}
	}
	return text(map[string]any{
		"minor": 90, "minor_version": x.Minor, "sb_start": s.SuperOffset, "level": s.Level, "size": s.Size, "nr_disks": nr,
		"raid_disks": s.RaidDisks, "md_minor": x.MDMinor, "set_uuid": hex.EncodeToString(id), "ctime": s.CTimeRaw, "utime": s.UTimeRaw,
		"state": x.State, "active": x.Active, "working": x.Working, "failed": x.Failed, "spare": x.Spare, "sb_csum": s.Checksum,
		"events": s.Events, "cp_events": x.CheckpointEvents, "recovery_cp": x.RecoveryCheckpoint, "layout": s.Layout, "chunk": s.ChunkSize,
		"data_offset": s.DataOffset, "role": s.Role(), "data_size": s.DataSize, "bitmap_offset": s.BitmapOffset, "feature_map": s.Features,
	})
}

// TestBitmapsOfLinux decodes every bitmap that Linux wrote, compares head and bits, and encodes it to the same bytes.
func TestBitmapsOfLinux(t *testing.T) {
	n := 0
	for _, v := range vectors(t) {
		if v.BitmapExpect == nil {
			continue
		}
		n++
		sb, _ := v.decode(t)
		require.EqualValues(t, v.BitmapSector, int64(sb.SuperOffset)+int64(sb.BitmapOffset), v.Name)
		raw := unpack(t, v.Bitmap)
		m, err := md.DecodeBitmap(raw)
		require.NoError(t, err, v.Name)
		require.NoError(t, m.Check(sb), v.Name)
		want := v.BitmapExpect
		require.Equal(t, *want, bitmapExpected{m.Version, hex.EncodeToString(m.UUID[:]), m.Events, m.EventsCleared, m.SyncSize, m.State,
			m.ChunkSize, m.DaemonSleep, m.WriteBehind, m.SectorsReserved, m.Nodes, m.Total(), set(m)}, v.Name)
		require.EqualValues(t, len(want.Set), m.Dirty(), v.Name)
		require.Equal(t, sb.SyncSize(), m.SyncSize, v.Name)
		enc := m.Encode()
		require.Equal(t, raw[:256+(m.Total()+7)/8], enc[:256+(m.Total()+7)/8], v.Name)
	}
	require.Equal(t, 30, n)
}

func set(m *md.Bitmap) []int64 {
	list := []int64{}
	for i := range m.Total() {
		if m.Bit(i) {
			list = append(list, i)
		}
	}
	return list
}

// TestPPLOfLinux decodes every partial parity log that Linux wrote.
func TestPPLOfLinux(t *testing.T) {
	n := 0
	for _, v := range vectors(t) {
		if v.PPL == "" {
			continue
		}
		n++
		sb, _ := v.decode(t)
		require.True(t, sb.HasPPL(), v.Name)
		raw := unpack(t, v.PPL)
		h, err := md.DecodePPL(raw)
		require.NoError(t, err, v.Name)
		require.Equal(t, md.SignaturePPL(sb.SetUUID), h.Signature, v.Name)
		for _, e := range h.Entries {
			require.Less(t, int(e.ParityDisk), sb.RaidDisks, v.Name)
			require.Zero(t, e.PPSize%512, v.Name)
		}
		raw[1000] ^= 1
		_, err = md.DecodePPL(raw)
		require.ErrorContains(t, err, "checksum", v.Name)
	}
	require.Equal(t, 10, n)
}

// create is what a vector's mdadm arguments ask for, and whether Spec can say it.
func (v vector) create(members int) (s md.Spec, ok bool) {
	s = md.Spec{Layout: -1, RaidDevices: members, Version: md.V12}
	words := strings.Fields(strings.ReplaceAll(v.Args, "-l ", "-l"))
	for i := 0; i < len(words); i++ {
		w, value, _ := strings.Cut(words[i], "=")
		var err error
		switch {
		case strings.HasPrefix(w, "-l"):
			s.Level, err = md.ParseLevel(w[2:])
		case w == "-c":
			i++
			s.Chunk = 64 << 10
		case w == "--rounding":
			s.Chunk = 64 << 10
		case w == "-e":
			i++
			s.Version, err = md.ParseVersion(words[i])
		case w == "-b":
			i++
			s.Bitmap = true
		case w == "--bitmap-chunk":
			s.BitmapChunk = map[string]int64{"64K": 64 << 10, "128K": 128 << 10}[value]
		case w == "--layout":
			var layout uint32
			layout, err = md.ParseLayout(s.Level, value)
			s.Layout = int(layout)
		default:
			return s, false
		}
		if err != nil {
			panic(err)
		}
	}
	return s, s.Version != md.V090
}

// TestDraftChoosesAsMdadm makes every array again that mdadm 4.2 created, and compares what it chose.
func TestDraftChoosesAsMdadm(t *testing.T) {
	arrays := map[string][]vector{}
	for _, v := range vectors(t) {
		if strings.HasPrefix(v.Name, "k61.") {
			name := v.Name[:strings.LastIndex(v.Name, ".")]
			arrays[name] = append(arrays[name], v)
		}
	}
	made := 0
	for name, list := range arrays {
		spec, ok := list[0].create(len(list))
		if !ok {
			t.Logf("%s: %s: not something that is created here", name, list[0].Args)
			continue
		}
		spec.Created = list[0].mustDecode(t).Created()
		spec.Name, spec.UUID = "x", md.UUID{1}
		var members []md.NewMember
		for _, v := range list {
			members = append(members, md.NewMember{Size: int64(v.DevSectors) * md.Sector})
		}
		d, err := spec.Draft(members)
		require.NoError(t, err, name)
		for i, v := range list {
			want, got := v.mustDecode(t), d.Supers[i]
			require.Equal(t, chosen(want), chosen(got), v.Name)
			require.Equal(t, md.V12 == got.Version, got.SuperOffset == 8, v.Name)
			if v.BitmapExpect != nil {
				require.Equal(t, v.BitmapExpect.ChunkSize, d.Bitmap.ChunkSize, v.Name)
				require.Equal(t, v.BitmapExpect.SyncSize, d.Bitmap.SyncSize, v.Name)
			}
			made++
		}
	}
	require.Greater(t, made, 180)
}

func (v vector) mustDecode(t *testing.T) *md.Superblock {
	sb, _ := v.decode(t)
	return sb
}

type choice struct {
	DataOffset, DataSize, Size, SuperOffset uint64
	BBLogOffset, BitmapOffset               int32
	BBLogSize                               uint16
	Chunk, Layout                           uint32
	MaxDev, Level, Disks                    int
	CTime                                   uint64
	Bitmap                                  bool
}

func chosen(s *md.Superblock) choice {
	return choice{s.DataOffset, s.DataSize, s.Size, s.SuperOffset, s.BBLogOffset, s.BitmapOffset, s.BBLogSize, s.ChunkSize, s.Layout,
		s.MaxDev, s.Level, s.RaidDisks, s.CTimeRaw, s.Features&md.FeatureBitmap != 0}
}
