// Package sim runs unchanged code of graid in a world made of a seed: a virtual timeline on which exactly one task runs at a time and the
// seed chooses which one goes next, and members that are slow, lose power and fail as they are told.
//
// A World is not for use by several goroutines. Whatever runs in it must wait through its Host (a sched.Sched) and nothing else: a
// task that blocked in a sync primitive across a wait would block the world. The same seed makes the same steps, on any number of processors;
// Hash says so. The package knows nothing of what is right: who judges is package fuzz.
package sim
