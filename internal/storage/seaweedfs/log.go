package seaweedfs

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"kelp/internal/storage"
)

// log is one ownership of a partition.
type log struct {
	s        *Store
	p        *partition
	id       storage.Partition
	epoch    int32
	next     int64       // the owner's goroutine only: end of everything appended, durable or not
	failed   atomic.Bool // an append failed: later ones must
	dropped  atomic.Bool // an append that had its place in a chunk was dropped with it
	closed   atomic.Bool
	advanced func(int64)
}

// Open implements storage.Store.
func (s *Store) Open(ctx context.Context, id storage.Partition, o storage.OpenOptions) (storage.Log, error) {
	s.mu.Lock()
	p := s.parts[id]
	if p == nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("open %s: %w", id, storage.ErrNotFound)
	}
	last, first := int32(-1), p.owner == nil
	if n := len(p.epochs); n > 0 {
		last = p.epochs[n-1].Epoch
	}
	if !first {
		last = max(last, p.owner.epoch)
	}
	if o.Epoch < last {
		s.mu.Unlock()
		return nil, fmt.Errorf("open %s at epoch %d: %w", id, o.Epoch, storage.ErrFenced)
	}
	l := &log{s: s, p: p, id: id, epoch: o.Epoch, advanced: o.Advanced}
	p.owner, p.settings = l, o.Settings
	s.mu.Unlock()
	begins := &op{frame: frame{kind: kindOpen, partition: id, epoch: o.Epoch}, done: make(chan struct{})}
	switch {
	case !first:
		// Appends of the owner before are ahead of this frame in the queue or are refused after it.
		s.submit(begins)
		if err := begins.Wait(ctx); err != nil {
			return nil, err
		}
	case o.Epoch > last:
		// Nobody in this process had it, so the end is known: the epoch is committed ahead of the
		// first append, and thousands of partitions need not wait for it.
		s.submit(begins)
	}
	_, l.next = l.Bounds()
	return l, nil
}

func (l *log) Append(b storage.Batch) storage.Pending {
	o := &op{log: l, done: make(chan struct{}), frame: frame{
		kind: kindBatch, partition: l.id, epoch: l.epoch, base: b.Base, count: b.Count, maxMs: b.MaxTimestampMs, payload: b.Bytes,
	}}
	switch {
	case l.closed.Load():
		o.err = storage.ErrClosed
	case l.failed.Load():
		o.err = fmt.Errorf("partition %s: an earlier append failed: %w", l.id, storage.ErrUnavailable)
	case b.Base < l.next || b.Count <= 0 || len(b.Bytes) > maxPayloadBytes:
		o.err = fmt.Errorf("append %d+%d at %d: %w", b.Base, b.Count, l.next, storage.ErrOutOfRange)
	}
	if o.err != nil {
		close(o.done)
		return o
	}
	l.next = b.Base + int64(b.Count)
	l.s.submit(o)
	return o
}

func (l *log) Bounds() (start, end int64) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	return l.p.start, l.p.end
}

// gone is called under the store's lock.
func (l *log) gone() error {
	if l.s.parts[l.id] != l.p {
		return fmt.Errorf("partition %s: %w", l.id, storage.ErrNotFound)
	}
	return nil
}

func (l *log) FindTime(ctx context.Context, atLeastMs int64) (int64, error) {
	l.s.mu.RLock()
	var late []view
	for _, g := range l.p.segments {
		if g.MaxMs >= atLeastMs && g.Bytes > 0 {
			late = append(late, g.view())
		}
	}
	l.s.mu.RUnlock()
	for _, v := range late {
		refs, err := l.s.refs(ctx, v)
		if err != nil {
			return 0, err
		}
		start, _ := l.Bounds()
		for i := range refs {
			if refs[i].MaxMs >= atLeastMs && refs[i].end() > start {
				return refs[i].Base, nil
			}
		}
	}
	return 0, fmt.Errorf("time %d in %s: %w", atLeastMs, l.id, storage.ErrNotFound)
}

func (l *log) TrimBefore(ctx context.Context, offset int64) error {
	if start, end := l.Bounds(); offset > end {
		return fmt.Errorf("trim %s to %d, end is %d: %w", l.id, offset, end, storage.ErrOutOfRange)
	} else if offset <= start {
		return nil
	}
	return l.s.do(ctx, frame{kind: kindTrim, partition: l.id, base: offset})
}

func (l *log) Shape() storage.Shape {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	sh := storage.Shape{Bytes: l.p.bytes(), Epochs: slices.Clone(l.p.epochs), MaxTimestampMs: -1, MaxTimestampBase: -1}
	for _, g := range l.p.segments {
		if g.Bytes == 0 {
			continue
		}
		if g.MaxMs > sh.MaxTimestampMs {
			sh.MaxTimestampMs, sh.MaxTimestampBase = g.MaxMs, g.MaxBase
		}
		if n := len(sh.Segments); n > 0 {
			sh.Segments[n-1].End = g.Base
		}
		sh.Segments = append(sh.Segments, storage.Segment{
			Base: g.Base, End: g.End, Bytes: g.Bytes, MaxTimestampMs: g.MaxMs, AppendedMs: g.AppendedMs,
		})
	}
	return sh
}

func (l *log) SaveCheckpoint(ctx context.Context, at int64, blob []byte) error {
	return l.s.do(ctx, frame{kind: kindCheckpoint, partition: l.id, base: at, payload: blob})
}

func (l *log) Checkpoint(context.Context) (int64, []byte, error) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	if !l.p.hasCheck || l.p.checkedAt > l.p.end {
		return 0, nil, fmt.Errorf("checkpoint of %s: %w", l.id, storage.ErrNotFound)
	}
	return l.p.checkedAt, l.p.checkpoint, nil
}

func (l *log) Configure(settings storage.Settings) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.p.settings = settings
}

func (l *log) Close() error {
	l.closed.Store(true)
	return nil
}
