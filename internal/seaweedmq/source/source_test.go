package source

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"kelp/internal/batch"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// merged runs a log through scan and merger.
func merged(t *testing.T, next int64, offsets ...int64) (given []string, m *merger) {
	t.Helper()
	s := &scan{most: next - 1}
	for _, o := range offsets {
		s.see(o)
	}
	m = &merger{scan: s, next: next, give: func(e mq.Entry) error {
		given = append(given, fmt.Sprintf("%d@%d", e.Offset, e.TsNs))
		return nil
	}}
	for i, o := range offsets {
		if err := m.add(mq.Entry{Offset: o, TsNs: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.end(); err != nil {
		t.Fatal(err)
	}
	return given, m
}

func TestOffsetsInOrderTheLastWrittenCounts(t *testing.T) {
	for _, c := range []struct {
		name             string
		next             int64
		offsets          []int64
		want             []string
		repeats, skipped int64
	}{
		{"dense", 0, []int64{0, 1, 2}, []string{"0@0", "1@1", "2@2"}, 0, 0},
		{"holes", 0, []int64{3, 4, 9}, []string{"3@0", "4@1", "9@2"}, 0, 7},
		{"re-issued", 0, []int64{0, 1, 2, 3, 2, 3, 4}, []string{"0@0", "1@1", "2@4", "3@5", "4@6"}, 2, 0},
		{"re-issued, not all", 0, []int64{0, 1, 2, 3, 4, 2, 7}, []string{"0@0", "1@1", "2@5", "3@3", "4@4", "7@6"}, 1, 2},
		{"again and again", 0, []int64{0, 1, 2, 1, 2, 3, 0, 1}, []string{"0@6", "1@7", "2@4", "3@5"}, 4, 0},
		{"two places", 0, []int64{0, 1, 1, 2, 3, 4, 4, 5}, []string{"0@0", "1@2", "2@3", "3@4", "4@6", "5@7"}, 2, 0},
		{"what is stored stays", 3, []int64{1, 2, 3, 4}, []string{"3@2", "4@3"}, 2, 0},
		{"stored and repeated", 3, []int64{3, 4, 2, 3}, []string{"3@3", "4@1"}, 2, 0},
	} {
		given, m := merged(t, c.next, c.offsets...)
		if !slices.Equal(given, c.want) || m.repeats != c.repeats || m.skipped != c.skipped {
			t.Errorf("%s: %v, %d repeats, %d skipped; want %v, %d, %d", c.name, given, m.repeats, m.skipped, c.want, c.repeats, c.skipped)
		}
	}
}

// Any log gives each offset once, ascending, and its last entry.
func TestAnyLogIsPutInOrder(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var offsets []int64
		at := int64(0)
		for range r.IntN(200) {
			offsets = append(offsets, at)
			switch at++; r.IntN(20) {
			case 0:
				at = max(0, at-int64(r.IntN(30)))
			case 1:
				at += int64(r.IntN(30))
			}
		}
		last := map[int64]int{}
		for i, o := range offsets {
			last[o] = i
		}
		given, m := merged(t, 0, offsets...)
		var want []string
		for o := range at + 200 {
			if i, ok := last[o]; ok {
				want = append(want, fmt.Sprintf("%d@%d", o, i))
			}
		}
		if !slices.Equal(given, want) || m.repeats != int64(len(offsets)-len(want)) || len(m.held) != 0 || m.heldBytes != 0 {
			t.Fatalf("seed %d: %v gives %v", seed, offsets, given)
		}
	}
}

func TestRepeatsAreBounded(t *testing.T) {
	m := &merger{scan: &scan{overlaps: []span{{0, 1000}}}, give: func(mq.Entry) error { return nil }}
	big := make([]byte, 100<<20)
	var err error
	for i := range int64(5) {
		err = errors.Join(err, m.add(mq.Entry{Offset: i, Value: big}))
	}
	if !errors.Is(err, ErrRepeats) {
		t.Error(err)
	}
}

func marshal(t *testing.T, fields map[string]*record.Value) []byte {
	t.Helper()
	b, err := proto.Marshal(&record.RecordValue{Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func typeOf(names ...string) *record.RecordType {
	t := &record.RecordType{}
	for _, n := range names {
		t.Fields = append(t.Fields, record.NewField(n, record.Scalar(record.ScalarType_STRING), false))
	}
	return t
}

func TestBytesStayBytes(t *testing.T) {
	value := marshal(t, map[string]*record.Value{"a": record.String("x")})
	for _, c := range []*converter{
		{format: "json"},
		{format: "raw", typ: typeOf("a")},
		{format: "json", typ: typeOf("b")}, // it happens to parse, but the topic has other fields
	} {
		r := c.record(mq.Entry{Offset: 7, TsNs: 5_999_999, Key: []byte("k"), Value: value})
		if r.Offset != 7 || r.TimestampMs != 5 || string(r.Key) != "k" || !bytes.Equal(r.Value, value) {
			t.Errorf("%+v", r)
		}
	}
	c := &converter{format: "json", typ: typeOf("a")}
	if r := c.record(mq.Entry{}); r.Key != nil || r.Value != nil {
		t.Errorf("%+v", r)
	}
}

func TestJSON(t *testing.T) {
	all := map[string]*record.Value{
		"z": record.Bool(true), "i": record.Int32(-1), "l": record.Int64(1 << 60), "f": record.Float(1.5), "d": record.Double(1e300),
		"b": record.Bytes([]byte{0, 255}), "s": record.String("a\"<\u00e9"), "n": record.Null(),
		"at": record.Timestamp(1_500_000_000_123_456, true), "local": record.Timestamp(0, false), "day": record.Date(1),
		"time": record.TimeOfDay(3_600_000_001), "list": record.ListOf([]*record.Value{record.Int32(1), record.Null()}),
		"dec":    {Kind: &record.Value_DecimalValue{DecimalValue: &record.DecimalValue{Value: []byte{0xff}, Precision: 3, Scale: 2}}},
		"nested": record.Nested(&record.RecordValue{Fields: map[string]*record.Value{"y": record.Int32(2), "x": record.Int32(1)}}),
	}
	typ := typeOf("z", "i", "l", "f", "d", "b", "s", "n", "at", "local", "day", "time", "list", "dec", "nested")
	c := &converter{format: "json", typ: typ}
	r := c.record(mq.Entry{Value: marshal(t, all)})
	want := `{"z":true,"i":-1,"l":1152921504606846976,"f":1.5,"d":1e+300,"b":"AP8=","s":"a\"\u003cé","n":null,` +
		`"at":"2017-07-14T02:40:00.123456Z","local":"1970-01-01T00:00:00","day":"1970-01-02","time":"01:00:00.000001",` +
		`"list":[1,null],"dec":"-0.01","nested":{"x":1,"y":2}}`
	if string(r.Value) != want {
		t.Errorf("got  %s\nwant %s", r.Value, want)
	}
}

func TestWhatAMirrorHasWrittenIsRestored(t *testing.T) {
	columns := map[string]*record.Value{
		"name": record.String("x"), "kafka_key": record.Bytes([]byte{}), "kafka_value": record.Bytes([]byte{0, 1, 2}),
		"kafka_timestamp": record.Int64(42), "kafka_offset": record.Int64(9), "kafka_tombstone": record.Bool(false),
		"kafka_headers": record.String(`[{"key":"a","value":"AQ=="},{"key":"","keyBytes":"/w==","value":null}]`),
	}
	c := &converter{format: "json", typ: typeOf(
		"name", "kafka_key", "kafka_value", "kafka_timestamp", "kafka_offset", "kafka_tombstone", "kafka_headers",
	)}
	r := c.record(mq.Entry{Offset: 3, TsNs: 1e15, Key: []byte("kafka:0:9"), Value: marshal(t, columns)})
	if r.Offset != 3 || r.TimestampMs != 42 || r.Key == nil || len(r.Key) != 0 || !bytes.Equal(r.Value, []byte{0, 1, 2}) {
		t.Errorf("%+v", r)
	}
	if h := r.Headers; len(h) != 2 || h[0].Key != "a" || h[0].Value[0] != 1 || h[1].Key != "\xff" || h[1].Value != nil {
		t.Errorf("headers %+v", r.Headers)
	}
	columns["kafka_tombstone"] = record.Bool(true)
	delete(columns, "kafka_key")
	delete(columns, "kafka_value")
	if r := c.record(mq.Entry{Key: []byte("kafka:0:9"), Value: marshal(t, columns)}); r.Key != nil || r.Value != nil {
		t.Errorf("a tombstone without a key: %+v", r)
	}
}

func TestSchemaInAnEnvelope(t *testing.T) {
	text := `{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"n","type":"int"}]}`
	parsed, err := avro.Parse(schema.Source{Text: text})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := parsed.Codec(record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	typ, err := codec.RecordType()
	if err != nil {
		t.Fatal(err)
	}
	c := &converter{
		format: "schema", typ: typeOf("a", "n", "key_id"), schema: &encoding{id: 7, kind: schema.Avro, codec: codec, typ: typ},
	}
	wide := marshal(t, map[string]*record.Value{"a": record.String("xy"), "n": record.Int64(3), "key_id": record.String("k")})
	if r := c.record(mq.Entry{Value: wide}); !bytes.Equal(r.Value, []byte{0, 0, 0, 0, 7, 4, 'x', 'y', 6}) {
		t.Errorf("%x", r.Value)
	}
	unfitting := marshal(t, map[string]*record.Value{"a": record.String("xy")})
	if r := c.record(mq.Entry{Value: unfitting}); string(r.Value) != `{"a":"xy"}` || c.unfitted != 1 {
		t.Errorf("%s, %d unfitted", r.Value, c.unfitted)
	}
	key := marshal(t, map[string]*record.Value{"id": record.String("k")})
	if r := c.record(mq.Entry{Key: key, Value: wide}); string(r.Key) != `{"id":"k"}` {
		t.Errorf("key %q", r.Key)
	}
}

// TestKeysOfTheGateway: it adds the fields of a key to the value, of which the topic's type does not always know.
func TestKeysOfTheGateway(t *testing.T) {
	key := marshal(t, map[string]*record.Value{"id": record.String("k")})
	both := marshal(t, map[string]*record.Value{"a": record.String("x"), "key_id": record.String("k")})
	other := marshal(t, map[string]*record.Value{"a": record.String("x"), "key_id": record.String("z")})
	for name, c := range map[string]struct {
		typ              *record.RecordType
		key, value       []byte
		wantKey, wantVal string
	}{
		"unknown to the type":   {typeOf("a"), key, both, `{"id":"k"}`, `{"a":"x"}`},
		"known to the type":     {typeOf("a", "key_id"), key, both, `{"id":"k"}`, `{"a":"x","key_id":"k"}`},
		"of another key":        {typeOf("a"), key, other, string(key), string(other)},
		"a column of the value": {typeOf("a", "key_id"), []byte("k"), other, "k", `{"a":"x","key_id":"z"}`},
		"a tombstone":           {typeOf("a"), key, marshal(t, map[string]*record.Value{"key_id": record.String("k")}), `{"id":"k"}`, ""},
		"a key of bytes":        {typeOf("a"), key, marshal(t, map[string]*record.Value{"a": record.String("x")}), string(key), `{"a":"x"}`},
	} {
		r := (&converter{format: "json", typ: c.typ}).record(mq.Entry{Key: c.key, Value: c.value})
		if string(r.Key) != c.wantKey || string(r.Value) != c.wantVal || (r.Value == nil) != (c.wantVal == "") {
			t.Errorf("%s: %q=%q", name, r.Key, r.Value)
		}
	}
}

// FuzzConvert: no bytes of others panic, and a record always comes out.
func FuzzConvert(f *testing.F) {
	f.Add([]byte("k"), []byte("v"))
	b, _ := proto.Marshal(&record.RecordValue{Fields: map[string]*record.Value{"a": record.String("x"), "kafka_offset": record.Int64(1)}})
	f.Add(b, b)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		c := &converter{format: "json", typ: typeOf("a", "b", "key_a", "kafka_offset", "kafka_headers", "kafka_value")}
		r := c.record(mq.Entry{Offset: 1, Key: key, Value: value})
		for got, err := range batch.Records(batch.EncodeAt([]batch.Record{r}, batch.NoProducer()), 1<<30) {
			if err != nil || got.Offset != 1 || !bytes.Equal(got.Value, r.Value) {
				t.Fatal(got, err)
			}
		}
	})
}
