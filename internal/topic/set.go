package topic

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// Set opens partitions when they are first asked for and holds them.
type Set struct {
	store  storage.Store
	given  func(storage.Partition) Options
	limits limiter

	mu   sync.Mutex // guards open; never held while one is opened
	open map[storage.Partition]*opening
}

type opening struct {
	id   storage.Partition
	done chan struct{}
	p    *Partition
	err  error
	// again is when a failed opening may be tried again: replaying a damaged partition is not cheap.
	again time.Time
	// revived is when reopening a failed log was last tried; Upkeep's own.
	revived time.Time
}

// lost reports a failed opening that is due for another try.
func (o *opening) lost(now time.Time) bool {
	select {
	case <-o.done:
		return o.err != nil && !now.Before(o.again)
	default:
		return false
	}
}

// NewSet makes an empty set; options are asked for each partition that is opened.
func NewSet(store storage.Store, options func(storage.Partition) Options) *Set {
	s := &Set{store: store, given: options, open: map[storage.Partition]*opening{}}
	s.Limit(Limits{})
	return s
}

func (s *Set) options(id storage.Partition) Options {
	o := s.given(id)
	o.limits = &s.limits
	return o
}

// Get gives a partition, opened once however many ask. A failed opening is tried again after a while.
func (s *Set) Get(ctx context.Context, id storage.Partition) (*Partition, error) {
	s.mu.Lock()
	o := s.open[id]
	if o == nil || o.err != nil && o.lost(s.options(id).Now()) {
		o = &opening{id: id, done: make(chan struct{})}
		s.open[id] = o
		s.mu.Unlock()
		s.fill(ctx, o)
		return o.p, o.err
	}
	s.mu.Unlock()
	select {
	case <-o.done:
		return o.p, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Set) fill(ctx context.Context, o *opening) {
	options := s.options(o.id)
	p, err := Open(context.WithoutCancel(ctx), s.store, o.id, options)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.p, o.err, o.again = p, err, options.Now().Add(reopenAfter)
	close(o.done)
}

// Drop forgets a partition and deletes its bytes.
func (s *Set) Drop(ctx context.Context, id storage.Partition) error {
	s.mu.Lock()
	delete(s.open, id)
	s.mu.Unlock()
	return s.store.Delete(ctx, id)
}

// Own opens a partition anew, whoever had it before, for the state machine that alone writes to it.
// Everybody else reads it as any partition.
func (s *Set) Own(ctx context.Context, id storage.Partition) (storage.Log, error) {
	s.mu.Lock()
	delete(s.open, id)
	s.mu.Unlock()
	p, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return owned{p.log, p}, nil
}

// owned is the log of a state partition: what is appended passes the partition's books.
type owned struct {
	storage.Log
	p *Partition
}

func (o owned) Append(b storage.Batch) storage.Pending {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.p.next = b.Base + int64(b.Count)
	batch.SetLeaderEpoch(b.Bytes, o.p.o.Epoch)
	h, err := batch.ReadHeader(b.Bytes)
	if err == nil {
		h.BaseOffset = b.Base
		err = o.p.note(h, b.Bytes)
	}
	if err != nil { // the machine built it: a wrong one is a broken invariant
		panic(fmt.Sprintf("topic: a state machine appends a batch that does not parse: %v", err))
	}
	pending := o.Log.Append(b)
	o.p.track(b.Base, false, pending, len(b.Bytes))
	return pending
}
