package seaweedmq

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/batch"
)

// DeadLetters appends to topics of Kafka.
type DeadLetters interface {
	// Append returns once the record is durable in the topic. partition is where it comes from; the same
	// one always leads to the same partition there.
	Append(ctx context.Context, topic string, partition int32, r batch.Record) error
}

// The headers that say where a dead letter comes from, named as Connect names its own. The values are text.
const (
	errorPrefix    = "__kelp.errors."
	errorTopic     = errorPrefix + "topic"
	errorPartition = errorPrefix + "partition"
	errorOffset    = errorPrefix + "offset"
	errorTimestamp = errorPrefix + "timestamp"
	errorMessage   = errorPrefix + "exception.message"
)

// deadLetter is an undecodable record as it goes to the dead-letter topic: key, value and headers as they
// are, and where it comes from. Its time is now, so that the retention there begins now; ok is false for a
// record that is a dead letter already, since a dead-letter topic may be mirrored too.
func deadLetter(r batch.Record, topic string, partition int32, why error, nowMs int64) (out batch.Record, ok bool) {
	if slices.ContainsFunc(r.Headers, func(h batch.RecordHeader) bool { return h.Key == errorTopic }) {
		return batch.Record{}, false
	}
	out = batch.Record{TimestampMs: nowMs, Key: r.Key, Value: r.Value}
	out.Headers = append(slices.Clone(r.Headers),
		batch.RecordHeader{Key: errorTopic, Value: []byte(topic)},
		batch.RecordHeader{Key: errorPartition, Value: strconv.AppendInt(nil, int64(partition), 10)},
		batch.RecordHeader{Key: errorOffset, Value: strconv.AppendInt(nil, r.Offset, 10)},
		batch.RecordHeader{Key: errorTimestamp, Value: strconv.AppendInt(nil, r.TimestampMs, 10)},
		batch.RecordHeader{Key: errorMessage, Value: []byte(errorText(why))},
	)
	return out, true
}

// errorText is an error as valid text of a bounded size.
func errorText(err error) string {
	text := err.Error()
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes]
	}
	return strings.ToValidUTF8(text, "\ufffd") // cut within a character, or words of a payload
}

// bury sends an undecodable record to the dead-letter topic, if the topic has one. It is there before the
// record counts as looked at: after a crash it may be there again, it is never missing.
func (p *publisher) bury(ctx context.Context, r batch.Record, why error) error {
	if p.t.deadLetters == "" {
		return nil
	}
	letter, ok := deadLetter(r, p.t.topic.Name, p.index, why, p.t.m.o.Now().UnixMilli())
	if !ok {
		return nil
	}
	if err := p.t.m.o.DeadLetters.Append(ctx, p.t.deadLetters, p.index, letter); err != nil {
		return fmt.Errorf("offset %d to the dead-letter topic %s: %w", r.Offset, p.t.deadLetters, err)
	}
	p.stats.deadLetters.Add(1)
	return nil
}
