// Package raid runs arrays: the engine that carries out the plans of the levels over member devices.
//
// An Array is a block.Device. Create writes superblocks onto members, Assemble opens an array from members that have them. The
// on-disk format is Linux md's (package raid/md); the levels are pure (raid/level5 and its neighbours, by way of raid/plan);
// this package is the only one that knows both levels and devices. It owns locking, fan-out, buffers, errors, degradation,
// the clean and dirty marks, and the background work: resync, recovery, check and repair.
//
// Members come and go while an Array runs: Fail, Remove, Add. A spare takes over a role that has lost its member by itself; superblocks say so
// before its data is written, and how far it is filled as of the last flush, so that a stop, a crash or Linux may come in at any moment and
// go on from there. Wait returns when nothing is left to do in the background, Status says what is being done and how fast.
//
// Three rules carry the safety of it:
//
//   - Nobody believes the dead. A write that missed a member is acknowledged only after the other members' superblocks durably say
//     that this member is faulty.
//   - The rows are ours. Whoever changes the relation between members holds its rows from before the first read until after the
//     last write, and looks at the View again once it holds them.
//   - A failed request is planned again, not patched.
//
// Time, tasks and waiting go through package sched, so the same code runs on a simulated timeline.
package raid
