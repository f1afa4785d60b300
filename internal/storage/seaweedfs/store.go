package seaweedfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/seaweed"
	"kelp/internal/storage"
)

// Limits of the store.
const (
	queuedFrames        = 4096      // frames waiting for a chunk; the next append waits
	chunksUnderWay      = 4         // chunks whose payloads are being put while one is created
	defaultSegmentBytes = 64 << 20  // of a segment that its partition's settings do not bound
	defaultCacheBytes   = 128 << 20 // of blocks in memory
	defaultPatience     = 10 * time.Second
	maxRetryPause       = 500 * time.Millisecond
	readsAtOnce         = 8 // blocks that one read fetches at a time
)

// Objects is what the log needs of SeaweedFS. [seaweed.Client] is the real one.
type Objects interface {
	PutBlob(ctx context.Context, b []byte, sync bool) (seaweed.Blob, error)
	ReadBlob(ctx context.Context, fileID string, at int64, b []byte) error
	CreateOnce(ctx context.Context, dir string, e seaweed.Entry) error
	Put(ctx context.Context, dir string, e seaweed.Entry) error
	Lookup(ctx context.Context, dir, name string) (seaweed.Entry, error)
	List(ctx context.Context, dir, after string, visit func(e seaweed.Entry, folder bool) error) error
	Delete(ctx context.Context, dir, name string) error
}

// Options of a store.
type Options struct {
	// Root is the folder in the filer that holds everything, such as /kelp.
	Root string
	// Sync asks volume servers to put payloads on stable storage before they answer.
	Sync bool
	// Window is how long a chunk that follows another closely waits for more frames.
	Window time.Duration
	// CacheBytes bounds the blocks kept in memory; 0: 128 MiB.
	CacheBytes int64
	// Patience is how long SeaweedFS may be away before appends fail; 0: ten seconds.
	Patience time.Duration
	// SettleAfter is the age at which batches settle even when there are few; SettleBytes is the
	// amount at which they settle at once. 0: one minute, 8 MiB.
	SettleAfter time.Duration
	SettleBytes int64
	// SnapshotChunks is how many chunks may follow a snapshot before the next one; 0: 2,000.
	SnapshotChunks int
	// Upkeep is how often settling and snapshots are looked after; 0: a second.
	Upkeep  time.Duration
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	chunksPerFolder uint64 // tests lower it
}

