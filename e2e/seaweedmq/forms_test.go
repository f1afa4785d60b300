package seaweedmq

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/internal/seaweed/mq"
)

// kelp runs a command of the binary.
func (p *place) kelp(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), p.broker.Binary(), args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func produce(t *testing.T, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// TestMirror is everything that can share a SeaweedFS: a broker takes its time to start.
func TestMirror(t *testing.T) {
	p := start(t)
	t.Run("Forms", p.forms)
	t.Run("Transactions", p.transactions)
	t.Run("Formats", p.formats)
	t.Run("Evolution", p.evolution)
	t.Run("Samples", p.samples)
	t.Run("Policies", p.policies)
	t.Run("DeadLetters", p.deadLetters)
	t.Run("Pressure", p.pressure)
	t.Run("Many", p.many)
}

// Every form that a record can have without a schema, in a structured and in a raw topic.
func (p *place) forms(t *testing.T) {
	p.topic(t, "forms", 2, "kelp.seaweedmq.publish=structured")
	p.topic(t, "plain", 1, "kelp.seaweedmq.publish=raw", "kelp.seaweedmq.topic=other")
	at := time.UnixMilli(1_700_000_000_123)
	cl := p.kafka(t)
	for _, topic := range []string{"forms", "plain"} {
		produce(t, cl,
			&kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v"), Timestamp: at, Headers: []kgo.RecordHeader{
				{Key: "a", Value: []byte{0, 255}}, {Key: "a", Value: nil}, {Key: "\xff", Value: []byte{}},
			}},
			&kgo.Record{Topic: topic, Key: nil, Value: []byte("no key"), Timestamp: at},
			&kgo.Record{Topic: topic, Key: []byte{}, Value: []byte{}, Timestamp: at},
			&kgo.Record{Topic: topic, Key: []byte("gone"), Value: nil, Timestamp: at},
		)
	}
	p.mirrored(t, "forms")
	p.mirrored(t, "plain")

	all := p.entries(t, "forms")
	want := []string{
		`{kafka_headers="[{\"key\":\"a\",\"value\":\"AP8=\"},{\"key\":\"a\",\"value\":null},` +
			`{\"key\":\"\",\"keyBytes\":\"/w==\",\"value\":\"\"}]" ` +
			`kafka_key=x6b kafka_offset=0 kafka_partition=0 kafka_timestamp=1700000000123 kafka_tombstone=false kafka_value=x76}`,
		`{kafka_offset=1 kafka_partition=0 kafka_timestamp=1700000000123 kafka_tombstone=false kafka_value=x6e6f206b6579}`,
		`{kafka_key=x kafka_offset=2 kafka_partition=0 kafka_timestamp=1700000000123 kafka_tombstone=false kafka_value=x}`,
		`{kafka_key=x676f6e65 kafka_offset=3 kafka_partition=0 kafka_timestamp=1700000000123 kafka_tombstone=true}`,
	}
	var got, keys []string
	for i, r := range rows(t, all[0]) {
		got, keys = append(got, showRow(r)), append(keys, string(all[0][i].Key))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if fmt.Sprint(keys) != "[k kafka:0:1 kafka:0:2 gone]" || len(all[1]) != 0 {
		t.Errorf("keys %q, other partition %v", keys, all[1])
	}

	var plain []string
	for _, e := range p.entries(t, "other")[0] {
		plain = append(plain, fmt.Sprintf("%s=%s", e.Key, e.Value))
	}
	if fmt.Sprint(plain) != "[k=v =no key = gone=]" {
		t.Errorf("plain: %q", plain)
	}

	// What is there comes back through the broker too.
	name := mq.Topic{Namespace: "kafka", Name: "forms"}
	as, err := p.client.Assignments(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := p.client.Subscribe(t.Context(), name, as[0], "forms-test", mq.Start{Earliest: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for _, want := range all[0] {
		e, err := sub.Receive()
		if err != nil || !bytes.Equal(e.Value, want.Value) || e.TsNs != want.TsNs {
			t.Fatalf("%+v, %v, want %+v", e, err, want)
		}
	}
}

// Aborted transactions never arrive, open ones wait, whatever is behind them.
func (p *place) transactions(t *testing.T) {
	p.topic(t, "txns", 1, "kelp.seaweedmq.publish=structured")
	cl := p.kafka(t, kgo.TransactionalID("mirror"))
	plain := p.kafka(t)
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			produce(t, cl, &kgo.Record{Topic: "txns", Value: fmt.Appendf(nil, "%d.%d", i, j)})
			produce(t, plain, &kgo.Record{Topic: "txns", Value: fmt.Appendf(nil, "plain %d.%d", i, j)})
		}
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	p.mirrored(t, "txns")
	p.same(t, "txns")
}

// same compares a structured topic with what Kafka's clients read: every record once, in order, byte for byte.
func (p *place) same(t *testing.T, topic string) {
	t.Helper()
	if repeats := p.compare(t, topic); repeats != 0 {
		t.Errorf("%s: %d records are there twice", topic, repeats)
	}
}

// compare is same for topics that may have repeats, which it counts: the rule for readers is to take each kafka_offset
// once.
func (p *place) compare(t *testing.T, topic string) (repeats int) {
	t.Helper()
	kafka := p.consume(t, topic)
	for i, entries := range p.entries(t, topic) {
		byOffset := map[int64]string{}
		last := int64(-1)
		for _, r := range rows(t, entries) {
			offset := r["kafka_offset"].GetInt64Value()
			one := show(r["kafka_key"]) + show(r["kafka_value"])
			if had, again := byOffset[offset]; again {
				repeats++
				if had != one {
					t.Errorf("%s/%d: offset %d is there with different bytes", topic, i, offset)
				}
				continue
			}
			if offset < last {
				t.Errorf("%s/%d: offset %d comes first after %d", topic, i, offset, last)
			}
			byOffset[offset], last = one, offset
		}
		for _, r := range kafka[int32(i)] {
			want := showBytes(r.Key) + showBytes(r.Value)
			if got := byOffset[r.Offset]; got != want {
				t.Fatalf("%s/%d: offset %d is %s, want %s", topic, i, r.Offset, got, want)
			}
			delete(byOffset, r.Offset)
		}
		if len(byOffset) > 0 {
			t.Errorf("%s/%d: %d offsets are there that Kafka's clients do not see", topic, i, len(byOffset))
		}
	}
	return repeats
}

func showBytes(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("x%x", b)
}
