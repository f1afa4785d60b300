package seaweedmq

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"kelp/internal/batch"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/jsonschema"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// registryOf is a registry of given texts; errors are what it fails with for the ids of it.
type registryOf struct {
	schema.Registry
	texts  map[int32]string
	errors map[int32]error
	newest string
}

func (r registryOf) ByID(_ context.Context, _ string, id int32) (*schema.Version, error) {
	if err := r.errors[id]; err != nil {
		return nil, err
	}
	text, ok := r.texts[id]
	if !ok {
		return nil, &schema.Error{Code: schema.CodeSchemaNotFound, Message: "Schema not found"}
	}
	return &schema.Version{Content: &schema.Content{ID: id, Type: schema.Avro, Text: text}}, nil
}

func (r registryOf) Version(context.Context, string, int32) (*schema.Version, error) {
	if r.newest == "" {
		return nil, &schema.Error{Code: schema.CodeSubjectNotFound, Message: "Subject not found"}
	}
	return &schema.Version{Content: &schema.Content{ID: 1, Type: schema.Avro, Text: r.newest}}, nil
}

func (r registryOf) Source(_ context.Context, v *schema.Version) (schema.Source, error) {
	return schema.Source{Text: v.Text}, nil
}

// structured are rows of a topic; told are the types that SeaweedMQ was given.
func structured(t *testing.T, r schema.Registry) (*rows, *[]string) {
	t.Helper()
	told := &[]string{}
	s := &shapes{
		topic: "t", registry: r, formats: map[schema.Type]schema.Format{schema.Avro: avro.Format{}, schema.JSON: jsonschema.Format{}},
		tell: func(_ context.Context, rt *record.RecordType) error {
			*told = append(*told, showFields(columnsOf(rt).fields))
			return nil
		},
	}
	if _, err := s.open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return &rows{mode: Structured, undecodable: Keep, partition: 3, shapes: s, seed: maphash.MakeSeed()}, told
}

func framed(id uint32, payload ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), payload...)
}

func unmarshal(t *testing.T, b []byte) *record.RecordValue {
	t.Helper()
	var v record.RecordValue
	if err := proto.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

func TestARowHasTheValuesFieldsAndOurs(t *testing.T) {
	r, told := structured(t, registryOf{texts: map[int32]string{7: `{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}`}})
	value := framed(7, 2, 'x')
	row, err := r.of(t.Context(), batch.Record{
		Offset: 5, TimestampMs: 99, Key: []byte("k"), Value: value, Headers: []batch.RecordHeader{{Key: "h", Value: []byte("v")}},
	})
	if err != nil || row.failed != nil || string(row.key) != "k" {
		t.Fatal(row, err)
	}
	want := &record.RecordValue{Fields: map[string]*record.Value{
		"a": record.String("x"), colKey: record.Bytes([]byte("k")), colValue: record.Bytes(value), colTimestamp: record.Int64(99),
		colHeaders: record.String(`[{"key":"h","value":"dg=="}]`), colOffset: record.Int64(5), colPartition: record.Int32(3),
		colTombstone: record.Bool(false), colSchema: record.Int32(7),
	}}
	if got := unmarshal(t, row.value); !proto.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if len(*told) != 1 || (*told)[0] != "a STRING" {
		t.Errorf("told %q", *told)
	}
	if offset, ok := offsetColumn(row.value); !ok || offset != 5 {
		t.Errorf("offset %d, %v", offset, ok)
	}
	if offset, _, ok := r.identify(mq.Entry{Value: row.value}, 0); !ok || offset != 5 {
		t.Errorf("identified as %d, %v", offset, ok)
	}
	if _, _, ok := r.identify(mq.Entry{Value: []byte("something else")}, 0); ok {
		t.Error("somebody else's entry was taken for one of ours")
	}
}

func TestNullsAndNegativeTimestamps(t *testing.T) {
	r, _ := structured(t, nil)
	row, err := r.of(t.Context(), batch.Record{Offset: 0, TimestampMs: -1})
	if err != nil || string(row.key) != "kafka:3:0" {
		t.Fatal(row, err)
	}
	want := &record.RecordValue{Fields: map[string]*record.Value{
		colTimestamp: record.Int64(-1), colOffset: record.Int64(0), colPartition: record.Int32(3), colTombstone: record.Bool(true),
	}}
	if got := unmarshal(t, row.value); !proto.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if offset, ok := offsetColumn(row.value); !ok || offset != 0 {
		t.Errorf("offset %d, %v", offset, ok)
	}
}

func TestWhatCannotBeDecodedIsKeptOrDropped(t *testing.T) {
	known := `{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}`
	r, _ := structured(t, registryOf{texts: map[int32]string{7: known}, newest: known})
	f := func(value []byte, want string) {
		t.Helper()
		row, err := r.of(t.Context(), batch.Record{Offset: 1, Value: value})
		if err != nil || !errors.Is(row.failed, errUndecodable) {
			t.Fatal(row, err)
		}
		got := unmarshal(t, row.value).Fields
		if text := got[colError].GetStringValue(); !strings.Contains(text, want) || string(got[colValue].GetBytesValue()) != string(value) {
			t.Errorf("%q: %q, want %q", value, text, want)
		}
	}
	f([]byte("bare"), "no schema envelope")
	f(framed(8, 2, 'x'), "Schema not found")
	f(framed(7, 100, 'x'), "does not match")
	f([]byte{}, "no schema envelope")
	r.undecodable = Drop
	if row, err := r.of(t.Context(), batch.Record{Offset: 1, Value: []byte("bare")}); err != nil || !row.dropped {
		t.Error(row, err)
	}
}

func TestARegistryThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	down := errors.New("connection refused")
	reg := registryOf{errors: map[int32]error{7: down}, texts: map[int32]string{7: `"string"`}}
	r, _ := structured(t, reg)
	rec := batch.Record{Offset: 1, Value: framed(7, 2, 'x')}
	if _, err := r.of(t.Context(), rec); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
	delete(reg.errors, 7)
	row, err := r.of(t.Context(), rec)
	if err != nil || unmarshal(t, row.value).Fields["value"].GetStringValue() != "x" {
		t.Error(row, err)
	}
}

