package validate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/client"
	"kelp/internal/schema/envelope"
	"kelp/internal/schema/jsonschema"
	"kelp/internal/schema/protobuf"
	"kelp/internal/schema/registry"
	"kelp/internal/schema/rest"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
	"kelp/internal/topic"
)

var formats = []schema.Format{jsonschema.Format{}, protobuf.Format{}, avro.Format{}}

func openRegistry(t testing.TB) *registry.Registry {
	t.Helper()
	at, store := storage.Partition{Topic: [16]byte{4}}, memory.New()
	runner, err := statelog.Open(context.Background(), statelog.Options[*schema.Machine]{
		Log: func(ctx context.Context) (storage.Log, error) {
			if err := store.Create(ctx, at); err != nil {
				return nil, err
			}
			return store.Open(ctx, at, storage.OpenOptions{})
		},
		Fresh: schema.New,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	return registry.New(registry.Options{Steps: runner, Formats: formats})
}

// only is a server's one registry.
type only struct{ schema.Registry }

func (o only) Named(string) (schema.Registry, error) { return o.Registry, nil }

func believe(d time.Duration) func(string) time.Duration {
	return func(string) time.Duration { return d }
}

func open(t testing.TB, r schema.Registry, change func(*Options)) *Validator {
	t.Helper()
	o := Options{
		Registries: only{r}, Formats: formats, Fresh: believe(time.Hour), Wait: time.Minute, Now: time.Now,
	}
	if change != nil {
		change(&o)
	}
	v := New(o)
	t.Cleanup(v.Close)
	return v
}

// produce judges a batch as Produce does, waiting for schemas as often as it takes.
func produce(t testing.TB, v *Validator, name string, rules cluster.Validation, recs ...batch.Record) ([]batch.Mark, error) {
	t.Helper()
	in := v.Inspect(cluster.Topic{Name: name, Config: &cluster.TopicConfig{Validation: &rules}})
	b := batch.Encode(recs, batch.NoProducer())
	for range 10 {
		in.Reset()
		if _, err := batch.Validate(b, 1<<20, in.See); err != nil {
			t.Fatal(err)
		}
		marks, err := in.Verdict()
		var undecided *topic.Undecided
		if !errors.As(err, &undecided) {
			return marks, err
		}
		undecided.Wait()
	}
	t.Fatal("ten rounds do not decide the batch")
	return nil, nil
}

const (
	avroText  = `{"type":"record","name":"User","namespace":"shop","fields":[{"name":"name","type":"string"},{"name":"age","type":"int"}]}`
	protoText = `syntax = "proto3"; package shop; message A { string name = 1; } message B { message C { int32 n = 1; } int32 n = 1; }`
	jsonText  = `{"title":"shop.Item","type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}`
)

func register(t testing.TB, r schema.Registry, subject string, kind schema.Type, text string) *schema.Version {
	t.Helper()
	v, err := r.Register(t.Context(), subject, schema.Draft{Type: kind, Text: text, ID: schema.NoID}, false)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func framed(id int32, payload ...byte) []byte {
	return append(envelope.AppendID(nil, uint32(id)), payload...)
}

func withHeader(v *schema.Version, indexes []byte, payload ...byte) batch.Record {
	return batch.Record{Value: payload, Headers: []batch.RecordHeader{
		{Key: "other", Value: []byte("x")},
		{Key: envelope.ValueHeader, Value: append(envelope.AppendGUID(nil, envelope.GUID(v.GUID)), indexes...)},
	}}
}

var (
	goodAvro  = []byte{6, 'b', 'o', 'b', 40}
	goodProto = []byte{10, 3, 'b', 'o', 'b'}
	goodB     = []byte{8, 5}
	goodJSON  = []byte(`{"n":1}`)
)

// Every record of the table is judged with what is known and what is not, alone and in a batch with good
// ones, strictly and permissively.
func TestRules(t *testing.T) {
	r := openRegistry(t)
	user := register(t, r, "orders-value", schema.Avro, avroText)
	register(t, r, "orders-key", schema.Avro, `"string"`)
	key := register(t, r, "orders-key", schema.Avro, `"string"`)
	proto := register(t, r, "orders-value-p", schema.Protobuf, protoText)
	register(t, r, "protos-value", schema.Protobuf, protoText)
	register(t, r, "items-value", schema.JSON, jsonText)
	item := register(t, r, "shop.Item", schema.JSON, jsonText)
	register(t, r, "shop.User", schema.Avro, avroText)
	register(t, r, "orders-shop.User", schema.Avro, avroText)
	register(t, r, "shop.B", schema.Protobuf, protoText)
	plain := register(t, r, "plain-value", schema.Avro, `"string"`)
	team := register(t, r, ":.team:orders-value", schema.Avro, `"long"`)
	other := register(t, r, "elsewhere", schema.Avro, `"double"`)

	value := func(strategy string) cluster.Validation {
		return cluster.Validation{Value: true, KeyStrategy: cluster.TopicNameStrategy, ValueStrategy: strategy}
	}
	payload := func(v cluster.Validation) cluster.Validation { v.Payload = true; return v }
	byTopic, byRecord, byBoth := value(cluster.TopicNameStrategy), value(cluster.RecordNameStrategy), value(cluster.TopicRecordNameStrategy)
	keys := cluster.Validation{Key: true, KeyStrategy: cluster.TopicNameStrategy, ValueStrategy: cluster.TopicNameStrategy}
	inTeam := payload(byTopic)
	inTeam.Context = ".team"
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	guid := envelope.AppendGUID(nil, envelope.GUID(user.GUID))
	for _, c := range []rule{
		{"framed", "orders", byTopic, batch.Record{Value: framed(user.ID, goodAvro...)}, ""},
		{"null", "orders", byTopic, batch.Record{}, ""},
		{"empty", "orders", byTopic, batch.Record{Value: []byte{}}, "value: no schema envelope: no bytes"},
		{"text", "orders", byTopic, batch.Record{Value: []byte("hello")}, "value: no schema envelope: unknown magic byte 104"},
		{"short", "orders", byTopic, batch.Record{Value: []byte{0, 0, 0}}, "value: no schema envelope: only 3 bytes"},
		{"unknown id", "orders", byTopic, batch.Record{Value: framed(999)}, "value: schema id 999 is not known"},
		{"id beyond int32", "orders", byTopic, batch.Record{Value: []byte{0, 255, 255, 255, 255, 1}}, "schema id 4294967295 is not known"},
		{"wrong subject", "orders", byTopic, batch.Record{Value: framed(other.ID)}, `is not registered under subject "orders-value"`},
		{"another topic", "bills", byTopic, batch.Record{Value: framed(user.ID)}, `under subject "bills-value"`},
		{"id alone", "orders", byTopic, batch.Record{Value: framed(user.ID, 1, 2, 3)}, ""},
		{"payload", "orders", payload(byTopic), batch.Record{Value: framed(user.ID, goodAvro...)}, ""},
		{"bad payload", "orders", payload(byTopic), batch.Record{Value: framed(user.ID, 1, 2, 3)}, "value: schema id"},
		{"trailing", "orders", payload(byTopic), batch.Record{Value: framed(user.ID, append(goodAvro, 0)...)}, "value: schema id"},
		{"no payload", "orders", payload(byTopic), batch.Record{Value: framed(user.ID)}, "value: schema id"},
		{"guid in header", "orders", payload(byTopic), withHeader(user, nil, goodAvro...), ""},
		{"guid as prefix", "orders", payload(byTopic), batch.Record{Value: join(guid, goodAvro)}, ""},
		{"unknown guid", "orders", byTopic, batch.Record{Value: envelope.AppendGUID(nil, envelope.GUID{9})}, "value: schema guid 09000000"},
		{"guid of another subject", "orders", byTopic, withHeader(other, nil, 0), "is not registered under subject"},
		{"header with more", "orders", payload(byTopic), withHeader(user, []byte{7}, goodAvro...), "after the guid"},
		{"key unlooked at", "orders", byTopic, batch.Record{Key: []byte("k"), Value: framed(user.ID)}, ""},
		{"bad key", "orders", keys, batch.Record{Key: []byte("k"), Value: []byte("v")}, "key: no schema envelope"},
		{"good key", "orders", keys, batch.Record{Key: framed(key.ID, 2, 'k'), Value: []byte("v")}, ""},
		{"null key", "orders", keys, batch.Record{Value: []byte("v")}, ""},
		{"record name", "orders", byRecord, batch.Record{Value: framed(user.ID)}, ""},
		{"record name of json", "any", payload(byRecord), batch.Record{Value: framed(item.ID, goodJSON...)}, ""},
		{"record name of protobuf", "any", byRecord, batch.Record{Value: framed(proto.ID, 2, 2)}, ""},
		{"record name of first", "any", byRecord, batch.Record{Value: framed(proto.ID, 0)}, `under subject "shop.A"`},
		{"no record name", "plain", byRecord, batch.Record{Value: framed(plain.ID, 0)}, "has no name"},
		{"both names", "orders", byBoth, batch.Record{Value: framed(user.ID)}, ""},
		{"both names elsewhere", "bills", byBoth, batch.Record{Value: framed(user.ID)}, `under subject "bills-shop.User"`},
		{"json", "items", payload(byTopic), batch.Record{Value: framed(item.ID, goodJSON...)}, ""},
		{"bad json", "items", payload(byTopic), batch.Record{Value: framed(item.ID, []byte(`{"n":"x"}`)...)}, "value: schema id"},
		{"no json", "items", payload(byTopic), batch.Record{Value: framed(item.ID, '{')}, "value: schema id"},
		{"protobuf", "protos", payload(byTopic), batch.Record{Value: framed(proto.ID, join([]byte{0}, goodProto)...)}, ""},
		{"protobuf second", "protos", payload(byTopic), batch.Record{Value: framed(proto.ID, join([]byte{2, 2}, goodB)...)}, ""},
		{"protobuf nested", "protos", payload(byTopic), batch.Record{Value: framed(proto.ID, join([]byte{4, 2, 0}, goodB)...)}, ""},
		{"protobuf in header", "protos", payload(byTopic), withHeader(proto, []byte{2, 2}, goodB...), ""},
		{"protobuf without indexes", "protos", payload(byTopic), batch.Record{Value: framed(proto.ID, goodProto...)}, ""},
		{"protobuf bad", "protos", payload(byTopic), batch.Record{Value: framed(proto.ID, 0, 10, 50)}, "value: schema id"},
		{"protobuf no message", "protos", payload(byTopic), batch.Record{Value: framed(proto.ID, 2, 18, 0xff)}, "value: schema id"},
		{"context", "orders", inTeam, batch.Record{Value: framed(team.ID, 2)}, ""},
		{"context, other schema", "orders", inTeam, batch.Record{Value: framed(other.ID+100, 2)}, "is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := open(t, r, nil)
			for _, known := range []bool{false, true} {
				c.strict(t, v, known)
				c.permissive(t, v)
			}
		})
	}
}

// rule is a record and what is said of it.
type rule struct {
	name  string
	topic string
	rules cluster.Validation
	rec   batch.Record
	want  string // a part of what is said, empty for a good one
}

func (c *rule) strict(t *testing.T, v *Validator, known bool) {
	t.Helper()
	_, err := produce(t, v, c.topic, c.rules, batch.Record{}, c.rec, batch.Record{}, c.rec)
	if c.want == "" {
		if err != nil {
			t.Errorf("known %t: refused: %v", known, err)
		}
		return
	}
	var rejected *topic.Rejected
	if !errors.As(err, &rejected) || !errors.Is(err, kerr.InvalidRecord) {
		t.Fatalf("known %t: %v, want INVALID_RECORD", known, err)
	}
	if len(rejected.Records) != 2 || rejected.Records[0].Index != 1 || rejected.Records[1].Index != 3 {
		t.Errorf("the records %v are named, want 1 and 3", rejected.Records)
	}
	for _, re := range rejected.Records {
		if !strings.Contains(re.Message, c.want) {
			t.Errorf("%q, want %q in it", re.Message, c.want)
		}
	}
}

func (c *rule) permissive(t *testing.T, v *Validator) {
	t.Helper()
	rules := c.rules
	rules.Permissive = true
	marks, err := produce(t, v, c.topic, rules, batch.Record{}, c.rec)
	if err != nil {
		t.Fatalf("permissive: %v", err)
	}
	if c.want == "" {
		if len(marks) != 0 {
			t.Errorf("marks on a good record: %v", marks)
		}
		return
	}
	if len(marks) != 1 || marks[0].Index != 1 || marks[0].Header.Key != MarkHeader ||
		!strings.Contains(string(marks[0].Header.Value), c.want) {
		t.Errorf("marks %v, want one with %q", marks, c.want)
	}
}

// What is wrong with both sides of a record is said together.
func TestBothSides(t *testing.T) {
	v := open(t, openRegistry(t), nil)
	rules := cluster.Validation{Key: true, Value: true, KeyStrategy: cluster.TopicNameStrategy, ValueStrategy: cluster.TopicNameStrategy}
	_, err := produce(t, v, "t", rules, batch.Record{Key: []byte("k"), Value: framed(5)})
	var rejected *topic.Rejected
	if !errors.As(err, &rejected) || len(rejected.Records) != 1 {
		t.Fatal(err)
	}
	if m := rejected.Records[0].Message; !strings.Contains(m, "key: no schema") || !strings.Contains(m, "; value: schema id 5 is not known") {
		t.Error(m)
	}
	rules.Permissive = true
	marks, err := produce(t, v, "t", rules, batch.Record{Key: []byte("k"), Value: framed(5)})
	if err != nil || len(marks) != 1 || !strings.Contains(string(marks[0].Header.Value), "; value: ") {
		t.Error(marks, err)
	}
}

// A schema that is registered after a refusal is taken at once; one that is deleted is refused when what
// is known is not fresh any more.
func TestRegistryChanges(t *testing.T) {
	r := openRegistry(t)
	now := new(atomic.Int64)
	v := open(t, r, func(o *Options) {
		o.Fresh, o.Now = believe(time.Second), func() time.Time { return time.Unix(0, now.Load()) }
	})
	rules := cluster.Validation{Value: true, ValueStrategy: cluster.TopicNameStrategy}
	one := batch.Record{Value: framed(1, 0)}
	if _, err := produce(t, v, "late", rules, one); !errors.Is(err, kerr.InvalidRecord) {
		t.Fatal(err)
	}
	register(t, r, "late-value", schema.Avro, `"string"`)
	if _, err := produce(t, v, "late", rules, one); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DeleteSubject(t.Context(), "late-value", false); err != nil {
		t.Fatal(err)
	}
	now.Add(int64(5 * time.Second))
	if _, err := produce(t, v, "late", rules, one); !errors.Is(err, kerr.InvalidRecord) {
		t.Fatalf("a deleted subject: %v", err)
	}
}

// While a registry is down what is known is used; the rest is the topic's choice, and nobody waits for
// it again and again.
func TestRegistryDown(t *testing.T) {
	r := openRegistry(t)
	known := register(t, r, "t-value", schema.Avro, `"string"`)
	later := register(t, r, "t-value", schema.Avro, `["null","string"]`)
	var down atomic.Bool
	handler := rest.New(rest.Options{Registry: r})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	external, err := client.New(client.Options{URLs: []string{server.URL}, Attempts: 1, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(external.Close)
	now := new(atomic.Int64)
	v := open(t, external, func(o *Options) { o.Now = func() time.Time { return time.Unix(0, now.Load()) } })
	rules := cluster.Validation{Value: true, ValueStrategy: cluster.TopicNameStrategy}
	open := rules
	open.FailOpen = true
	marking := rules
	marking.Permissive = true
	one, two := batch.Record{Value: framed(known.ID)}, batch.Record{Value: framed(later.ID)}
	if _, err := produce(t, v, "t", rules, one); err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	if _, err := produce(t, v, "t", rules, one, two); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("fail-closed: %v", err)
	}
	if _, err := produce(t, v, "t", rules, one); err != nil {
		t.Errorf("a known schema: %v", err)
	}
	if marks, err := produce(t, v, "t", open, two); err != nil || len(marks) != 0 {
		t.Errorf("fail-open: %v %v", marks, err)
	}
	if marks, err := produce(t, v, "t", marking, two); err != nil || len(marks) != 1 ||
		!strings.HasPrefix(string(marks[0].Header.Value), "value: unchecked: ") {
		t.Errorf("permissive: %v %v", marks, err)
	}
	if _, err := produce(t, v, "t", open, two, batch.Record{Value: []byte("x")}); !errors.Is(err, kerr.InvalidRecord) {
		t.Errorf("an unframed record beside one that cannot be checked: %v", err)
	}
	now.Add(int64(5 * time.Hour))
	if _, err := produce(t, v, "t", rules, one); err != nil {
		t.Errorf("a schema that was known long ago: %v", err)
	}
	down.Store(false)
	deadline := time.Now().Add(time.Minute)
	for {
		now.Add(int64(2 * probeEvery))
		if _, err = produce(t, v, "t", rules, two); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the registry is back, but: %v", err)
		}
	}
}

// A registry that does not answer at all is given up after the batch's time, and Close ends every wait.
func TestRegistrySilent(t *testing.T) {
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-stuck:
		case <-req.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stuck) })
	external, err := client.New(client.Options{URLs: []string{server.URL}, Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(external.Close)
	rules := cluster.Validation{Value: true, ValueStrategy: cluster.TopicNameStrategy}
	v := open(t, external, func(o *Options) { o.Wait = 20 * time.Millisecond })
	if _, err := produce(t, v, "t", rules, batch.Record{Value: framed(1)}); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("a silent registry: %v", err)
	}
	v = open(t, external, func(o *Options) { o.Wait = time.Hour })
	ended := make(chan error)
	go func() {
		_, err := produce(t, v, "t", rules, batch.Record{Value: framed(1)})
		ended <- err
	}()
	v.Close()
	if err := <-ended; !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("after Close: %v", err)
	}
}

