package topic

import (
	"context"
	"errors"
	"sync"
	"time"

	"kelp/internal/storage"
)

// Limits of the work on many partitions at a time.
const (
	openWorkers = 64 // partitions opened or checkpointed at once: they share the store's group commits
	reopenAfter = time.Second
)

// tend drops what is only needed until it is durable, brings the log up to date with the configs and
// says what else is to be done.
func (p *Partition) tend() (failed, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed() {
		return true, false
	}
	p.untrack()
	if c := p.o.Config(); c != nil && settingsOf(c) != p.settings {
		p.settings = settingsOf(c)
		p.log.Configure(p.settings)
	}
	return false, p.checkpointDue()
}

// Upkeep is called every second or so, by one at a time. It reopens partitions whose log has failed,
// once storage works again, and saves the checkpoints that are due.
func (s *Set) Upkeep(ctx context.Context) error {
	var failed, due []*opening
	all := s.opened()
	s.keepLimits(all)
	for _, o := range all {
		switch bad, behind := o.p.tend(); {
		case bad:
			failed = append(failed, o)
		case behind:
			due = append(due, o)
		}
	}
	return errors.Join(
		each(failed, func(o *opening) error { return s.revive(ctx, o) }),
		each(due, func(o *opening) error { return o.p.Checkpoint(ctx, false) }),
	)
}

// Close saves a checkpoint of every partition that was appended to, so that the next start need not
// replay. Nothing must be appended any more.
func (s *Set) Close(ctx context.Context) error {
	return each(s.opened(), func(o *opening) error { return o.p.Checkpoint(ctx, true) })
}

func (s *Set) opened() []*opening {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*opening, 0, len(s.open))
	for _, o := range s.open {
		select {
		case <-o.done:
			if o.err == nil {
				all = append(all, o)
			}
		default:
		}
	}
	return all
}

// Warm opens partitions ahead of their first use, many at a time.
func (s *Set) Warm(ctx context.Context, ids []storage.Partition) {
	work := make(chan storage.Partition)
	var wg sync.WaitGroup
	for range min(openWorkers, len(ids)) {
		wg.Go(func() {
			for id := range work {
				_, _ = s.Get(ctx, id) // whoever asks for it gets the error
			}
		})
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		work <- id
	}
	close(work)
	wg.Wait()
}

// each runs do for partitions, many at a time, and gives the first error: the others say the same of
// other partitions.
func each(all []*opening, do func(*opening) error) error {
	work := make(chan *opening)
	errs := make(chan error, len(all))
	var wg sync.WaitGroup
	for range min(openWorkers, len(all)) {
		wg.Go(func() {
			for o := range work {
				if err := do(o); err != nil && !gone(err) {
					errs <- err
				}
			}
		})
	}
	for _, o := range all {
		work <- o
	}
	close(work)
	wg.Wait()
	close(errs)
	return <-errs
}

// gone reports that somebody else has the partition or that it is no more.
func gone(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrFenced) || errors.Is(err, storage.ErrClosed)
}

// revive opens a partition anew whose log has failed. The old one goes on serving reads until then.
// The log of a state partition is reopened by the machine that owns it.
func (s *Set) revive(ctx context.Context, o *opening) error {
	now := o.p.o.Now()
	if o.p.o.State || now.Sub(o.revived) < reopenAfter {
		return nil
	}
	o.revived = now
	p, err := takeOver(ctx, s.store, o.id, s.options(o.id))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[o.id] == o {
		s.open[o.id] = &opening{id: o.id, done: o.done, p: p}
		o.p.watchers.wake()
		p.o.note("a partition whose log had failed is open again", "partition", o.id.String(), "end", p.HighWatermark())
	}
	return nil
}
