package embedded

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
	p        *state
	id       storage.Partition
	epoch    int32
	next     int64 // the owner's goroutine only: end of everything appended, durable or not
	failed   atomic.Bool
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
	if n := len(p.epochs); n > 0 && o.Epoch < p.epochs[n-1].Epoch {
		s.mu.Unlock()
		return nil, fmt.Errorf("open %s at epoch %d: %w", id, o.Epoch, storage.ErrFenced)
	}
	l := &log{s: s, p: p, id: id, epoch: o.Epoch, advanced: o.Advanced}
	p.owner = l
	s.mu.Unlock()
	// Appends of the owner before are ahead of this frame in the queue or are refused after it.
	if err := s.do(ctx, frame{kind: kindOpen, partition: id, epoch: o.Epoch}); err != nil {
		return nil, err
	}
	_, l.next = l.Bounds()
	return l, nil
}

func (l *log) Append(b storage.Batch) storage.Pending {
	o := &op{log: l, frame: frame{
		kind: kindBatch, partition: l.id, epoch: l.epoch, base: b.Base, count: b.Count, maxMs: b.MaxTimestampMs, payload: b.Bytes,
	}}
	switch {
	case l.closed.Load():
		o.err = storage.ErrClosed
	case l.failed.Load():
		o.err = storage.ErrUnavailable
	case b.Base < l.next || b.Count <= 0 || len(b.Bytes) > maxFrameBytes-frameBytes:
		o.err = fmt.Errorf("append %d+%d at %d: %w", b.Base, b.Count, l.next, storage.ErrOutOfRange)
	}
	if o.err != nil {
		o.done = make(chan struct{})
		close(o.done)
		return o
	}
	l.next = b.Base + int64(b.Count)
	l.s.submit(o)
	return pending{o, l}
}

// pending marks the log failed when its append failed, so that the order never has a hole.
type pending struct {
	*op
	l *log
}

func (p pending) Wait(ctx context.Context) error {
	err := p.op.Wait(ctx)
	if err != nil && ctx.Err() == nil {
		p.l.failed.Store(true)
	}
	return err
}

func (l *log) Bounds() (start, end int64) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	return l.p.start, l.p.end
}

// at is the index of the first entry that ends after offset.
func (p *state) at(offset int64) int {
	i, _ := slices.BinarySearchFunc(p.entries, offset, func(e entry, o int64) int {
		if e.end() <= o {
			return -1
		}
		return 1
	})
	return i
}

func (l *log) gone() error {
	if l.s.parts[l.id] != l.p {
		return fmt.Errorf("partition %s: %w", l.id, storage.ErrNotFound)
	}
	return nil
}

func (l *log) Read(_ context.Context, r storage.ReadRange) (storage.Span, error) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	if err := l.gone(); err != nil {
		return nil, err
	}
	if r.From < l.p.start || r.From > l.p.end {
		return nil, fmt.Errorf("read %s at %d, have %d to %d: %w", l.id, r.From, l.p.start, l.p.end, storage.ErrOutOfRange)
	}
	s := &span{}
	for _, e := range l.p.entries[l.p.at(r.From):] {
		first := len(s.parts) == 0
		if r.Before > 0 && e.base >= r.Before || s.n+int(e.size) > r.MaxBytes && (!first || !r.AtLeastOne) {
			break
		}
		e.file.pins.Add(1)
		s.parts = append(s.parts, e)
		s.n += int(e.size)
	}
	if s.n <= smallRead {
		return s.load()
	}
	return s, nil
}

func (l *log) FindTime(_ context.Context, atLeastMs int64) (int64, error) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	for i := range l.p.entries {
		if l.p.entries[i].maxMs >= atLeastMs {
			return l.p.entries[i].base, nil
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
	sh := storage.Shape{Bytes: l.p.bytes, Epochs: slices.Clone(l.p.epochs), MaxTimestampMs: -1, MaxTimestampBase: -1}
	for _, e := range l.p.entries {
		if e.maxMs > sh.MaxTimestampMs {
			sh.MaxTimestampMs, sh.MaxTimestampBase = e.maxMs, e.base
		}
		n := len(sh.Segments)
		if n == 0 || sh.Segments[n-1].Bytes >= l.s.o.FileBytes {
			sh.Segments = append(sh.Segments, storage.Segment{Base: e.base, MaxTimestampMs: -1})
			n++
		}
		g := &sh.Segments[n-1]
		g.End, g.Bytes, g.MaxTimestampMs = e.end(), g.Bytes+int64(e.size), max(g.MaxTimestampMs, e.maxMs)
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

func (l *log) Configure(storage.Settings) {}

func (l *log) Close() error {
	l.closed.Store(true)
	return nil
}
