package fault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// TestText: faults as they are written, and as they come back.
func TestText(t *testing.T) {
	for text, want := range map[string]Rule{
		"m1 read [1M,+4K) media count=1":           {Member: "m1", Ops: ops(block.Read), Off: 1 << 20, Len: 4096, Effect: Media, Count: 1},
		"m2 gone at=2s":                            {Member: "m2", Effect: Gone, At: 2 * time.Second},
		"m0 write refuse after=100":                {Member: "m0", Ops: ops(block.Write), Effect: Refuse, After: 100},
		"* read,write stall=30s p=1/50":            {Member: "*", Ops: ops(block.Read, block.Write), Effect: Stall, Wait: 30 * time.Second, OneIn: 50},
		"m3 [256K,+8K) bad at=10ms":                {Member: "m3", Off: 256 << 10, Len: 8 << 10, Effect: Bad, At: 10 * time.Millisecond},
		"m3 write shift=64K at=1s for=2s after=3":  {Member: "m3", Ops: ops(block.Write), Effect: Shift, By: 64 << 10, At: time.Second, For: 2 * time.Second, After: 3},
		"m0 flush lie":                             {Member: "m0", Ops: ops(block.Flush), Effect: Lie},
		"* delay=5ms..8ms rate=50M depth=32":       {Member: "*", Effect: Delay, Wait: 5 * time.Millisecond, Upto: 8 * time.Millisecond, Rate: 50 << 20, Depth: 32},
		"m0 delay=0s rate=1M":                      {Member: "m0", Effect: Delay, Rate: 1 << 20},
		"m0 read stall=0s..5ms":                    {Member: "m0", Ops: Reads, Effect: Stall, Upto: 5 * time.Millisecond},
		"/dev/sdb write torn p=1/9 seed=77":        {Member: "/dev/sdb", Ops: ops(block.Write), Effect: Torn, OneIn: 9, Seed: 77},
		"3 stuck count=1":                          {Member: "3", Effect: Stuck, Count: 1},
		`"my disk; 2 #\"" gone`:                    {Member: `my disk; 2 #"`, Effect: Gone},
		"m0 write,zero [513,+1) lost count=100000": {Member: "m0", Ops: ops(block.Write, block.WriteZeroes), Off: 513, Len: 1, Effect: Lost, Count: 100000},
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, []Rule{want}, got)
		require.Equal(t, text, want.String())
	}
	got, err := Parse("# nothing\n\n m0 gone ; m1 torn # both\n \"a;b\" gone;")
	require.NoError(t, err)
	require.Equal(t, []Rule{{Member: "m0", Effect: Gone}, {Member: "m1", Effect: Torn}, {Member: "a;b", Effect: Gone}}, got)
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
		"m0 rate=5M":                    "delay=0s rate=5M",
		"m0 delay=0s":                   "no time",
		"m0 delay=1s depth=1025":        "the most is 1024",
		"m0 gone rate=5M":               "of a delay",
		"m0 stall=5ms..1ms":             "shorter one first",
		"m0 stall=5ms..":                "time",
		"m0 late=1ms..5ms":              "time",
		"m0 stuck=1s":                   "no value",
		"m0 read refuse":                "for write,discard,zero only",
		"m0 read nospace":               "for write,flush,discard,zero only",
		`"m0 gone`:                      "quotes",
		`"m0"gone`:                      "quotes",
		`"" gone`:                       "without a name",
		"m0 gone seed=x":                "number",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, why, text)
	}
}

// FuzzParse: whatever is read can be written and read again as the same, and nothing panics.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"m1 read [1M,+4K) media count=1", "m2 gone at=2s", "* read,write stall=30s p=1/50", "m3 write shift=64K for=2s after=3", "m0 [513,+1) rot",
		"* delay=5ms..8ms rate=50M depth=3 seed=9", `"a b;#\"" stuck`} {
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
			x.OneIn = max(x.OneIn, 1) // 0 and 1 are the same
			again[0].OneIn = max(again[0].OneIn, 1)
			require.Equal(t, []Rule{x}, again, x.String())
		}
	})
}
