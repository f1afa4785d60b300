// Package embedded keeps partitions on the local disk. Appends of all partitions that arrive together
// become one chunk of a shared journal, one write and one sync (group commit), so the cost of
// durability is shared by everything that waits. Sealed journal files get an index and stay where
// they are while the runs of batches in them are long; where runs are short, or little is still wanted,
// what is live is packed into new files, partition by partition, and the old ones go.
//
// [Store] is the entry; writer.go forms and writes chunks, apply.go folds them in, read.go finds them
// again, keeper.go seals, packs and frees files, recover.go reads everything back.
//
// Invariants: nothing is acknowledged or readable before its chunk is written (and, with Sync,
// synced). The data of a failed write or sync is never written or synced again: its appends fail and
// writing goes on in another file. Only [Store.apply] changes what partitions hold, live and on
// replay. A data file goes only when nothing live lies in it and what says so is durable. What
// cannot be read as it was written is never served.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// The defaults of Options.
const (
	defaultFileBytes    = 64 << 20
	defaultSegmentBytes = 1 << 30
	defaultMemoryBytes  = 32 << 20
	defaultPendingBytes = 64 << 20
	defaultOpenFiles    = 512
)

// Options of a store.
type Options struct {
	Sync         bool   // acknowledge after a sync; false acknowledges from the page cache
	FileBytes    int64  // size at which a journal file is followed by a new one; 0: 64 MiB
	SegmentBytes int64  // segment size of logs that do not say; 0: 1 GiB
	MemoryBytes  int64  // budget of the newest batches and the indexes kept in memory; 0: 32 MiB
	PendingBytes int64  // appends that are not durable yet; a further one blocks; 0: 64 MiB
	OpenFiles    int    // open data files, beyond which those that nobody reads are closed; 0: 512
	FS           vfs.FS // nil: the system's
	Logger       *slog.Logger
	Metrics      prometheus.Registerer // where metrics are registered; nil keeps them to itself

	rebuild bool // without a whole snapshot, make partitions from the data files
}

func (o Options) withDefaults() Options {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.FileBytes, defaultFileBytes)
	def(&o.SegmentBytes, defaultSegmentBytes)
	def(&o.MemoryBytes, defaultMemoryBytes)
	def(&o.PendingBytes, defaultPendingBytes)
	if o.OpenFiles <= 0 {
		o.OpenFiles = defaultOpenFiles
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is a journal, the files that grew out of it, and what is known of the partitions in them.
type Store struct {
	dir     string
	o       Options
	lock    io.Closer
	m       *metrics
	queue   *queue
	handles *handles
	memory  memory // the completer's
	cache   *cache
	keeper  keeper
	life    chan struct{} // closed when the store is
	wg      sync.WaitGroup
	close   sync.Once
	closed  error

	epoch       int32         // the newest of any partition when the store was opened
	applied     atomic.Uint64 // newest chunk that is applied
	synced      atomic.Uint64 // newest chunk that is known to be on stable storage
	nextSeq     atomic.Uint64 // number of the newest file
	numbers     atomic.Uint64 // of the newest state
	damageCount atomic.Int64
	rollNow     atomic.Bool // the journal should go on in a new file soon
	doubt       doubt

	mu       sync.RWMutex // guards parts and deleting; before a partition's lock
	parts    map[storage.Partition]*state
	deleting map[storage.Partition]*state // not in parts any more, not yet durably gone

	filesMu sync.RWMutex // guards files and the fields that file names; after a partition's lock
	files   map[uint64]*file

	making sync.Mutex // guards spare and is held while a journal file is made, so that they are used in the order of their numbers
	spare  *file      // made ahead of time
}

// Open opens the log in dir, making it when it is not there. A folder that another process has open
// is an error that says so.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := o.FS.MakeDir(dir); err != nil {
		return nil, err
	}
	lock, err := o.FS.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("data folder %s is in use by another process: stop it or choose another folder: %w", dir, err)
	}
	s := newStore(dir, o, lock)
	began := time.Now()
	w, err := s.recover()
	if err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	s.epoch = s.newestEpoch()
	o.Logger.Debug("log read back", "seconds", time.Since(began).Seconds(), "partitions", len(s.parts), "files", len(s.files))
	s.wg.Add(1)
	go s.write(w)
	if o.Sync {
		s.wg.Add(1)
		go s.sync()
	}
	s.keeper.wg.Go(s.keep)
	s.keeper.wg.Go(s.settler)
	s.keeper.wg.Go(s.makeSpares)
	return s, nil
}

