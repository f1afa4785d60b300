package api

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// Validator judges batches by the schemas that their records name.
type Validator interface {
	// Inspect gives what judges one batch of a topic that has validation.
	Inspect(cluster.Topic) topic.Inspection
	// Forget is told of a deleted topic.
	Forget(cluster.Topic)
}

// lanes keep the batches of a connection for a partition in order while the first of them waits for
// its schemas: those that come later wait behind it. How many wait is bounded by the requests in
// flight of a connection, their bytes by the budget of requests.
type lanes struct {
	waiting atomic.Int64 // batches in all lanes; without any, nothing is looked at

	mu  sync.Mutex // guards all
	all map[lane][]*deferred
}

// lane names the batches that must not overtake each other.
type lane struct {
	connection uint64
	partition  storage.Partition
}

func laneOf(r *Request, t cluster.Topic, index int32) lane {
	return lane{r.ConnID, partitionOf(t, index)}
}

// deferred is a batch in a lane.
type deferred struct {
	attempt

	decided  chan struct{} // closed once what follows is set
	appended topic.Appended
	err      error
}

func (l *lanes) init(r prometheus.Registerer) {
	l.all = map[lane][]*deferred{}
	if r != nil {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "kelp", Subsystem: "schema_validation", Name: "waiting_batches",
			Help: "Batches that wait for the schema registry, or behind one that does.",
		}, func() float64 { return float64(l.waiting.Load()) }))
	}
}

// produce brings a batch into its partition, at once if it can be judged and nothing waits before it.
func (l *lanes) produce(at lane, a attempt, h *records) (topic.Appended, *deferred, error) {
	if l.waiting.Load() > 0 {
		if d := l.behind(at, a); d != nil {
			return topic.Appended{}, d, nil
		}
	}
	appended, err := a.try()
	undecided, ok := errors.AsType[*topic.Undecided](err)
	if !ok {
		return appended, nil, err
	}
	d := &deferred{attempt: a, decided: make(chan struct{})}
	l.mu.Lock()
	l.all[at] = []*deferred{d} // its connection's goroutine alone puts batches here, and there was none
	l.waiting.Add(1)
	l.mu.Unlock()
	go l.run(at, undecided, h) // ends by itself: every wait for a schema is bounded
	return topic.Appended{}, d, nil
}

// behind puts a batch into its lane if that has any.
func (l *lanes) behind(at lane, a attempt) *deferred {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all[at]) == 0 {
		return nil
	}
	d := &deferred{attempt: a, decided: make(chan struct{})}
	l.all[at] = append(l.all[at], d)
	l.waiting.Add(1)
	return d
}

// run empties a lane. The batch that is tried stays in it until it has its place.
func (l *lanes) run(at lane, undecided *topic.Undecided, h *records) {
	for {
		l.mu.Lock()
		d := l.all[at][0]
		l.mu.Unlock()
		d.settle(undecided, h)
		undecided = nil
		l.mu.Lock()
		rest := l.all[at][1:]
		if l.all[at] = rest; len(rest) == 0 {
			delete(l.all, at)
		}
		l.waiting.Add(-1)
		l.mu.Unlock()
		close(d.decided)
		if len(rest) == 0 {
			return
		}
	}
}

// settle tries a batch until it is in or refused.
func (d *deferred) settle(undecided *topic.Undecided, h *records) {
	for {
		if undecided != nil {
			undecided.Wait()
		}
		d.appended, d.err = d.try()
		var again bool
		if undecided, again = errors.AsType[*topic.Undecided](d.err); !again {
			break
		}
	}
	h.produced(d.topic.Name, d.topic.ID, d.records, d.err == nil)
	if d.appended.Verify != nil {
		var ask verifications
		ask.add(d.topic.Name, d.index, d.appended.Verify)
		ask.send(h.verifier, d.req)
	}
}
