package sarama

import (
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

// TestClientsBeforeRecordBatches: clients of 0.8.2 to 0.10 write and read message sets of magic 0 and 1. Each reads what
// each wrote, and the newest version reads all of it and is read by all.
func TestClientsBeforeRecordBatches(t *testing.T) {
	b := harness.Start(t)
	versions := []sarama.KafkaVersion{sarama.V0_8_2_0, sarama.V0_9_0_0, sarama.V0_10_0_0, sarama.V0_10_2_0, sarama.MaxVersion}
	if b.Kind == harness.Kafka {
		versions = versions[4:] // Apache Kafka 4 no longer answers the others
	}
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
	}
	start := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for _, w := range versions {
		for codec, c := range codecs {
			if codec == "lz4" && !w.IsAtLeast(sarama.V0_10_0_0) {
				continue // came with 0.10
			}
			topic := fmt.Sprintf("sets-%s-%s", w, codec)
			if err := (Client{Addr: b.Addr, Version: sarama.MaxVersion}).CreateTopic(suite.Context(t), topic, 1); err != nil {
				t.Fatal(err)
			}
			writeSet(t, b.Addr, topic, w, c, start)
			for _, r := range versions {
				t.Run(topic+" read by "+r.String(), func(t *testing.T) { readSet(t, b.Addr, topic, w, r, start) })
			}
		}
	}
}

const setSize = 50

func config(v sarama.KafkaVersion) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = v
	c.ApiVersionsRequest = false                   // these brokers were not asked
	c.Consumer.MaxWaitTime = 50 * time.Millisecond // a consumer closes when its fetch has been answered
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	return c
}

func writeSet(t *testing.T, addr, topic string, v sarama.KafkaVersion, codec sarama.CompressionCodec, start time.Time) {
	t.Helper()
	c := config(v)
	c.Producer.Compression = codec
	p, err := sarama.NewSyncProducer([]string{addr}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var all []*sarama.ProducerMessage
	for i := range setSize {
		all = append(all, &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder(fmt.Sprint("k", i)), Value: sarama.StringEncoder(fmt.Sprint("v", i)),
			Timestamp: start.Add(time.Duration(i) * time.Millisecond),
		})
	}
	if err := p.SendMessages(all); err != nil {
		t.Fatalf("%s writes: %v", v, err)
	}
}

func readSet(t *testing.T, addr, topic string, written, v sarama.KafkaVersion, start time.Time) {
	t.Helper()
	c, err := sarama.NewConsumer([]string{addr}, config(v))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := c.ConsumePartition(topic, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx := suite.Context(t)
	for i := range setSize {
		select {
		case m := <-p.Messages():
			if m.Offset != int64(i) || string(m.Key) != fmt.Sprint("k", i) || string(m.Value) != fmt.Sprint("v", i) {
				t.Fatalf("record %d is %d %s %s", i, m.Offset, m.Key, m.Value)
			}
			// Magic 0 has no timestamps.
			timed := written.IsAtLeast(sarama.V0_10_0_0) && v.IsAtLeast(sarama.V0_10_0_0)
			if want := start.Add(time.Duration(i) * time.Millisecond); timed && !m.Timestamp.Equal(want) {
				t.Fatalf("record %d has time %s, want %s", i, m.Timestamp, want)
			}
		case err := <-p.Errors():
			t.Fatal(err)
		case <-ctx.Done():
			t.Fatalf("record %d did not come", i)
		}
	}
}
