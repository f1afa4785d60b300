package seaweedmq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// TestSources reads what others have written to SeaweedMQ: its agent, Kelp's mirror and SeaweedFS's gateway.
func TestSources(t *testing.T) {
	p := start(t)
	t.Run("Agent", p.fromAgent)
	t.Run("Mirror", p.fromMirror)
	t.Run("Gateway", p.fromGateway)
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
		config := mq.Config{Partitions: 1, RecordType: typ}
		s, err := p.client.OpenSession(t.Context(), p.weed.Agent.GRPC, name, config, "test")
		// The broker answers before it knows which broker leads.
		for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); {
			time.Sleep(200 * time.Millisecond) //nolint:forbidigo // polls
			s, err = p.client.OpenSession(t.Context(), p.weed.Agent.GRPC, name, config, "test")
		}
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
