package seaweedfs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"kelp/internal/seaweed"
	"kelp/internal/storage"
)

// Limits of settling.
const (
	blobBytes    = 1 << 20 // of a settled segment's blobs: what volume servers take at the least cost
	mergeAtMost  = 4 << 20 // settled segments up to this are merged with their neighbours
	mergeAtLeast = 8       // so many of them in a row
)

// upkeep settles, writes snapshots and frees chunks until the store is closed.
func (s *Store) upkeep() {
	tick := time.NewTicker(s.o.Upkeep)
	defer tick.Stop()
	swept := false
	for {
		select {
		case <-s.closing:
			return
		case <-s.life.Done():
			return
		case <-tick.C:
		}
		if s.Failed() != nil {
			continue
		}
		err := s.settleDue(s.life)
		if err == nil && s.snapshotDue() {
			if err = s.snapshot(s.life); err == nil {
				err = s.dropChunks(s.life)
			}
		}
		if err == nil && !swept {
			err = s.sweep(s.life)
			swept = err == nil
		}
		if err != nil && s.life.Err() == nil {
			s.o.Logger.Warn("upkeep of the log on SeaweedFS is behind: it is tried again", "error", err)
		}
	}
}

func (s *Store) snapshotDue() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seq-s.snapped >= uint64(s.o.SnapshotChunks)
}

// due lists the partitions that have something to settle or merge. Nothing is looked at while no
// chunk holds a wanted batch.
func (s *Store) due() (out []*partition) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.live) == 0 {
		return nil
	}
	old := time.Now().Add(-s.o.SettleAfter).UnixMilli()
	for _, p := range s.parts {
		if from, to := p.settleRange(s.o.SettleBytes, old); from < to {
			out = append(out, p)
		}
	}
	return out
}

// settleRange is the run of segments, by index, that should become files: those in chunks that are
// sealed, large or old, and the small settled ones before them.
func (p *partition) settleRange(settleBytes, old int64) (from, to int) {
	from = len(p.segments)
	for i, g := range p.segments {
		if !g.settled() && g.Bytes > 0 && (g.sealed || g.Bytes >= settleBytes || g.FirstMs <= old) {
			from, to = i, i+1
			break
		}
	}
	if from >= to {
		return 0, 0
	}
	for to < len(p.segments) && p.segments[to].sealed && !p.segments[to].settled() && p.segments[to].Bytes < mergeAtMost {
		to++
	}
	small := from
	for small > 0 && p.segments[small-1].Bytes < mergeAtMost {
		small--
	}
	if from-small >= mergeAtLeast {
		from = small
	}
	return from, to
}

func (s *Store) settleDue(ctx context.Context) error {
	old := time.Now().Add(-s.o.SettleAfter).UnixMilli()
	for _, p := range s.due() {
		s.mu.Lock()
		from, to := p.settleRange(s.o.SettleBytes, old)
		if from >= to || p.reshaping {
			s.mu.Unlock()
			continue
		}
		p.reshaping = true
		run, after := slices.Clone(p.segments[from:to]), p.reshaped
		s.mu.Unlock()
		err := s.settle(ctx, p, run, after)
		s.mu.Lock()
		p.reshaping = false
		s.mu.Unlock()
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("settle %s: %w", p.id, err)
		}
	}
	return nil
}

// settle writes a run of segments, as they are after a replacement, as one and puts it in their place.
func (s *Store) settle(ctx context.Context, p *partition, run []*segment, after string) error {
	s.mu.RLock()
	views := make([]view, len(run))
	for i, g := range run {
		views[i] = g.view()
	}
	s.mu.RUnlock()
	var refs []batchRef
	for _, v := range views {
		more, err := s.refs(ctx, v)
		if err != nil {
			return err
		}
		refs = append(refs, more...)
	}
	if len(refs) == 0 {
		return nil
	}
	w := s.newSegment(p.id)
	for i := range refs {
		b, err := s.block(ctx, refs[i].Block)
		if err != nil {
			return err
		}
		r := refs[i]
		if r.At+int64(r.Size) > int64(len(b)) || checksum(b[r.At:r.At+int64(r.Size)]) != r.CRC {
			return fmt.Errorf("%w: batch at %d in %s", storage.ErrCorrupt, r.Base, r.Block.key())
		}
		if err := w.add(ctx, r, b[r.At:r.At+int64(r.Size)]); err != nil {
			return err
		}
	}
	g, err := w.finish(ctx)
	if err != nil {
		return err
	}
	s.age(g, run)
	s.m.settled.Add(float64(g.Bytes))
	return s.swap(ctx, p, replacement{From: refs[0].Base, To: refs[len(refs)-1].end(), Segments: []*segment{g}, After: after})
}

// age gives a segment the times of those that it takes the place of.
func (s *Store) age(g *segment, of []*segment) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(of) > 0 {
		g.FirstMs, g.AppendedMs = of[0].FirstMs, of[len(of)-1].AppendedMs
	}
}

// swap commits a replacement, and fails when the partition was reshaped meanwhile.
func (s *Store) swap(ctx context.Context, p *partition, r replacement) error {
	r.ID = rand.Text()
	payload, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := s.do(ctx, frame{kind: kindReplace, partition: p.id, base: r.From, payload: payload}); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p.reshaped != r.ID {
		return fmt.Errorf("%s was reshaped meanwhile: %w", p.id, storage.ErrUnavailable)
	}
	return nil
}

