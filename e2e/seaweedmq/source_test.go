package seaweedmq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/e2e/harness"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// TestSources reads what others have written to SeaweedMQ: its own Kafka gateway, its agent and Kelp's mirror.
func TestSources(t *testing.T) {
	p := start(t)
	t.Run("Gateway", p.fromGateway)
	t.Run("Agent", p.fromAgent)
	t.Run("Mirror", p.fromMirror)
}

// importTopic runs kelp seaweedmq import.
func (p *place) importTopic(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"seaweedmq", "import", "--server", p.broker.Addr, "--master", p.weed.Masters[0].Addr, "--settle", "3s"}, args...)
	out := p.kelp(t, args...)
	if strings.Contains(out, "exit status") {
		t.Fatalf("%s\n%s", out, p.broker.Tail())
	}
	return out
}

// fromGateway imports a topic of SeaweedFS's own gateway with the offsets of a group and compares what both give.
func (p *place) fromGateway(t *testing.T) {
	gateway, err := harness.OpenWith(harness.Gateway, t.TempDir(), harness.Options{GatewayFlags: []string{
		"-master=" + p.weed.Masters[0].Addr, "-schema-registry-url=" + p.registry, "-default-partitions=2",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gateway.Kill() })
	const n = 600
	theirs, err := kgo.NewClient(kgo.SeedBrokers(gateway.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(),
		kgo.MaxVersions(kversion.V2_4_0()),                                                 // its answer to a newer ApiVersions cannot be read
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(time.Second)) // each of its batches takes seconds
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	createThere(ctx, t, theirs, "gateway", 2)
	want := map[int32][]string{}
	for i := range n {
		r := &kgo.Record{
			Topic: "gateway", Partition: int32(i % 2), Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "value %d", i),
		}
		theirs.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		want[r.Partition] = append(want[r.Partition], fmt.Sprintf("%s=%s", r.Key, r.Value))
	}
	if err := theirs.Flush(ctx); err != nil {
		t.Fatalf("%v\n%s", err, gateway.Tail())
	}
	committed := kadm.Offsets{}
	for i := range int32(2) {
		committed.Add(kadm.Offset{Topic: "gateway", Partition: i, At: 100 + int64(i), LeaderEpoch: -1, Metadata: "theirs"})
	}
	answers, err := kadm.NewClient(theirs).CommitOffsets(ctx, "workers", committed)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatalf("commit at the gateway: %v\n%s", err, gateway.Tail())
	}
	said := p.importTopic(t, "kafka/gateway", "imported")
	for _, words := range []string{"imported/1: read up to offset 300; 0 offsets missing", "group workers: 2 offsets", "takes records from producers now"} {
		if !strings.Contains(said, words) {
			t.Errorf("the import says\n%s\nwithout %q", said, words)
		}
	}
	for partition, records := range p.consume(t, "imported") {
		var got []string
		for i, r := range records {
			if r.Offset != int64(i) {
				t.Fatalf("record %d of partition %d has offset %d", i, partition, r.Offset)
			}
			got = append(got, fmt.Sprintf("%s=%s", r.Key, r.Value))
		}
		if !slices.Equal(got, want[partition]) {
			t.Errorf("partition %d holds %d records %.200q, want %d", partition, len(got), got, len(want[partition]))
		}
	}
	have, err := p.admin.FetchOffsets(ctx, "workers")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int32(2) {
		if o, ok := have.Lookup("imported", i); !ok || o.At != 100+int64(i) {
			t.Errorf("the group's offset of partition %d is %+v", i, o)
		}
	}
	produce(t, p.kafka(t), &kgo.Record{Topic: "imported", Value: []byte("ours")})
	if last := p.consume(t, "imported")[0]; string(last[len(last)-1].Value) != "ours" || last[len(last)-1].Offset != 300 {
		t.Errorf("what is produced after the import is at %d", last[len(last)-1].Offset)
	}
}

