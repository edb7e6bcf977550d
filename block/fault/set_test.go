package fault_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/fault"
	"graid/block/mem"
	"graid/sched"
)

// four is a Set of four members: /x/a and /z/a, which share a last part, and two whose names look like the others' roles.
func four() (s *fault.Set, list []*fault.Device) {
	s = fault.NewSet(sched.Real)
	for role, path := range []string{"/x/a", "/y/3", "/y/0", "/z/a"} {
		d := s.Wrap(mem.New(1<<20, mem.Options{Name: path[3:]}), false, path)
		s.Name(d, fmt.Sprint(role), fmt.Sprintf("m%d", role))
		list = append(list, d)
	}
	return s, list
}

// TestNames: what a member may be called, the best name first.
func TestNames(t *testing.T) {
	for name, want := range map[string][]int{
		"*": {0, 1, 2, 3}, "/x/a": {0}, "/z/a": {3}, "m0": {0}, "1": {1}, "0": {2}, "3": {1}, "m2": {2}, "m3": {3}, "a": nil, "b": nil, "m4": nil,
	} {
		s, list := four()
		_, err := s.Add(fault.Rule{Member: name, Effect: fault.Gone})
		var got []int
		for i, d := range list {
			if d.Rules() > 0 {
				got = append(got, i)
				require.Equal(t, 1, d.Rules())
			}
		}
		require.Equal(t, want, got, name)
		require.Equal(t, want == nil, err != nil, "%s: %v", name, err)
	}
	s, _ := four()
	_, err := s.Add(fault.Rule{Member: "a", Effect: fault.Gone})
	require.ErrorContains(t, err, "any of 2 members")
	_, err = s.Add(fault.Rule{Member: "b", Effect: fault.Gone})
	require.ErrorIs(t, err, fault.ErrUnknown)
	require.ErrorContains(t, err, "they are a, 3, 0, a")

	s, list := four()
	s.Name(list[0], "m7") // in place of what it was
	for name, known := range map[string]bool{"m7": true, "m0": false, "/x/a": true} {
		_, err = s.Add(fault.Rule{Member: name, Effect: fault.Gone})
		require.Equal(t, known, err == nil, "%s: %v", name, err)
	}
}

// TestNotReal: what a device cannot do is refused when the rule is added, and then none of the rules beside it is.
func TestNotReal(t *testing.T) {
	for text, why := range map[string]string{
		"m0 read stale":      "simulated disks",
		"m0 [1T,+4K) bad":    "beyond its end",
		"m0 write shift=512": "sectors of 4096 bytes",
		"m9 gone":            "no such member",
	} {
		s := fault.NewSet(sched.Real)
		d := s.Wrap(mem.New(1<<20, mem.Options{Block: 4096}), false, "m0")
		rules, err := fault.Parse("m0 gone;" + text)
		require.NoError(t, err)
		_, err = s.Add(rules...)
		require.ErrorContains(t, err, why)
		require.Empty(t, s.List())
		require.Zero(t, d.Rules())
	}
}

// TestList: numbers are given once, seeds are told, and what a rule hit is counted over all members.
func TestList(t *testing.T) {
	s, list := four()
	added := add(t, s, "* read media count=1; m1 write torn; m2 path p=1/1000000 seed=3")
	require.Regexp(t, `^m1 write torn seed=[0-9]+$`, added[1].Rule)
	for range 2 {
		for _, d := range list {
			_ = block.ReadAt(ctx, d, make([]byte, sector), 0)
		}
	}
	require.Equal(t, []fault.Entry{
		{ID: 1, Rule: "* read media count=1", Hits: 4}, {ID: 2, Rule: added[1].Rule}, {ID: 3, Rule: "m2 path p=1/1000000 seed=3"},
	}, s.List())
	require.ErrorContains(t, s.Clear(1, 4), "no rule 4")
	require.Len(t, s.List(), 3)
	require.NoError(t, s.Clear(1, 3))
	require.Equal(t, []int{0, 1, 0, 0}, []int{list[0].Rules(), list[1].Rules(), list[2].Rules(), list[3].Rules()})
	require.Equal(t, 4, add(t, s, "* gone")[0].ID)
	require.NoError(t, s.Clear())
	require.Empty(t, s.List())
	require.NoError(t, block.Sync(ctx, list[2]))
}

