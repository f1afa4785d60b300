package topic

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
)

// maxRecordErrors bounds how many records of a rejected batch are named.
const maxRecordErrors = 100

// Appended is a batch that has its place. Pending is nil for a repeat of one that is durable.
type Appended struct {
	BaseOffset, LogAppendTimeMs, LogStartOffset int64
	Pending                                     storage.Pending
}

// Rejected is a batch that may not enter.
type Rejected struct {
	Err     *kerr.Error
	Message string
	Records []RecordError
}

// RecordError names one record of a rejected batch by its index.
type RecordError struct {
	Index   int32
	Message string
}

func (r *Rejected) Error() string { return r.Err.Message + ": " + r.Message }

func (r *Rejected) Unwrap() error { return r.Err }

func reject(k *kerr.Error, format string, args ...any) error {
	return &Rejected{Err: k, Message: fmt.Sprintf(format, args...)}
}

// Produce checks records and appends them: one v2 batch, or with messages also what clients
// before Kafka 0.11 write, a message set, which becomes one v2 batch. The bytes may be patched
// and must stay as they are until Pending is done.
func (p *Partition) Produce(records []byte, messages bool) (Appended, error) {
	if p.o.State {
		return Appended{}, reject(kerr.InvalidTopicException, "clients cannot append to a topic of the cluster's own state")
	}
	config := p.o.Config()
	records, h, err := p.prepare(records, messages, config)
	if err != nil {
		return Appended{}, err
	}
	nowMs := p.o.Now().UnixMilli()
	appendMs := int64(-1)
	if config.LogAppendTime {
		appendMs = nowMs
		batch.SetLogAppendTime(records, appendMs)
		h.MaxTimestampMs = appendMs
	}
	start, _ := p.log.Bounds()
	p.mu.Lock()
	defer p.mu.Unlock()
	repeat, err := p.admit(h)
	if err != nil {
		return Appended{}, err
	}
	if repeat != nil {
		return Appended{BaseOffset: repeat.offset, LogAppendTimeMs: repeat.latestMs, LogStartOffset: start, Pending: repeat.pending}, nil
	}
	base := p.next
	batch.SetBaseOffset(records, base)
	batch.SetLeaderEpoch(records, p.o.Epoch)
	pending := p.log.Append(storage.Batch{Base: base, Count: h.Count, MaxTimestampMs: h.MaxTimestampMs, Bytes: records})
	p.next += int64(h.Count)
	p.remember(h, base, pending, nowMs)
	return Appended{BaseOffset: base, LogAppendTimeMs: appendMs, LogStartOffset: start, Pending: pending}, nil
}

// prepare gives the batch to append in the topic's codec, or why there is none.
func (p *Partition) prepare(records []byte, messages bool, config *cluster.TopicConfig) ([]byte, batch.Header, error) {
	tooLarge := func() error {
		return reject(kerr.MessageTooLarge, "the batch has %d bytes, max.message.bytes is %d", len(records), config.MaxMessageBytes)
	}
	magic, given := batch.Magic(records)
	var err error
	switch {
	case !given:
		err = reject(kerr.InvalidRecord, "there is no record batch")
	case magic > 2:
		err = reject(kerr.CorruptMessage, "magic %d is not known", magic)
	case magic < 2 && !messages:
		err = reject(kerr.InvalidRecord, "produce requests from version 3 on hold one batch of magic 2, this is magic %d", magic)
	case len(records) > config.MaxMessageBytes:
		err = tooLarge()
	case magic < 2:
		if records, err = batch.FromMessages(records, maxDecompressedBytes); err != nil {
			err = fault(err)
		}
	}
	if err != nil {
		return nil, batch.Header{}, err
	}
	h, err := p.check(records, config)
	if err != nil {
		return nil, h, err
	}
	if codec, chosen := batch.CodecByName(config.CompressionType); chosen && codec != h.Codec() {
		if records, err = batch.Recompress(records, codec, levelOf(codec, config), maxDecompressedBytes); err != nil {
			return nil, h, fault(err)
		}
	}
	if len(records) > config.MaxMessageBytes {
		return nil, h, tooLarge()
	}
	return records, h, nil
}

func levelOf(c batch.Codec, config *cluster.TopicConfig) batch.Level {
	switch c {
	case batch.Gzip:
		return batch.Level(config.GzipLevel)
	case batch.LZ4:
		return batch.Level(config.LZ4Level)
	default:
		return batch.Level(config.ZstdLevel)
	}
}

// check validates a v2 batch and the rules of its topic for each record.
func (p *Partition) check(records []byte, config *cluster.TopicConfig) (batch.Header, error) {
	rules := recordRules{compacted: config.Compact, checkTime: !config.LogAppendTime, largestMs: -1}
	nowMs := p.o.Now().UnixMilli()
	rules.earliestMs, rules.latestMs = nowMs-min(nowMs, config.TimestampBeforeMaxMs), saturate(nowMs, config.TimestampAfterMaxMs)
	h, err := batch.Validate(records, maxDecompressedBytes, rules.see)
	switch {
	case err != nil:
		return h, fault(err)
	case h.Control():
		return h, reject(kerr.InvalidRecord, "clients must not write control batches")
	case h.Transactional():
		return h, reject(kerr.InvalidTxnState, "the producer has no transaction here")
	case rules.wrongTimes > 0:
		return h, &Rejected{kerr.InvalidTimestamp, fmt.Sprintf("%d records have a timestamp out of range", rules.wrongTimes), rules.errors}
	case len(rules.errors) > 0:
		return h, &Rejected{kerr.InvalidRecord, "one or more records have been rejected", rules.errors}
	}
	if rules.largestMs != h.MaxTimestampMs && !h.LogAppendTime() {
		batch.SetMaxTimestamp(records, rules.largestMs)
		h.MaxTimestampMs = rules.largestMs
	}
	return h, nil
}

// saturate adds without running over.
func saturate(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// recordRules is what a topic asks of each record.
type recordRules struct {
	compacted, checkTime            bool
	earliestMs, latestMs, largestMs int64
	wrongTimes                      int
	errors                          []RecordError
}

func (r *recordRules) see(index int32, rec batch.Record) {
	r.largestMs = max(r.largestMs, rec.TimestampMs)
	if r.compacted && rec.Key == nil {
		r.fail(index, "compacted topics take no record without a key")
	}
	if r.checkTime && rec.TimestampMs != -1 && (rec.TimestampMs < r.earliestMs || rec.TimestampMs > r.latestMs) {
		r.wrongTimes++
		r.fail(index, fmt.Sprintf("timestamp %d is not between %d and %d", rec.TimestampMs, r.earliestMs, r.latestMs))
	}
}

func (r *recordRules) fail(index int32, text string) {
	if len(r.errors) < maxRecordErrors {
		r.errors = append(r.errors, RecordError{index, text})
	}
}

// fault gives what is wrong with a batch its Kafka code.
func fault(err error) error {
	switch {
	case errors.Is(err, batch.ErrMagic):
		return reject(kerr.InvalidRecord, "%v", err)
	case errors.Is(err, batch.ErrInvalid):
		return reject(kerr.InvalidRecord, "%v", err)
	case errors.Is(err, batch.ErrCompression):
		return reject(kerr.UnsupportedCompressionType, "%v", err)
	case errors.Is(err, batch.ErrTooLarge):
		return reject(kerr.MessageTooLarge, "%v", err)
	default:
		return reject(kerr.CorruptMessage, "%v", err)
	}
}
