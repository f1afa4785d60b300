package record

import (
	"fmt"
	"slices"
)

// RootField holds the value of a schema that is not a record: a scalar, an array, a map, a union.
const RootField = "value"

// The fields of map entries: a map is a list of records, in the order of the payload.
const (
	MapKey   = "key"
	MapValue = "value"
)

// Fields for what the schema does not name, so that decoding loses nothing. FreeName finds another
// name where a schema uses these itself.
const (
	UnknownField = "_unknown" // Protobuf: the bytes of unknown fields (BYTES)
	ExtraField   = "_extra"   // JSON: a JSON object of the properties the schema does not name (STRING)
)

// systemColumns are the names that SeaweedMQ adds to the records of a topic.
var systemColumns = []string{"_ts_ns", "_key", "_offset", "_value"}

// NewField makes a field of a record type; lists are marked as repeated.
func NewField(name string, t *Type, required bool) *Field {
	return &Field{Name: name, Type: t, IsRepeated: t.GetListType() != nil, IsRequired: required}
}

// NewRecordType numbers the fields and checks that their names are usable.
func NewRecordType(fields ...*Field) (*RecordType, error) {
	seen := make(map[string]bool, len(fields))
	for i, f := range fields {
		f.FieldIndex = int32(i)
		switch {
		case f.Name == "":
			return nil, fmt.Errorf("%w: a field has no name", ErrType)
		case seen[f.Name]:
			return nil, fmt.Errorf("%w: two fields are named %q", ErrType, f.Name)
		case slices.Contains(systemColumns, f.Name):
			return nil, fmt.Errorf("%w: %q is a system column of SeaweedMQ", ErrType, f.Name)
		}
		seen[f.Name] = true
	}
	return &RecordType{Fields: fields}, nil
}

// FreeName returns name with as many underscores in front as it takes to differ from all of taken.
// Formats use it for reserved fields, and for fields that are named like a system column: FieldName.
func FreeName(name string, taken func(string) bool) string {
	for taken(name) {
		name = "_" + name
	}
	return name
}

// FieldName is the name that a schema's field gets in its record type: its own, unless SeaweedMQ
// uses that for itself. taken knows the names of the schema's other fields.
func FieldName(name string, taken func(string) bool) string {
	if !slices.Contains(systemColumns, name) {
		return name
	}
	return FreeName("_"+name, taken)
}

// Scalar is a scalar type.
func Scalar(s ScalarType) *Type { return &Type{Kind: &Type_ScalarType{s}} }

// List is the type of lists of an element.
func List(element *Type) *Type { return &Type{Kind: &Type_ListType{&ListType{ElementType: element}}} }

// Record is a nested record.
func Record(t *RecordType) *Type { return &Type{Kind: &Type_RecordType{t}} }

// Map is the type of maps: a list of entries in the payload's order.
func Map(key, value *Type, valueRequired bool) *Type {
	return List(Record(&RecordType{Fields: []*Field{
		{Name: MapKey, FieldIndex: 0, Type: key, IsRepeated: key.GetListType() != nil, IsRequired: true},
		{Name: MapValue, FieldIndex: 1, Type: value, IsRepeated: value.GetListType() != nil, IsRequired: valueRequired},
	}}))
}
