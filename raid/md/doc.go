// Package md is the on-disk format of Linux md: superblocks 0.90, 1.0, 1.1 and 1.2, the write-intent bitmap, the bad block log, the
// partial parity log, what mdadm chooses when it creates an array, and Decide, which judges what a set of members adds up to.
//
// It knows bytes and events counters. It does not know how a level maps an address to a member, and it starts nothing: the
// engine acts on what it says. It is the only package that counts in sectors; a name that says nothing of its unit is in sectors
// here, as on disk, and a name in Spec, NewMember, BadBlock or Examined that counts bytes says so.
package md
