package validation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/e2e/foreign"
	"kelp/e2e/suite"
)

const strategies = "io.confluent.kafka.serializers.subject."

// format is a schema with a payload of its kind, and one that does not fit.
type format struct {
	name      string
	kind      sr.SchemaType
	text      string
	other     string // another schema
	good, bad []byte // with message indexes
	inHeader  []byte // message indexes
	bare      []byte
}

var formats = []format{
	{
		name: "avro", kind: sr.TypeAvro,
		text:  `{"type":"record","name":"Rec","namespace":"e2e","fields":[{"name":"s","type":"string"},{"name":"n","type":"int"}]}`,
		other: `{"type":"record","name":"Other","namespace":"e2e","fields":[]}`,
		good:  []byte{6, 'a', 'b', 'c', 8}, bad: []byte{6, 'a'}, bare: []byte{6, 'a', 'b', 'c', 8},
	},
	{
		name: "proto", kind: sr.TypeProtobuf,
		text:  `syntax = "proto3"; package e2e; message First { int32 x = 1; } message Rec { string s = 1; int32 n = 2; }`,
		other: `syntax = "proto3"; package e2e; message Other {}`,
		good:  []byte{2, 2, 10, 1, 'a', 16, 8}, bad: []byte{2, 2, 10, 99}, inHeader: []byte{2, 2}, bare: []byte{10, 1, 'a', 16, 8},
	},
	{
		name: "json", kind: sr.TypeJSON,
		text:  `{"title":"e2e.Rec","type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`,
		other: `{"title":"e2e.Other","type":"object"}`,
		good:  []byte(`{"n":1}`), bad: []byte(`{"n":"x"}`), bare: []byte(`{"n":2}`),
	},
}

// row is one topic of the table with the records that are sent to it.
type row struct {
	topic      string
	permissive bool
	core       bool // for all clients; the rest is for those in Go
	records    []suite.Record
	bad        []string // by record: what is wrong with it, empty for a good one
}

// rows makes the topics and the schemas of the table.
func rows(t *testing.T, p *place, client string) []row {
	t.Helper()
	var all []row
	for _, mode := range []string{"strict", "permissive"} {
		for _, depth := range []string{"id", "payload"} {
			for _, strategy := range []string{"TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"} {
				for _, f := range formats {
					r := row{
						topic:      unused(strings.ToLower(strings.Join([]string{client, mode, depth, strategy, f.name}, "-"))),
						permissive: mode == "permissive",
						core:       f.name == "avro" && strategy == "TopicNameStrategy" || mode == "strict" && depth == "payload",
					}
					p.createTopic(t, r.topic, "confluent.value.schema.validation=true", "confluent.value.subject.name.strategy="+strategies+strategy,
						"kelp.schema.validation="+depth, "kelp.schema.validation.mode="+mode)
					subject := map[string]string{
						"TopicNameStrategy": r.topic + "-value", "RecordNameStrategy": "e2e.Rec", "TopicRecordNameStrategy": r.topic + "-e2e.Rec",
					}[strategy]
					if strategy == "RecordNameStrategy" && f.kind != sr.TypeAvro {
						// The subject is the name of the record: each format needs a context of its own, or a compatible level.
						for _, c := range p.registry.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatNone}, subject) {
							if c.Err != nil {
								t.Fatal(c.Err)
							}
						}
					}
					known := p.register(t, subject, f.kind, f.text)
					other := p.register(t, "elsewhere-"+f.name, f.kind, f.other)
					r.fill(f, known, other, depth == "payload")
					all = append(all, r)
				}
			}
		}
	}
	return all
}

func (r *row) fill(f format, known, other schema, payload bool) {
	add := func(bad string, value []byte, headers ...suite.Header) {
		r.records = append(r.records, suite.Record{Key: []byte("k"), Value: value, Headers: headers})
		r.bad = append(r.bad, bad)
	}
	ofPayload := ""
	if payload {
		ofPayload = fmt.Sprintf("value: schema id %d: ", known.id)
	}
	add("", framed(known.id, f.good...))
	add("value: no schema envelope: unknown magic byte 104", []byte("hello"))
	add("", framed(known.id, f.good...))
	add("value: schema id 99999 is not known to the registry", framed(99999, f.good...))
	add("", nil)
	add(fmt.Sprintf("value: schema id %d is not registered under subject", other.id), framed(other.id, 0))
	add(ofPayload, framed(known.id, f.bad...))
	add("", f.bare, suite.Header{Key: "trace", Value: []byte("1")}, suite.Header{Key: "__value_schema_id", Value: header(known.guid, f.inHeader...)})
	add("value: schema guid 01020000-0000-0000-0000-000000000000 is not known to the registry", f.bare,
		suite.Header{Key: "__value_schema_id", Value: header(append([]byte{1, 2}, make([]byte, 14)...), f.inHeader...)})
	add("", framed(known.id, f.good...))
}