// createThere makes a topic at SeaweedFS's gateway, whose broker needs some seconds before it can.
func createThere(ctx context.Context, t *testing.T, cl *kgo.Client, name string, partitions int32) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, rt)
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
		}
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("create %s at the gateway: %v", name, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// fromAgent follows a topic that the agent writes record values to, as JSON and in an envelope, while it grows.
func (p *place) fromAgent(t *testing.T) {
	registry, err := sr.NewClient(sr.URLs(p.registry))
	if err != nil {
		t.Fatal(err)
	}
	text := `{"type":"record","name":"R","fields":[{"name":"name","type":"string"},{"name":"n","type":"int"}]}`
	made, err := registry.CreateSchema(t.Context(), "framed-value", sr.Schema{Schema: text})
	if err != nil {
		t.Fatal(err)
	}
	name := mq.Topic{Namespace: "agents", Name: "people"}
	typ := &record.RecordType{Fields: []*record.Field{
		record.NewField("name", record.Scalar(record.ScalarType_STRING), true), record.NewField("n", record.Scalar(record.ScalarType_INT32), true),
	}}
	write := func(from, n int) {
		t.Helper()
		s, err := p.client.OpenSession(t.Context(), p.weed.Agent.GRPC, name, mq.Config{Partitions: 1, RecordType: typ}, "test")
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < from+n; i++ {
			v := &record.RecordValue{Fields: map[string]*record.Value{"name": record.String(fmt.Sprint("p", i)), "n": record.Int32(int32(i))}}
			if err := s.Send(fmt.Appendf(nil, "key%d", i), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 50)
	p.topic(t, "people", 1, "kelp.seaweedmq.source=agents/people", "retention.ms=-1")
	p.topic(t, "framed", 1, "kelp.seaweedmq.source=agents/people", "kelp.seaweedmq.source.format=schema", "retention.ms=-1")
	check := func(n int) {
		t.Helper()
		for topic, want := range map[string]func(i int) []byte{
			"people": func(i int) []byte { return fmt.Appendf(nil, `{"name":"p%d","n":%d}`, i, i) },
			"framed": func(i int) []byte {
				name := fmt.Sprint("p", i)
				b := append([]byte{0, 0, 0, 0, byte(made.ID), byte(2 * len(name))}, name...)
				if i < 64 {
					return append(b, byte(2*i))
				}
				return append(b, byte(2*i)|0x80, byte(2*i>>7))
			},
		} {
			for i, r := range p.awaitRecords(t, topic, n) {
				if r.Offset != int64(i) || string(r.Key) != fmt.Sprint("key", i) || !bytes.Equal(r.Value, want(i)) || r.Timestamp.Before(time.Now().Add(-time.Hour)) {
					t.Fatalf("%s: record %d is at %d: %q=%q, want %q", topic, i, r.Offset, r.Key, r.Value, want(i))
				}
			}
		}
	}
	check(50)
	err = p.kafka(t).ProduceSync(t.Context(), &kgo.Record{Topic: "people", Value: []byte("x")}).FirstErr()
	if !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("a producer of a topic that is read from SeaweedMQ: %v", err)
	}
	write(50, 30)
	check(80)
	if err := p.broker.Restart(); err != nil {
		t.Fatal(err)
	}
	write(80, 20)
	check(100)
}

// awaitRecords reads n records of partition 0.
func (p *place) awaitRecords(t *testing.T, topic string, n int) []*kgo.Record {
	t.Helper()
	cl := p.kafka(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s has %d of %d records\n%s", topic, len(all), n, p.broker.Tail())
		}
		all = append(all, fetches.Records()...)
	}
	if len(all) != n {
		t.Fatalf("%s has %d records, want %d", topic, len(all), n)
	}
	return all
}

// fromMirror brings back what a mirror has published, with headers, nulls and timestamps.
func (p *place) fromMirror(t *testing.T) {
	p.topic(t, "there", 1, "kelp.seaweedmq.publish=structured")
	at := time.UnixMilli(1_700_000_000_123)
	sent := []*kgo.Record{
		{Topic: "there", Key: []byte("k"), Value: []byte("v"), Timestamp: at, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte{0, 255}}, {Key: "b"}}},
		{Topic: "there", Value: []byte("no key"), Timestamp: at},
		{Topic: "there", Key: []byte{}, Value: []byte{}, Timestamp: at},
		{Topic: "there", Key: []byte("gone"), Timestamp: at},
	}
	produce(t, p.kafka(t), sent...)
	p.mirrored(t, "there")
	p.importTopic(t, "kafka/there", "back")
	for i, r := range p.awaitRecords(t, "back", len(sent)) {
		want := sent[i]
		same := bytes.Equal(r.Key, want.Key) && (r.Key == nil) == (want.Key == nil) && bytes.Equal(r.Value, want.Value) &&
			(r.Value == nil) == (want.Value == nil) && r.Timestamp.Equal(at) && len(r.Headers) == len(want.Headers)
		for j := range want.Headers {
			same = same && r.Headers[j].Key == want.Headers[j].Key && bytes.Equal(r.Headers[j].Value, want.Headers[j].Value)
		}
		if !same {
			t.Errorf("record %d came back as %+v, want %+v", i, r, want)
		}
	}
}