// Old records get the columns as they have become meanwhile.
func TestARecordOfAnOldSchemaFitsWidenedColumns(t *testing.T) {
	r, told := structured(t, registryOf{texts: map[int32]string{
		1: `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`,
		2: `{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}`,
	}})
	for _, want := range []struct {
		id    uint32
		value *record.Value
	}{{1, record.Int32(1)}, {2, record.Int64(1)}, {1, record.Int64(1)}} {
		row, err := r.of(t.Context(), batch.Record{Value: framed(want.id, 2)})
		if err != nil {
			t.Fatal(err)
		}
		if got := unmarshal(t, row.value).Fields["a"]; !proto.Equal(got, want.value) {
			t.Errorf("schema %d: %v, want %v", want.id, got, want.value)
		}
	}
	if got := strings.Join(*told, "; "); got != "a INT32; a INT64" {
		t.Errorf("told %s", got)
	}
}

func TestSamples(t *testing.T) {
	r, told := structured(t, nil)
	r.shapes.sample([][]byte{[]byte(`{"a":1,"b":"x"}`), []byte(`{"a":2,"c":null}`)})
	f := func(value, want string) {
		t.Helper()
		row, err := r.of(t.Context(), batch.Record{Value: []byte(value)})
		if err != nil || row.failed != nil {
			t.Fatal(row.failed, err)
		}
		v := unmarshal(t, row.value)
		for name := range v.Fields {
			if isOurs(name) {
				delete(v.Fields, name)
			}
		}
		if got := len(v.Fields); got != strings.Count(want, " ")+1 && want != "" || want == "" && got != 0 {
			t.Errorf("%s: %v, want %s", value, v, want)
		}
	}
	f(`{"a":1,"b":"x"}`, "a b")
	f(`{"a":1.5}`, "a")
	f(`{"c":[1]}`, "c")
	f(`[1]`, "")
	f(`no JSON`, "")
	f(`{"a":"text"}`, "a")
	last := (*told)[len(*told)-1]
	if last != "a INT64, b STRING, _extra STRING, a_double DOUBLE, c STRING, a_string STRING" {
		t.Errorf("columns %s", last)
	}
}

func FuzzOffsetColumn(f *testing.F) {
	r := &rows{mode: Structured}
	f.Add(r.appendOurs(nil, batch.Record{Offset: 77, Key: []byte("k")}, 3, errUndecodable))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = offsetColumn(b) }) // it must not panic on what others wrote
}
