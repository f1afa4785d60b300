package seaweedmq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/e2e/foreign"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// run runs a driver of e2e/registry.
func (p *place) run(t *testing.T, library string, args ...string) {
	t.Helper()
	drivers, cache := filepath.Join(foreign.Root(), "e2e", "registry", "drivers"), filepath.Join(foreign.Root(), ".cache")
	python := filepath.Join(cache, "python", "bin", "python")
	command := []string{python, filepath.Join(drivers, "client.py")}
	if library != "python" {
		command = []string{"node", filepath.Join(drivers, "client.js"), filepath.Join(cache, "node", "node_modules"), library}
	}
	descriptors := filepath.Join(t.TempDir(), "person.bin")
	if library == "confluent" {
		c := exec.CommandContext(t.Context(), python, "-m", "grpc_tools.protoc", "-I"+drivers, "--include_imports",
			"--descriptor_set_out="+descriptors, "person.proto")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, command[0], slices.Concat(command[1:], []string{p.broker.Addr, p.registry}, args)...)
	c.Env = append(os.Environ(), "DESCRIPTORS="+descriptors)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", library, args, err, out)
	}
}

// hidden are the columns that differ from run to run, or that compare checks.
var hidden = []string{"kafka_key", "kafka_value", "kafka_timestamp", "kafka_partition", "kafka_headers", "kafka_schema_id"}

