package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kelp/internal/storage"
)

// Limits of the writer.
const (
	queuedAppends = 16 << 10  // appends that are not durable yet; the next one blocks
	groupBytes    = 8 << 20   // most payload of one chunk, unless one batch is larger
	overlapBytes  = 512 << 10 // this much is written while a sync runs; less waits and shares the next write
	copyBelow     = 16 << 10  // a smaller payload is copied behind its table and stays readable in memory
	reserveBytes  = 256 << 10 // the end of a file that only trims, deletions, edits and vital logs may use when there is no next one
	vitalBytes    = 16 << 10  // a larger append of a vital log may not
	retryAfter    = 100 * time.Millisecond
)

// op is an item on its way into the journal. Nil err after done means durable and applied.
type op struct {
	item    item
	payload []byte
	st      *state
	log     *log // whose append it is, or nil
	edit    *edit
	pos     int64
	off     int // of a payload that was copied, in the group's slab
	queued  time.Time
	done    chan struct{}
	notify  atomic.Pointer[func()] // whom to tell; finished once told
	err     error
}

// finished stands in for whom an op would tell when it has ended.
var finished = func() {}

// Notify implements storage.Notifier.
func (o *op) Notify(f func()) {
	if !o.notify.CompareAndSwap(nil, &f) {
		f()
	}
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

// bytes is what the op counts against the budget of pending appends.
func (o *op) bytes() int64 { return int64(len(o.payload)) + itemBytes }

// needed says that the op is let in when there is no room for batches: it gives space back.
func (o *op) needed() bool {
	if o.item.kind == kindBatch {
		return o.log.vital && len(o.payload) <= vitalBytes
	}
	return o.item.kind != kindCheckpoint
}

// group is what one chunk holds.
type group struct {
	ops    []*op
	header chunkHeader
	file   *file
	pos    int64
	slab   *slab
	first  *roll // the group is the first of its file
}

// queue hands ops from many callers to the writer, and groups from the writer to the completer.
type queue struct {
	mu      sync.Mutex
	writer  sync.Cond // there is work for the writer
	synced  sync.Cond // there is work for the completer, or the completer has finished some
	room    sync.Cond // an append may enter
	ops     []*op
	bytes   int64 // of ops
	pending int64 // bytes of everything that is not done
	count   int   // of everything that is not done
	written []*group
	syncing bool
	closing bool
	ended   bool  // the writer writes no more
	failed  error // nothing can be written
	full    error // no batch can be written
}

func newQueue() *queue {
	q := &queue{}
	q.writer.L, q.synced.L, q.room.L = &q.mu, &q.mu, &q.mu
	return q
}

// submit takes an op's place in the order. It blocks while too much is pending.
func (s *Store) submit(o *op) *op {
	q := s.queue
	o.done = make(chan struct{})
	o.queued = time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.count > 0 && (q.pending+o.bytes() > s.o.PendingBytes || q.count >= queuedAppends) && q.failed == nil && !q.closing {
		s.m.blocked.Inc()
		q.room.Wait()
	}
	switch {
	case q.closing:
		o.err = storage.ErrClosed
	case q.failed != nil:
		o.err = q.failed
	case q.full != nil && !o.needed():
		o.err = q.full
	}
	if o.err != nil {
		s.finish(o)
		return o
	}
	q.ops = append(q.ops, o)
	q.bytes += o.bytes()
	q.pending += o.bytes()
	q.count++
	if !s.o.Sync || len(q.ops) == 1 || q.bytes >= overlapBytes {
		q.writer.Signal()
	}
	return o
}

// finish tells the owner; a failed append fails the log until it is opened again.
func (s *Store) finish(o *op) {
	if o.log != nil {
		if o.err != nil {
			o.log.failed.Store(true)
		}
		o.st.mu.Lock()
		o.st.inflight--
		o.st.mu.Unlock()
	}
	o.payload = nil // who keeps the op for its fate must not keep the bytes
	close(o.done)
	if f := o.notify.Swap(&finished); f != nil {
		(*f)()
	}
}

// release gives room back after ops are finished.
func (q *queue) release(bytes int64, ops int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending -= bytes
	q.count -= ops
	q.room.Broadcast()
}

// take waits for work and gives the ops of the next group; none when the store is closed or has failed.
func (q *queue) take() (ops []*op, failed error, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.failed == nil {
		busy := q.syncing || len(q.written) > 0
		if len(q.ops) > 0 && (!busy || q.bytes >= overlapBytes) {
			break
		}
		if q.closing && len(q.ops) == 0 {
			return nil, nil, false
		}
		q.writer.Wait()
	}
	if q.failed != nil {
		return nil, q.failed, true
	}
	n, bytes := 0, int64(0)
	for n < len(q.ops) && n < maxChunkItems && (n == 0 || bytes+q.ops[n].bytes() <= groupBytes) {
		bytes += q.ops[n].bytes()
		n++
	}
	ops = slices.Clone(q.ops[:n])
	q.ops = slices.Delete(q.ops, 0, n)
	q.bytes -= bytes
	return ops, nil, true
}

// write is the writer: it forms groups, writes them, and lets the completer sync and apply them.
func (s *Store) write(w *writer) {
	defer s.wg.Done()
	for {
		ops, failed, open := s.queue.take()
		switch {
		case failed != nil:
			if !w.revive(failed) {
				s.endWriting()
				return
			}
		case !open:
			s.endWriting()
			return
		default:
			w.commit(ops)
		}
	}
}

func (s *Store) endWriting() {
	q := s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.synced.Broadcast()
}

// commit writes one group.
func (w *writer) commit(ops []*op) {
	g := w.form(ops)
	if g == nil {
		return
	}
	began := time.Now()
	err := w.put(g)
	if errors.Is(err, errNoNext) {
		w.refuseBatches(g, err)
		return
	}
	w.s.m.write.Observe(time.Since(began).Seconds())
	if err != nil {
		w.s.fail([]*group{g}, fmt.Errorf("write %s: %w", g.file.name, err))
		return
	}
	w.s.m.groups.Observe(float64(len(g.ops)))
	w.s.m.bytes.Add(float64(g.header.size()))
	if !w.s.o.Sync {
		w.s.complete([]*group{g})
		return
	}
	q := w.s.queue
	q.mu.Lock()
	failed := q.failed
	if failed == nil {
		q.written = append(q.written, g)
		q.synced.Broadcast()
	}
	q.mu.Unlock()
	if failed != nil { // the sync before it failed while it was written
		w.s.fail([]*group{g}, failed)
	}
}

// sync is the completer with durability fsync: one sync serves every group written before it.
func (s *Store) sync() {
	defer s.wg.Done()
	q := s.queue
	for {
		q.mu.Lock()
		for len(q.written) == 0 && !q.ended {
			q.synced.Wait()
		}
		groups := q.written
		q.written, q.syncing = nil, len(groups) > 0
		q.mu.Unlock()
		if len(groups) == 0 {
			return
		}
		if err := s.syncFiles(groups); err != nil {
			s.fail(groups, err)
		} else {
			s.complete(groups)
		}
		q.mu.Lock()
		q.syncing = false
		q.writer.Signal()
		q.synced.Broadcast()
		q.mu.Unlock()
	}
}

// syncFiles syncs every file that the groups lie in, older ones first.
func (s *Store) syncFiles(groups []*group) error {
	began := time.Now()
	for i, g := range groups {
		if g.first != nil && g.first.old != nil {
			if err := s.syncFile(g.first.old); err != nil {
				return err
			}
		}
		if i+1 < len(groups) && groups[i+1].file == g.file {
			continue
		}
		if err := s.syncFile(g.file); err != nil {
			return err
		}
	}
	s.m.sync.Observe(time.Since(began).Seconds())
	return nil
}

func (s *Store) syncFile(f *file) error {
	handle, err := s.handles.pin(f)
	if err != nil {
		return err
	}
	defer s.handles.unpin(f)
	if err := handle.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.name, err)
	}
	return nil
}

