// Package sarama adapts Sarama to the client suite, at any of the protocol versions that it can be told to speak.
//
// Client keeps no connection: every method dials, works and closes, so that a restart of the server between two calls
// is nothing special to it.
package sarama

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

// Versions are those to test against a server. Apache Kafka 4 no longer answers what 0.11 to 2.0 ask for, so there the
// oldest is 2.1.
func Versions(server harness.Kind) []sarama.KafkaVersion {
	all := []sarama.KafkaVersion{sarama.V0_11_0_0, sarama.V1_0_0_0, sarama.V2_0_0_0, sarama.V2_1_0_0, sarama.MaxVersion}
	if server == harness.Kafka {
		return all[3:]
	}
	return all
}

// Codecs are what a version writes and may be sent: zstd came with 2.1.
func Codecs(v sarama.KafkaVersion) []string {
	if v.IsAtLeast(sarama.V2_1_0_0) {
		return suite.Codecs
	}
	return suite.Codecs[:4]
}

// Client implements suite.Client with Sarama. Async chooses the asynchronous producer.
type Client struct {
	Addr    string
	Version sarama.KafkaVersion
	Async   bool
}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func (c Client) config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = c.Version
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 2 << 20
	config.Producer.Flush.Messages = 500
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Net.MaxOpenRequests = 1 // keeps the order when a request is retried
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Rebalance.Timeout = 10 * time.Second
	return config
}

func message(topic string, r suite.Record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Partition: r.Partition, Timestamp: time.UnixMilli(r.TimestampMs)}
	if r.Key != nil {
		m.Key = sarama.ByteEncoder(r.Key)
	}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

// Produce implements suite.Client.
func (c Client) Produce(ctx context.Context, topic, codec string, records []suite.Record) error {
	config := c.config()
	config.Producer.Compression = codecs[codec]
	if c.Async {
		return c.produceAsync(ctx, config, topic, records)
	}
	producer, err := sarama.NewSyncProducer([]string{c.Addr}, config)
	if err != nil {
		return err
	}
	messages := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		messages[i] = message(topic, r)
	}
	if err := producer.SendMessages(messages); err != nil {
		_ = producer.Close()
		return err
	}
	return producer.Close()
}

func (c Client) produceAsync(ctx context.Context, config *sarama.Config, topic string, records []suite.Record) error {
	producer, err := sarama.NewAsyncProducer([]string{c.Addr}, config)
	if err != nil {
		return err
	}
	defer producer.AsyncClose()
	next := 0
	for acked := 0; acked < len(records); {
		var input chan<- *sarama.ProducerMessage
		var m *sarama.ProducerMessage
		if next < len(records) {
			input, m = producer.Input(), message(topic, records[next])
		}
		select {
		case input <- m:
			next++
		case <-producer.Successes():
			acked++
		case err := <-producer.Errors():
			return err
		case <-ctx.Done():
			return fmt.Errorf("%d of %d acknowledged: %w", acked, len(records), ctx.Err())
		}
	}
	return nil
}

// Consume implements suite.Client.
func (c Client) Consume(ctx context.Context, topic string, partition int32, from int64, n int) ([]suite.Record, error) {
	consumer, err := sarama.NewConsumer([]string{c.Addr}, c.config())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	pc, err := consumer.ConsumePartition(topic, partition, from)
	if err != nil {
		return nil, err
	}
	defer pc.AsyncClose()
	var got []suite.Record
	for len(got) < n {
		select {
		case m := <-pc.Messages():
			got = append(got, canonical(m))
		case err := <-pc.Errors():
			return got, err
		case <-ctx.Done():
			return got, fmt.Errorf("after %d records: %w", len(got), ctx.Err())
		}
	}
	return got, nil
}

func canonical(m *sarama.ConsumerMessage) suite.Record {
	r := suite.Record{Partition: m.Partition, Offset: m.Offset, TimestampMs: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, suite.Header{Key: string(h.Key), Value: h.Value})
	}
	return r
}

// OffsetAt implements suite.Client.
func (c Client) OffsetAt(_ context.Context, topic string, ms int64) (int64, error) {
	client, err := sarama.NewClient([]string{c.Addr}, c.config())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.GetOffset(topic, 0, ms)
}

// ConsumeGroup implements suite.Client.
func (c Client) ConsumeGroup(ctx context.Context, group, topic string, n int) ([]suite.Record, error) {
	member, err := sarama.NewConsumerGroup([]string{c.Addr}, group, c.config())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &handler{want: n, done: cancel}
	err = member.Consume(ctx, []string{topic}, h)
	if closeErr := member.Close(); err == nil {
		err = closeErr
	}
	if err == nil && len(h.got) < n {
		err = fmt.Errorf("%d of %d records: %w", len(h.got), n, ctx.Err())
	}
	return h.got, err
}

// handler collects want records of a topic with one partition.
type handler struct {
	want int
	done func()
	got  []suite.Record
}

func (h *handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		h.got = append(h.got, canonical(m))
		session.MarkMessage(m, "")
		if len(h.got) == h.want {
			session.Commit()
			h.done()
			return nil
		}
	}
	return nil
}

func (c Client) admin() (sarama.ClusterAdmin, error) {
	return sarama.NewClusterAdmin([]string{c.Addr}, c.config())
}

// CreateTopic implements suite.Client.
func (c Client) CreateTopic(_ context.Context, topic string, partitions int) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1}, false)
}

// DeleteTopic implements suite.Client.
func (c Client) DeleteTopic(_ context.Context, topic string) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.DeleteTopic(topic)
}

// Topics implements suite.Client.
func (c Client) Topics(context.Context) (map[string]int, error) {
	client, err := sarama.NewClient([]string{c.Addr}, c.config())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	names, err := client.Topics()
	if err != nil {
		return nil, err
	}
	topics := map[string]int{}
	for _, name := range names {
		partitions, err := client.Partitions(name)
		if err != nil {
			return nil, err
		}
		topics[name] = len(partitions)
	}
	return topics, nil
}
