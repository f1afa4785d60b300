package topic

import (
	"context"
	"fmt"
	"sync"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// Set opens partitions when they are first asked for and holds them.
type Set struct {
	store   storage.Store
	options func(storage.Partition) Options

	mu   sync.Mutex // guards open; never held while one is opened
	open map[storage.Partition]*opening
}

type opening struct {
	done chan struct{}
	p    *Partition
	err  error
}

// NewSet makes an empty set; options are asked for each partition that is opened.
func NewSet(store storage.Store, options func(storage.Partition) Options) *Set {
	return &Set{store: store, options: options, open: map[storage.Partition]*opening{}}
}

// Get gives a partition, opened once however many ask. A failed opening is tried again next time.
func (s *Set) Get(ctx context.Context, id storage.Partition) (*Partition, error) {
	s.mu.Lock()
	o := s.open[id]
	if o == nil {
		o = &opening{done: make(chan struct{})}
		s.open[id] = o
		s.mu.Unlock()
		o.p, o.err = Open(context.WithoutCancel(ctx), s.store, id, s.options(id))
		if o.err != nil {
			s.mu.Lock()
			delete(s.open, id)
			s.mu.Unlock()
		}
		close(o.done)
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
	h, err := batch.ReadHeader(b.Bytes)
	if err == nil {
		h.BaseOffset = b.Base
		err = o.p.note(h, b.Bytes)
	}
	if err != nil { // the machine built it: a wrong one is a broken invariant
		panic(fmt.Sprintf("topic: a state machine appends a batch that does not parse: %v", err))
	}
	return o.Log.Append(b)
}