func (o *Options) fill() {
	for p, d := range map[*time.Duration]time.Duration{
		&o.Patience: defaultPatience, &o.SettleAfter: time.Minute, &o.Upkeep: time.Second,
	} {
		if *p == 0 {
			*p = d
		}
	}
	for p, d := range map[*int64]int64{&o.CacheBytes: defaultCacheBytes, &o.SettleBytes: 8 << 20} {
		if *p == 0 {
			*p = d
		}
	}
	if o.SnapshotChunks == 0 {
		o.SnapshotChunks = 2000
	}
	if o.chunksPerFolder == 0 {
		o.chunksPerFolder = chunksPerFolder
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Store is the owner's view of the sequence.
type Store struct {
	o     Options
	obj   Objects
	owner [16]byte
	m     *metrics
	cache *cache

	fenced uint64 // sequence number of this owner's fence
	epoch  int32  // of this owner, newer than any before

	written atomic.Int64    // segment files, which makes their names differ
	emptied map[uint64]bool // folders of the sequence that hold only fences; upkeep's own

	queue   chan *op
	life    context.Context // ends when the store is closed
	end     context.CancelFunc
	closing chan struct{} // no further op is taken
	wg      sync.WaitGroup
	once    sync.Once
	lost    chan struct{} // closed when another owner has fenced this one

	mu       sync.RWMutex // guards everything below
	parts    map[storage.Partition]*partition
	live     map[uint64]int // wanted batches of each chunk that has some
	seq      uint64         // of the last committed chunk
	snapped  uint64         // sequence of the newest snapshot
	older    uint64         // of the one before: chunks up to it can go
	fences   map[uint64]bool
	newest   int32 // epoch of any owner or partition so far; -1 at first
	failed   error // why nothing is taken now, nil when all is well
	finished bool  // failed for good
}

// op is a frame on its way into the sequence.
type op struct {
	frame frame
	log   *log // whose append it is, or nil
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

// Open replays the sequence under o.Root and fences every earlier owner. Who may try is the
// caller's business (a lease); that only one owner goes on is ensured here.
func Open(ctx context.Context, obj Objects, o Options) (*Store, error) {
	o.fill()
	s := &Store{
		o: o, obj: obj, m: newMetrics(), cache: newCache(o.CacheBytes),
		queue: make(chan *op, queuedFrames), closing: make(chan struct{}), lost: make(chan struct{}),
		parts: map[storage.Partition]*partition{}, live: map[uint64]int{}, fences: map[uint64]bool{}, newest: -1,
		emptied: map[uint64]bool{},
	}
	_, _ = rand.Read(s.owner[:])
	if err := s.recover(ctx); err != nil {
		return nil, err
	}
	s.m.register(o.Metrics)
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	ready := make(chan *flight, chunksUnderWay)
	s.wg.Go(func() { s.pack(ready) })
	s.wg.Go(func() { s.commitAll(ready) })
	s.wg.Go(s.upkeep)
	for range aheadAtOnce {
		s.wg.Go(s.fetchAll)
	}
	return s, nil
}

// Lost is closed when another owner has taken over: this store takes nothing any more.
func (s *Store) Lost() <-chan struct{} { return s.lost }

// Verify looks whether another owner has fenced this one, which otherwise shows at the next append.
func (s *Store) Verify() {
	s.mu.RLock()
	next := s.seq + 1
	s.mu.RUnlock()
	ctx, cancel := context.WithTimeout(s.life, s.o.Patience)
	defer cancel()
	if c, err := s.readChunk(ctx, next); err == nil && c.owner != s.owner {
		s.step(fmt.Errorf("sequence %d belongs to another owner: %w", next, storage.ErrFenced))
	}
}

// GiveUp ends the ownership here: what is under way stays unclear.
func (s *Store) GiveUp() {
	s.step(fmt.Errorf("SeaweedFS cannot be reached: %w", storage.ErrFenced))
	s.end()
}

// Failed is why appends are refused now, or nil.
func (s *Store) Failed() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failed
}

// Epoch implements storage.Owned.
func (s *Store) Epoch() int32 { return s.epoch }

// Guarantees implements storage.Store.
func (s *Store) Guarantees() storage.Guarantees {
	return storage.Guarantees{AtomicBatch: true, Fencing: true, ByteExact: true, Durable: true}
}

// Create implements storage.Store.
func (s *Store) Create(ctx context.Context, p storage.Partition) error {
	s.mu.RLock()
	there := s.parts[p] != nil
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
	return func(yield func(storage.Partition, error) bool) {
		s.mu.RLock()
		all := slices.Collect(maps.Keys(s.parts))
		s.mu.RUnlock()
		for _, id := range all {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Close commits what was taken, ends all logs and leaves a snapshot for a quick start.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.closing) })
	patience := time.AfterFunc(s.o.Patience, s.end) // SeaweedFS may be away
	s.wg.Wait()
	patience.Stop()
	var err error
	if s.Failed() == nil && s.life.Err() == nil {
		err = s.snapshot(s.life)
	}
	s.end()
	return err
}

// do commits one frame that is no batch.
func (s *Store) do(ctx context.Context, f frame) error {
	o := &op{frame: f, done: make(chan struct{})}
	s.submit(o)
	return o.Wait(ctx)
}

// submit queues an op; it waits while the queue is full, which is the back-pressure of appends.
func (s *Store) submit(o *op) {
	o.frame.size, o.frame.crc = uint32(len(o.frame.payload)), checksum(o.frame.payload)
	if o.err = s.Failed(); o.err != nil {
		o.finish()
		return
	}
	select {
	case <-s.closing:
	default:
		select {
		case s.queue <- o:
			return
		case <-s.closing:
		}
	}
	o.err = storage.ErrClosed
	o.finish()
}

// unavailable is the error of everything that SeaweedFS did not take.
func unavailable(err error) error {
	if errors.Is(err, storage.ErrFenced) || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: SeaweedFS: %w", storage.ErrUnavailable, err)
}
