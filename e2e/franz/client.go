// Package franz adapts franz-go to the client suite and tests what only franz-go does.
//
// Client keeps no connection: every method dials, works and closes, so that a restart of the server between two calls
// is nothing special to it.
package franz

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/suite"
)

// Client implements suite.Client with franz-go.
type Client struct{ Addr string }

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (c Client) open(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Addr)}, opts...)...)
}

// Produce implements suite.Client with an idempotent producer.
func (c Client) Produce(ctx context.Context, topic, codec string, records []suite.Record) error {
	client, err := c.open(kgo.ProducerBatchCompression(codecs[codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(2<<20), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		out[i] = &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.TimestampMs)}
		for _, h := range r.Headers {
			out[i].Headers = append(out[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	return client.ProduceSync(ctx, out...).FirstErr()
}

// Consume implements suite.Client.
func (c Client) Consume(ctx context.Context, topic string, partition int32, from int64, n int) ([]suite.Record, error) {
	client, err := c.open(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return poll(ctx, client, n)
}

func poll(ctx context.Context, client *kgo.Client, n int) ([]suite.Record, error) {
	var got []suite.Record
	for len(got) < n {
		fetches := client.PollRecords(ctx, n-len(got))
		if err := fetches.Err(); err != nil {
			return got, fmt.Errorf("after %d records: %w", len(got), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, canonical(r)) })
	}
	return got, nil
}

func canonical(r *kgo.Record) suite.Record {
	record := suite.Record{
		Partition: r.Partition, Offset: r.Offset, TimestampMs: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value,
	}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, suite.Header{Key: h.Key, Value: h.Value})
	}
	return record
}

// OffsetAt implements suite.Client.
func (c Client) OffsetAt(ctx context.Context, topic string, ms int64) (int64, error) {
	client, err := c.open()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	offsets, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, ms, topic)
	if err != nil {
		return 0, err
	}
	o, _ := offsets.Lookup(topic, 0)
	return o.Offset, o.Err
}

// ConsumeGroup implements suite.Client.
func (c Client) ConsumeGroup(ctx context.Context, group, topic string, n int) ([]suite.Record, error) {
	client, err := c.open(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	got, err := poll(ctx, client, n)
	if err != nil {
		return got, err
	}
	return got, client.CommitUncommittedOffsets(ctx)
}

// CreateTopic implements suite.Client.
func (c Client) CreateTopic(ctx context.Context, topic string, partitions int) error {
	client, err := c.open()
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := kadm.NewClient(client).CreateTopic(ctx, int32(partitions), 1, nil, topic)
	if err != nil {
		return err
	}
	return answer.Err
}

// DeleteTopic implements suite.Client.
func (c Client) DeleteTopic(ctx context.Context, topic string) error {
	client, err := c.open()
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := kadm.NewClient(client).DeleteTopic(ctx, topic)
	if err != nil {
		return err
	}
	return answer.Err
}

// Topics implements suite.Client.
func (c Client) Topics(ctx context.Context) (map[string]int, error) {
	client, err := c.open()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	details, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	topics := map[string]int{}
	for name, d := range details {
		topics[name] = len(d.Partitions)
	}
	return topics, details.Error()
}
