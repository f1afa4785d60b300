// Package topic is what a partition means in Kafka: which batches may enter, the state of
// idempotent producers, the high watermark, waiting for records, time look-up and retention. It
// stands between handlers and a storage.Log, which only knows bytes and offsets.
//
// Invariants: a stored batch is the producer's bytes with base offset, leader epoch and, where the
// topic says so, append time patched in. Offsets are given under one lock in arrival order. What
// a producer may send next is decided by the batches it has sent, rebuilt from the log on open.
package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
)

// Options of one ownership.
type Options struct {
	Epoch  int32
	Config func() *cluster.TopicConfig // in force now
	Now    func() time.Time
	// State says that only the cluster itself writes here: Produce is refused.
	State bool
	// ProducerExpirationMs is how long a silent producer is remembered (producer.id.expiration.ms).
	ProducerExpirationMs int64
	// MaxProducers bounds the producers that are remembered: the longest silent are forgotten first.
	// 0 is a million.
	MaxProducers int
	// Note takes what an operator should know, in the manner of slog; nil drops it.
	Note func(message string, args ...any)

	limits *limiter // of the set, nil outside of one
}

// maxProducers is the default of Options.MaxProducers.
const maxProducers = 1_000_000

func (o *Options) note(message string, args ...any) {
	if o.Note != nil {
		o.Note(message, args...)
	}
}

// Partition is one partition led here.
type Partition struct {
	o   Options
	log storage.Log

	highWatermark atomic.Int64
	// cleaned is the first offset that the cleaner has not looked at yet (Kafka's cleaner checkpoint).
	cleaned atomic.Int64

	saving sync.Mutex // held while a checkpoint is made and saved; taken before mu

	mu         sync.Mutex // guards all below up to the transactions; held over Append, never over waiting
	next       int64
	newest     storage.Pending // of the last append, nil once it is known to be durable
	producers  map[int64]*producer
	inflight   []placed // batches of producers that may not be durable yet, by offset
	verifying  map[int64]*verifying
	appended   int64 // bytes since the last checkpoint
	savedBytes int64 // size of the last checkpoint
	savedMs    int64 // when it was made
	savedAt    int64 // the offset that it describes everything before
	settings   storage.Settings

	txns transactions

	watchers watchers
}

// Open creates the partition where it is missing, takes it over and rebuilds its producer state.
func Open(ctx context.Context, store storage.Store, id storage.Partition, o Options) (*Partition, error) {
	if err := store.Create(ctx, id); err != nil {
		return nil, err
	}
	return takeOver(ctx, store, id, o)
}

// takeOver opens a partition that is there.
func takeOver(ctx context.Context, store storage.Store, id storage.Partition, o Options) (*Partition, error) {
	p := &Partition{o: o, verifying: map[int64]*verifying{}}
	if p.o.MaxProducers == 0 {
		p.o.MaxProducers = maxProducers
	}
	config := o.Config()
	if config == nil {
		return nil, fmt.Errorf("open %s: %w", id, storage.ErrNotFound)
	}
	p.forget()
	p.settings = settingsOf(config)
	log, err := store.Open(ctx, id, storage.OpenOptions{Epoch: o.Epoch, Settings: p.settings, Advanced: p.advanced})
	if err != nil {
		return nil, err
	}
	p.log = log
	start, end := log.Bounds()
	p.next = end
	p.highWatermark.Store(end)
	if err := p.restore(ctx, start, end); err != nil {
		return nil, errors.Join(fmt.Errorf("restore producers of %s: %w", id, err), log.Close())
	}
	return p, nil
}

// forget empties the books. The partition is not shared yet.
func (p *Partition) forget() {
	p.producers = map[int64]*producer{}
	p.cleaned.Store(0)
	p.txns.load(nil, nil)
}

// settingsOf is what the store is told. A compacted topic's segments are sealed in time for
// max.compaction.lag.ms, as the cleaner never looks at the one that is written to.
func settingsOf(c *cluster.TopicConfig) storage.Settings {
	s := storage.Settings{SegmentBytes: c.SegmentBytes, SegmentMs: c.SegmentMs}
	if c.Compact && c.MaxCompactionLagMs > 0 {
		s.SegmentMs = min(s.SegmentMs, c.MaxCompactionLagMs)
	}
	return s
}

// ReadCommitted is Read for read_committed: it ends before the last stable offset, and the aborted
// transactions among what it gives are listed.
func (p *Partition) ReadCommitted(
	ctx context.Context, from int64, maxBytes int, atLeastOne bool,
) (storage.Span, []Aborted, error) {
	stable := p.LastStableOffset()
	if from >= stable { // nothing, or the error that is due
		s, err := p.log.Read(ctx, storage.ReadRange{From: from, Before: 1, MaxBytes: 0})
		return s, nil, err
	}
	s, err := p.log.Read(ctx, storage.ReadRange{From: from, Before: stable, MaxBytes: maxBytes, AtLeastOne: atLeastOne})
	if err != nil {
		return nil, nil, err
	}
	if e, ok := s.(storage.Ending); ok && s.Len() > 0 {
		stable = min(stable, e.End())
	}
	return s, p.Aborted(from, stable), nil
}

// Read gives stored batches from an offset on, as storage.Log does.
func (p *Partition) Read(ctx context.Context, from int64, maxBytes int, atLeastOne bool) (storage.Span, error) {
	return p.log.Read(ctx, storage.ReadRange{From: from, MaxBytes: maxBytes, AtLeastOne: atLeastOne})
}

// LogStartOffset is the first offset kept.
func (p *Partition) LogStartOffset() int64 {
	start, _ := p.log.Bounds()
	return start
}

