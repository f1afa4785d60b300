package statelog

import (
	"container/heap"
	"time"
)

// timers are the alarms that a machine asked for: the earliest is at hand, and setting or cancelling
// one of many costs the logarithm of their number. Its zero value is empty.
type timers struct {
	byKey map[string]*alarm
	queue alarms
}

type alarm struct {
	key string
	at  time.Time
	pos int // in the queue
}

// set adds a timer or moves it; a zero time cancels it.
func (t *timers) set(to Timer) {
	a := t.byKey[to.Key]
	switch {
	case a == nil && to.At.IsZero():
	case a == nil:
		if t.byKey == nil {
			t.byKey = map[string]*alarm{}
		}
		a = &alarm{key: to.Key, at: to.At}
		t.byKey[to.Key] = a
		heap.Push(&t.queue, a)
	case to.At.IsZero():
		heap.Remove(&t.queue, a.pos)
		delete(t.byKey, to.Key)
	default:
		a.at = to.At
		heap.Fix(&t.queue, a.pos)
	}
}

// earliest is when the next one is due.
func (t *timers) earliest() (at time.Time, exists bool) {
	if len(t.queue) == 0 {
		return time.Time{}, false
	}
	return t.queue[0].at, true
}

// due takes out one that is due by now.
func (t *timers) due(now time.Time) (key string, due bool) {
	if len(t.queue) == 0 || t.queue[0].at.After(now) {
		return "", false
	}
	a := heap.Pop(&t.queue).(*alarm)
	delete(t.byKey, a.key)
	return a.key, true
}

// alarms is a heap by time.
type alarms []*alarm

func (q alarms) Len() int           { return len(q) }
func (q alarms) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q alarms) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].pos, q[j].pos = i, j
}

func (q *alarms) Push(x any) {
	a := x.(*alarm)
	a.pos = len(*q)
	*q = append(*q, a)
}

func (q *alarms) Pop() any {
	old := *q
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return a
}
