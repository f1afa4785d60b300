// Package suite is what every client must be able to do, written once over a small interface.
//
// Each client package adapts its library to Client and calls Run; what only that library has is tested beside the
// adapter. Records are compared in one canonical form, Record, so what one client wrote can be read with another.
package suite

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"
)

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is one message in the form in which all clients are compared. A nil key or value is null.
type Record struct {
	Partition   int32
	Offset      int64
	TimestampMs int64
	Key, Value  []byte
	Headers     []Header
}

// Client is one client library at one protocol version.
type Client interface {
	// Produce sends the records, in order per partition, with acks=all, and returns when all are acknowledged.
	Produce(ctx context.Context, topic, codec string, records []Record) error
	// Consume reads n records of a partition from the offset on.
	Consume(ctx context.Context, topic string, partition int32, from int64, n int) ([]Record, error)
	// OffsetAt is the first offset of partition 0 with a timestamp of at least ms.
	OffsetAt(ctx context.Context, topic string, ms int64) (int64, error)
	// ConsumeGroup reads n records as a group member from the committed offset or the start, commits, and leaves.
	ConsumeGroup(ctx context.Context, group, topic string, n int) ([]Record, error)
	CreateTopic(ctx context.Context, topic string, partitions int) error
	DeleteTopic(ctx context.Context, topic string) error
	// Topics lists the topics with their number of partitions.
	Topics(ctx context.Context) (map[string]int, error)
}

// Codecs are the compression types that a client of the newest version can write.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Diff describes the first difference between two records, offsets included; empty when there is none. Some
// libraries cannot tell null from empty, so nulls decides whether that counts.
func (r Record) Diff(o Record, nulls bool) string {
	switch {
	case r.Partition != o.Partition || r.Offset != o.Offset:
		return fmt.Sprintf("at %d/%d, want %d/%d", o.Partition, o.Offset, r.Partition, r.Offset)
	case r.TimestampMs != o.TimestampMs:
		return fmt.Sprintf("offset %d: timestamp %d, want %d", r.Offset, o.TimestampMs, r.TimestampMs)
	case !same(r.Key, o.Key, nulls):
		return fmt.Sprintf("offset %d: key %s, want %s", r.Offset, show(o.Key), show(r.Key))
	case !same(r.Value, o.Value, nulls):
		return fmt.Sprintf("offset %d: value %s, want %s", r.Offset, show(o.Value), show(r.Value))
	case len(r.Headers) != len(o.Headers):
		return fmt.Sprintf("offset %d: %d headers, want %d", r.Offset, len(o.Headers), len(r.Headers))
	}
	for i, h := range r.Headers {
		if got := o.Headers[i]; got.Key != h.Key || !same(h.Value, got.Value, nulls) {
			return fmt.Sprintf("offset %d: header %d is %q=%s, want %q=%s", r.Offset, i, got.Key, show(got.Value), h.Key, show(h.Value))
		}
	}
	return ""
}

func same(a, b []byte, nulls bool) bool {
	return bytes.Equal(a, b) && (!nulls || (a == nil) == (b == nil))
}

func show(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) > 40 {
		return fmt.Sprintf("%q… (%d bytes)", b[:40], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// Compare fails the test at the first record that differs.
func Compare(t *testing.T, want, got []Record, nulls bool) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if d := want[i].Diff(got[i], nulls); d != "" {
			t.Fatalf("record %d: %s", i, d)
		}
	}
}

// Context is the test's context with the limit that no case may reach.
func Context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
