package server

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
	"kelp/internal/wire"
)

// answer is one reply on its way out.
type answer struct {
	id    int32
	req   kmsg.Request
	entry *api.Entry
	reply api.Reply
	frame *wire.Buffer // what req aliases
	held  int64        // bytes of the budget, given back once it is answered

	stages  *stages
	arrived time.Time // its last byte was read
	handled time.Time // its ordered part was done
	ready   bool      // worth taking: guarded by the queue's lock
	blocks  bool      // its wait may take long: a writer sends what it has first
}

// queue holds the unanswered requests of a connection in arrival order. While one of them can say
// when it is ready nobody waits for it: a writer is started when the first in line is ready and ends
// when it is not.
type queue struct {
	write func() // starts a writer; called without the lock

	mu      sync.Mutex // guards what follows
	answers []*answer  // from head on
	head    int
	writing bool // a writer is at work
	limit   int
	room    *sync.Cond // of mu: an answer has been taken
	taken   int        // by the writer, and not done with
}

func newQueue(limit int, write func()) *queue {
	q := &queue{limit: limit, write: write}
	q.room = sync.NewCond(&q.mu)
	return q
}

// waitForRoom returns when fewer requests than the limit are unanswered.
func (q *queue) waitForRoom() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.unanswered() >= q.limit {
		q.room.Wait()
	}
}

// waitForNone returns when every request before is answered.
func (q *queue) waitForNone() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.unanswered() > 0 {
		q.room.Wait()
	}
}

func (q *queue) unanswered() int { return len(q.answers) - q.head + q.taken }

// put adds an answer. One that is ready and first in line may be left to the caller, who then
// writes it as the writer: direct.
func (q *queue) put(a *answer, mayWrite bool) (direct bool) {
	a.ready = a.reply.Ready()
	q.mu.Lock()
	if mayWrite && a.ready && !q.writing && q.head == len(q.answers) {
		q.writing, q.taken = true, q.taken+1
		q.mu.Unlock()
		return true
	}
	if q.head > 0 && len(q.answers) == cap(q.answers) { // what was taken makes room
		n := copy(q.answers, q.answers[q.head:])
		clear(q.answers[n:])
		q.answers, q.head = q.answers[:n], 0
	}
	q.answers = append(q.answers, a)
	q.mu.Unlock()
	switch {
	case a.ready:
		q.mark(a)
	case !a.reply.Notify(func() { q.mark(a) }):
		a.blocks = true
		q.mark(a)
	}
	return false
}

// mark notes that an answer is ready and starts a writer where that lets one work.
func (q *queue) mark(a *answer) {
	q.mu.Lock()
	a.ready = true
	start := q.mayStart()
	q.mu.Unlock()
	if start {
		q.write()
	}
}

// mayStart takes the writer's turn when there is none and the first in line is ready. q.mu is held.
func (q *queue) mayStart() bool {
	if q.writing || q.head == len(q.answers) || !q.answers[q.head].ready {
		return false
	}
	q.writing = true
	return true
}

// done says that an answer that was taken is done with.
func (q *queue) done() {
	q.mu.Lock()
	q.taken--
	q.room.Signal()
	q.mu.Unlock()
}

// next gives the writer the first in line, or ends the writer's turn when that is not ready.
func (q *queue) next() *answer {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == len(q.answers) || !q.answers[q.head].ready {
		q.writing = false
		q.room.Signal()
		return nil
	}
	a := q.answers[q.head]
	q.answers[q.head] = nil
	if q.head++; q.head == len(q.answers) {
		q.answers, q.head = q.answers[:0], 0
	}
	q.taken++
	return a
}

// more reports that next would give an answer.
func (q *queue) more() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.head < len(q.answers) && q.answers[q.head].ready
}

// finish makes every answer worth taking and returns when all are done with. Nothing is put any more.
func (q *queue) finish() {
	q.mu.Lock()
	for _, a := range q.answers[q.head:] {
		a.ready, a.blocks = true, true
	}
	start := q.mayStart()
	q.mu.Unlock()
	if start {
		q.write()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.writing || q.unanswered() > 0 {
		q.room.Wait()
	}
}