// A batch cannot make the server look up or keep any number of schemas.
func TestManySchemas(t *testing.T) {
	v := open(t, openRegistry(t), nil)
	rules := cluster.Validation{Value: true, ValueStrategy: cluster.TopicNameStrategy}
	recs := make([]batch.Record, 3*maxSchemasInBatch)
	for i := range recs {
		recs[i].Value = framed(int32(i))
	}
	in := v.Inspect(cluster.Topic{Name: "t", Config: &cluster.TopicConfig{Validation: &rules}}).(*inspection)
	b := batch.Encode(recs, batch.NoProducer())
	var undecided *topic.Undecided
	rounds := 0
	for {
		in.Reset()
		if _, err := batch.Validate(b, 1<<20, in.See); err != nil {
			t.Fatal(err)
		}
		_, err := in.Verdict()
		if !errors.As(err, &undecided) {
			if !errors.Is(err, kerr.InvalidRecord) {
				t.Error(err)
			}
			break
		}
		rounds++
		undecided.Wait()
	}
	if most := maxSchemasInBatch/lookupsAtOnce + 1; rounds > most || len(in.own) != maxSchemasInBatch {
		t.Errorf("%d schemas in %d rounds, want %d in at most %d", len(in.own), rounds, maxSchemasInBatch, most)
	}
	if n := in.tally.wrong[tooMany]; n != len(recs)-maxSchemasInBatch {
		t.Errorf("%d records are beyond the limit, want %d", n, len(recs)-maxSchemasInBatch)
	}
}

