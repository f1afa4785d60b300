package avro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"kelp/internal/schema"
	"kelp/internal/schema/record"
)

// field wraps a type in a record with one field.
func field1(typ string) string {
	return `{"type":"record","name":"R","fields":[{"name":"f","type":` + typ + `}]}`
}

// typeText shows a record type on one line: name type, with ? where there may be no value.
func typeText(t *record.Type) string {
	switch k := t.GetKind().(type) {
	case *record.Type_ScalarType:
		return k.ScalarType.String()
	case *record.Type_ListType:
		return "[" + typeText(k.ListType.ElementType) + "]"
	default:
		return recordText(t.GetRecordType())
	}
}

func recordText(t *record.RecordType) string {
	var parts []string
	for _, f := range t.GetFields() {
		mark := "?"
		if f.IsRequired {
			mark = ""
		}
		if f.IsRepeated != (f.Type.GetListType() != nil) {
			mark += "!repeated"
		}
		parts = append(parts, f.Name+mark+" "+typeText(f.Type))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// long and short build payloads.
func varint(l int64) []byte { return binary.AppendUvarint(nil, uint64(l)<<1^uint64(l>>63)) }
func text2(s string) []byte { return append(varint(int64(len(s))), s...) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestRecordTypes(t *testing.T) {
	for _, c := range []struct {
		schema, typ string
		payload     []byte
	}{
		{field1(`"null"`), "{f? STRING}", nil},
		{field1(`"boolean"`), "{f BOOL}", []byte{1}},
		{field1(`"int"`), "{f INT32}", varint(math.MinInt32)},
		{field1(`"long"`), "{f INT64}", varint(math.MinInt64)},
		{field1(`"float"`), "{f FLOAT}", []byte{0, 0, 0xc0, 0x7f}},
		{field1(`"double"`), "{f DOUBLE}", []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{field1(`"bytes"`), "{f BYTES}", text2("\xff\x00")},
		{field1(`"string"`), "{f STRING}", text2("é")},
		{field1(`{"type":"enum","name":"E","symbols":["A","B"]}`), "{f STRING}", varint(1)},
		{field1(`{"type":"fixed","name":"F","size":3}`), "{f BYTES}", []byte("abc")},
		{
			field1(`{"type":"array","items":{"type":"array","items":["null","int"]}}`), "{f [[INT32]]}",
			cat(varint(1), varint(2), varint(0), varint(1), varint(7), varint(0), varint(0)),
		},
		{
			field1(`{"type":"map","values":["null","long"]}`), "{f [{key STRING, value? INT64}]}",
			cat(varint(2), text2("a"), varint(0), text2("a"), varint(1), varint(9), varint(0)),
		},
		{field1(`["null","string"]`), "{f? STRING}", cat(varint(1), text2("x"))},
		{field1(`["null"]`), "{f? STRING}", varint(0)},
		{field1(`["long"]`), "{f INT64}", cat(varint(0), varint(5))},
		{field1(`["null","int","string"]`), "{f? {int? INT32, string? STRING}}", cat(varint(2), text2("x"))},
		{field1(`["int","string"]`), "{f {int? INT32, string? STRING}}", cat(varint(0), varint(3))},
		{
			field1(`[{"type":"fixed","name":"a.F","size":1},{"type":"fixed","name":"b.F","size":1}]`), "{f {a.F? BYTES, b.F? BYTES}}",
			cat(varint(1), []byte{9}),
		},
		{
			`{"type":"record","name":"R","fields":[{"name":"_key","type":"int"},{"name":"__key","type":"int"}]}`,
			"{___key INT32, __key INT32}", cat(varint(1), varint(2)),
		},
		{field1(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`), "{f DECIMAL}", text2("\xff\x01")},
		{
			field1(`{"type":"fixed","size":4,"name":"D","logicalType":"decimal","precision":9,"scale":2}`), "{f DECIMAL}",
			[]byte{0xff, 0xff, 0xff, 0x85},
		},
		{field1(`{"type":"bytes","logicalType":"big-decimal"}`), "{f BYTES}", text2("ab")},
		{field1(`{"type":"string","logicalType":"uuid"}`), "{f STRING}", text2("x")},
		{field1(`{"type":"fixed","size":16,"name":"U","logicalType":"uuid"}`), "{f STRING}", []byte("0123456789abcdef")},
		{field1(`{"type":"int","logicalType":"date"}`), "{f DATE}", varint(-1)},
		{field1(`{"type":"int","logicalType":"time-millis"}`), "{f TIME}", varint(86_399_999)},
		{field1(`{"type":"long","logicalType":"time-micros"}`), "{f TIME}", varint(1)},
		{field1(`{"type":"long","logicalType":"timestamp-millis"}`), "{f TIMESTAMP}", varint(-1)},
		{field1(`{"type":"long","logicalType":"timestamp-micros"}`), "{f TIMESTAMP}", varint(math.MaxInt64)},
		{field1(`{"type":"long","logicalType":"timestamp-nanos"}`), "{f TIMESTAMP}", varint(-5000)},
		{field1(`{"type":"long","logicalType":"local-timestamp-millis"}`), "{f TIMESTAMP}", varint(7)},
		{
			field1(`{"type":"fixed","size":12,"name":"D","logicalType":"duration"}`), "{f {months INT64, days INT64, milliseconds INT64}}",
			[]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0},
		},
		{
			`{"type":"record","name":"Node","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","Node"]}]}`,
			"{v INT32, next? BYTES}", cat(varint(1), varint(1), varint(2), varint(0)),
		},
		{`"string"`, "{value STRING}", text2("x")},
		{`["null","long"]`, "{value? INT64}", varint(0)},
		{`"bytes"`, "{value BYTES}", []byte{1, 2}},
		{`{"type":"array","items":"int"}`, "{value [INT32]}", varint(0)},
		{`{"type":"record","name":"Empty","fields":[]}`, "{}", nil},
	} {
		k := mustCodec(t, mustParse(t, c.schema))
		typ, err := k.RecordType()
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		if got := recordText(typ); got != c.typ {
			t.Errorf("%s: type %s, want %s", c.schema, got, c.typ)
		}
		if err := k.Validate(c.payload); err != nil {
			t.Errorf("%s: %v", c.schema, err)
		}
		v, exact, err := record.Exact(k, c.payload)
		if err != nil || !exact {
			t.Errorf("%s: exact %v, %v: %v", c.schema, exact, err, v)
		}
		// What SeaweedMQ stores comes back the same.
		stored, err := proto.Marshal(v)
		again := &record.RecordValue{}
		if err != nil || proto.Unmarshal(stored, again) != nil {
			t.Fatal(err)
		}
		if b, err := k.Encode(again); err != nil || !bytes.Equal(b, c.payload) {
			t.Errorf("%s: after storing: %x, %v", c.schema, b, err)
		}
	}
}

func TestValuesThatDoNotFit(t *testing.T) {
	one := func(v *record.Value) *record.RecordValue {
		return &record.RecordValue{Fields: map[string]*record.Value{"f": v}}
	}
	for _, c := range []struct {
		typ   string
		value *record.RecordValue
	}{
		{`"int"`, one(nil)},
		{`"int"`, one(record.Int64(1))},
		{`"int"`, &record.RecordValue{Fields: map[string]*record.Value{"f": record.Int32(1), "g": record.Int32(1)}}},
		{`"string"`, one(record.String("\xff"))},
		{`{"type":"enum","name":"E","symbols":["A"]}`, one(record.String("B"))},
		{`{"type":"fixed","name":"F","size":3}`, one(record.Bytes([]byte("ab")))},
		{`["int","string"]`, one(record.Nested(&record.RecordValue{}))},
		{`["null","int","string"]`, one(record.Nested(&record.RecordValue{Fields: map[string]*record.Value{
			"int": record.Int32(1), "string": record.String("x"),
		}}))},
		{`["null","int","string"]`, one(record.Nested(&record.RecordValue{Fields: map[string]*record.Value{"long": record.Int64(1)}}))},
		{`{"type":"long","logicalType":"timestamp-millis"}`, one(record.Timestamp(1, true))},
		{`{"type":"long","logicalType":"timestamp-millis"}`, one(record.Timestamp(1000, false))},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, one(record.Timestamp(math.MaxInt64, true))},
		{`{"type":"int","logicalType":"time-millis"}`, one(record.TimeOfDay(1))},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, one(&record.Value{Kind: &record.Value_DecimalValue{
			DecimalValue: &record.DecimalValue{Value: []byte{1}, Scale: 1},
		}})},
		{`{"type":"fixed","size":16,"name":"U","logicalType":"uuid"}`, one(record.String("no"))},
		{`{"type":"map","values":"int"}`, one(record.ListOf([]*record.Value{record.Int32(1)}))},
		{`{"type":"array","items":"int"}`, one(record.ListOf([]*record.Value{record.Null()}))},
	} {
		k := mustCodec(t, mustParse(t, field1(c.typ)))
		if b, err := k.Encode(c.value); !errors.Is(err, record.ErrValue) {
			t.Errorf("%s takes %v: %x, %v", c.typ, c.value, b, err)
		}
	}
}

func TestWhatIsRefusedOrNarrowed(t *testing.T) {
	millis := mustCodec(t, mustParse(t, field1(`{"type":"long","logicalType":"timestamp-millis"}`)))
	if _, err := millis.Decode(varint(math.MaxInt64)); !errors.Is(err, record.ErrRefused) {
		t.Errorf("a time beyond microseconds: %v", err)
	}
	nanos := mustCodec(t, mustParse(t, field1(`{"type":"long","logicalType":"timestamp-nanos"}`)))
	if v, exact, err := record.Exact(nanos, varint(-1)); err != nil || exact || v.Fields["f"].GetTimestampValue().TimestampMicros != -1 {
		t.Errorf("nanoseconds are rounded down: %v %v %v", v, exact, err)
	}
	decimal := mustCodec(t, mustParse(t, field1(`{"type":"bytes","logicalType":"decimal","precision":4}`)))
	if v, exact, err := record.Exact(decimal, text2("\x00\x01")); err != nil || exact || len(v.Fields["f"].GetDecimalValue().Value) != 1 {
		t.Errorf("a decimal with more bytes than it needs: %v %v %v", v, exact, err)
	}
}

func TestLimits(t *testing.T) {
	s := mustParse(t, `{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]}]}`)
	deep := append(bytes.Repeat(varint(1), 300), varint(0)...)
	limited := func(o record.Limits) record.Codec {
		k, err := s.Codec(record.Options{Limits: o})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for what, err := range map[string]error{
		"depth":  limited(record.Limits{}).Validate(deep),
		"values": limited(record.Limits{Values: 10, Depth: 1000}).Validate(deep),
		"bytes":  limited(record.Limits{Bytes: 100, Depth: 1000}).Validate(deep),
	} {
		if !errors.Is(err, record.ErrLimit) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := limited(record.Limits{Depth: 1000}).Validate(deep); err != nil {
		t.Error(err)
	}
	if _, err := s.Codec(record.Options{MessageIndexes: []int{0}}); err == nil {
		t.Error("message indexes are taken")
	}
}

// TestManyWays: types that all contain each other have more ways through them than a record type can show.
func TestManyWays(t *testing.T) {
	var b strings.Builder
	names := []string{"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K"}
	b.WriteString(`[`)
	for i, n := range names {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`{"type":"record","name":"` + n + `","fields":[`)
		for j, m := range names {
			if j > 0 {
				b.WriteString(",")
			}
			b.WriteString(`{"name":"f` + m + `","type":["null","` + m + `"]}`)
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]`)
	k := mustCodec(t, mustParse(t, b.String()))
	if _, err := k.RecordType(); !errors.Is(err, record.ErrType) {
		t.Errorf("%v", err)
	}
	if err := k.Validate(make([]byte, 12)); err != nil {
		t.Errorf("validation needs no record type: %v", err)
	}
}

func TestHostileSchemas(t *testing.T) {
	nested := strings.Repeat(`{"type":"array","items":`, 300) + `"int"` + strings.Repeat(`}`, 300)
	for _, text := range []string{
		nested, `[`, `{"type":"record"}`, `{"type":"record","name":"A","fields":[{"name":"x","type":"Nope"}]}`, `[["null"]]`,
		`["int","int"]`, `{"type":"enum","name":"E","symbols":["A","A"]}`, `{"type":"enum","name":"E","symbols":["1"]}`,
		`{"type":"fixed","name":"F","size":-1}`, `{"type":"record","name":"string","fields":[]}`, `"nope"`, `1`, `{}`, ``,
		`{"type":"record","name":"R","fields":[{"name":"f","type":"int","default":"x"}]}`,
		`{"type":"record","name":"R","fields":[{"name":"f","type":"int"},{"name":"f","type":"int"}]}`,
		`{"type":"record","name":"a.b-c.R","fields":[]}`,
		`[{"type":"fixed","name":"F","size":1},{"type":"record","name":"R","fields":[{"name":"x","type":{"type":"fixed","name":"F","size":2}}]}]`,
		strings.Repeat(" ", schema.MaxTextBytes) + `"int"`,
	} {
		if _, err := Parse(schema.Source{Text: text}); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}
