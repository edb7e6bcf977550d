// Package multipath makes one block.Device of several ways to the same medium, and keeps the promises of a Device while ways fail.
//
// A map is made by New from Paths: devices of this machine, or ways to open a session with a target over a network. The first path that opens
// says what the medium is like. The others are used once they were found to lead to the same one: the same size, whatever Options.Verify wants to
// see (a UUID), and the same content, by a nonce written through one path and read through the other where Options.Reserve gives it a place, by
// samples otherwise. That is looked at again whenever a path comes back.
//
// # Which path
//
// Paths form groups, by name or by priority. I/O goes to the group with the highest average priority of usable paths, and within it to the path that
// the Selector chooses. A group is left when no path of it can be used; Options.Failback says when I/O returns. Several groups in use order are
// active-standby; one group of several paths is active-active. Alternate devices with copies of the data are not paths: that is a mirror (package
// raid), and they are refused here.
//
// Options.Selector is one of
//
//	round-robin   the next one
//	weighted      the next one, by Path.Weight
//	least-queue   the fewest requests under way
//	least-bytes   the fewest bytes under way, by Path.Weight (dm-multipath's service-time; the default)
//	ewma          the one that will be done first, by how long it took lately (historical-service-time)
//	p2c           the better of two by that measure
//	failover      the first
//
// # When a path fails
//
// An error of the way, or no answer within Options.IOTimeout, fails the path (State has the whole life of it). The request goes on another: the caller
// notices nothing but the time. A request that waits for Options.Suspect makes its path suspect: it gets no new ones while there is another. Reads that
// take unusually long are sent on a second path, within a budget, and what answers first counts. A path that fails twice within Options.FlapWindow is
// held down, twice as long each time, unless it is the only one.
//
// What the target itself refuses is no path's fault and passed up. An unreadable block may be either's: another path is asked, of another host if
// there is one. If that says the same it is the medium's, and no path is the worse for it; if not, the first path has an error to its account, and three
// of those make it marginal: used when there is nothing better.
//
// With no path at all, requests wait for Options.NoPath, counted from when the last was lost; FailQueued, a context and Close end that at any time.
//
// # No stale write
//
// A write on a path that hangs may land at any later time, on top of a newer one. So the map sends no two writes to one place at once, and what was
// sent on a failed path stays in charge of its place until it is certain that it will not land any more. Options.Stale says how that is made certain:
//
//	fence        the session is ended at the target through another path (Fencer), or has timed out there (Leaser); then it is sent again.
//	             Where neither is possible: quarantine
//	quarantine   it is sent again at once, the same bytes, which does no harm; later writes to the same place wait until the old one
//	             was answered after all, its target has begun anew (Instancer), or Options.Quarantine is over
//	hook         Options.Hook proves that the target is dead (STONITH); if it cannot: quarantine
//	trust        nothing: this loses data, as dm-multipath does
//
// # No lost write
//
// Acknowledged writes that were not flushed are kept (Options.Unflushed bytes at most; then the map flushes by itself). When the target that
// acknowledged them is gone, or another instance of it answers, they are sent again before anything else. A flush goes to every target that holds
// something. If one of them cannot be sent again the next flush says so. Where a target has several instances that say who they are, one is used at a
// time: another does not see what the first has not flushed.
//
// # Looking at it
//
// Status is the map as it is, at once, whatever paths do. History is the latest events, each with its reason, and Options.OnEvent hears of them as they
// happen. Explain says in words why I/O goes where it goes.
//
// Time, tasks and waiting go through package sched: the tests judge thousands of worlds of failing links and servers on virtual time.
package multipath
