package protobuf

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"kelp/internal/schema/record"
)

// view is a shape with the record type that its messages map to. A message that contains itself has
// another view at each depth, the innermost one opaque.
type view struct {
	*shape
	fields  []fieldView // as in shape
	unknown string      // name of the field for unknown fields
	record  *record.RecordType
}

type fieldView struct {
	name string // in the record
	how  mapping
	typ  *record.Type // of one value
	sub  *view        // mapNested, and the values of maps
	key  *fieldView   // of maps
	val  *fieldView
	enum *enumNames

	entry     *shape // of maps
	wellKnown *shape // of messages that do not become records: mapTimestamp, mapOpaque and so on
}

// mapping is how the values of a field are represented.
type mapping int

const (
	mapScalar mapping = iota
	mapNested
	mapEntry
	mapEnum
	mapOpaque    // BYTES: the message's own bytes
	mapTimestamp // google.protobuf.Timestamp as TIMESTAMP
	mapWrapper   // google.protobuf.Int64Value and so on as the value
	mapJSON      // google.protobuf.Struct, Value and ListValue as JSON text
	mapDecimal   // confluent.type.Decimal as DECIMAL
)

// maxTypeFields bounds a record type written out in full, in which a message that is used twice
// is there twice.
const maxTypeFields = 20_000

// viewer makes views. Messages that do not contain themselves share one.
type viewer struct {
	open   map[*shape]bool
	shared map[*shape]*view
	cyclic map[*shape]bool
	built  int
	sizes  map[*record.RecordType]int
	depth  int
}

func newView(s *shape) (*view, error) {
	v := &viewer{
		open: map[*shape]bool{}, shared: map[*shape]*view{}, cyclic: cyclic(s), sizes: map[*record.RecordType]int{},
	}
	return v.of(s)
}

// cyclic finds the messages that reach themselves.
func cyclic(root *shape) map[*shape]bool {
	// Tarjan's components, with an explicit stack since schemas may be deep.
	type frame struct {
		s    *shape
		next int
	}
	index, low := map[*shape]int{}, map[*shape]int{}
	on := map[*shape]bool{}
	out := map[*shape]bool{}
	var stack []*shape
	var frames []frame
	push := func(s *shape) {
		index[s], low[s], on[s] = len(index)+1, len(index)+1, true
		stack, frames = append(stack, s), append(frames, frame{s, 0})
	}
	push(root)
	for len(frames) > 0 {
		f := &frames[len(frames)-1]
		if f.next < len(f.s.fields) {
			m := f.s.fields[f.next].message
			f.next++
			switch {
			case m == nil:
			case m == f.s:
				out[m] = true
			case index[m] == 0:
				push(m)
			case on[m]:
				low[f.s] = min(low[f.s], index[m])
			}
			continue
		}
		s := f.s
		frames = frames[:len(frames)-1]
		if len(frames) > 0 {
			parent := frames[len(frames)-1].s
			low[parent] = min(low[parent], low[s])
		}
		if low[s] != index[s] {
			continue
		}
		size := 0
		for i := len(stack) - 1; ; i-- {
			size++
			if on[stack[i]] = false; stack[i] == s {
				break
			}
		}
		for _, each := range stack[len(stack)-size:] {
			out[each] = out[each] || size > 1
		}
		stack = stack[:len(stack)-size]
	}
	return out
}

func (v *viewer) of(s *shape) (*view, error) {
	if done := v.shared[s]; done != nil {
		return done, nil
	}
	v.open[s] = true
	v.depth++
	defer func() {
		v.depth--
		delete(v.open, s)
	}()
	if v.built += 1 + len(s.fields); v.built > maxTypeFields || v.depth > record.DefaultDepth {
		return nil, fmt.Errorf("%w: %s has more than %d fields or is nested deeper than %d",
			record.ErrType, s.name, maxTypeFields, record.DefaultDepth)
	}
	out := &view{shape: s, fields: make([]fieldView, len(s.fields))}
	names := map[string]bool{}
	for _, f := range s.fields {
		names[f.name] = true
	}
	taken := func(n string) bool { return names[n] }
	var fields []*record.Field
	// The record has the fields in the order of the text.
	for i := range s.desc.Fields().Len() {
		at := s.indexOf(s.desc.Fields().Get(i).Number())
		f := &s.fields[at]
		fv, err := v.field(f)
		if err != nil {
			return nil, err
		}
		fv.name = record.FieldName(f.name, taken)
		names[fv.name] = true
		out.fields[at] = fv
		t := fv.typ
		if f.repeated {
			t = record.List(t)
		}
		fields = append(fields, record.NewField(fv.name, t, f.required || f.implicit))
	}
	out.unknown = record.FreeName(record.UnknownField, taken)
	fields = append(fields, record.NewField(out.unknown, record.Scalar(record.ScalarType_BYTES), false))
	var err error
	if out.record, err = record.NewRecordType(fields...); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if !v.cyclic[s] {
		v.shared[s] = out
	}
	return out, v.sized(out.record)
}