// TestApart: what one rule leaves to chance goes another way on each member, and the same way again with the same seed.
func TestApart(t *testing.T) {
	try := func(rule string) (did []string) {
		s, list := four()
		add(t, s, rule)
		for _, d := range list {
			buf := make([]byte, 16*sector)
			did = append(did, "")
			for range 40 {
				err := block.ReadAt(t.Context(), d, buf, 0)
				did[len(did)-1] += fmt.Sprintf("%v %x\n", err != nil, buf)
			}
		}
		return did
	}
	for _, rule := range []string{"* [0,+8K) rot seed=3", "* media p=1/2 seed=3"} {
		did := try(rule)
		require.NotEqual(t, did[0], did[1], rule)
		require.NotEqual(t, did[1], did[2], rule)
		require.Equal(t, did, try(rule), rule)
	}
}

func TestLimit(t *testing.T) {
	s, list := four()
	full := make([]fault.Rule, fault.MaxRules)
	for i := range full {
		full[i] = fault.Rule{Member: "m0", Effect: fault.Media, At: 1 << 60}
	}
	_, err := s.Add(full...)
	require.NoError(t, err)
	_, err = s.Add(full[0])
	require.ErrorContains(t, err, "the most is 64")
	require.Equal(t, fault.MaxRules, list[0].Rules())
}

// TestAfterRelease: nothing waits any more, and what does not wait still goes wrong.
func TestAfterRelease(t *testing.T) {
	s, list := four()
	add(t, s, "* write stuck; * flush gone")
	s.Release()
	require.NoError(t, block.WriteAt(ctx, list[0], make([]byte, sector), 0))
	require.ErrorIs(t, block.Sync(ctx, list[0]), block.ErrGone)
	_, err := s.Add(fault.Rule{Member: "*", Effect: fault.Stuck})
	require.ErrorContains(t, err, "stopping")
}

// TestWorkWhileRulesChange: requests, rules and listings at once; every request is done or refused in the end, and a write that succeeded is there.
func TestWorkWhileRulesChange(t *testing.T) {
	s := fault.NewSet(sched.Real)
	d := s.Wrap(mem.New(1<<20, mem.Options{Name: "d"}), true)
	var clients, meddlers sync.WaitGroup
	stop := make(chan struct{})
	rules, err := fault.Parse("d write stuck p=1/3; d stall=1us..20us; d write media p=1/2; d write torn p=1/2; d write late=1us p=1/5; d [0,+1M) bad p=1/3; d delay=1us rate=1G depth=2; d gone p=1/2")
	require.NoError(t, err)
	for i := range 2 {
		meddlers.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				_, _ = s.Add(rules[n%len(rules)])
				s.List()
				if n%3 == 0 {
					_ = s.Clear()
				}
			}
		})
	}
	for c := range int64(4) {
		clients.Go(func() {
			for n := range 300 {
				want := bytes.Repeat([]byte{byte(n)}, 4096)
				got := make([]byte, 4096)
				wrote := block.WriteAt(ctx, d, want, c*4096) == nil
				read := block.ReadAt(ctx, d, got, c*4096) == nil
				if wrote && read && !bytes.Equal(want, got) {
					// A write that was late may have landed over it: an older one of this client, whole.
					if !bytes.Equal(bytes.Repeat(got[:1], 4096), got) {
						t.Error("torn, and said to be written")
					}
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	meddlers.Wait()
	require.NoError(t, d.Close())
	require.Empty(t, d.Rules())
}
