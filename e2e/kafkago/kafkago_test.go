package kafkago

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

func TestSuite(t *testing.T) {
	b := harness.Start(t)
	suite.Run(t, b, Client{Addr: b.Addr}, suite.Options{Name: "kafkago", Codecs: suite.Codecs})
}

// TestConn uses the low level connection: write, seek, read, offsets, partitions, controller, versions.
func TestConn(t *testing.T) {
	b := harness.Start(t)
	ctx := suite.Context(t)
	if err := (Client{Addr: b.Addr}).CreateTopic(ctx, "conn", 2); err != nil {
		t.Fatal(err)
	}
	conn, err := kafka.DialLeader(ctx, "tcp", b.Addr, "conn", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 5 {
		if _, err := conn.WriteMessages(kafka.Message{Key: []byte{byte(i)}, Value: fmt.Append(nil, "v", i)}); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	first, last, err := conn.ReadOffsets()
	if err != nil || first != 0 || last != 5 {
		t.Fatalf("offsets %d to %d, want 0 to 5 (%v)", first, last, err)
	}
	if _, err := conn.Seek(3, kafka.SeekAbsolute); err != nil {
		t.Fatal(err)
	}
	m, err := conn.ReadMessage(1 << 16)
	if err != nil || string(m.Value) != "v3" || m.Offset != 3 {
		t.Fatalf("read %q at %d, want v3 at 3 (%v)", m.Value, m.Offset, err)
	}
	partitions, err := conn.ReadPartitions("conn")
	if err != nil || len(partitions) != 2 || partitions[0].Leader.ID != 1 {
		t.Fatalf("partitions %+v (%v)", partitions, err)
	}
	controller, err := conn.Controller()
	if err != nil || controller.ID != 1 {
		t.Errorf("controller %+v (%v)", controller, err)
	}
	versions, err := conn.ApiVersions()
	if err != nil || !slices.ContainsFunc(versions, func(v kafka.ApiVersion) bool { return v.ApiKey == 1 && v.MaxVersion >= 11 }) {
		t.Errorf("versions %v (%v)", versions, err)
	}
	if err := conn.CreateTopics(kafka.TopicConfig{Topic: "conn", NumPartitions: 1, ReplicationFactor: 1}); err != nil &&
		!errors.Is(err, kafka.TopicAlreadyExists) {
		t.Errorf("create again: %v", err)
	}
}

// TestClientAPI uses the request level client.
func TestClientAPI(t *testing.T) {
	b := harness.Start(t)
	ctx := suite.Context(t)
	if err := (Client{Addr: b.Addr}).CreateTopic(ctx, "api", 1); err != nil {
		t.Fatal(err)
	}
	client := &kafka.Client{Addr: kafka.TCP(b.Addr), Transport: &kafka.Transport{}}
	produced, err := client.Produce(ctx, &kafka.ProduceRequest{
		Topic: "api", RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(
			kafka.Record{Key: kafka.NewBytes([]byte("k")), Value: kafka.NewBytes([]byte("v")), Time: time.Now()},
			kafka.Record{Key: nil, Value: nil, Time: time.Now()},
		),
	})
	if err != nil || produced.Error != nil || produced.BaseOffset != 0 {
		t.Fatalf("produce: %+v (%v)", produced, err)
	}
	offsets, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{"api": {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)}},
	})
	if err != nil || offsets.Topics["api"][0].LastOffset != 2 {
		t.Fatalf("offsets: %+v (%v)", offsets, err)
	}
	fetched, err := client.Fetch(ctx, &kafka.FetchRequest{Topic: "api", MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
	if err != nil || fetched.Error != nil || fetched.HighWatermark != 2 {
		t.Fatalf("fetch: %+v (%v)", fetched, err)
	}
	record, err := fetched.Records.ReadRecord()
	if err != nil || record.Offset != 0 {
		t.Fatalf("record: %+v (%v)", record, err)
	}
	if value, err := kafka.ReadAll(record.Value); err != nil || string(value) != "v" {
		t.Errorf("value %q (%v)", value, err)
	}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"api"}})
	if err != nil || len(meta.Brokers) != 1 || len(meta.Topics) != 1 || meta.Topics[0].Error != nil {
		t.Errorf("metadata: %+v (%v)", meta, err)
	}
	configs, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: "api"}},
	})
	if err != nil || len(configs.Resources) != 1 || len(configs.Resources[0].ConfigEntries) < 20 {
		t.Errorf("configs: %+v (%v)", configs, err)
	}
}
