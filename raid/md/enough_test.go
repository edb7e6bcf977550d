package md_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// TestEnough says for each level which members are enough; present ones are marked 1.
func TestEnough(t *testing.T) {
	for _, c := range []struct {
		level   int
		layout  uint32
		present string
		want    bool
	}{
		{-1, 0, "111", true}, {-1, 0, "110", false}, {0, 1, "11", true}, {0, 1, "01", false},
		{1, 0, "001", true}, {1, 0, "000", false},
		{4, 0, "110", true}, {4, 0, "100", false}, {5, 2, "0111", true}, {5, 2, "0110", false},
		{6, 2, "0101", true}, {6, 2, "0100", false},
		{10, 0x102, "0101", true}, {10, 0x102, "1010", true}, {10, 0x102, "0110", true}, {10, 0x102, "1100", false}, {10, 0x102, "0011", false},
		{10, 0x102, "101", true}, {10, 0x102, "110", true}, {10, 0x102, "100", false}, {10, 0x103, "0010", false}, {10, 0x103, "1001", true},
		{10, 0x201, "1010", true}, {10, 0x201, "1001", false}, {10, 0x10201, "010", false}, {10, 0x10201, "011", true},
		{10, 0, "11", false}, {10, 0xffff, "11", true}, {10, 0xffff, "00", false},
	} {
		var present []bool
		for _, p := range c.present {
			present = append(present, p == '1')
		}
		require.Equal(t, c.want, md.Enough(&md.Superblock{Level: c.level, Layout: c.layout, RaidDisks: len(present)}, present), "%+v", c)
	}
}
