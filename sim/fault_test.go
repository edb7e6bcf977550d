package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// TestText: faults as they are written, and as they come back.
func TestText(t *testing.T) {
	for text, want := range map[string]Fault{
		"m1 read [1M,+4K) media count=1":           {Member: "m1", Ops: ops(block.Read), Off: 1 << 20, Len: 4096, Effect: Media, Count: 1},
		"m2 gone at=2s":                            {Member: "m2", Effect: Gone, At: 2 * time.Second},
		"m0 write refuse after=100":                {Member: "m0", Ops: ops(block.Write), Effect: Refuse, After: 100},
		"* read,write stall=30s p=1/50":            {Member: "*", Ops: ops(block.Read, block.Write), Effect: Stall, Wait: 30 * time.Second, OneIn: 50},
		"m3 [256K,+8K) bad at=10ms":                {Member: "m3", Off: 256 << 10, Len: 8 << 10, Effect: Bad, At: 10 * time.Millisecond},
		"m3 write shift=64K at=1s for=2s after=3":  {Member: "m3", Ops: ops(block.Write), Effect: Shift, By: 64 << 10, At: time.Second, For: 2 * time.Second, After: 3},
		"m0 flush lie":                             {Member: "m0", Ops: ops(block.Flush), Effect: Lie},
		"m0 write,zero [513,+1) lost count=100000": {Member: "m0", Ops: ops(block.Write, block.WriteZeroes), Off: 513, Len: 1, Effect: Lost, Count: 100000},
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, []Fault{want}, got)
		require.Equal(t, text, want.String())
	}
	got, err := Parse("# nothing\n\n m0 gone ; m1 torn # both\n")
	require.NoError(t, err)
	require.Len(t, got, 2)
}

func TestTextRefused(t *testing.T) {
	for text, why := range map[string]string{
		"m0":                            "no effect",
		"m0 read":                       "no effect",
		"m0 explode":                    "effect",
		"m0 read,jump media":            "operation",
		"m0 [1,2) bad":                  "range",
		"m0 [1,+0) bad":                 "empty",
		"m0 [1Q,+2) bad":                "size",
		"m0 [1KK,+2) bad":               "size",
		"m0 [9999999T,+2) bad":          "size",
		"m0 bad":                        "range",
		"m0 gone=3":                     "no value",
		"m0 gone at=soon":               "time",
		"m0 gone when=soon":             "condition",
		"m0 gone p=3":                   "chance",
		"m0 gone p=1/0":                 "chance",
		"m0 gone count=-1":              "number",
		"m0 stall":                      "time",
		"m0 stall=0s":                   "no time",
		"m0 write shift=1":              "multiple",
		"m0 read torn":                  "for write only",
		"m0 write stale":                "for read only",
		"m0 gone; m0 gone; m0 gone dd":  "fault 3",
		"m0 gone at=1s for=-2s count=1": "time",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, why, text)
	}
}

// FuzzParse: whatever is read can be written and read again as the same, and nothing panics.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"m1 read [1M,+4K) media count=1", "m2 gone at=2s", "* read,write stall=30s p=1/50", "m3 write shift=64K for=2s after=3", "m0 [513,+1) rot"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse(text)
		if err != nil {
			return
		}
		for _, x := range list {
			again, err := Parse(x.String())
			require.NoError(t, err, x.String())
			require.Equal(t, x.String(), again[0].String())
		}
	})
}
