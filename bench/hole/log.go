package main

import (
	"errors"
	"sync"

	"graid/block"
)

// write is what a user wants at an offset, bytes.
type write struct {
	off int64
	buf []byte
}

// whole says whether nothing in the rows that w touches keeps its value: such rows hold nothing that a torn write could take along.
func (w write) whole() bool { return w.off%stripe == 0 && len(w.buf)%stripe == 0 }

const header = 4096 // bytes in front of what one batch puts into one member's log: which rows, which roles change, checksums

// log is the logs of all members. It is written to by one task at a time.
type log struct {
	r    *rig
	at   [roles]int64
	bufs [roles][]byte
}

func newLog(r *rig) *log {
	l := &log{r: r}
	for i := range l.bufs {
		l.bufs[i] = block.Alloc(logSize)[:header]
	}
	return l
}

// append makes the partial sums of a batch durable. For each row that a write touches, what P and Q would be of the data that stay, 0 in place of those
// that change, goes to the member that has the row's P, and the row's Q. Here the new data stand in for the sums, which are as long and as dear to copy.
func (l *log) append(batch []write) error {
	for i := range l.bufs {
		l.bufs[i] = l.bufs[i][:header]
	}
	for _, w := range batch {
		for off, buf := w.off, w.buf; len(buf) > 0; {
			n := min(stripe-off%stripe, int64(len(buf)))
			if n < stripe {
				p := roles - 1 - int(off/stripe)%roles
				rows := buf[:min(n, chunk)]
				l.bufs[p] = append(l.bufs[p], rows...)
				q := (p + 1) % roles
				l.bufs[q] = append(l.bufs[q], rows...)
			}
			off, buf = off+n, buf[n:]
		}
	}
	for i, b := range l.bufs {
		if l.at[i]+int64(len(b)) > logSize {
			// What is overwritten is needed until the writes that it is about are durable.
			if err := l.r.Do(ctx, block.Request{Op: block.Flush}); err != nil {
				return err
			}
			l.at = [roles]int64{}
			break
		}
	}
	var all sync.WaitGroup
	var errs [roles]error
	for i, b := range l.bufs {
		if len(b) == header {
			continue
		}
		do := func() {
			errs[i] = l.r.logs[i].Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Off: l.at[i], Len: int64(len(b)), Buf: b})
			l.at[i] += int64(len(b))
		}
		if l.r.logs[i].Info().Inline && l.r.dir == "" {
			do()
		} else {
			all.Go(do)
		}
	}
	all.Wait()
	return errors.Join(errs[:]...)
}