// wantRows compares the columns of a topic of one partition, in the log files and through the broker.
func (p *place) wantRows(t *testing.T, topic string, want ...string) {
	t.Helper()
	p.mirrored(t, topic)
	p.same(t, topic)
	entries := p.entries(t, topic)[0]
	for name, got := range map[string][]map[string]*record.Value{
		"the filer": rows(t, entries), "the broker": rows(t, p.subscribe(t, topic, len(entries))),
	} {
		var lines []string
		for _, r := range got {
			lines = append(lines, showRow(r, hidden...))
		}
		if !slices.Equal(lines, want) {
			t.Errorf("%s in %s:\n%s\nwant\n%s", topic, name, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	}
}

// subscribe reads the first entries of a topic of one partition through the broker.
func (p *place) subscribe(t *testing.T, topic string, n int) []mq.Entry {
	t.Helper()
	name := mq.Topic{Namespace: "kafka", Name: topic}
	as, err := p.client.Assignments(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := p.client.Subscribe(t.Context(), name, as[0], "formats-test", mq.Start{Earliest: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var all []mq.Entry
	for range n {
		e, err := sub.Receive()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// Records of confluent-kafka, @confluentinc/schemaregistry, kafkajs' registry client and franz-go become the same columns.
func (p *place) formats(t *testing.T) {
	for _, format := range []string{"avro", "json", "proto"} {
		p.topic(t, "people-"+format, 1, "kelp.seaweedmq.publish=structured")
	}
	p.run(t, "python", "write/avro/people-avro/ada/", "write/avro/people-avro/bea/header", "write/json/people-json/ada/", "write/proto/people-proto/ada/")
	p.run(t, "confluent", "write/avro/people-avro/dora/", "write/json/people-json/dora/", "write/proto/people-proto/dora/")
	p.run(t, "kafkajs", "write/avro/people-avro/fay/", "write/json/people-json/fay/")
	p.avro(t, "people-avro", personAvro, map[string]any{"name": "gil", "age": int32(36), "city": "Kiel"})
	cl := p.kafka(t)
	produce(t, cl, &kgo.Record{Topic: "people-avro", Value: nil, Key: []byte("gone")})
	produce(t, cl, &kgo.Record{Topic: "people-avro", Value: []byte("no envelope")})
	produce(t, cl, &kgo.Record{Topic: "people-avro", Value: []byte{0, 0, 0, 0, 99, 1}})

	p.wantRows(t, "people-avro",
		`{age=36 kafka_offset=0 kafka_tombstone=false name="ada"}`,
		`{age=36 kafka_offset=1 kafka_tombstone=false name="bea"}`,
		`{age=36 kafka_offset=2 kafka_tombstone=false name="dora"}`,
		`{age=36 kafka_offset=3 kafka_tombstone=false name="fay"}`,
		`{age=36 city="Kiel" kafka_offset=4 kafka_tombstone=false name="gil"}`,
		`{kafka_offset=5 kafka_tombstone=true}`,
		`{kafka_error="the value is not what its schema says: no schema envelope: unknown magic byte 110" kafka_offset=6 kafka_tombstone=false}`,
		`{kafka_error="the value is not what its schema says: Schema 99 not found" kafka_offset=7 kafka_tombstone=false}`)
	p.wantRows(t, "people-json",
		`{age=36 kafka_offset=0 kafka_tombstone=false name="ada"}`,
		`{age=36 kafka_offset=1 kafka_tombstone=false name="dora"}`,
		`{age=36 kafka_offset=2 kafka_tombstone=false name="fay"}`)
	p.wantRows(t, "people-proto",
		`{addr={city="Kiel"} age=36 counts=[{key="a" value=1}] kafka_offset=0 kafka_tombstone=false name="ada"}`,
		`{addr={city="Kiel"} age=36 counts=[{key="a" value=1}] kafka_offset=1 kafka_tombstone=false name="dora"}`)
	if columns := p.parquet(t, "people-avro")[0]; !slices.Equal(columns["name"], []string{"ada", "bea", "dora", "fay", "gil", "", "", ""}) ||
		!slices.Equal(columns["age"][:5], []string{"36", "36", "36", "36", "36"}) ||
		!slices.Equal(columns["kafka_offset"], []string{"0", "1", "2", "3", "4", "5", "6", "7"}) {
		t.Errorf("Parquet: %v", columns)
	}
	if columns := p.parquet(t, "people-proto")[0]; !slices.Equal(columns["addr.city"], []string{"Kiel", "Kiel"}) ||
		!slices.Equal(columns["name"], []string{"ada", "dora"}) {
		t.Errorf("Parquet: %v", columns)
	}
}

const personAvro = `{"type":"record","name":"Person","namespace":"e2e","fields":[{"name":"name","type":"string"},` +
	`{"name":"age","type":"int","default":0},{"name":"city","type":["null","string"],"default":null}]}`

// avro registers a schema and produces values of it with franz-go's Serde.
func (p *place) avro(t *testing.T, topic, text string, values ...map[string]any) {
	t.Helper()
	registry, err := sr.NewClient(sr.URLs(p.registry))
	if err != nil {
		t.Fatal(err)
	}
	made, err := registry.CreateSchema(t.Context(), topic+"-value", sr.Schema{Schema: text})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := avro.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var serde sr.Serde
	serde.Register(made.ID, map[string]any{}, sr.EncodeFn(func(v any) ([]byte, error) { return codec.Encode(v) }))
	cl := p.kafka(t)
	for _, v := range values {
		body, err := serde.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		produce(t, cl, &kgo.Record{Topic: topic, Value: body})
	}
}

// A schema evolves in mid-stream: columns are added and widened, what does not fit gets a column of its own, old
// records stay readable, and no name of the mirror's own columns is taken.
func (p *place) evolution(t *testing.T) {
	p.topic(t, "evolving", 1, "kelp.seaweedmq.publish=structured")
	schema := func(fields string) string { return `{"type":"record","name":"R","fields":[` + fields + `]}` }
	p.avro(t, "evolving", schema(`{"name":"a","type":"int"},{"name":"kafka_offset","type":"string","default":""}`),
		map[string]any{"a": int32(1), "kafka_offset": "mine"})
	p.mirrored(t, "evolving")
	p.avro(t, "evolving", schema(`{"name":"a","type":"long"},{"name":"b","type":{"type":"long","logicalType":"timestamp-millis"},"default":0}`),
		map[string]any{"a": int64(1) << 40, "b": time.UnixMilli(1234)})
	p.avro(t, "evolving", schema(`{"name":"a","type":"int"},{"name":"kafka_offset","type":"string","default":""}`),
		map[string]any{"a": int32(3), "kafka_offset": "old again"})
	p.wantRows(t, "evolving",
		`{_kafka_offset="mine" a=1 kafka_offset=0 kafka_tombstone=false}`,
		`{a=1099511627776 b=1234000 kafka_offset=1 kafka_tombstone=false}`,
		`{_kafka_offset="old again" a=3 kafka_offset=2 kafka_tombstone=false}`)
	d, err := p.client.Describe(t.Context(), mq.Topic{Namespace: "kafka", Name: "evolving"})
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, f := range d.RecordType.Fields {
		if !strings.HasPrefix(f.Name, "kafka_") {
			columns = append(columns, fmt.Sprintf("%s %s", f.Name, f.Type.GetScalarType()))
		}
	}
	if want := []string{"a INT64", "_kafka_offset STRING", "b INT64"}; !slices.Equal(columns, want) {
		t.Errorf("columns %v, want %v", columns, want)
	}
	if got := p.parquet(t, "evolving")[0]; !slices.Equal(got["a"], []string{"1", "1099511627776", "3"}) || got["b"][1] != "1234000" {
		t.Errorf("Parquet: %v", got)
	}
}

// A topic without schemas whose values are JSON objects gets columns from its records.
func (p *place) samples(t *testing.T) {
	p.topic(t, "sampled", 1, "kelp.seaweedmq.publish=structured")
	cl := p.kafka(t)
	produce(t, cl, &kgo.Record{Topic: "sampled", Value: []byte(`{"id":1,"name":"a"}`)}, &kgo.Record{Topic: "sampled", Value: []byte(`{"id":2,"ok":true,"deep":{"x":[1]}}`)})
	p.mirrored(t, "sampled")
	produce(t, cl, &kgo.Record{Topic: "sampled", Value: []byte(`{"id":3,"later":1.5}`)}, &kgo.Record{Topic: "sampled", Value: []byte(`plain`)})
	p.wantRows(t, "sampled",
		`{id=1 kafka_offset=0 kafka_tombstone=false name="a"}`,
		`{deep="{\"x\":[1]}" id=2 kafka_offset=1 kafka_tombstone=false ok=true}`,
		`{id=3 kafka_offset=2 kafka_tombstone=false later=1.5}`,
		`{kafka_offset=3 kafka_tombstone=false}`)
}

// A topic that drops what it cannot decode, and one whose target holds somebody else's records.
func (p *place) policies(t *testing.T) {
	p.topic(t, "dropping", 1, "kelp.seaweedmq.publish=structured", "kelp.seaweedmq.undecodable=drop")
	p.avro(t, "dropping", personAvro, map[string]any{"name": "ada", "age": int32(1), "city": nil})
	produce(t, p.kafka(t), &kgo.Record{Topic: "dropping", Value: []byte("no envelope")})
	p.avro(t, "dropping", personAvro, map[string]any{"name": "bea", "age": int32(2), "city": nil})
	p.mirrored(t, "dropping")
	var names []string
	for _, r := range rows(t, p.entries(t, "dropping")[0]) {
		names = append(names, r["name"].GetStringValue())
	}
	if !slices.Equal(names, []string{"ada", "bea"}) {
		t.Errorf("dropping: %v", names)
	}

	p.topic(t, "taken", 1, "kelp.seaweedmq.publish=raw", "kelp.seaweedmq.topic=dropping")
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.status(t), "holds other records"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a topic with somebody else's records is published to\n%s", p.status(t))
		}
	}
}

// A topic that asks for it refuses records while its mirror is behind, and takes them again once it is not.
func (p *place) pressure(t *testing.T) {
	p.topic(t, "pressed", 1, "kelp.seaweedmq.publish=raw", "kelp.seaweedmq.max.lag.records=5")
	once := p.kafka(t, kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	refused := 0
	for n := 0; refused == 0; n++ {
		err := once.ProduceSync(t.Context(), &kgo.Record{Topic: "pressed", Value: fmt.Append(nil, n)}).FirstErr()
		if errors.Is(err, kerr.NotEnoughReplicas) {
			refused++
		} else if err != nil || n > 1000 {
			t.Fatalf("record %d: %v", n, err)
		}
	}
	produce(t, p.kafka(t), &kgo.Record{Topic: "pressed", Value: []byte("tried again until the mirror has caught up")})
	p.mirrored(t, "pressed")
	p.compareRaw(t, "pressed")
}
