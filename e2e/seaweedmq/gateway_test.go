package seaweedmq

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/e2e/harness"
)

// gateway starts SeaweedFS's own Kafka gateway, with Kelp's registry. It ends when the broker does not have its lock yet.
func (p *place) gateway(t *testing.T) *harness.Broker {
	t.Helper()
	dir := t.TempDir()
	flags := []string{"-master=" + p.weed.Masters[0].Addr, "-schema-registry-url=" + p.registry, "-default-partitions=1"}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) { //nolint:forbidigo // polls
		g, err := harness.OpenWith(harness.Gateway, dir, harness.Options{GatewayFlags: flags})
		if err == nil {
			t.Cleanup(func() { _ = g.Kill() })
			return g
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// through is a client of the gateway: what it answers to newer versions cannot be read, it keeps no states of producers, and it
// tells clients a port that it does not listen on.
func through(t *testing.T, g *harness.Broker, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	var d net.Dialer
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(g.Addr), kgo.MaxVersions(kversion.V2_3_0()), kgo.DisableFetchSessions(), kgo.DisableIdempotentWrite(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, g.Addr)
		}),
	}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// createThrough makes a topic at the gateway, whose broker may need some seconds before it can.
func createThrough(t *testing.T, cl *kgo.Client, name string, partitions int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, topic)
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
		}
		if err == nil || err == kerr.TopicAlreadyExists { //nolint:errorlint // a code
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("create %s at the gateway: %v", name, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// fromGateway imports what clients of SeaweedFS's own gateway have written and how far their groups have read.
func (p *place) fromGateway(t *testing.T) {
	g := p.gateway(t)
	const partitions, each, read = 2, 40, 25
	createThrough(t, through(t, g), "gated", partitions)
	sent := map[int32][]*kgo.Record{}
	for part := range int32(partitions) {
		for i := range each {
			// The gateway takes what begins with 0 for the id of a schema.
			key, value := fmt.Appendf(nil, "k%d-%d", part, i), fmt.Appendf(nil, "\x01value %d\x00\xff", i)
			r := &kgo.Record{Topic: "gated", Partition: part, Key: key, Value: value}
			switch i {
			case 3:
				r.Key = nil
			case 4:
				r.Value = nil
			}
			sent[part] = append(sent[part], r)
		}
		// Answers about several partitions cannot be read: a client for each.
		produce(t, through(t, g), sent[part]...)
	}
	commitThrough(t, g, "readers", "gated", read, read+1)
	commitThrough(t, g, "busy", "gated", 7)
	compare := p.framed(t, g)
	member := p.member(t, "busy")
	args := []string{"seaweedmq", "import", "--server", p.broker.Addr, "--master", p.weed.Masters[0].Addr, "--settle", "3s", "kafka/gated"}
	if out := p.kelp(t, args...); !strings.Contains(out, "exit status") || !strings.Contains(out, "offsets of group busy: ") {
		t.Errorf("an import with a group that has members here says\n%s", out)
	}
	member.Close()
	if out := p.importTopic(t, "kafka/gated"); !strings.Contains(out, "group readers: 2 offsets") || !strings.Contains(out, "group busy: 1 offsets") {
		t.Errorf("the import says of the groups\n%s", out)
	}
	for part, got := range p.consume(t, "gated") {
		if len(got) != each {
			t.Errorf("partition %d has %d records, want %d", part, len(got), each)
			continue
		}
		for i, r := range got {
			want := sent[part][i]
			if r.Offset != want.Offset || !bytes.Equal(r.Key, want.Key) || (r.Key == nil) != (want.Key == nil) ||
				!bytes.Equal(r.Value, want.Value) || (r.Value == nil) != (want.Value == nil) || r.Timestamp.Before(time.Now().Add(-time.Hour)) {
				t.Errorf("partition %d: record %d came as %d %q=%q, want %d %q=%q",
					part, i, r.Offset, r.Key, r.Value, want.Offset, want.Key, want.Value)
			}
		}
	}
	offsets, err := p.admin.FetchOffsets(t.Context(), "readers")
	if err != nil {
		t.Fatal(err)
	}
	for part := range int32(partitions) {
		if o, ok := offsets.Lookup("gated", part); !ok || o.At != read+int64(part) || o.Metadata != "so far" {
			t.Errorf("group of partition %d: %+v, want %d", part, o, read+part)
		}
	}
	next := &kgo.Record{Topic: "gated", Value: []byte("goes on")}
	if produce(t, p.kafka(t), next); next.Offset != each {
		t.Errorf("the topic goes on at %d, want %d", next.Offset, each)
	}
	compare()
}

// member is one of a group here, when it has joined.
func (p *place) member(t *testing.T, group string) *kgo.Client {
	t.Helper()
	joined := make(chan struct{}, 10)
	p.topic(t, "of-"+group, 1)
	cl := p.kafka(t, kgo.ConsumeTopics("of-"+group), kgo.ConsumerGroup(group),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { joined <- struct{}{} }))
	select {
	case <-joined:
	case <-time.After(time.Minute):
		t.Fatalf("nobody joins %s\n%s", group, p.broker.Tail())
	}
	return cl
}

// commitThrough joins a group at the gateway, which knows no offsets of groups without members, and commits.
func commitThrough(t *testing.T, g *harness.Broker, group, topic string, offsets ...int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	assigned := make(chan struct{}, 10)
	cl := through(t, g, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			if len(all[topic]) > 0 {
				assigned <- struct{}{}
			}
		}))
	defer cl.Close()
	select {
	case <-assigned:
	case <-ctx.Done():
		t.Fatalf("the gateway assigns nothing to a group\n%s", g.Tail())
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for _, of := range req.Topics {
			for i := range of.Partitions {
				metadata := "so far"
				of.Partitions[i].Metadata = &metadata
			}
		}
		return nil
	})
	for part, at := range offsets {
		var answered error
		cl.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{topic: {int32(part): {Epoch: -1, Offset: at}}},
			func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
				if answered = err; err == nil {
					answered = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
				}
			})
		if answered != nil {
			t.Fatalf("commit at the gateway: %v\n%s", answered, g.Tail())
		}
	}
}

