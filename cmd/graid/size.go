package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseSize reads a SIZE: a whole number of bytes, or one followed by K, M, G or T, which are powers of 1024. A RAID tool
// must not guess what "64KB" or "1.5G" was meant to be.
func parseSize(s string) (int64, error) {
	digits, unit := s, int64(1)
	if n := len(s); n > 0 {
		if i := strings.IndexByte("KMGT", s[n-1]&^0x20); i >= 0 && s[n-1]|0x20 >= 'a' {
			digits, unit = s[:n-1], 1<<(10*(i+1))
		}
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a size: write 4096, 64K, 1M or 2G", s)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is too large for a size: the most is 8388607T", s)
	}
	return n * unit, nil
}

// human is n bytes in the fewest characters that are still true to a digit: 64K, 191.5M, 4096T.
func human(n int64) string {
	if n < 0 {
		return "-" + human(-n)
	}
	units, unit := "KMGT", int64(1)
	suffix := ""
	for i := 0; i < len(units) && n >= unit*1024; i++ {
		unit *= 1024
		suffix = units[i : i+1]
	}
	if n%unit == 0 {
		return strconv.FormatInt(n/unit, 10) + suffix
	}
	return fmt.Sprintf("%.1f%s", math.Floor(float64(n)*10/float64(unit))/10, suffix)
}

// both is n bytes as mdadm shows sizes: in KiB for machines and twice for people.
func both(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	if n < 1<<30 {
		return fmt.Sprintf("%d KiB (%.2f MiB %.2f MB)", n>>10, float64(n)/(1<<20), float64(n)/1e6)
	}
	return fmt.Sprintf("%d KiB (%.2f GiB %.2f GB)", n>>10, float64(n)/(1<<30), float64(n)/1e9)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
