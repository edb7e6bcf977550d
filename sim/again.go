package sim

// Again takes the world back to its beginning, with a seed of its own: time 0, no step made, no task left of what ran before. What is kept is
// memory: whoever runs a great many short worlds needs no new one for each. No task of w may be the caller.
func (w *World) Again(seed uint64) {
	for len(w.tasks) > 0 {
		w.kill(w.tasks[0])
	}
	w.seed, w.now, w.steps, w.born, w.failure = seed, 0, 0, 0, nil
	w.ready, w.timers, w.cuts = w.ready[:0], w.timers[:0], nil
	w.trace.sum, w.trace.n = offset64, 0
	w.pick = w.Rand("world", "next task")
}
