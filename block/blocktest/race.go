package blocktest

// Race says whether the race detector is on: it allocates, so counts of allocations mean nothing then.
const Race = raceEnabled
