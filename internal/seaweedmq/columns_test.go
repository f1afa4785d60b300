package seaweedmq

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"kelp/internal/schema/record"
)

// typeOf reads a type in short: "name kind, name kind"; [kind] is a list, {…} a record, ! required.
func typeOf(t *testing.T, text string) *record.RecordType {
	t.Helper()
	var fields []*record.Field
	for _, f := range split(text) {
		name, kind, _ := strings.Cut(f, " ")
		kind, required := strings.CutSuffix(kind, "!")
		fields = append(fields, record.NewField(name, kindType(t, kind), required))
	}
	r, err := record.NewRecordType(fields...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// split cuts at commas outside of braces.
func split(text string) []string {
	var all []string
	depth, from := 0, 0
	for i, c := range text {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				all, from = append(all, strings.TrimSpace(text[from:i])), i+1
			}
		}
	}
	if rest := strings.TrimSpace(text[from:]); rest != "" {
		all = append(all, rest)
	}
	return all
}

func kindType(t *testing.T, kind string) *record.Type {
	t.Helper()
	switch {
	case strings.HasPrefix(kind, "["):
		return record.List(kindType(t, kind[1:len(kind)-1]))
	case strings.HasPrefix(kind, "{"):
		return record.Record(typeOf(t, kind[1:len(kind)-1]))
	}
	s, ok := record.ScalarType_value[kind]
	if !ok {
		t.Fatalf("no kind %q", kind)
	}
	return record.Scalar(record.ScalarType(s))
}

func showType(t *record.Type) string {
	switch k := t.GetKind().(type) {
	case *record.Type_ListType:
		return "[" + showType(k.ListType.ElementType) + "]"
	case *record.Type_RecordType:
		return "{" + showFields(k.RecordType.Fields) + "}"
	}
	return t.GetScalarType().String()
}

func showFields(fields []*record.Field) string {
	var all []string
	for _, f := range fields {
		one := f.Name + " " + showType(f.Type)
		if f.IsRequired {
			one += "!"
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

func TestColumnsGrowAndNeverChangeWhatIsThere(t *testing.T) {
	c := &columns{}
	f := func(add, want string, wantChanged bool, renames ...string) {
		t.Helper()
		p, changed := c.add(typeOf(t, add))
		if got := showFields(c.fields); got != want || changed != wantChanged {
			t.Errorf("after %s: %s, changed %v\nwant %s", add, got, changed, want)
		}
		if got := fmt.Sprint(p.rename); got != fmt.Sprint(renamed(renames)) {
			t.Errorf("%s: renamed %v, want %v", add, got, renames)
		}
	}
	f("a INT32!, b STRING", "a INT32, b STRING", true)
	f("b STRING, a INT32", "a INT32, b STRING", false)
	f("a INT64", "a INT64, b STRING", true)
	f("a INT32", "a INT64, b STRING", false)
	f("a STRING", "a INT64, b STRING, a_string STRING", true, "a", "a_string")
	f("a STRING", "a INT64, b STRING, a_string STRING", false, "a", "a_string")
	f("a_string BOOL", "a INT64, b STRING, a_string STRING, a_string_bool BOOL", true, "a_string", "a_string_bool")
	c = &columns{}
	f("kafka_offset STRING, _kafka_offset BOOL", "__kafka_offset STRING, _kafka_offset BOOL", true, "kafka_offset", "__kafka_offset")
	c = &columns{}
	f("r {z INT32!, d DATE}, at TIMESTAMP, l [{t TIME}]", "r {d INT32, z INT32}, at INT64, l [{t INT64}]", true)
	f("r {y STRING, z INT64}", "r {d INT32, y STRING, z INT64}, at INT64, l [{t INT64}]", true)
	f("r {y BOOL}", "r {d INT32, y STRING, z INT64}, at INT64, l [{t INT64}], r_record {y BOOL}", true, "r", "r_record")
	f("l [STRING]", "r {d INT32, y STRING, z INT64}, at INT64, l [{t INT64}], r_record {y BOOL}, l_list [STRING]", true, "l", "l_list")
}

func renamed(pairs []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func TestColumnsComeBackFromSeaweedMQ(t *testing.T) {
	c := &columns{}
	c.add(typeOf(t, "a INT32!, r {x STRING!}"))
	again := columnsOf(c.recordType())
	if got, want := showFields(again.fields), showFields(c.fields); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !proto.Equal(again.recordType(), c.recordType()) {
		t.Error("the type differs")
	}
	if len(columnsOf(nil).fields) != 0 {
		t.Error("no type has columns")
	}
}

func TestColumnsHaveALimit(t *testing.T) {
	c := &columns{}
	for i := range maxColumns {
		c.add(typeOf(t, fmt.Sprintf("f%d INT32", i)))
	}
	p, changed := c.add(typeOf(t, "one_more INT32, f0 INT32"))
	if changed || len(c.fields) != maxColumns || fmt.Sprint(p.rename) != "map[one_more:]" {
		t.Errorf("changed %v, %d columns, %v", changed, len(c.fields), p.rename)
	}
	v := &record.RecordValue{Fields: map[string]*record.Value{"one_more": record.Int32(1), "f0": record.Int32(2)}}
	p.apply(v)
	if len(v.Fields) != 1 || v.Fields["f0"] == nil {
		t.Errorf("%v", v)
	}
}

func TestValuesFitTheirColumns(t *testing.T) {
	c := &columns{}
	c.add(typeOf(t, "n INT64, f DOUBLE, l [INT64], r {n INT64}"))
	p, _ := c.add(typeOf(t, "n INT32, f FLOAT, l [INT32], r {n INT32}, at TIMESTAMP, day DATE, t TIME, money DECIMAL, huge DECIMAL, "+
		"kafka_key STRING"))
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	v := &record.RecordValue{Fields: map[string]*record.Value{
		"n": record.Int32(1), "f": record.Float(1.5), "l": record.ListOf([]*record.Value{record.Int32(2), record.Null()}),
		"r":  record.Nested(&record.RecordValue{Fields: map[string]*record.Value{"n": record.Int32(3)}}),
		"at": record.Timestamp(5, true), "day": record.Date(6), "t": record.TimeOfDay(7), "kafka_key": record.String("k"),
		"money": record.Decimal(big.NewInt(-1234), 6, 2), "huge": record.Decimal(huge, 30, 0),
	}}
	p.apply(v)
	want := &record.RecordValue{Fields: map[string]*record.Value{
		"n": record.Int64(1), "f": record.Double(1.5), "l": record.ListOf([]*record.Value{record.Int64(2), record.Null()}),
		"r":  record.Nested(&record.RecordValue{Fields: map[string]*record.Value{"n": record.Int64(3)}}),
		"at": record.Int64(5), "day": record.Int32(6), "t": record.Int64(7), "_kafka_key": record.String("k"),
		"money": record.Decimal(new(big.Int).Mul(big.NewInt(-1234), big.NewInt(1e16)), 38, 18), "huge": record.Decimal(huge, 30, 0),
	}}
	if !proto.Equal(v, want) {
		t.Errorf("%v\nwant %v", v, want)
	}
}
