package topic

import (
	"context"
	"errors"
	"fmt"
	"math"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
)

// errNoCompactor says that the store cannot replace stored batches in place.
var errNoCompactor = errors.New("the store cannot compact")

// due says whether cleaning is worth while now: a large enough share is dirty, or a record has
// waited for too long.
func (d *dirt) due(config *cluster.TopicConfig) bool {
	return d.dirty > 0 && (d.lateMs > 0 || d.ratio() > config.MinCleanableDirtyRatio)
}

// dirt measures what there is to clean. Never cleaned are the segment that is written to, what lies
// at or above the last stable offset, and segments younger than min.compaction.lag.ms (Kafka's
// LogCleanerManager.cleanableOffsets).
func (p *Partition) dirt(ctx context.Context) (*dirt, error) {
	log, ok := p.log.(storage.Compactor)
	if !ok {
		return nil, errNoCompactor
	}
	config := p.o.Config()
	if config == nil {
		return nil, storage.ErrNotFound
	}
	start, end := p.log.Bounds()
	from := p.cleaned.Load()
	if from < start || from > end {
		from = start
	}
	d := &dirt{p: p, log: log, start: start, from: from, until: from, maxBytes: config.SegmentBytes}
	if d.maxBytes <= 0 {
		d.maxBytes = math.MaxInt64
	}
	stable, nowMs := p.LastStableOffset(), p.o.Now().UnixMilli()
	segments := p.log.Shape().Segments
	for i, s := range segments {
		young := config.MinCompactionLagMs > 0 && s.MaxTimestampMs > nowMs-config.MinCompactionLagMs && s.End > from
		if i == len(segments)-1 || s.End > stable || young {
			break
		}
		if s.End <= start {
			continue
		}
		d.segments = append(d.segments, s)
		if s.End <= from {
			d.clean += s.Bytes
			continue
		}
		d.dirty, d.until = d.dirty+s.Bytes, s.End
	}
	return d, d.findLate(ctx, config, nowMs)
}

// findLate looks how old the first record of each dirty segment is, where that matters.
func (d *dirt) findLate(ctx context.Context, config *cluster.TopicConfig, nowMs int64) error {
	if config.MaxCompactionLagMs <= 0 || config.MaxCompactionLagMs >= nowMs {
		return nil
	}
	for _, s := range d.segments {
		if s.End <= d.from || s.Bytes == 0 {
			continue
		}
		span, err := d.p.Read(ctx, max(s.Base, d.p.LogStartOffset()), 1, true)
		if err != nil {
			return err
		}
		b, err := span.Bytes()
		if err == nil && len(b) > 0 {
			var h batch.Header
			if h, err = batch.ReadHeader(b); err == nil && h.MaxTimestampMs > 0 {
				d.lateMs = max(d.lateMs, nowMs-config.MaxCompactionLagMs-h.MaxTimestampMs)
			}
		}
		span.Release()
		if err != nil {
			return fmt.Errorf("look for the oldest dirty record: %w", err)
		}
	}
	return nil
}

// lastEntry is what of a living producer must stay in the log, so that it is known after a start: the
// batch with its last sequence or, when it has none in its epoch, the marker that brought the epoch.
type lastEntry struct {
	offset int64 // of the batch, or none
	epoch  int16
}

func (e lastEntry) is(h batch.Header) bool {
	if e.offset == none {
		return h.Control() && h.ProducerEpoch == e.epoch
	}
	return h.BaseOffset == e.offset
}

// lastEntries gives what must stay of living producers, and up to where the log is described by the
// saved checkpoint: a marker behind it is still needed, as the checkpoint has its transaction open.
func (p *Partition) lastEntries() (entries map[int64]lastEntry, savedAt int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[int64]lastEntry, len(p.producers))
	for id, s := range p.producers {
		e := lastEntry{offset: none, epoch: s.epoch}
		if n := len(s.batches); n > 0 {
			e.offset = s.batches[n-1].offset
		}
		all[id] = e
	}
	return all, p.savedAt
}

// cleanedUpTo notes how far the cleaner has come, and which aborted transactions have no records left.
// Their markers may go once that is saved.
func (p *Partition) cleanedUpTo(ctx context.Context, end int64, dead []Aborted) error {
	p.txns.drop(dead)
	p.cleaned.Store(end)
	p.mu.Lock()
	p.appended++ // worth a checkpoint
	p.mu.Unlock()
	if len(dead) == 0 {
		return nil
	}
	if err := p.Checkpoint(ctx, true); err != nil {
		p.txns.restore(dead)
		return err
	}
	return nil
}
