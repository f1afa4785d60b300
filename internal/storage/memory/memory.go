// Package memory keeps partitions in memory: for tests, and for topics nobody needs to keep. It
// declares that nothing survives the process and keeps every other promise of package storage.
//
// Invariants: an append is done when Append returns. Stored bytes never change, so a span of a
// trimmed or deleted partition stays readable.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"sync"

	"kelp/internal/storage"
)

// Store implements storage.Store.
type Store struct {
	mu     sync.RWMutex // guards all below
	parts  map[storage.Partition]*partition
	closed bool
	wg     sync.WaitGroup // tellers of logs
}

type partition struct {
	start, end  int64
	bytes       int64
	batches     []storage.Batch // Bytes are our own
	segments    []int64         // where each begins, in order; the last one is written to
	settings    storage.Settings
	epochs      []storage.EpochStart
	checkpoint  []byte
	checkedAt   int64
	checkpoints bool
	owner       *log
}

// New makes an empty store.
func New() *Store { return &Store{parts: map[storage.Partition]*partition{}} }

// Create implements storage.Store.
func (s *Store) Create(_ context.Context, p storage.Partition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return storage.ErrClosed
	}
	if s.parts[p] == nil {
		s.parts[p] = &partition{}
	}
	return nil
}

// Open implements storage.Store.
func (s *Store) Open(_ context.Context, id storage.Partition, o storage.OpenOptions) (storage.Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[id]
	switch {
	case s.closed:
		return nil, storage.ErrClosed
	case p == nil:
		return nil, fmt.Errorf("open %s: %w", id, storage.ErrNotFound)
	}
	n := len(p.epochs)
	if n > 0 && o.Epoch < p.epochs[n-1].Epoch {
		return nil, fmt.Errorf("open %s at epoch %d: %w", id, o.Epoch, storage.ErrFenced)
	}
	if n == 0 || p.epochs[n-1].Epoch < o.Epoch {
		p.epochs = append(p.epochs, storage.EpochStart{Epoch: o.Epoch, Start: p.end})
	}
	if p.owner != nil {
		p.owner.end()
	}
	p.settings = o.Settings
	l := &log{s: s, p: p, id: id}
	if o.Advanced != nil {
		l.moved = make(chan struct{}, 1)
		s.wg.Go(func() { l.tell(o.Advanced) })
	}
	p.owner = l
	return l, nil
}

// Delete implements storage.Store.
func (s *Store) Delete(_ context.Context, id storage.Partition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.parts[id]; p != nil && p.owner != nil {
		p.owner.end()
	}
	delete(s.parts, id)
	return nil
}