// check compares what was said of each record with the table, and what is stored.
func (r *row) check(t *testing.T, p *place, said []string, refusal func(words string) string) {
	t.Helper()
	if len(said) != len(r.records) {
		t.Fatalf("%s: %d of %d records have an answer", r.topic, len(said), len(r.records))
	}
	var kept []suite.Record
	var marks []string
	for i, rec := range r.records {
		want := ""
		if r.bad[i] != "" && !r.permissive {
			want = refusal(r.bad[i])
		} else {
			kept, marks = append(kept, rec), append(marks, r.bad[i])
		}
		if want == "" && said[i] != "" || !strings.Contains(said[i], want) {
			t.Errorf("%s: record %d: the client is told %q, want %q", r.topic, i, said[i], want)
		}
	}
	compare(t, r.topic, consume(t, p, r.topic, len(kept)), kept, marks)
}

// compare says where what is stored differs from what was sent, byte for byte, but for the marks.
func compare(t *testing.T, topic string, stored []*kgo.Record, sent []suite.Record, marks []string) {
	t.Helper()
	for i, got := range stored {
		want := sent[i]
		headers := got.Headers
		if marks[i] != "" {
			last := len(headers) - 1
			if last < 0 || headers[last].Key != "kelp.schema.invalid" || !strings.Contains(string(headers[last].Value), marks[i]) {
				t.Errorf("%s: record %d has the headers %v, want the mark %q", topic, i, headers, marks[i])
				continue
			}
			headers = headers[:last]
		}
		same := got.Offset == int64(i) && bytes.Equal(got.Value, want.Value) && (got.Value == nil) == (want.Value == nil) &&
			bytes.Equal(got.Key, want.Key) && len(headers) == len(want.Headers)
		for j := range headers {
			same = same && headers[j].Key == want.Headers[j].Key && bytes.Equal(headers[j].Value, want.Headers[j].Value)
		}
		if !same {
			t.Errorf("%s: record %d is stored as %+v, want %+v", topic, i, got, want)
		}
	}
}

// consume reads all of a topic, which must have n records.
func consume(t *testing.T, p *place, topic string, n int) []*kgo.Record {
	t.Helper()
	cl := p.client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%s: %d of %d records: %v", topic, len(all), n, err)
		}
		all = append(all, fetches.Records()...)
	}
	if len(all) > n {
		t.Errorf("%s has %d records, want %d", topic, len(all), n)
		all = all[:n]
	}
	return all
}

// TestTable lets every client send the records of the table, each as a batch of its own, with one idempotent producer: what is
// refused must not keep it from going on.
func TestTable(t *testing.T) {
	p := server(t)
	code := func(words string) func(string) string { return func(string) string { return words } }
	for _, c := range []struct {
		name    string
		each    func(*testing.T, *row) []string
		refusal func(string) string
		all     bool
	}{
		{"franz", p.franz, code("INVALID_RECORD 87"), true},
		{"sarama", p.sarama, code("87"), true},
		{"confluent", p.foreign("confluent"), code("INVALID_RECORD 87"), false},
		{"kafkajs", p.foreign("kafkajs"), code("INVALID_RECORD 87"), false},
		{"java", p.foreign("java"), func(words string) string { return "org.apache.kafka.common.InvalidRecordException: " + words }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range rows(t, p, c.name) {
				if c.all || r.core {
					r.check(t, p, c.each(t, &r), c.refusal)
				}
			}
		})
	}
}

func (p *place) franz(t *testing.T, r *row) []string {
	t.Helper()
	cl := p.client(t)
	var said []string
	for _, rec := range r.records {
		out := &kgo.Record{Topic: r.topic, Key: rec.Key, Value: rec.Value}
		for _, h := range rec.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader(h))
		}
		said = append(said, words(cl.ProduceSync(t.Context(), out).FirstErr()))
	}
	return said
}

// words is an error with its code.
func words(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*kerr.Error](err); ok {
		return fmt.Sprintf("%s %d %v", e.Message, e.Code, err)
	}
	return err.Error()
}

func (p *place) sarama(t *testing.T, r *row) []string {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_5_0_0
	config.Producer.RequiredAcks, config.Producer.Idempotent, config.Net.MaxOpenRequests = sarama.WaitForAll, true, 1
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{p.kafka}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var said []string
	for _, rec := range r.records {
		m := &sarama.ProducerMessage{Topic: r.topic, Key: sarama.ByteEncoder(rec.Key)}
		if rec.Value != nil {
			m.Value = sarama.ByteEncoder(rec.Value)
		}
		for _, h := range rec.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		_, _, err := producer.SendMessage(m)
		var k sarama.KError
		switch {
		case errors.As(err, &k):
			said = append(said, fmt.Sprint(int16(k)))
		default:
			said = append(said, words(err))
		}
	}
	return said
}

func (p *place) foreign(name string) func(*testing.T, *row) []string {
	var driver *foreign.Client
	return func(t *testing.T, r *row) []string {
		t.Helper()
		if driver == nil {
			driver = foreign.Open(t, name, p.kafka)
		}
		return each(t, driver, r.topic, "", r.records)
	}
}

func (p *place) foreignEach(t *testing.T, name, topic, transactionalID string, records []suite.Record) []string {
	t.Helper()
	return each(t, foreign.Open(t, name, p.kafka), topic, transactionalID, records)
}

func each(t *testing.T, driver *foreign.Client, topic, transactionalID string, records []suite.Record) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	said, err := driver.ProduceEach(ctx, topic, "none", transactionalID, records)
	if err != nil {
		t.Fatal(err)
	}
	return said
}
