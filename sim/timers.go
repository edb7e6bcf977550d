package sim

import "time"

// timer wakes a task, unless that has been woken otherwise.
type timer struct {
	at     time.Duration
	seq    int64 // those of one moment go in the order they were set
	task   *task
	ticket uint64
}

func (t *timer) before(o *timer) bool {
	return t.at < o.at || t.at == o.at && (t.seq < o.seq || t.seq == o.seq && t.task.id < o.task.id)
}

// timers is a heap, the earliest first.
type timers []timer

func (h *timers) push(t timer) {
	*h = append(*h, t)
	for i := len(*h) - 1; i > 0; {
		up := (i - 1) / 2
		if !(*h)[i].before(&(*h)[up]) {
			return
		}
		(*h)[i], (*h)[up] = (*h)[up], (*h)[i]
		i = up
	}
}

func (h *timers) pop() timer {
	list := *h
	first, last := list[0], len(list)-1
	list[0], list[last] = list[last], timer{}
	list = list[:last]
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < len(list); down++ {
			if list[down].before(&list[least]) {
				least = down
			}
		}
		if least == i {
			break
		}
		list[i], list[least] = list[least], list[i]
		i = least
	}
	*h = list
	return first
}
