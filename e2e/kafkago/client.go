// Package kafkago adapts kafka-go to the client suite, and lets kafka-go, franz-go and Sarama read each other's records.
//
// Client keeps no connection: every method dials, works and closes, so that a restart of the server between two calls
// is nothing special to it.
package kafkago

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"kelp/e2e/suite"
)

// Client implements suite.Client with kafka-go.
type Client struct{ Addr string }

var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// Produce implements suite.Client with a Writer.
func (c Client) Produce(ctx context.Context, topic, codec string, records []suite.Record) error {
	byNumber := kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return m.WriterData.(int) })
	w := &kafka.Writer{
		Addr: kafka.TCP(c.Addr), Topic: topic, Balancer: byNumber, RequiredAcks: kafka.RequireAll, Compression: codecs[codec],
		BatchSize: 1000, BatchBytes: 4 << 20, BatchTimeout: 5 * time.Millisecond, Transport: &kafka.Transport{},
	}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.TimestampMs), WriterData: int(r.Partition)}
		for _, h := range r.Headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
	}
	return errors.Join(w.WriteMessages(ctx, messages...), w.Close())
}

func canonical(m kafka.Message) suite.Record {
	r := suite.Record{Partition: int32(m.Partition), Offset: m.Offset, TimestampMs: m.Time.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, suite.Header{Key: h.Key, Value: h.Value})
	}
	return r
}

// Consume implements suite.Client with a Reader without a group.
func (c Client) Consume(ctx context.Context, topic string, partition int32, from int64, n int) ([]suite.Record, error) {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{c.Addr}, Topic: topic, Partition: int(partition), MaxBytes: 4 << 20, MaxWait: 100 * time.Millisecond,
	})
	defer r.Close()
	if err := r.SetOffset(from); err != nil {
		return nil, err
	}
	var got []suite.Record
	for len(got) < n {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return got, fmt.Errorf("after %d records: %w", len(got), err)
		}
		got = append(got, canonical(m))
	}
	return got, nil
}

// OffsetAt implements suite.Client with a Conn.
func (c Client) OffsetAt(ctx context.Context, topic string, ms int64) (int64, error) {
	conn, err := kafka.DialLeader(ctx, "tcp", c.Addr, topic, 0)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.ReadOffset(time.UnixMilli(ms))
}

// ConsumeGroup implements suite.Client with a Reader with a group.
func (c Client) ConsumeGroup(ctx context.Context, group, topic string, n int) ([]suite.Record, error) {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{c.Addr}, GroupID: group, Topic: topic, MaxWait: 100 * time.Millisecond, StartOffset: kafka.FirstOffset,
	})
	defer r.Close()
	var got []suite.Record
	for len(got) < n {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return got, fmt.Errorf("after %d records: %w", len(got), err)
		}
		if err := r.CommitMessages(ctx, m); err != nil {
			return got, fmt.Errorf("commit %d: %w", m.Offset, err)
		}
		got = append(got, canonical(m))
	}
	return got, nil
}

// CreateTopic implements suite.Client with the Client API.
func (c Client) CreateTopic(ctx context.Context, topic string, partitions int) error {
	client := &kafka.Client{Addr: kafka.TCP(c.Addr), Transport: &kafka.Transport{}}
	answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err != nil {
		return err
	}
	return answer.Errors[topic]
}

// DeleteTopic implements suite.Client with a Conn.
func (c Client) DeleteTopic(ctx context.Context, topic string) error {
	conn, err := kafka.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.DeleteTopics(topic)
}

// Topics implements suite.Client with ReadPartitions.
func (c Client) Topics(ctx context.Context) (map[string]int, error) {
	conn, err := kafka.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	partitions, err := conn.ReadPartitions()
	if err != nil {
		return nil, err
	}
	topics := map[string]int{}
	for _, p := range partitions {
		topics[p.Topic]++
	}
	return topics, nil
}
