package seaweedmq

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"kelp/internal/schema/record"
)

// The columns that every structured record has beside the fields of its value.
const (
	colKey       = "kafka_key"       // BYTES, as produced; not there: null
	colValue     = "kafka_value"     // BYTES, as produced; not there: null (a tombstone)
	colTimestamp = "kafka_timestamp" // INT64, milliseconds as Kafka has them
	colHeaders   = "kafka_headers"   // STRING, a JSON array of {"key", "value"}, values in base64; not there: none
	colOffset    = "kafka_offset"    // INT64
	colPartition = "kafka_partition" // INT32
	colTombstone = "kafka_tombstone" // BOOL: the value is null
	colSchema    = "kafka_schema_id" // INT32; not there: no schema
	colError     = "kafka_error"     // STRING: why the value's fields are not there
)

// ours are the fields of these columns, in the order of a RecordType.
func ours() []*record.Field {
	return []*record.Field{
		record.NewField(colKey, record.Scalar(record.ScalarType_BYTES), false),
		record.NewField(colValue, record.Scalar(record.ScalarType_BYTES), false),
		record.NewField(colTimestamp, record.Scalar(record.ScalarType_INT64), false),
		record.NewField(colHeaders, record.Scalar(record.ScalarType_STRING), false),
		record.NewField(colOffset, record.Scalar(record.ScalarType_INT64), true),
		record.NewField(colPartition, record.Scalar(record.ScalarType_INT32), true),
		record.NewField(colTombstone, record.Scalar(record.ScalarType_BOOL), false),
		record.NewField(colSchema, record.Scalar(record.ScalarType_INT32), false),
		record.NewField(colError, record.Scalar(record.ScalarType_STRING), false),
	}
}

// columns is the union of all record types that a topic's values had so far. It only grows, so that old
// records stay readable:
//
//   - a field that is named like a column of ours, or like one that has another type which cannot hold
//     it, gets another name: see place;
//   - a number that became wider, INT32 to INT64 or FLOAT to DOUBLE, widens its column;
//   - records within records are merged in the same way;
//   - times, dates and decimals have the types of suited;
//   - no field is required: tombstones and older records do not have it.
type columns struct{ fields []*record.Field } // of values

// maxColumns bounds a topic's columns; the fields of further schemas are left out and named in status.
const maxColumns = 2000

// columnsOf takes up the type that a topic has in SeaweedMQ.
func columnsOf(t *record.RecordType) *columns {
	c := &columns{}
	for _, f := range t.GetFields() {
		if !isOurs(f.Name) {
			c.fields = append(c.fields, relaxed(f, f.Name))
		}
	}
	return c
}

func isOurs(name string) bool {
	return slices.ContainsFunc(ours(), func(f *record.Field) bool { return f.Name == name })
}

// recordType is the type of the topic.
func (c *columns) recordType() *record.RecordType {
	t := &record.RecordType{}
	for _, f := range append(ours(), c.fields...) {
		f = proto.CloneOf(f)
		f.FieldIndex = int32(len(t.Fields))
		t.Fields = append(t.Fields, f)
	}
	return t
}

// projection says under which names and as what the fields of one schema's records are published.
// Fields that are not named here keep their name and kind.
type projection struct {
	rename map[string]string       // to "": left out
	fit    map[string]*record.Type // the column's type, where the value's may be another
}

// add takes in the type of a schema. changed says that the topic's type has to be told to SeaweedMQ.
func (c *columns) add(t *record.RecordType) (p projection, changed bool) {
	names := map[string]bool{}
	for _, f := range t.GetFields() {
		names[f.Name] = true
	}
	p = projection{rename: map[string]string{}, fit: map[string]*record.Type{}}
	for _, f := range t.GetFields() {
		name, i := c.place(f, names)
		switch {
		case i >= 0:
			merged, grew, _ := merge(c.fields[i].Type, suited(f.Type))
			changed = changed || grew
			c.fields[i] = relaxed(&record.Field{Type: merged}, name)
		case len(c.fields) >= maxColumns:
			name = ""
		default:
			c.fields = append(c.fields, relaxed(f, name))
			changed, i = true, len(c.fields)-1
		}
		if name != f.Name {
			p.rename[f.Name] = name
		}
		if i >= 0 && !sameKinds(c.fields[i].Type, f.Type) {
			p.fit[f.Name] = c.fields[i].Type
		}
	}
	return p, changed
}

