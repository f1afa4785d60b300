package seaweedfs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"time"

	"kelp/internal/seaweed"
	"kelp/internal/storage"
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// flight is a chunk on its way: its payloads are being put while earlier chunks are created.
type flight struct {
	ops   []*op
	chunk *chunk
	put   chan error // answers once, when the payloads are where they belong
}

// pack gathers ops into chunks and puts their payloads, several chunks at a time, until the store
// is closed and the queue is empty.
func (s *Store) pack(ready chan<- *flight) {
	defer close(ready)
	last := time.Time{}
	for {
		var first *op
		select {
		case first = <-s.queue:
		case <-s.closing:
			select {
			case first = <-s.queue:
			default:
				return
			}
		}
		f := s.gather(first, s.o.Window-time.Since(last))
		last = time.Now()
		go s.putPayloads(f)
		ready <- f
	}
}

// gather takes what is queued; for as long as wait says it also takes what comes.
func (s *Store) gather(first *op, wait time.Duration) *flight {
	f := &flight{chunk: &chunk{owner: s.owner, createdMs: time.Now().UnixMilli()}, put: make(chan error, 1)}
	take := func(o *op) {
		f.ops = append(f.ops, o)
		f.chunk.bytes += int64(len(o.frame.payload))
	}
	take(first)
	var until <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		until = timer.C
	}
	for len(f.ops) < maxChunkFrames && f.chunk.bytes < maxChunkBytes {
		select {
		case o := <-s.queue:
			take(o)
			continue
		default:
		}
		if until == nil {
			break
		}
		select {
		case o := <-s.queue:
			take(o)
		case <-until:
			until = nil
		case <-s.closing:
			until = nil
		}
	}
	s.admit(f)
	return f
}

// admit leaves out what must not enter and fills the chunk's frames.
func (s *Store) admit(f *flight) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	kept := f.ops[:0]
	f.chunk.bytes = 0
	for _, o := range f.ops {
		if o.err = s.refuse(o); o.err != nil {
			o.finish()
			continue
		}
		kept = append(kept, o)
		f.chunk.frames = append(f.chunk.frames, o.frame)
		f.chunk.bytes += int64(len(o.frame.payload))
	}
	f.ops = kept
}

// finish tells who waits. The payload is given up first: who keeps the op must not keep the bytes.
func (o *op) finish() {
	o.frame.payload = nil
	if o.err != nil && o.log != nil {
		o.log.failed.Store(true)
	}
	close(o.done)
}

// refuse says why an op must not enter the sequence.
func (s *Store) refuse(o *op) error {
	if s.failed != nil {
		return s.failed
	}
	if o.log == nil {
		return nil
	}
	p := s.parts[o.frame.partition]
	switch {
	case p == nil:
		return fmt.Errorf("partition %s: %w", o.frame.partition, storage.ErrNotFound)
	case p.owner != o.log:
		return fmt.Errorf("partition %s: %w", o.frame.partition, storage.ErrFenced)
	case o.log.failed.Load():
		return fmt.Errorf("partition %s: an earlier append failed: %w", o.frame.partition, storage.ErrUnavailable)
	}
	return nil
}

// putPayloads puts a larger chunk's payloads on a volume server, as often as patience allows:
// nobody knows of them before the commit.
func (s *Store) putPayloads(f *flight) {
	if f.chunk.bytes <= inlineBytes {
		f.put <- nil
		return
	}
	b := f.chunk.appendPayloads(make([]byte, 0, f.chunk.bytes))
	var blob seaweed.Blob
	err := s.retry(s.life, func(ctx context.Context) (err error) {
		blob, err = s.obj.PutBlob(ctx, b, s.o.Sync)
		return err
	})
	if err == nil {
		f.chunk.fileID = blob.FileID
		s.cache.put(&cached{key: block{FileID: blob.FileID}.key(), bytes: b})
	}
	f.put <- err
}

