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
	st       *state
	epoch    int32
	next     int64 // the owner's goroutine only: end of everything appended, durable or not
	failed   atomic.Bool
	closed   atomic.Bool
	vital    bool
	advanced func(int64)
}

// Open implements storage.Store. It waits for nothing unless an earlier owner's appends are under way.
// While nothing can be written, a log that has an owner is not opened again, so that who lost an append
// does not try at once; the first owner gets it, to read.
func (s *Store) Open(ctx context.Context, id storage.Partition, o storage.OpenOptions) (storage.Log, error) {
	st := s.state(id)
	if st == nil {
		return nil, fmt.Errorf("open %s: %w", id, storage.ErrNotFound)
	}
	failed := s.refusing(o.Vital)
	st.mu.Lock()
	if failed != nil && st.owner != nil {
		st.mu.Unlock()
		return nil, fmt.Errorf("open %s: %w", id, failed)
	}
	if n := len(st.epochs); n > 0 && o.Epoch < st.epochs[n-1].Epoch || st.owner != nil && st.owner.epoch > o.Epoch {
		st.mu.Unlock()
		return nil, fmt.Errorf("open %s at epoch %d: %w", id, o.Epoch, storage.ErrFenced)
	}
	l := &log{s: s, st: st, epoch: o.Epoch, vital: o.Vital, advanced: o.Advanced}
	n := len(st.epochs)
	known := n > 0 && st.epochs[n-1].Epoch == o.Epoch
	st.owner, st.settings = l, o.Settings
	quiet := st.inflight == 0
	if quiet {
		st.began(o.Epoch)
	}
	st.mu.Unlock()
	if !known || !quiet {
		// Appends of the owner before are ahead of it in the queue or are refused after it.
		opened := s.submit(&op{st: st, item: item{kind: kindOpen, id: id, epoch: o.Epoch}})
		if !quiet {
			if err := opened.Wait(ctx); err != nil {
				return nil, fmt.Errorf("open %s: %w", id, err)
			}
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.reopen()
	l.next = st.end
	return l, nil
}

func (l *log) Append(b storage.Batch) storage.Pending {
	o := &op{log: l, st: l.st, payload: b.Bytes, item: item{
		kind: kindBatch, id: l.st.id, epoch: l.epoch, base: b.Base, count: b.Count, maxMs: b.MaxTimestampMs, prev: l.next,
	}}
	if err := l.admit(&b); err != nil {
		o.err, o.done = err, make(chan struct{})
		o.notify.Store(&finished)
		close(o.done)
		return o
	}
	o.item.crc, o.item.size = checksumOf(&b), uint32(len(b.Bytes))
	l.next = o.item.end()
	return l.s.submit(o)
}

// admit counts the append as under way, or says why it cannot be.
func (l *log) admit(b *storage.Batch) error {
	l.st.mu.Lock()
	defer l.st.mu.Unlock()
	switch {
	case l.closed.Load():
		return storage.ErrClosed
	case l.st.gone:
		return fmt.Errorf("partition %s: %w", l.st.id, storage.ErrNotFound)
	case l.st.owner != l:
		return fmt.Errorf("partition %s: %w", l.st.id, storage.ErrFenced)
	case l.failed.Load():
		return fmt.Errorf("partition %s: %w: an earlier append failed", l.st.id, storage.ErrUnavailable)
	case b.Base < l.next || b.Count <= 0 || len(b.Bytes) > maxPayloadBytes:
		return fmt.Errorf("append %d+%d at %d: %w", b.Base, b.Count, l.next, storage.ErrOutOfRange)
	}
	l.st.inflight++
	return nil
}

func (l *log) Bounds() (start, end int64) {
	l.st.mu.RLock()
	defer l.st.mu.RUnlock()
	return l.st.start, l.st.end
}

func (l *log) TrimBefore(ctx context.Context, offset int64) error {
	l.st.mu.RLock()
	start, end, gone, owner := l.st.start, l.st.end, l.st.gone, l.st.owner
	l.st.mu.RUnlock()
	switch {
	case gone:
		return fmt.Errorf("trim %s: %w", l.st.id, storage.ErrNotFound)
	case owner != l:
		return fmt.Errorf("trim %s: %w", l.st.id, storage.ErrFenced)
	case offset > end:
		return fmt.Errorf("trim %s to %d, end is %d: %w", l.st.id, offset, end, storage.ErrOutOfRange)
	case offset <= start:
		return nil
	}
	if err := l.s.do(ctx, l.st, item{kind: kindTrim, id: l.st.id, base: offset}, nil); err != nil {
		return err
	}
	l.s.wakeKeeper()
	return nil
}

func (l *log) Shape() storage.Shape {
	l.st.mu.RLock()
	sh := storage.Shape{Epochs: slices.Clone(l.st.epochs), MaxTimestampMs: -1, MaxTimestampBase: -1}
	views, start := slices.Clone(l.st.views), l.st.start
	sums := make([]summary, len(views))
	last := make([]int64, len(views))
	for i, v := range views {
		sums[i], last[i] = *v.shown(), v.lastMs
	}
	l.st.mu.RUnlock()
	if len(views) > 0 && sums[0].base < start {
		// Part of the first view is trimmed; its index says how much.
		if entries, err := l.s.entries(l.st, views[0]); err == nil {
			sums[0] = summarize(entries[at(entries, start):])
		}
	}
	for i, v := range views {
		sum := &sums[i]
		sh.Bytes += sum.bytes
		if sum.maxMs > sh.MaxTimestampMs {
			sh.MaxTimestampMs, sh.MaxTimestampBase = sum.maxMs, sum.maxMsBase
		}
		n := len(sh.Segments)
		if n == 0 || v.begins() {
			if n > 0 {
				sh.Segments[n-1].End = sum.base
			}
			sh.Segments = append(sh.Segments, storage.Segment{Base: sum.base, MaxTimestampMs: -1})
			n++
		}
		g := &sh.Segments[n-1]
		g.End, g.Bytes = sum.end, g.Bytes+sum.bytes
		g.MaxTimestampMs, g.AppendedMs = max(g.MaxTimestampMs, sum.maxMs), last[i]
	}
	return sh
}

func (l *log) SaveCheckpoint(ctx context.Context, at int64, blob []byte) error {
	l.st.mu.RLock()
	owner := l.st.owner
	l.st.mu.RUnlock()
	if owner != l {
		return fmt.Errorf("checkpoint of %s: %w", l.st.id, storage.ErrFenced)
	}
	return l.s.do(ctx, l.st, item{kind: kindCheckpoint, id: l.st.id, base: at}, slices.Clone(blob))
}

func (l *log) Checkpoint(context.Context) (int64, []byte, error) {
	for {
		l.st.mu.RLock()
		c, end := l.st.check, l.st.end
		l.st.mu.RUnlock()
		if c.file == nil || c.at > end {
			return 0, nil, fmt.Errorf("checkpoint of %s: %w", l.st.id, storage.ErrNotFound)
		}
		b, err := l.s.readCheckpoint(c)
		if err == nil {
			return c.at, b, nil
		}
		l.st.mu.RLock()
		moved := l.st.check != c
		l.st.mu.RUnlock()
		if !moved {
			l.s.damage("a checkpoint is damaged; its owner derives it again", "partition", l.st.id, "file", c.file.name, "error", err)
			return 0, nil, fmt.Errorf("checkpoint of %s: %w", l.st.id, storage.ErrNotFound)
		}
	}
}

func (s *Store) readCheckpoint(c checkpoint) ([]byte, error) {
	handle, err := s.handles.pin(c.file)
	if err != nil {
		return nil, err
	}
	defer s.handles.unpin(c.file)
	b := make([]byte, c.size)
	if err := readFull(handle, b, c.pos); err != nil {
		return nil, err
	}
	if checksum(b) != c.crc {
		return nil, storage.ErrCorrupt
	}
	return b, nil
}

func (l *log) Configure(s storage.Settings) {
	l.st.mu.Lock()
	defer l.st.mu.Unlock()
	l.st.settings = s
}

func (l *log) Close() error {
	l.closed.Store(true)
	return nil
}