// framed writes values in Confluent's envelope, which the gateway makes record values of; the function compares them with what Kelp reads.
func (p *place) framed(t *testing.T, g *harness.Broker) func() {
	t.Helper()
	registry, err := sr.NewClient(sr.URLs(p.registry))
	if err != nil {
		t.Fatal(err)
	}
	text := `{"type":"record","name":"R","fields":[{"name":"name","type":"string"},{"name":"n","type":"int"}]}`
	made, err := registry.CreateSchema(t.Context(), "columns-value", sr.Schema{Schema: text})
	if err != nil {
		t.Fatal(err)
	}
	createThrough(t, through(t, g), "columns", 1)
	text = `{"type":"record","name":"K","fields":[{"name":"k","type":"string"}]}`
	keys, err := registry.CreateSchema(t.Context(), "keyed-key", sr.Schema{Schema: text})
	if err != nil {
		t.Fatal(err)
	}
	createThrough(t, through(t, g), "keyed", 1)
	keyed := &kgo.Record{Topic: "keyed", Key: []byte{0, 0, 0, 0, byte(keys.ID), 2, 'x'}, Value: []byte{0, 0, 0, 0, byte(made.ID), 2, 'y', 6}}
	produce(t, through(t, g), keyed, &kgo.Record{Topic: "keyed", Key: keyed.Key})
	p.topic(t, "keyed-json", 1, "kelp.seaweedmq.source=kafka/keyed", "retention.ms=-1")
	got := p.awaitRecords(t, "keyed-json", 2)
	if string(got[0].Key) != `{"k":"x"}` || string(got[0].Value) != `{"name":"y","n":3}` || string(got[1].Key) != `{"k":"x"}` || got[1].Value != nil {
		t.Errorf("keys with a schema came as %q=%q and %q=%q", got[0].Key, got[0].Value, got[1].Key, got[1].Value)
	}
	var sent []*kgo.Record
	for i := range 20 {
		value := []byte{0, 0, 0, 0, byte(made.ID), 4, 'a', byte('a' + i), byte(2 * i)}
		sent = append(sent, &kgo.Record{Topic: "columns", Key: fmt.Appendf(nil, "k%d", i), Value: value})
	}
	produce(t, through(t, g), sent...)
	p.topic(t, "columns", 1, "kelp.seaweedmq.source=kafka/columns", "kelp.seaweedmq.source.format=schema", "retention.ms=-1")
	p.topic(t, "columns-json", 1, "kelp.seaweedmq.source=kafka/columns", "retention.ms=-1")
	return func() {
		t.Helper()
		for topic, want := range map[string]func(i int) []byte{
			"columns":      func(i int) []byte { return sent[i].Value },
			"columns-json": func(i int) []byte { return fmt.Appendf(nil, `{"name":"a%c","n":%d}`, 'a'+i, i) },
		} {
			for i, r := range p.awaitRecords(t, topic, len(sent)) {
				if r.Offset != int64(i) || !bytes.Equal(r.Key, sent[i].Key) || !bytes.Equal(r.Value, want(i)) {
					t.Errorf("%s: record %d came as %d %q=%q, want %q", topic, i, r.Offset, r.Key, r.Value, want(i))
				}
			}
		}
	}
}
