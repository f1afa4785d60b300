// Package transfer copies everything that one store keeps to another, offset by offset: since all that is durable is a
// partition log, topics, configs, committed offsets, transactions and schemas go with their partitions. Its main function
// is [Copy]; [Verify] reads both stores again and compares.
//
// Invariants: the source is read only. A batch keeps its bytes, its offsets and its leader epoch. A copy that was cut short
// is marked in the destination, so that nobody serves it ([Unfinished]), and goes on where it ended when it is run again.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"kelp/internal/storage"
)

// Limits of a copy.
const (
	partitionsAtOnce = 8       // partitions that are copied or read together
	readBytes        = 2 << 20 // of one read
	spansInFlight    = 4       // reads of one partition whose batches are not durable yet
	maxEpochs        = 1 << 20 // that are tried to find the newest one of a partition
)

// The errors of a copy.
var (
	ErrNotEmpty = errors.New("the destination is not empty")
	ErrOther    = errors.New("the destination holds an unfinished copy of another store")
	ErrEmpty    = errors.New("the source holds nothing")
	ErrDiffers  = errors.New("the copy differs from its source")
)

// Phase is a part of the work.
type Phase string

// The phases, in order.
const (
	Copying   Phase = "copying"
	Verifying Phase = "verifying"
)

// Progress is how far a phase is.
type Progress struct {
	Phase                    Phase
	Bytes, OfBytes           int64
	Partitions, OfPartitions int
}

// Totals is what was copied or compared.
type Totals struct {
	Partitions              int
	Batches, Records, Bytes int64
}

// tracker adds up what goroutines do and tells of it.
type tracker struct {
	tell func(Progress)

	mu sync.Mutex // guards p; held while it is told, so that what is told only grows
	p  Progress
}

func (t *tracker) add(bytes int64, partitions int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Bytes, t.p.Partitions = t.p.Bytes+bytes, t.p.Partitions+partitions
	if t.tell != nil {
		t.tell(t.p)
	}
}

// Copy copies all partitions of a store to one that is empty, or that holds the unfinished copy of the same source. source
// says in words what it is. tell is called often, by one goroutine at a time, and may be nil. The destination stays marked
// as unfinished: [Verify] it, then [Finish].
func Copy(ctx context.Context, from, to storage.Store, source string, tell func(Progress)) error {
	ids, err := partitions(ctx, from)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return ErrEmpty
	}
	if err := begin(ctx, to, source); err != nil {
		return err
	}
	sources, total, err := openAll(ctx, from, ids)
	if err != nil {
		return err
	}
	t := &tracker{tell: tell, p: Progress{Phase: Copying, OfBytes: total, OfPartitions: len(ids)}}
	t.add(0, 0)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partitionsAtOnce)
	for i, id := range ids {
		g.Go(func() error {
			c := copier{id: id, from: sources[i], store: to, tell: t}
			if err := c.run(ctx); err != nil {
				return fmt.Errorf("copy partition %s: %w", id, err)
			}
			t.add(0, 1)
			return nil
		})
	}
	err = g.Wait()
	for _, l := range sources {
		err = errors.Join(err, l.Close())
	}
	return err
}

// partitions lists what a store holds, the marker aside.
func partitions(ctx context.Context, s storage.Store) ([]storage.Partition, error) {
	var all []storage.Partition
	for id, err := range s.Partitions(ctx) {
		if err != nil {
			return nil, err
		}
		if id != marker {
			all = append(all, id)
		}
	}
	slices.SortFunc(all, func(a, b storage.Partition) int {
		if c := slices.Compare(a.Topic[:], b.Topic[:]); c != 0 {
			return c
		}
		return int(a.Index) - int(b.Index)
	})
	return all, nil
}

// openAll opens partitions as they are and sums their bytes.
func openAll(ctx context.Context, s storage.Store, ids []storage.Partition) (logs []storage.Log, bytes int64, err error) {
	for _, id := range ids {
		l, err := openNewest(ctx, s, id)
		if err != nil {
			return nil, 0, fmt.Errorf("open partition %s: %w", id, err)
		}
		logs = append(logs, l)
		bytes += l.Shape().Bytes
	}
	return logs, bytes, nil
}

// openNewest opens a partition at its newest epoch, which adds nothing to its history. A store does not tell epochs before
// it is opened, but it refuses older ones.
func openNewest(ctx context.Context, s storage.Store, id storage.Partition) (storage.Log, error) {
	for epoch := range int32(maxEpochs) {
		l, err := s.Open(ctx, id, storage.OpenOptions{Epoch: epoch})
		if !errors.Is(err, storage.ErrFenced) {
			return l, err
		}
	}
	return nil, fmt.Errorf("more than %d epochs: %w", maxEpochs, storage.ErrFenced)
}
