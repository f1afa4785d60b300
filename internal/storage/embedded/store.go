// Package embedded keeps partitions on the local disk in one shared journal. Appends of all
// partitions that arrive together become one write and one fsync (group commit), so the cost of
// durability is shared; an index in memory says where each batch lies.
//
// Files roll at a size; each starts with a snapshot of every partition's bounds, so that a file
// goes as soon as none of its batches is live. Recovery replays the files, cuts a torn tail of
// the last one with a log line and refuses damage elsewhere.
//
// Invariants: nothing is acknowledged or readable before its frame is written (and, with
// durability fsync, synced). After a failed write or sync nothing more is written until the store
// is opened again. Only [Store.apply] changes what partitions hold, live and on replay.
package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/storage"
)

// Limits of the store.
const (
	queuedAppends    = 1024     // appends waiting for the journal; the next one blocks
	groupBytes       = 8 << 20  // most bytes of one write
	defaultFileBytes = 64 << 20 // a journal file that has grown to this is followed by a new one
)

// Options of a store.
type Options struct {
	Sync      bool  // acknowledge after fsync; false acknowledges from the page cache
	FileBytes int64 // size at which a journal file rolls; 0: 64 MiB
	Logger    *slog.Logger
	Metrics   prometheus.Registerer // where the journal's metrics are registered; nil keeps them to itself
}

// Store is a journal and its index.
type Store struct {
	dir  string
	o    Options
	lock *os.File
	m    *metrics

	queue    chan *op
	done     chan struct{} // closed when the journal writer has ended
	closing  chan struct{}
	closeOne sync.Once

	mu     sync.RWMutex // guards parts, files, failed and everything below them
	parts  map[storage.Partition]*state
	files  []*file // in order; the last one is written to
	failed error

	buf []byte // the writer's own
}

// file is one journal file. live and size are guarded by the store's lock.
type file struct {
	seq  uint64
	f    *os.File
	size int64
	live int // batches that are still wanted
	pins sync.WaitGroup
}

// op is a frame on its way into the journal. Nil err after done means durable and applied.
type op struct {
	frame frame
	log   *log // whose Advanced to call, or nil
	done  chan struct{}
	err   error
}

func (o *op) Done() <-chan struct{} { return o.done }

func (o *op) Wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Open opens the journal in dir, making it when it is not there. A folder that another process
// has open is an error that says so.
func Open(dir string, o Options) (*Store, error) {
	if o.FileBytes == 0 {
		o.FileBytes = defaultFileBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("data folder %s is in use by another process: stop it or choose another folder: %w", dir, err)
	}
	s := &Store{
		dir: dir, o: o, lock: lock, m: newMetrics(o.Metrics), parts: map[storage.Partition]*state{},
		queue: make(chan *op, queuedAppends), done: make(chan struct{}), closing: make(chan struct{}),
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	go s.run()
	return s, nil
}

// Failed is what ended writing until the store is opened again, or nil.
func (s *Store) Failed() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failed
}

func (s *Store) recover() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "journal-*.log"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for i, name := range names {
		if err := s.replay(name, i == len(names)-1); err != nil {
			return fmt.Errorf("replay %s: %w", name, err)
		}
	}
	if len(s.files) == 0 {
		return s.roll()
	}
	return nil
}

// replay folds one file in; the tail of the last one may be torn.
func (s *Store) replay(name string, last bool) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	in := &file{f: f}
	s.files = append(s.files, in)
	if len(b) < fileHeaderBytes || string(b[:8]) != fileMagic {
		if !last || len(s.files) == 1 && len(b) >= fileHeaderBytes {
			return fmt.Errorf("%w: not a journal of this format", storage.ErrCorrupt)
		}
		// The file was being made when the process ended: nothing in it was ever acknowledged.
		s.files = s.files[:len(s.files)-1]
		if err := errors.Join(f.Close(), os.Remove(name)); err != nil || len(s.files) > 0 {
			return err
		}
		return s.roll()
	}
	in.seq = binary.BigEndian.Uint64(b[8:])
	pos := fileHeaderBytes
	for pos < len(b) {
		fr, n, ok := parseFrame(b[pos:])
		if !ok {
			break
		}
		if err := s.apply(&fr, in, int64(pos+frameBytes)); err != nil {
			return err
		}
		pos += n
	}
	if pos < len(b) {
		if !last {
			return fmt.Errorf("%w: at byte %d of %d", storage.ErrCorrupt, pos, len(b))
		}
		s.o.Logger.Warn("cut a torn tail that was never acknowledged", "file", name, "at", pos, "dropped_bytes", len(b)-pos)
		if err := f.Truncate(int64(pos)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	in.size = int64(pos)
	return nil
}

// roll starts a new file with a snapshot and drops the files that nothing needs.
func (s *Store) roll() error {
	seq := uint64(1)
	if n := len(s.files); n > 0 {
		seq = s.files[n-1].seq + 1
	}
	payload, err := s.snapshot()
	if err != nil {
		return err
	}
	name := s.path(seq)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint64([]byte(fileMagic), seq)
	b = appendFrame(b, &frame{kind: kindSnapshot, payload: payload})
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	// Synced whatever the durability: the files before it may go now.
	if err := errors.Join(f.Sync(), syncDir(s.dir)); err != nil {
		return err
	}
	s.files = append(s.files, &file{seq: seq, f: f, size: int64(len(b))})
	return s.dropDead()
}

// dropDead removes files without live batches. The newest one always stays.
func (s *Store) dropDead() error {
	var keep []*file
	for i, f := range s.files {
		if f.live > 0 || i == len(s.files)-1 {
			keep = append(keep, f)
			continue
		}
		go func() { // readers that still hold a span finish first
			f.pins.Wait()
			if err := errors.Join(f.f.Close(), os.Remove(s.path(f.seq))); err != nil {
				s.o.Logger.Warn("could not remove a journal file that is not needed", "error", err)
			}
		}()
	}
	s.files = keep
	return nil
}

func (s *Store) path(seq uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("journal-%016x.log", seq))
}

// Guarantees of the embedded log.
func (s *Store) Guarantees() storage.Guarantees {
	return storage.Guarantees{AtomicBatch: true, Fencing: true, ByteExact: true, Durable: true}
}

// Create implements storage.Store.
func (s *Store) Create(ctx context.Context, p storage.Partition) error {
	s.mu.RLock()
	_, there := s.parts[p]
	s.mu.RUnlock()
	if there {
		return nil
	}
	return s.do(ctx, frame{kind: kindCreate, partition: p})
}

// Delete implements storage.Store.
func (s *Store) Delete(ctx context.Context, p storage.Partition) error {
	return s.do(ctx, frame{kind: kindDelete, partition: p})
}

// Partitions implements storage.Store.
func (s *Store) Partitions(context.Context) iter.Seq2[storage.Partition, error] {
	s.mu.RLock()
	all := slices.Collect(maps.Keys(s.parts))
	s.mu.RUnlock()
	return func(yield func(storage.Partition, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (s *Store) do(ctx context.Context, f frame) error { return s.submit(&op{frame: f}).Wait(ctx) }

// submit queues an op; it blocks while the queue is full.
func (s *Store) submit(o *op) *op {
	o.done = make(chan struct{})
	select {
	case <-s.closing:
		o.err = storage.ErrClosed
		close(o.done)
	case s.queue <- o:
	}
	return o
}

// Close writes what is queued and ends the store.
func (s *Store) Close() error {
	s.closeOne.Do(func() { close(s.closing) })
	<-s.done
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.f.Close())
	}
	s.files = nil
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}