// segmentWriter makes one settled segment.
type segmentWriter struct {
	s      *Store
	id     storage.Partition
	g      segment
	buf    []byte
	blobs  []block
	tags   []seaweed.Blob
	blobOf []int
}

func (s *Store) newSegment(id storage.Partition) *segmentWriter { return &segmentWriter{s: s, id: id} }

func (w *segmentWriter) add(ctx context.Context, r batchRef, b []byte) error {
	if len(w.buf) > 0 && len(w.buf)+len(b) > blobBytes {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	r.At = int64(len(w.buf))
	w.buf = append(w.buf, b...)
	w.blobOf = append(w.blobOf, len(w.blobs))
	w.g.add(r, time.Now().UnixMilli())
	return nil
}

func (w *segmentWriter) flush(ctx context.Context) error {
	k, err := w.put(ctx, w.buf)
	w.blobs, w.buf = append(w.blobs, k), nil
	return err
}

func (w *segmentWriter) put(ctx context.Context, b []byte) (block, error) {
	var blob seaweed.Blob
	err := w.s.retry(ctx, func(ctx context.Context) (err error) {
		blob, err = w.s.obj.PutBlob(ctx, b, w.s.o.Sync)
		return err
	})
	if err != nil {
		return block{}, err
	}
	w.tags = append(w.tags, blob)
	return block{FileID: blob.FileID, Bytes: int64(len(b))}, nil
}

// finish writes the index and the file's entry.
func (w *segmentWriter) finish(ctx context.Context) (*segment, error) {
	if err := w.flush(ctx); err != nil {
		return nil, err
	}
	g := &w.g
	index := appendIndex(w.blobs, g.Refs, w.blobOf)
	k, err := w.put(ctx, index)
	if err != nil {
		return nil, err
	}
	g.Index, g.IndexCRC, g.Refs = k, checksum(index), nil
	// The fence in the name tells a sweep which files are of an earlier owner.
	name := fmt.Sprintf("%020d-%020d-%d", g.Base, w.s.fenced, w.s.written.Add(1))
	g.File = path.Join("parts", hex.EncodeToString(w.id.Topic[:]), strconv.Itoa(int(w.id.Index)), name)
	dir, name := path.Split(path.Join(w.s.o.Root, g.File))
	return g, w.s.retry(ctx, func(ctx context.Context) error {
		return w.s.obj.Put(ctx, strings.TrimSuffix(dir, "/"), seaweed.Entry{Name: name, Blobs: w.tags})
	})
}

// Replace implements storage.Compactor: the new batches become one settled segment.
func (l *log) Replace(ctx context.Context, from, to int64, with iter.Seq2[storage.Batch, error]) error {
	s := l.s
	if _, end := l.Bounds(); from < 0 || from > to || to > end {
		return fmt.Errorf("replace %d to %d of %s, which ends at %d: %w", from, to, l.id, end, storage.ErrOutOfRange)
	}
	low, high := from, to
	before, after, run, last, err := l.reshape(ctx, &from, &to)
	if err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		l.p.reshaping = false
		s.mu.Unlock()
	}()
	w := s.newSegment(l.id)
	keep := func(refs []batchRef) error {
		for _, r := range refs {
			b, err := s.block(ctx, r.Block)
			if err != nil {
				return err
			}
			if err := w.add(ctx, r, b[r.At:r.At+int64(r.Size)]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := keep(before); err != nil {
		return err
	}
	for b, err := range with {
		if err != nil {
			return err
		}
		r := batchRef{Base: b.Base, Count: b.Count, MaxMs: b.MaxTimestampMs, Size: int32(len(b.Bytes)), CRC: checksum(b.Bytes)}
		if r.Base < low || r.end() > high {
			return fmt.Errorf("replace to %d with a batch at %d, not at %d or later: %w", high, r.Base, low, storage.ErrOutOfRange)
		}
		low = r.end()
		if err := w.add(ctx, r, b.Bytes); err != nil {
			return err
		}
	}
	if err := keep(after); err != nil {
		return err
	}
	r := replacement{From: from, To: to, After: last}
	if len(w.blobOf) > 0 {
		g, err := w.finish(ctx)
		if err != nil {
			return err
		}
		s.age(g, run)
		r.Segments = []*segment{g}
	}
	return s.swap(ctx, l.p, r)
}

// reshape claims the partition and widens the range to whole settled segments; what of them lies
// outside is given back to be kept, with the name of the replacement that left it so.
func (l *log) reshape(ctx context.Context, from, to *int64) (before, after []batchRef, run []*segment, last string, err error) {
	s := l.s
	for {
		s.mu.Lock()
		if err := l.gone(); err != nil {
			s.mu.Unlock()
			return nil, nil, nil, "", err
		}
		if !l.p.reshaping {
			break
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, nil, nil, "", ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	l.p.reshaping, last = true, l.p.reshaped
	var settled []view
	for _, g := range l.p.segments {
		if g.End > *from && g.Base < *to {
			run = append(run, g)
			if g.settled() {
				settled = append(settled, g.view())
			}
		}
	}
	s.mu.Unlock()
	low, high := *from, *to
	for _, v := range settled {
		refs, err := s.refs(ctx, v)
		if err != nil {
			s.mu.Lock()
			l.p.reshaping = false
			s.mu.Unlock()
			return nil, nil, nil, "", err
		}
		for _, r := range refs {
			if r.Base < low {
				before = append(before, r)
				*from = min(*from, r.Base)
			} else if r.Base >= high {
				after = append(after, r)
				*to = max(*to, r.end())
			}
		}
	}
	return before, after, run, last, nil
}
