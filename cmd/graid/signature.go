package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"graid/block"
	"graid/raid"
)

// signature is how something that a device may hold is recognised. The bytes and their places are each format's own.
type signature struct {
	what  string
	at    int64 // bytes from the start; from the end if negative
	magic string
}

var signatures = []signature{
	{"an ext2, ext3 or ext4 file system", 0x438, "\x53\xef"},
	{"an XFS file system", 0, "XFSB"},
	{"a btrfs file system", 0x10040, "_BHRfS_M"},
	{"an NTFS file system", 3, "NTFS    "},
	{"a FAT file system", 0x36, "FAT1"},
	{"a FAT file system", 0x52, "FAT32   "},
	{"an exFAT file system", 3, "EXFAT   "},
	{"an F2FS file system", 0x400, "\x10\x20\xf5\xf2"},
	{"an APFS container", 0x20, "NXSB"},
	{"an HFS+ file system", 0x400, "H+\x00\x04"},
	{"a squashfs file system", 0, "hsqs"},
	{"an ISO 9660 file system", 0x8001, "CD001"},
	{"swap space", 4096 - 10, "SWAPSPACE2"},
	{"swap space", 65536 - 10, "SWAPSPACE2"},
	{"an LVM physical volume", 512 + 24, "LVM2 001"},
	{"an LVM physical volume", 24, "LVM2 001"},
	{"a LUKS container", 0, "LUKS\xba\xbe"},
	{"a bcache device", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca"},
	{"a GPT partition table", 512, "EFI PART"},
	{"a GPT partition table", 4096, "EFI PART"},
	{"a GPT partition table", -512, "EFI PART"},
	{"a qcow2 image, not raw bytes", 0, "QFI\xfb"},
	{"a VMDK image, not raw bytes", 0, "KDMV"},
	{"a VDI image, not raw bytes", 0x40, "\x7f\x10\xda\xbe"},
}

// refuseContent refuses a member that holds something which is recognised: a path mistyped by one letter must not cost a file
// system.
func refuseContent(ctx context.Context, m raid.Member) error {
	what, err := content(ctx, m.Dev)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
	}
	if what != "" {
		return fmt.Errorf("%s: holds %s: check the path, or overwrite it with --force", m.Path, what)
	}
	return nil
}

// content names what dev holds, or "" if that is nothing that is known.
func content(ctx context.Context, dev block.Device) (string, error) {
	size := dev.Info().Size
	head := block.Alloc(min(headBytes, size))
	if err := block.ReadAt(ctx, dev, head, 0); err != nil {
		return "", err
	}
	tail := block.Alloc(min(tailBytes, size))
	if err := block.ReadAt(ctx, dev, tail, size-int64(len(tail))); err != nil {
		return "", err
	}
	for _, s := range signatures {
		from, at := head, s.at
		if at < 0 {
			from, at = tail, int64(len(tail))+at
		}
		if at >= 0 && at+int64(len(s.magic)) <= int64(len(from)) && string(from[at:at+int64(len(s.magic))]) == s.magic {
			return s.what, nil
		}
	}
	switch {
	case uberblock(head):
		return "a ZFS pool", nil
	case partitions(head):
		return "an MBR partition table", nil
	}
	return "", nil
}

// How much of each end of a device is looked at, bytes. ZFS has its labels in the first 512 KiB.
const (
	headBytes = 256 << 10
	tailBytes = 4096
)

// uberblock looks for the ring of uberblocks in the first label of ZFS, 128 KiB of 1 KiB slots in either byte order.
func uberblock(head []byte) bool {
	const ring, slot, magic = 128 << 10, 1 << 10, 0x00bab10c
	for at := ring; at+8 <= len(head); at += slot {
		if binary.LittleEndian.Uint64(head[at:]) == magic || binary.BigEndian.Uint64(head[at:]) == magic {
			return true
		}
	}
	return false
}

// partitions says whether head starts with a partition table that has a partition. The last two bytes alone are also those of a
// boot sector, and of a table that is empty.
func partitions(head []byte) bool {
	const table, entry = 446, 16
	if len(head) < 512 || head[510] != 0x55 || head[511] != 0xaa {
		return false
	}
	for i := range 4 {
		e := head[table+i*entry : table+(i+1)*entry]
		if e[0]&0x7f == 0 && e[4] != 0 && !bytes.Equal(e[12:16], []byte{0, 0, 0, 0}) {
			return true
		}
	}
	return false
}