// retry tries what may be repeated until it works, patience is over or ctx ends. What SeaweedFS
// does not have it will not have later.
func (s *Store) retry(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Patience)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, maxRetryPause) {
		err := try(ctx)
		if err == nil || errors.Is(err, seaweed.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
			return err
		}
		s.m.retries.Inc()
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// commitAll creates chunks one after the other.
func (s *Store) commitAll(ready <-chan *flight) {
	for f := range ready {
		err := <-f.put
		if len(f.ops) == 0 {
			continue
		}
		if refused := s.Failed(); refused != nil {
			err = refused
		}
		if err == nil && f.behindDropped() {
			err = errors.New("an earlier chunk was not stored")
		}
		if err != nil {
			// Never created, so surely not there. Chunks behind it build on it and fail with it,
			// as their logs are marked before they are looked at.
			s.drop(f, unavailable(err), ready)
			continue
		}
		s.commit(f, ready)
	}
}

// behindDropped says that a log whose earlier append was dropped has another one in this chunk.
func (f *flight) behindDropped() bool {
	for _, o := range f.ops {
		if o.log != nil && o.log.dropped.Load() {
			return true
		}
	}
	return false
}

// drop fails a chunk and what is under way behind it.
func (s *Store) drop(f *flight, err error, ready <-chan *flight) {
	fail := func(f *flight) {
		for _, o := range f.ops {
			if o.log != nil {
				o.log.dropped.Store(true)
			}
			o.err = err
			o.finish()
		}
	}
	fail(f)
	for {
		select {
		case next, ok := <-ready:
			if !ok {
				return
			}
			if put := <-next.put; put != nil {
				s.m.retries.Inc()
			}
			fail(next)
		default:
			return
		}
	}
}

// commit creates the entry of the next sequence number and applies it.
func (s *Store) commit(f *flight, ready <-chan *flight) {
	c := f.chunk
	c.seq = s.seq + 1 // only this goroutine moves it
	content := c.content()
	began := time.Now()
	err := s.createWithin(c, content, s.o.Patience)
	if err != nil && !errors.Is(err, storage.ErrFenced) {
		s.setFailed(unavailable(err))
		s.o.Logger.Error("SeaweedFS does not answer: appends fail until it does", "sequence", c.seq, "error", err)
		ops := f.ops
		s.drop(f, unavailable(err), ready)
		// The chunk may be there or come to be there: nothing else can follow before that is known.
		for err != nil && !errors.Is(err, storage.ErrFenced) && s.life.Err() == nil {
			err = s.createWithin(c, content, s.o.Patience)
		}
		f.ops = nil
		if err == nil {
			s.o.Logger.Info("SeaweedFS answers again", "sequence", c.seq, "away_for", time.Since(began), "frames", len(ops))
		}
	}
	switch {
	case errors.Is(err, storage.ErrFenced):
		s.step(err)
		s.drop(f, err, ready)
		return
	case err != nil: // closed while it was unclear
		s.drop(f, unavailable(err), ready)
		return
	}
	s.m.commit.Observe(time.Since(began).Seconds())
	s.m.chunks.Inc()
	s.m.bytes.Add(float64(c.bytes))
	s.committed(f, content)
}

func (s *Store) setFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished {
		s.failed = err
	}
}

// step makes way for another owner.
func (s *Store) step(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished {
		s.failed, s.finished = err, true
		s.o.Logger.Warn("another node has taken over this store", "sequence", s.seq+1)
		close(s.lost)
	}
}

// createWithin creates a chunk's entry or finds out that it is there, within a time.
func (s *Store) createWithin(c *chunk, content []byte, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(s.life, limit)
	defer cancel()
	dir, name := s.place(c.seq)
	e := seaweed.Entry{Name: name, Content: content}
	if !c.inline() {
		e.Blobs = []seaweed.Blob{{FileID: c.fileID, Bytes: c.bytes}}
	}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, maxRetryPause) {
		err := s.obj.CreateOnce(ctx, dir, e)
		if errors.Is(err, seaweed.ErrExists) {
			err = s.whose(ctx, c)
			if err == nil || errors.Is(err, storage.ErrFenced) {
				return err
			}
		}
		if err == nil {
			return nil
		}
		s.m.retries.Inc()
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// whose looks at the entry that is in the way: nil when it is this very chunk, created by a try
// whose answer was lost.
func (s *Store) whose(ctx context.Context, c *chunk) error {
	there, err := s.readChunk(ctx, c.seq)
	if err != nil {
		return err
	}
	if there.owner != s.owner {
		return fmt.Errorf("sequence %d belongs to another owner: %w", c.seq, storage.ErrFenced)
	}
	return nil
}

func (s *Store) readChunk(ctx context.Context, seq uint64) (*chunk, error) {
	dir, name := s.place(seq)
	e, err := s.obj.Lookup(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	return chunkOf(e)
}

// chunkOf reads an entry of the sequence.
func chunkOf(e seaweed.Entry) (*chunk, error) {
	c, err := parseChunk(e.Content)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", e.Name, err)
	}
	if len(e.Blobs) > 0 {
		c.fileID = e.Blobs[0].FileID
	}
	return c, nil
}

// committed applies a chunk and tells who waits.
func (s *Store) committed(f *flight, content []byte) {
	if c := f.chunk; c.inline() && c.bytes > 0 {
		s.cache.put(&cached{key: block{Seq: c.seq}.key(), bytes: content[c.payloadAt():]})
	}
	s.mu.Lock()
	gone, err := s.applyChunk(f.chunk)
	if !s.finished {
		s.failed = err
	}
	s.mu.Unlock()
	for _, o := range f.ops {
		o.err = err
		base, count, kind, l := o.frame.base, o.frame.count, o.frame.kind, o.log
		o.finish()
		if kind == kindBatch && l != nil && l.advanced != nil && err == nil {
			l.advanced(base + int64(count))
		}
	}
	if len(gone) > 0 {
		s.wg.Go(func() { s.free(gone) })
	}
}

// applyChunk folds a committed chunk in.
func (s *Store) applyChunk(c *chunk) (gone []string, err error) {
	at := int64(0)
	for i := range c.frames {
		files, err := s.apply(&c.frames[i], c, at)
		if err != nil {
			return gone, fmt.Errorf("sequence %d: %w", c.seq, err)
		}
		gone = append(gone, files...)
		at += int64(c.frames[i].size)
		c.frames[i].payload = nil
	}
	s.seq = c.seq
	return gone, nil
}

// chunksPerFolder entries of the sequence lie in one folder, which is removed at once.
const chunksPerFolder = 1000

// place is where a sequence number's entry lies.
func (s *Store) place(seq uint64) (dir, name string) {
	return path.Join(s.o.Root, "log", s.folderOf(seq)), fmt.Sprintf("%020d", seq)
}

func (s *Store) folderOf(seq uint64) string {
	return fmt.Sprintf("%020d", seq/s.o.chunksPerFolder*s.o.chunksPerFolder)
}