// place finds the column of a field: the one of its name if that can hold it, else the one of its name
// with the kind of its type behind, else with underscores in front until one is free. -1: a new one.
func (c *columns) place(f *record.Field, names map[string]bool) (string, int) {
	name := f.Name
	if isOurs(name) {
		name = record.FreeName("_"+name, func(n string) bool { return names[n] || isOurs(n) })
	}
	for try := 0; ; try++ {
		i := slices.IndexFunc(c.fields, func(o *record.Field) bool { return o.Name == name })
		if i < 0 {
			return name, -1
		}
		if _, _, ok := merge(c.fields[i].Type, suited(f.Type)); ok {
			return name, i
		}
		if try == 0 {
			name += "_" + kindOf(suited(f.Type))
			continue
		}
		name = "_" + name
	}
}

// kindOf is a type in one word, for names.
func kindOf(t *record.Type) string {
	switch k := t.GetKind().(type) {
	case *record.Type_ListType:
		return "list"
	case *record.Type_RecordType:
		return "record"
	case *record.Type_ScalarType:
		return strings.ToLower(k.ScalarType.String())
	}
	return "unknown"
}

// relaxed is a copy of a field under a name in which nothing is required.
func relaxed(f *record.Field, name string) *record.Field {
	t := suited(f.Type)
	relax(t)
	return record.NewField(name, t, false)
}

func relax(t *record.Type) {
	if l := t.GetListType(); l != nil {
		relax(l.ElementType)
	}
	for _, f := range t.GetRecordType().GetFields() {
		f.IsRequired = false
		relax(f.Type)
	}
}

// merge is the smallest type that holds values of both; grew says that it is more than a.
func merge(a, b *record.Type) (t *record.Type, grew, ok bool) {
	switch x := a.GetKind().(type) {
	case *record.Type_ScalarType:
		y, is := b.GetKind().(*record.Type_ScalarType)
		if !is {
			return nil, false, false
		}
		s, ok := wider(x.ScalarType, y.ScalarType)
		return record.Scalar(s), s != x.ScalarType, ok
	case *record.Type_ListType:
		if b.GetListType() == nil {
			return nil, false, false
		}
		element, grew, ok := merge(x.ListType.ElementType, b.GetListType().ElementType)
		return record.List(element), grew, ok
	case *record.Type_RecordType:
		if b.GetRecordType() == nil {
			return nil, false, false
		}
		return mergeRecords(x.RecordType, b.GetRecordType())
	}
	return nil, false, false
}

func mergeRecords(a, b *record.RecordType) (t *record.Type, grew, ok bool) {
	out := &record.RecordType{}
	for _, f := range a.Fields {
		out.Fields = append(out.Fields, proto.CloneOf(f))
	}
	for _, f := range b.Fields {
		i := slices.IndexFunc(out.Fields, func(o *record.Field) bool { return o.Name == f.Name })
		if i < 0 {
			out.Fields, grew = append(out.Fields, relaxed(f, f.Name)), true
			continue
		}
		merged, more, fits := merge(out.Fields[i].Type, f.Type)
		if !fits {
			return nil, false, false
		}
		relax(merged)
		out.Fields[i].Type, grew = merged, grew || more
	}
	sortFields(out)
	return record.Record(out), grew, true
}

// wider is the scalar that holds both.
func wider(a, b record.ScalarType) (record.ScalarType, bool) {
	is := func(x, y record.ScalarType) bool { return a == x && b == y || a == y && b == x }
	switch {
	case a == b:
		return a, true
	case is(record.ScalarType_INT32, record.ScalarType_INT64):
		return record.ScalarType_INT64, true
	case is(record.ScalarType_FLOAT, record.ScalarType_DOUBLE), is(record.ScalarType_INT32, record.ScalarType_DOUBLE):
		return record.ScalarType_DOUBLE, true
	}
	return a, false
}

// sameKinds says whether values of b are values of a as they are.
func sameKinds(a, b *record.Type) bool {
	switch x := a.GetKind().(type) {
	case *record.Type_ListType:
		return sameKinds(x.ListType.ElementType, b.GetListType().GetElementType())
	case *record.Type_RecordType:
		for _, f := range b.GetRecordType().GetFields() {
			i := slices.IndexFunc(x.RecordType.Fields, func(o *record.Field) bool { return o.Name == f.Name })
			if i >= 0 && !sameKinds(x.RecordType.Fields[i].Type, f.Type) {
				return false
			}
		}
		return true
	}
	return a.GetScalarType() == b.GetScalarType() && b.GetScalarType() != record.ScalarType_DECIMAL
}
