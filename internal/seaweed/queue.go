package seaweed

import (
	"context"
	"strconv"
	"time"
)

// queue is a folder with an entry for each who waits for a lock. Who waits counts in its entry; who
// holds the lock looks whether the counts go on, so that no two clocks are compared.
type queue struct {
	c         *Client
	dir, name string

	count int // of this one's entry; 0: it has none
	next  time.Time

	waiting bool // somebody counted on between the last two looks
	seen    map[string]string
}

// show counts on, once in a while. Nothing depends on that each count arrives.
func (q *queue) show(ctx context.Context, every time.Duration) {
	if q.dir == "" || time.Now().Before(q.next) {
		return
	}
	q.count++
	q.next = time.Now().Add(every)
	_ = q.c.Put(ctx, q.dir, Entry{Name: q.name, Content: strconv.AppendInt(nil, int64(q.count), 10)})
}

// leave takes the entry away. One that stays, of a process that was killed, does not count on.
func (q *queue) leave(ctx context.Context) {
	if q.count > 0 {
		_ = q.c.Delete(context.WithoutCancel(ctx), q.dir, q.name)
	}
}

// look sees, once in a while, who counts on, and takes entries away that do not.
func (q *queue) look(ctx context.Context, every time.Duration) {
	if q.dir == "" || time.Now().Before(q.next) {
		return
	}
	q.next = time.Now().Add(every)
	now, still := map[string]string{}, []string(nil)
	err := q.c.List(ctx, q.dir, "", func(e Entry, _ bool) error {
		now[e.Name] = string(e.Content)
		return nil
	})
	if err != nil {
		return
	}
	q.waiting = false
	for name, count := range now {
		before, known := q.seen[name]
		q.waiting = q.waiting || !known || before != count
		if known && before == count {
			still = append(still, name)
		}
	}
	q.seen = now
	for _, name := range still {
		_ = q.c.Delete(ctx, q.dir, name)
	}
}