// fail ends writing to the file: what is in groups, what has been written and what is queued fails.
// The data of a failed sync is never synced again; the writer goes on in another file.
func (s *Store) fail(groups []*group, err error) {
	s.doubt.raise()
	q := s.queue
	err = fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	q.mu.Lock()
	if q.failed == nil {
		q.failed = err
		s.o.Logger.Error("the log cannot be written: appends fail until it can", "error", err)
		s.m.failures.Inc()
	}
	groups = append(groups, q.written...)
	queued := q.ops
	q.written, q.ops, q.bytes = nil, nil, 0
	q.writer.Signal()
	q.room.Broadcast()
	q.mu.Unlock()
	for _, g := range groups {
		s.failOps(g.ops, err)
		g.slab.unpin()
	}
	s.failOps(queued, err)
}

func (s *Store) failOps(ops []*op, err error) {
	bytes := int64(0)
	for _, o := range ops {
		bytes += o.bytes()
		o.err = err
		s.finish(o)
	}
	s.queue.release(bytes, len(ops))
}

// complete applies groups that are as durable as promised, and tells those who wait.
func (s *Store) complete(groups []*group) {
	for _, g := range groups {
		if g.first != nil {
			s.rolled(*g.first)
		}
		bytes := int64(0)
		for i, o := range g.ops {
			bytes += o.bytes()
			o.err = s.apply(o.st, &o.item, place{g.file, o.pos, g.header.appendedMs}, o.payload)
			if o.err == nil && o.item.kind == kindBatch {
				o.st.remember(o, g, i == 0 || g.ops[i-1].st != o.st)
			}
		}
		s.memory.keep(g.slab)
		s.filesMu.Lock()
		g.file.dataEnd, g.file.lastChunk = g.pos+g.header.size(), g.header.seq
		s.filesMu.Unlock()
		s.applied.Store(g.header.seq)
		s.doubt.written(g.file)
		if s.o.Sync {
			s.synced.Store(g.header.seq)
		}
		s.tell(g)
		g.slab.unpin()
		s.queue.release(bytes, len(g.ops))
	}
}

// tell finishes the ops of a group and calls each log once. The callbacks come first: who waits for
// its append finds the new end.
func (s *Store) tell(g *group) {
	now := time.Now()
	for i, o := range g.ops {
		last := i+1 == len(g.ops) || g.ops[i+1].log != o.log
		if o.log != nil && o.err == nil && last && o.log.advanced != nil {
			o.log.advanced(o.item.end())
		}
		s.m.wait.Observe(now.Sub(o.queued).Seconds())
	}
	for _, o := range g.ops {
		s.finish(o)
	}
}

// remember keeps a batch that lies in the group's slab readable from memory.
func (st *state) remember(o *op, g *group, first bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if o.off < 0 {
		st.memory.clear()
		return
	}
	if first {
		g.slab.users = append(g.slab.users, st)
	}
	st.memory.batches = append(st.memory.batches, recent{
		base: o.item.base, end: o.item.end(), slab: g.slab, off: uint32(o.off), size: o.item.size,
	})
}
