// Package oracle asks a real Linux kernel whether graid is right. Its tests boot the machine's own kernel in a software-emulated
// guest and compare in three directions: arrays that mdadm and the kernel made are read by graid; arrays that graid made are
// assembled, read, resynced and checked by the kernel (members that one of them began to fill the other fills, and by the bits that one left set in a
// write-intent bitmap the other resyncs); and the kernel's NBD client puts a file system on an array that graid serves.
//
// What a test expects comes from the pattern it wrote and from what the kernel read, never from graid.
//
// Everything is in the test files; the package has nothing to import. It needs no privileges. ORACLE_FULL=1 runs the whole product of
// levels, layouts, chunks, metadata versions and disk counts instead of a selection that covers each of them;
// ORACLE_ONLY='raid5|stale' runs those arrays whose names match.
package oracle