// Bytes is the stored size.
func (p *Partition) Bytes() int64 { return p.log.Shape().Bytes }

// HighWatermark is the first offset that cannot be read yet.
func (p *Partition) HighWatermark() int64 { return p.highWatermark.Load() }

// LeaderEpoch is the epoch of this ownership.
func (p *Partition) LeaderEpoch() int32 { return p.o.Epoch }

func (p *Partition) advanced(end int64) {
	p.highWatermark.Store(end)
	p.txns.durable(end)
	p.watchers.wake()
}

// FindTime gives the first record at or after a time, -1 and -1 when there is none.
func (p *Partition) FindTime(ctx context.Context, atLeastMs int64) (offset, timestampMs int64, err error) {
	base, err := p.log.FindTime(ctx, atLeastMs)
	if errors.Is(err, storage.ErrNotFound) {
		return -1, -1, nil
	}
	if err != nil {
		return -1, -1, err
	}
	return p.firstAt(ctx, base, atLeastMs)
}

// MaxTimestamp gives the first record with the largest timestamp, -1 and -1 in an empty log.
func (p *Partition) MaxTimestamp(ctx context.Context) (offset, timestampMs int64, err error) {
	shape := p.log.Shape()
	if shape.MaxTimestampBase < 0 {
		return -1, -1, nil
	}
	return p.firstAt(ctx, shape.MaxTimestampBase, shape.MaxTimestampMs)
}

// firstAt looks from the batch at base on for the first record that is late enough and still kept.
// That batch need not have one: its records may be trimmed or cleaned away.
func (p *Partition) firstAt(ctx context.Context, base, atLeastMs int64) (offset, timestampMs int64, err error) {
	start, end := p.log.Bounds()
	for from := max(base, start); from < end; {
		span, err := p.Read(ctx, from, 1, true)
		if err != nil {
			return -1, -1, err
		}
		b, err := span.Bytes()
		if err != nil || len(b) == 0 {
			span.Release()
			return -1, -1, err
		}
		offset, timestampMs = -1, -1
		h, err := batch.ReadHeader(b)
		if err == nil && h.MaxTimestampMs >= atLeastMs {
			offset, timestampMs, err = firstRecordAt(b, start, atLeastMs)
		}
		span.Release()
		if err != nil {
			return -1, -1, fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
		}
		if offset >= 0 {
			return offset, timestampMs, nil
		}
		from = h.LastOffset() + 1
	}
	return -1, -1, nil
}

func firstRecordAt(b []byte, start, atLeastMs int64) (offset, timestampMs int64, err error) {
	offset, timestampMs = -1, -1
	err = batch.InTurn(func(maxBytes int) error {
		for r, err := range batch.Records(b, maxBytes) {
			if err != nil {
				return err
			}
			if r.TimestampMs >= atLeastMs && r.Offset >= start {
				offset, timestampMs = r.Offset, r.TimestampMs
				return nil
			}
		}
		return nil
	})
	return offset, timestampMs, err
}

// SegmentsBefore lists at most limit offsets, newest first, at which something begins that is not
// newer than a time: the end, then segments. -1 is the newest time, -2 the oldest (ListOffsets v0).
func (p *Partition) SegmentsBefore(timestampMs int64, limit int) []int64 {
	offsets := []int64{p.LogStartOffset()}
	for i, s := range p.log.Shape().Segments {
		if i > 0 && (timestampMs == -1 || writtenMs(s) <= timestampMs) {
			offsets = append(offsets, s.Base)
		}
	}
	if end := p.HighWatermark(); end > offsets[len(offsets)-1] && (timestampMs == -1 || timestampMs >= p.o.Now().UnixMilli()) {
		offsets = append(offsets, end)
	}
	if timestampMs == -2 {
		offsets = offsets[:1]
	}
	slices.Reverse(offsets)
	return offsets[:min(len(offsets), max(0, limit))]
}

// writtenMs is when a segment was last written to, which Kafka takes from its file.
func writtenMs(s storage.Segment) int64 {
	if s.AppendedMs > 0 {
		return s.AppendedMs
	}
	return s.MaxTimestampMs
}

// EndOfEpoch answers OffsetForLeaderEpoch: the largest epoch not above the asked one and the
// offset where the next one starts. An epoch before all that are known ended where those start; one
// that is yet to come is -1 and -1.
func (p *Partition) EndOfEpoch(epoch int32) (leaderEpoch int32, endOffset int64) {
	if epoch > p.o.Epoch {
		return -1, -1
	}
	// First the end: what is appended meanwhile belongs to this ownership.
	leaderEpoch, endOffset = epoch, p.HighWatermark()
	if epoch == p.o.Epoch {
		return leaderEpoch, endOffset
	}
	for _, e := range p.log.Shape().Epochs {
		if e.Epoch > epoch {
			return leaderEpoch, e.Start
		}
		leaderEpoch = e.Epoch
	}
	return leaderEpoch, endOffset
}

// DeleteRecords moves the log start up; -1 is the high watermark.
func (p *Partition) DeleteRecords(ctx context.Context, before int64) (lowWatermark int64, err error) {
	if c := p.o.Config(); c == nil || !c.Delete {
		return -1, kerr.PolicyViolation
	}
	if before == -1 {
		before = p.HighWatermark()
	}
	if before < 0 || before > p.HighWatermark() {
		return -1, kerr.OffsetOutOfRange
	}
	if err := p.trim(ctx, before); err != nil {
		return -1, err
	}
	return p.LogStartOffset(), nil
}