// What is kept of schemas is bounded.
func TestKnownIsBounded(t *testing.T) {
	var k known
	k.init(time.Now)
	text := strings.Repeat("x", 1<<20)
	for i := range 100 {
		q := useKey{schema: schemaKey{schemaID: schemaID{id: uint32(i)}}}
		s := &parsed{version: &schema.Version{Content: &schema.Content{Text: text}}}
		k.keepSchema(q.schema, s)
		k.keep(q, &use{schema: s, since: time.Now(), fresh: time.Hour})
		if u, _ := k.find(q); u == nil {
			t.Fatalf("%d is not kept", i)
		}
	}
	if k.bytes > maxKeptTextBytes || len(k.schemas) != k.bytes>>20 || len(k.uses) != len(k.schemas) {
		t.Errorf("%d bytes, %d schemas, %d uses", k.bytes, len(k.schemas), len(k.uses))
	}
	for i := range maxKept + 100 {
		k.keep(useKey{topic: fmt.Sprint(i)}, &use{since: time.Now(), fresh: time.Hour})
	}
	if len(k.uses) != maxKept {
		t.Errorf("%d uses are kept, want %d", len(k.uses), maxKept)
	}
}

// FuzzInspection: no record panics, and what passes payload validation can be decoded.
func FuzzInspection(f *testing.F) {
	r := openRegistry(f)
	user := register(f, r, "t-value", schema.Avro, avroText)
	proto := register(f, r, "t-value-p", schema.Protobuf, protoText)
	item := register(f, r, "t-value-j", schema.JSON, jsonText)
	for _, s := range []*schema.Version{proto, item} {
		register(f, r, "t-"+map[schema.Type]string{schema.Protobuf: "shop.A", schema.JSON: "shop.Item"}[s.Type], s.Type, s.Text)
	}
	f.Add(framed(user.ID, goodAvro...), []byte(nil), false)
	f.Add(framed(proto.ID, append([]byte{0}, goodProto...)...), []byte(nil), true)
	f.Add(framed(item.ID, goodJSON...), []byte(nil), true)
	f.Add(goodAvro, envelope.AppendGUID(nil, envelope.GUID(user.GUID)), false)
	f.Add([]byte("hello"), []byte{0}, false)
	v := open(f, r, nil)
	f.Fuzz(func(t *testing.T, value, header []byte, byName bool) {
		rules := cluster.Validation{Value: true, Payload: true, ValueStrategy: cluster.TopicNameStrategy}
		if byName {
			rules.ValueStrategy = cluster.TopicRecordNameStrategy
		}
		rec := batch.Record{Value: value}
		if header != nil {
			rec.Headers = []batch.RecordHeader{{Key: envelope.ValueHeader, Value: header}}
		}
		_, err := produce(t, v, "t", rules, rec)
		rules.Permissive = true
		marks, err2 := produce(t, v, "t", rules, rec)
		if err2 != nil || (err != nil) != (len(marks) > 0) {
			t.Fatalf("strict says %v, permissive %v %v", err, marks, err2)
		}
		if err != nil && !errors.Is(err, kerr.InvalidRecord) {
			t.Fatal(err)
		}
	})
}
