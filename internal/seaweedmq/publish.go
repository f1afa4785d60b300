package seaweedmq

import (
	"context"
	"errors"
	"fmt"

	"kelp/internal/batch"
	"kelp/internal/seaweed/mq"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// errStream says that the stream to the broker does not take messages any more.
var errStream = errors.New("the stream to the broker has ended")

// publish reads the log as a read_committed consumer does and sends what the filer does not have.
func (s *stream) publish(ctx context.Context, pub sender) error {
	more := make(chan struct{}, 1)
	cancel := s.log.Watch(func() {
		select {
		case more <- struct{}{}:
		default:
		}
	})
	defer cancel()
	for {
		n, err := s.chunk(ctx, pub)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

// chunk publishes what one read of the log gives, and says how many bytes that was.
func (s *stream) chunk(ctx context.Context, pub sender) (int, error) {
	s.mu.Lock()
	from := s.progress.next
	s.mu.Unlock()
	span, aborted, err := s.log.ReadCommitted(ctx, from, readBytes, true)
	if errors.Is(err, storage.ErrOutOfRange) {
		return 1, s.skip(from)
	}
	if err != nil {
		return 0, err
	}
	defer span.Release()
	b, err := span.Bytes()
	if err != nil {
		return 0, err
	}
	total := len(b)
	s.sample(b)
	for len(b) > 0 {
		h, err := batch.ReadHeader(b)
		if err != nil || h.TotalBytes() > len(b) {
			return 0, fmt.Errorf("offset %d: %w", from, errors.Join(err, storage.ErrCorrupt))
		}
		if !h.Control() && !isAborted(h, aborted) {
			if err := s.batch(ctx, pub, b, from); err != nil {
				return 0, err
			}
		}
		s.mu.Lock()
		s.progress.pass(max(s.progress.next, h.LastOffset()+1))
		s.mu.Unlock()
		b = b[h.TotalBytes():]
	}
	return total, nil
}

// skip goes on at the start of the log: what lay before was deleted before it was published.
func (s *stream) skip(from int64) error {
	start := s.log.LogStartOffset()
	if start <= from {
		return fmt.Errorf("offset %d is beyond the log: %w", from, storage.ErrOutOfRange)
	}
	s.p.stats.skipped.Add(start - from)
	s.p.t.m.o.Logger.Warn("records were deleted before they were published to SeaweedMQ", "topic", s.p.t.topic.Name,
		"partition", s.p.index, "from", from, "to", start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.pass(start)
	return nil
}

// isAborted says whether a batch belongs to one of the aborted transactions.
func isAborted(h batch.Header, aborted []topic.Aborted) bool {
	if !h.Transactional() {
		return false
	}
	for _, a := range aborted {
		if a.ProducerID == h.ProducerID && a.FirstOffset <= h.BaseOffset && h.BaseOffset <= a.LastOffset {
			return true
		}
	}
	return false
}

// sample shows the first values to a topic that may have no schema.
func (s *stream) sample(b []byte) {
	shapes := s.p.t.shapes
	if s.p.t.mode != Structured || !shapes.wantsSample() {
		return
	}
	var values [][]byte
	for len(b) > 0 && len(values) < maxSampledRecords {
		h, err := batch.ReadHeader(b)
		if err != nil || h.TotalBytes() > len(b) {
			return
		}
		if !h.Control() {
			for r, err := range batch.Records(b, maxDecompressed) {
				if err != nil || len(values) == maxSampledRecords {
					break
				}
				if r.Value != nil {
					values = append(values, r.Value)
				}
			}
		}
		b = b[h.TotalBytes():]
	}
	shapes.sample(values)
}

// batch publishes the records of one batch from an offset on.
func (s *stream) batch(ctx context.Context, pub sender, b []byte, from int64) error {
	for r, err := range batch.Records(b, maxDecompressed) {
		if err != nil {
			return fmt.Errorf("decode a batch: %w", err)
		}
		if r.Offset < from {
			continue
		}
		if err := s.record(ctx, pub, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) record(ctx context.Context, pub sender, r batch.Record) error {
	if err := s.wait(ctx, r.Offset); err != nil {
		return err
	}
	stats := &s.p.stats
	s.mu.Lock()
	wanted := s.progress.wants(r.Offset, s.p.rows.sum(r.Key, r.Value))
	if !wanted {
		s.progress.pass(r.Offset + 1)
	}
	s.mu.Unlock()
	if !wanted {
		return nil
	}
	row, err := s.p.rows.of(ctx, r)
	if err != nil {
		return fmt.Errorf("offset %d: %w", r.Offset, err)
	}
	if row.failed != nil {
		if err := s.p.bury(ctx, r, row.failed); err != nil {
			return err
		}
		stats.undecodable.Add(1)
		stats.note(r.Offset, row.failed)
	}
	if row.dropped {
		s.mu.Lock()
		s.progress.pass(r.Offset + 1)
		s.mu.Unlock()
		return nil
	}
	s.mu.Lock()
	s.progress.publish(r.Offset)
	s.mu.Unlock()
	m := mq.Message{Key: row.key, Value: row.value, TsNs: s.stamps.next(s.p.t.m.o.Now().UnixMilli(), r.Offset)}
	if err := pub.Send(m); err != nil {
		return errStream
	}
	stats.published.Add(1)
	stats.bytes.Add(int64(len(m.Key) + len(m.Value)))
	return nil
}

// wait holds the publisher back while too much is on its way, or an offset is too far ahead of the
// checkpoint for its stamp.
func (s *stream) wait(ctx context.Context, offset int64) error {
	for {
		s.mu.Lock()
		ahead := s.p.t.mode == Raw && offset-s.base > maxAhead
		if ahead && s.progress.next < offset { // a gap in the log: the checkpoint may move over it
			s.progress.pass(offset)
		}
		free := s.progress.waiting() < maxWaiting && !ahead
		s.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.room:
		}
	}
}