// sized bounds what a record type is when it is written out.
func (v *viewer) sized(t *record.RecordType) error {
	n := 1
	for _, f := range t.Fields {
		n++
		inner := f.Type
		for inner.GetListType() != nil {
			inner = inner.GetListType().ElementType
		}
		if r := inner.GetRecordType(); r != nil {
			n += v.sizeOf(r)
		}
	}
	v.sizes[t] = n
	if n > maxTypeFields {
		return fmt.Errorf("%w: it has more than %d fields", record.ErrType, maxTypeFields)
	}
	return nil
}

// sizeOf is the size of a nested type; the entry of a map has not been sized itself.
func (v *viewer) sizeOf(r *record.RecordType) int {
	if n, ok := v.sizes[r]; ok {
		return n
	}
	n := 1 + len(r.Fields)
	for _, f := range r.Fields {
		if inner := f.Type.GetRecordType(); inner != nil {
			n += v.sizeOf(inner)
		}
	}
	return n
}

var scalarTypes = map[protoreflect.Kind]record.ScalarType{
	protoreflect.BoolKind: record.ScalarType_BOOL, protoreflect.Int32Kind: record.ScalarType_INT32,
	protoreflect.Sint32Kind: record.ScalarType_INT32, protoreflect.Sfixed32Kind: record.ScalarType_INT32,
	protoreflect.Uint32Kind: record.ScalarType_INT64, protoreflect.Fixed32Kind: record.ScalarType_INT64,
	protoreflect.Int64Kind: record.ScalarType_INT64, protoreflect.Sint64Kind: record.ScalarType_INT64,
	protoreflect.Sfixed64Kind: record.ScalarType_INT64, protoreflect.Uint64Kind: record.ScalarType_DECIMAL,
	protoreflect.Fixed64Kind: record.ScalarType_DECIMAL, protoreflect.FloatKind: record.ScalarType_FLOAT,
	protoreflect.DoubleKind: record.ScalarType_DOUBLE, protoreflect.StringKind: record.ScalarType_STRING,
	protoreflect.BytesKind: record.ScalarType_BYTES, protoreflect.EnumKind: record.ScalarType_STRING,
}

// wrapped are the well-known messages with one field, value, that stand for a nullable scalar.
var wrapped = map[string]bool{
	"google.protobuf.DoubleValue": true, "google.protobuf.FloatValue": true, "google.protobuf.Int64Value": true,
	"google.protobuf.UInt64Value": true, "google.protobuf.Int32Value": true, "google.protobuf.UInt32Value": true,
	"google.protobuf.BoolValue": true, "google.protobuf.StringValue": true, "google.protobuf.BytesValue": true,
}

func (v *viewer) field(f *fieldShape) (fieldView, error) {
	out := fieldView{}
	if f.message == nil {
		out.typ = record.Scalar(scalarTypes[f.kind])
		if f.kind == protoreflect.EnumKind {
			out.how, out.enum = mapEnum, namesOf(f.desc.Enum())
		}
		return out, nil
	}
	m := f.message
	out.wellKnown = m
	switch {
	case f.isMap:
		return v.mapField(m)
	case m.name == "google.protobuf.Timestamp":
		out.how, out.typ = mapTimestamp, record.Scalar(record.ScalarType_TIMESTAMP)
	case m.name == "confluent.type.Decimal":
		out.how, out.typ = mapDecimal, record.Scalar(record.ScalarType_DECIMAL)
	case wrapped[m.name] && len(m.fields) == 1:
		out.how, out.typ = mapWrapper, record.Scalar(scalarTypes[m.fields[0].kind])
	case m.name == "google.protobuf.Struct" || m.name == "google.protobuf.Value" || m.name == "google.protobuf.ListValue":
		out.how, out.typ = mapJSON, record.Scalar(record.ScalarType_STRING)
	case v.open[m]:
		out.how, out.typ = mapOpaque, record.Scalar(record.ScalarType_BYTES)
	default:
		sub, err := v.of(m)
		if err != nil {
			return out, err
		}
		out.how, out.typ, out.sub = mapNested, record.Record(sub.record), sub
	}
	return out, nil
}

func (v *viewer) mapField(entry *shape) (fieldView, error) {
	key, err := v.field(&entry.fields[0])
	if err != nil {
		return fieldView{}, err
	}
	val, err := v.field(&entry.fields[1])
	if err != nil {
		return fieldView{}, err
	}
	list := record.Map(key.typ, val.typ, true)
	return fieldView{how: mapEntry, typ: list.GetListType().ElementType, key: &key, val: &val, entry: entry}, nil
}

// enumNames translates an enum's values; of aliases the first name is the one that is written.
type enumNames struct {
	names   map[int32]string
	numbers map[string]int32
	closed  bool
	first   int32
}

func namesOf(d protoreflect.EnumDescriptor) *enumNames {
	e := &enumNames{names: map[int32]string{}, numbers: map[string]int32{}, closed: d.IsClosed()}
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		n := int32(v.Number())
		if _, again := e.names[n]; !again {
			e.names[n] = string(v.Name())
		}
		e.numbers[string(v.Name())] = n
	}
	e.first = int32(d.Values().Get(0).Number())
	return e
}