func newStore(dir string, o Options, lock io.Closer) *Store {
	s := &Store{
		dir: dir, o: o, lock: lock, queue: newQueue(), life: make(chan struct{}),
		parts: map[storage.Partition]*state{}, deleting: map[storage.Partition]*state{}, files: map[uint64]*file{},
	}
	s.m = newMetrics(o.Metrics, s)
	s.memory.budget = o.MemoryBytes / 2
	s.cache = newCache(o.MemoryBytes / 2)
	s.handles = newHandles(o.FS, o.OpenFiles, func(err error) { o.Logger.Warn("log file", "error", err) })
	s.keeper.init()
	return s
}

// Epoch implements storage.Owned. The lock of the folder keeps owners apart, so one epoch does for all of them; it is not 0
// in a log that was copied from a store whose owners counted.
func (s *Store) Epoch() int32 { return s.epoch }

func (s *Store) newestEpoch() (newest int32) {
	for _, st := range s.parts {
		if n := len(st.epochs); n > 0 {
			newest = max(newest, st.epochs[n-1].Epoch)
		}
	}
	return newest
}

// Failed is what keeps appends from being written now, or nil. It goes away by itself.
func (s *Store) Failed() error {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return errors.Join(s.queue.failed, s.queue.full)
}

// refusing is what keeps the appends of a log from being written now; a vital one needs less room.
func (s *Store) refusing(vital bool) error {
	if !vital {
		return s.Failed()
	}
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.failed
}

// Guarantees of the embedded log.
func (s *Store) Guarantees() storage.Guarantees {
	return storage.Guarantees{AtomicBatch: true, Fencing: true, ByteExact: true, Durable: true}
}

// Create implements storage.Store. It does not wait: what is appended later is durable only with it.
func (s *Store) Create(_ context.Context, p storage.Partition) error {
	s.mu.Lock()
	if s.parts[p] != nil {
		s.mu.Unlock()
		return nil
	}
	st := s.newState(p)
	s.parts[p] = st
	s.mu.Unlock()
	o := s.submit(&op{st: st, item: item{kind: kindCreate, id: p}})
	select {
	case <-o.done:
		if errors.Is(o.err, storage.ErrClosed) {
			return o.err
		}
	default:
	}
	return nil
}

func (s *Store) newState(p storage.Partition) *state {
	return &state{id: p, number: s.numbers.Add(1)}
}

func (s *Store) state(p storage.Partition) *state {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.parts[p]
}

// Delete implements storage.Store.
func (s *Store) Delete(ctx context.Context, p storage.Partition) error {
	s.mu.Lock()
	st := s.parts[p]
	if st == nil {
		st = s.deleting[p]
	}
	if st == nil {
		s.mu.Unlock()
		return nil
	}
	delete(s.parts, p)
	s.deleting[p] = st
	s.mu.Unlock()
	st.mu.Lock()
	st.gone = true // from here on nothing of it enters the journal but its end
	st.mu.Unlock()
	if err := s.do(ctx, st, item{kind: kindDelete, id: p}, nil); err != nil {
		return fmt.Errorf("delete %s: %w", p, err)
	}
	s.wakeKeeper()
	return nil
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

// do journals an item that is not an append and waits for it.
func (s *Store) do(ctx context.Context, st *state, it item, payload []byte) error {
	it.crc = checksum(payload)
	return s.submit(&op{st: st, item: it, payload: payload}).Wait(ctx)
}

// Close writes what is queued, seals the journal and ends the store.
func (s *Store) Close() error {
	s.close.Do(func() {
		q := s.queue
		q.mu.Lock()
		q.closing = true
		q.writer.Broadcast()
		q.room.Broadcast()
		q.mu.Unlock()
		close(s.life)
		s.wg.Wait()
		s.keeper.stop()
		s.closed = errors.Join(s.sealLast(), s.closeFiles())
	})
	return s.closed
}

func (s *Store) closeFiles() error {
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	all := slices.Collect(maps.Values(s.files))
	if s.spare != nil {
		all = append(all, s.spare)
	}
	return errors.Join(s.handles.closeAll(all), s.lock.Close())
}

// pause waits, false when the store is closed first.
func (s *Store) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.life:
		return false
	}
}
