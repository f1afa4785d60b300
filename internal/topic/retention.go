package topic

import (
	"context"

	"kelp/internal/cluster"
	"kelp/internal/storage"
)

// Clean does what time brings: it forgets silent producers and, where the topic's cleanup.policy
// says so, drops segments that are too old or too many. A segment goes as a whole, and so does the
// active one once all its records are due (Kafka's UnifiedLog.deleteOldSegments).
func (p *Partition) Clean(ctx context.Context) error {
	nowMs := p.o.Now().UnixMilli()
	p.expireProducers(nowMs)
	config := p.o.Config()
	if config == nil || !config.Delete {
		return nil
	}
	before := expired(p.log.Shape().Segments, config, nowMs)
	if before < 0 {
		return nil
	}
	return p.trim(ctx, before)
}

// trim moves the start of the log. What only the batches that go say of their producers is saved first.
func (p *Partition) trim(ctx context.Context, before int64) error {
	p.mu.Lock()
	saved := p.savedAt
	p.mu.Unlock()
	if before > saved {
		if err := p.Checkpoint(ctx, true); err != nil {
			return err
		}
	}
	if err := p.log.TrimBefore(ctx, before); err != nil {
		return err
	}
	p.txns.trim(p.LogStartOffset())
	return nil
}

// expired gives the offset before which everything is to go, -1 for nothing: first what is beyond
// retention.bytes, then what is older than retention.ms.
func expired(segments []storage.Segment, config *cluster.TopicConfig, nowMs int64) int64 {
	before, excess := int64(-1), -config.RetentionBytes
	for _, s := range segments {
		excess += s.Bytes
	}
	for config.RetentionBytes >= 0 && len(segments) > 0 && excess-segments[0].Bytes >= 0 {
		excess -= segments[0].Bytes
		before, segments = segments[0].End, segments[1:]
	}
	for config.RetentionMs >= 0 && len(segments) > 0 && nowMs-newestMs(segments[0]) > config.RetentionMs {
		before, segments = segments[0].End, segments[1:]
	}
	return before
}

// newestMs is the time of a segment's newest record; where no record has one, of the last append.
func newestMs(s storage.Segment) int64 {
	if s.MaxTimestampMs >= 0 {
		return s.MaxTimestampMs
	}
	return s.AppendedMs
}