// Partitions implements storage.Store.
func (s *Store) Partitions(context.Context) iter.Seq2[storage.Partition, error] {
	return func(yield func(storage.Partition, error) bool) {
		s.mu.RLock()
		var all []storage.Partition
		for id := range s.parts {
			all = append(all, id)
		}
		s.mu.RUnlock()
		for _, id := range all {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Guarantees implements storage.Store.
func (s *Store) Guarantees() storage.Guarantees {
	return storage.Guarantees{AtomicBatch: true, ByteExact: true}
}

// Close implements storage.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, p := range s.parts {
		if p.owner != nil {
			p.owner.end()
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// log is one ownership.
type log struct {
	s     *Store
	p     *partition
	id    storage.Partition
	over  bool          // guarded by the store
	moved chan struct{} // signalled when the end moved; closed when the ownership is over
}

// end is called with the store's lock held.
func (l *log) end() {
	if !l.over {
		l.over = true
		if l.moved != nil {
			close(l.moved)
		}
	}
}

// tell calls back outside every lock; several moves may become one call.
func (l *log) tell(advanced func(int64)) {
	for range l.moved {
		_, end := l.Bounds()
		advanced(end)
	}
}

// gone says why this ownership cannot write any more; the store's lock is held.
func (l *log) gone() error {
	switch {
	case l.s.parts[l.id] != l.p:
		return fmt.Errorf("partition %s: %w", l.id, storage.ErrNotFound)
	case l.p.owner != l:
		return fmt.Errorf("partition %s: %w", l.id, storage.ErrFenced)
	case l.over:
		return storage.ErrClosed
	}
	return nil
}

func (l *log) Append(b storage.Batch) storage.Pending {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err := l.gone(); err != nil {
		return done{err}
	}
	if b.Base < l.p.end || b.Count <= 0 {
		return done{fmt.Errorf("append %d+%d at %d: %w", b.Base, b.Count, l.p.end, storage.ErrOutOfRange)}
	}
	b.Bytes = bytes.Clone(b.Bytes)
	l.p.roll(b)
	l.p.batches = append(l.p.batches, b)
	l.p.bytes += int64(len(b.Bytes))
	l.p.end = b.Base + int64(b.Count)
	if l.moved != nil {
		select {
		case l.moved <- struct{}{}:
		default:
		}
	}
	return done{}
}

// done is an append whose fate is known.
type done struct{ err error }

func (d done) Wait(context.Context) error { return d.err }

func (done) Done() <-chan struct{} { return closed }

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (l *log) Read(_ context.Context, r storage.ReadRange) (storage.Span, error) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	switch {
	case l.s.parts[l.id] != l.p:
		return nil, fmt.Errorf("partition %s: %w", l.id, storage.ErrNotFound)
	case r.From < l.p.start || r.From > l.p.end:
		return nil, fmt.Errorf("read %s at %d, have %d to %d: %w", l.id, r.From, l.p.start, l.p.end, storage.ErrOutOfRange)
	}
	s := &span{}
	first, _ := slices.BinarySearchFunc(l.p.batches, r.From, func(b storage.Batch, from int64) int {
		if b.Base+int64(b.Count) <= from {
			return -1
		}
		return 1
	})
	for _, b := range l.p.batches[first:] {
		lone := len(s.parts) == 0 && r.AtLeastOne
		if r.Before > 0 && b.Base >= r.Before || s.n+len(b.Bytes) > r.MaxBytes && !lone {
			break
		}
		s.parts, s.end = append(s.parts, b.Bytes), b.Base+int64(b.Count)
		s.n += len(b.Bytes)
	}
	return s, nil
}

func (l *log) FindTime(_ context.Context, atLeastMs int64) (int64, error) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	for _, b := range l.p.batches {
		if b.MaxTimestampMs >= atLeastMs {
			return b.Base, nil
		}
	}
	return 0, fmt.Errorf("time %d in %s: %w", atLeastMs, l.id, storage.ErrNotFound)
}

func (l *log) TrimBefore(_ context.Context, offset int64) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err := l.gone(); err != nil {
		return err
	}
	if offset > l.p.end {
		return fmt.Errorf("trim %s to %d, end is %d: %w", l.id, offset, l.p.end, storage.ErrOutOfRange)
	}
	l.p.start = max(l.p.start, offset)
	gone := 0
	for _, b := range l.p.batches {
		if b.Base+int64(b.Count) > l.p.start {
			break
		}
		l.p.bytes -= int64(len(b.Bytes))
		gone++
	}
	l.p.batches = slices.Delete(l.p.batches, 0, gone)
	gone = 0
	for gone+1 < len(l.p.segments) && l.p.segments[gone+1] <= l.p.start {
		gone++
	}
	l.p.segments = slices.Delete(l.p.segments, 0, gone)
	return nil
}

func (l *log) Bounds() (start, end int64) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	return l.p.start, l.p.end
}

func (l *log) Shape() storage.Shape {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	sh := storage.Shape{Bytes: l.p.bytes, Epochs: slices.Clone(l.p.epochs), MaxTimestampMs: -1, MaxTimestampBase: -1}
	for _, b := range l.p.batches {
		if b.MaxTimestampMs > sh.MaxTimestampMs {
			sh.MaxTimestampMs, sh.MaxTimestampBase = b.MaxTimestampMs, b.Base
		}
	}
	sh.Segments = l.p.shape()
	return sh
}

func (l *log) SaveCheckpoint(_ context.Context, at int64, blob []byte) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err := l.gone(); err != nil {
		return err
	}
	l.p.checkpoint, l.p.checkedAt, l.p.checkpoints = bytes.Clone(blob), at, true
	return nil
}

func (l *log) Checkpoint(context.Context) (int64, []byte, error) {
	l.s.mu.RLock()
	defer l.s.mu.RUnlock()
	if !l.p.checkpoints || l.p.checkedAt > l.p.end {
		return 0, nil, fmt.Errorf("checkpoint of %s: %w", l.id, storage.ErrNotFound)
	}
	return l.p.checkedAt, l.p.checkpoint, nil
}

func (l *log) Configure(to storage.Settings) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.p.settings = to
}

func (l *log) Close() error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.end()
	return nil
}

// span is a run of stored batches.
type span struct {
	parts [][]byte
	n     int
	end   int64
}

func (s *span) End() int64 { return s.end }

func (s *span) Len() int { return s.n }

func (s *span) WriteTo(w io.Writer) (int64, error) {
	parts := s.AppendBuffers(nil) // WriteTo of buffers consumes them
	return parts.WriteTo(w)
}

// AppendBuffers implements storage.Buffered.
func (s *span) AppendBuffers(b net.Buffers) net.Buffers { return append(b, s.parts...) }

func (s *span) Bytes() ([]byte, error) { return bytes.Join(s.parts, nil), nil }

func (s *span) Release() { s.parts = nil }
