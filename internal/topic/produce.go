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

// Appended is a batch that has its place, or will get one once its transaction is verified. Pending
// is nil for a repeat of one that is durable.
type Appended struct {
	BaseOffset, LogAppendTimeMs, LogStartOffset int64
	Pending                                     storage.Pending
	// Verify, when set, must be answered by whoever sent the batch in.
	Verify *Verification

	queued *queued
}

// Final gives the place of the batch once Pending is done without an error: one that waited for its
// transaction to be verified did not have it before.
func (a Appended) Final() Appended {
	if a.queued == nil {
		return a
	}
	return a.queued.result
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

// Produce checks records and appends them: one v2 batch, or of a client that may send them a message
// set, which becomes one v2 batch. The bytes may be patched and must stay as they are until Pending
// is done.
func (p *Partition) Produce(records []byte, client Client) (Appended, error) {
	if p.o.State {
		return Appended{}, reject(kerr.InvalidTopicException, "clients cannot append to a topic of the cluster's own state")
	}
	config := p.o.Config()
	if config == nil {
		return Appended{}, kerr.UnknownTopicOrPartition // it is being deleted
	}
	if config.SeaweedMQSource != "" {
		return Appended{}, reject(kerr.InvalidTopicException, "the topic is read from SeaweedMQ (%s) and takes no records",
			config.SeaweedMQSource)
	}
	records, h, err := p.prepare(records, client, config)
	if err != nil {
		return Appended{}, err
	}
	if config.LogAppendTime {
		h.MaxTimestampMs = p.o.Now().UnixMilli()
		h.Attributes |= batch.SetLogAppendTime(records, h.MaxTimestampMs)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unverified(h) {
		return p.verify(records, h, client)
	}
	return p.place(records, h, nil, client)
}

// place gives a checked batch its offsets and hands it to the log. A verified one comes with its
// verification. The partition's lock is held.
func (p *Partition) place(records []byte, h batch.Header, v *verifying, client Client) (Appended, error) {
	if h.ProducerID >= 0 {
		repeat, err := p.admit(h)
		if err == nil && repeat == nil && v != nil {
			err = p.unexpected(h, v, client)
		}
		switch {
		case err != nil:
			return Appended{}, err
		case repeat != nil:
			return p.repeat(repeat), nil
		case h.Transactional() && !p.mayBegin(h.ProducerID):
			return Appended{}, reject(kerr.PolicyViolation, "no transaction may begin: too many aborted ones are kept (max-aborted-transactions)")
		case v != nil:
			delete(p.verifying, h.ProducerID)
		}
	}
	start, _ := p.log.Bounds()
	a := Appended{BaseOffset: p.next, LogAppendTimeMs: -1, LogStartOffset: start}
	if h.LogAppendTime() {
		a.LogAppendTimeMs = h.MaxTimestampMs
	}
	batch.SetBaseOffset(records, a.BaseOffset)
	batch.SetLeaderEpoch(records, p.o.Epoch)
	// Remembered first: a transaction must be known to be open before its records can be read.
	p.remember(h, a.BaseOffset, p.o.Now().UnixMilli())
	p.next += int64(h.Count)
	b := storage.Batch{Base: a.BaseOffset, Count: h.Count, MaxTimestampMs: h.MaxTimestampMs, Bytes: records}
	b.Tail.Bytes, b.Tail.CRC32C = batch.Sum(records) // compared or made by prepare
	a.Pending = p.log.Append(b)
	p.track(a.BaseOffset, h.ProducerID >= 0, a.Pending, len(records))
	return a, nil
}

// repeat answers a batch that is here already.
func (p *Partition) repeat(of *sent) Appended {
	start, _ := p.log.Bounds()
	return Appended{BaseOffset: of.offset, LogAppendTimeMs: of.latestMs, LogStartOffset: start, Pending: p.underway(of.offset)}
}

// prepare gives the batch to append in the topic's codec, or why there is none.
func (p *Partition) prepare(records []byte, client Client, config *cluster.TopicConfig) ([]byte, batch.Header, error) {
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
	case magic < 2 && !client.Messages:
		err = reject(kerr.InvalidRecord, "produce requests from version 3 on hold one batch of magic 2, this is magic %d", magic)
	case len(records) > config.MaxMessageBytes:
		err = tooLarge()
	case magic < 2:
		if records, err = fromMessages(records); err != nil {
			err = fault(err)
		}
	}
	if err != nil {
		return nil, batch.Header{}, err
	}
	h, err := p.check(records, config, client.Inspection)
	if err == nil && client.Inspection != nil {
		records, h, err = inspected(records, h, client.Inspection, config)
	}
	if err != nil {
		return nil, h, err
	}
	if codec, chosen := batch.CodecByName(config.CompressionType); chosen && codec != h.Codec() {
		if records, err = recompress(records, codec, levelOf(codec, config)); err != nil {
			return nil, h, fault(err)
		}
	}
	if len(records) > config.MaxMessageBytes {
		return nil, h, tooLarge()
	}
	return records, h, nil
}

func fromMessages(set []byte) (records []byte, err error) {
	err = batch.InTurn(func(maxBytes int) (err error) {
		records, err = batch.FromMessages(set, maxBytes)
		return err
	})
	return records, err
}

func recompress(b []byte, codec batch.Codec, level batch.Level) (packed []byte, err error) {
	err = batch.InTurn(func(maxBytes int) (err error) {
		packed, err = batch.Recompress(b, codec, level, maxBytes)
		return err
	})
	return packed, err
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
func (p *Partition) check(records []byte, config *cluster.TopicConfig, inspection Inspection) (batch.Header, error) {
	rules := recordRules{compacted: config.Compact, checkTime: !config.LogAppendTime, largestMs: -1}
	nowMs := p.o.Now().UnixMilli()
	rules.earliestMs, rules.latestMs = nowMs-min(nowMs, config.TimestampBeforeMaxMs), saturate(nowMs, config.TimestampAfterMaxMs)
	each := rules.see
	if inspection != nil {
		inspection.Reset()
		each = func(index int32, rec batch.Record) {
			rules.see(index, rec)
			inspection.See(index, rec)
		}
	}
	h, err := validate(records, each)
	switch {
	case err != nil:
		return h, fault(err)
	case h.Control():
		return h, reject(kerr.InvalidRecord, "clients must not write control batches")
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

// validate checks a batch; one without compression unfolds to nothing and need not wait for its turn.
func validate(records []byte, see func(int32, batch.Record)) (batch.Header, error) {
	h, err := batch.ReadHeader(records)
	if err != nil || h.Codec() == batch.None {
		return batch.Validate(records, 0, see)
	}
	err = batch.InTurn(func(maxBytes int) (err error) {
		h, err = batch.Validate(records, maxBytes, see)
		return err
	})
	return h, err
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
