package source

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"kelp/internal/batch"
	"kelp/internal/schema"
	"kelp/internal/schema/envelope"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// The columns that a mirror puts beside the fields of a value, from which a record is restored.
const (
	columnKey       = "kafka_key"
	columnValue     = "kafka_value"
	columnTimestamp = "kafka_timestamp"
	columnHeaders   = "kafka_headers"
	columnOffset    = "kafka_offset"
	columnTombstone = "kafka_tombstone"
)

// keyPrefix is what SeaweedFS's gateway puts before the fields of a key among those of its value.
const keyPrefix = "key_"

// converter turns entries of SeaweedMQ into records.
type converter struct {
	typ    *record.RecordType // nil: values are bytes
	format string             // json, schema or raw
	schema *encoding          // for the format schema, nil when there is none

	unfitted int64
}

// encoding writes values with a schema in Confluent's envelope.
type encoding struct {
	id    int32
	kind  schema.Type
	codec record.Codec
	typ   *record.RecordType
}

// record converts an entry. What is not a record value stays the bytes that it is.
func (c *converter) record(e mq.Entry) batch.Record {
	r := batch.Record{Offset: e.Offset, TimestampMs: e.TsNs / 1_000_000, Key: present(e.Key), Value: present(e.Value)}
	if c.typ == nil || c.format == "raw" {
		return r
	}
	key := parse(e.Key)
	v, ok := c.structured(e.Value, key)
	if !ok {
		return r
	}
	if _, mirrored := v.Fields[columnOffset]; mirrored {
		restore(&r, v.Fields)
		return r
	}
	if c.repeated(key, v) {
		r.Key = appendRecord(nil, key, nil)
		if len(v.Fields) == len(key.Fields) { // a tombstone
			r.Value = nil
			return r
		}
		maps.DeleteFunc(v.Fields, func(name string, _ *record.Value) bool { return strings.HasPrefix(name, keyPrefix) && !c.has(name) })
	}
	r.Value = c.value(v)
	return r
}

// present is null for what has no bytes: SeaweedMQ does not tell one from the other.
func present(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// parse reads a record value, nil if it is none.
func parse(b []byte) *record.RecordValue {
	v := &record.RecordValue{}
	if len(b) == 0 || proto.Unmarshal(b, v) != nil || len(v.Fields) == 0 || len(v.ProtoReflect().GetUnknown()) > 0 {
		return nil
	}
	return v
}

// structured reads a record value of the topic's type. Bytes that happen to parse have other fields. The gateway adds the fields
// of the key to a value, but not to the topic's type.
func (c *converter) structured(b []byte, key *record.RecordValue) (*record.RecordValue, bool) {
	v := parse(b)
	if v == nil {
		return nil, false
	}
	for name, field := range v.Fields {
		of, prefixed := strings.CutPrefix(name, keyPrefix)
		if !c.has(name) && (!prefixed || key.GetFields()[of] == nil || !proto.Equal(key.Fields[of], field)) {
			return nil, false
		}
	}
	return v, true
}

// repeated says that a key is a record whose fields are among those of the value: other bytes may parse, too.
func (c *converter) repeated(key, value *record.RecordValue) bool {
	for name, field := range key.GetFields() {
		if !proto.Equal(value.Fields[keyPrefix+name], field) {
			return false
		}
	}
	return key != nil
}

// has says whether the topic's type has a field.
func (c *converter) has(name string) bool {
	return slices.ContainsFunc(c.typ.Fields, func(f *record.Field) bool { return f.Name == name })
}

// restore takes a record from the columns of a mirror.
func restore(r *batch.Record, columns map[string]*record.Value) {
	r.Key, r.Value = nil, nil
	if k := columns[columnKey]; k != nil {
		r.Key = append([]byte{}, k.GetBytesValue()...)
	}
	if v := columns[columnValue]; v != nil && !columns[columnTombstone].GetBoolValue() {
		r.Value = append([]byte{}, v.GetBytesValue()...)
	}
	if t := columns[columnTimestamp]; t != nil {
		r.TimestampMs = t.GetInt64Value()
	}
	var headers []struct {
		Key      string `json:"key"`
		KeyBytes []byte `json:"keyBytes"`
		Value    []byte `json:"value"`
	}
	if h := columns[columnHeaders]; h != nil && json.Unmarshal([]byte(h.GetStringValue()), &headers) == nil {
		for _, one := range headers {
			if one.KeyBytes != nil {
				one.Key = string(one.KeyBytes)
			}
			r.Headers = append(r.Headers, batch.RecordHeader{Key: one.Key, Value: one.Value})
		}
	}
}

// value writes a record value with the schema if it fits, else as JSON.
func (c *converter) value(v *record.RecordValue) []byte {
	if c.format == "schema" && c.schema != nil {
		if b, err := c.schema.encode(v); err == nil {
			return b
		}
		c.unfitted++
	}
	return appendRecord(nil, v, c.typ)
}

func (s *encoding) encode(v *record.RecordValue) ([]byte, error) {
	fitting := &record.RecordValue{Fields: map[string]*record.Value{}}
	for name, field := range v.Fields {
		i := slices.IndexFunc(s.typ.Fields, func(f *record.Field) bool { return f.Name == name })
		if i < 0 && strings.HasPrefix(name, keyPrefix) {
			continue
		}
		if i >= 0 {
			field = suited(field, s.typ.Fields[i].Type)
		}
		fitting.Fields[name] = field
	}
	payload, err := s.codec.Encode(fitting)
	if err != nil {
		return nil, err
	}
	b := envelope.AppendID(make([]byte, 0, envelope.IDBytes+1+len(payload)), uint32(s.id))
	if s.kind == schema.Protobuf {
		b = envelope.AppendIndexes(b, envelope.Indexes{})
	}
	return append(b, payload...), nil
}

// suited gives a value the kind of a type where that changes nothing: other writers of SeaweedMQ choose
// wider numbers, or texts for bytes.
func suited(v *record.Value, t *record.Type) *record.Value {
	switch k := v.GetKind().(type) {
	case *record.Value_ListValue:
		if t.GetListType() == nil {
			return v
		}
		all := make([]*record.Value, len(k.ListValue.GetValues()))
		for i, e := range k.ListValue.GetValues() {
			all[i] = suited(e, t.GetListType().ElementType)
		}
		return record.ListOf(all)
	case *record.Value_RecordValue:
		if t.GetRecordType() == nil {
			return v
		}
		fields := map[string]*record.Value{}
		for name, e := range k.RecordValue.GetFields() {
			fields[name] = e
			for _, f := range t.GetRecordType().Fields {
				if f.Name == name {
					fields[name] = suited(e, f.Type)
				}
			}
		}
		return record.Nested(&record.RecordValue{Fields: fields})
	}
	if _, scalar := t.GetKind().(*record.Type_ScalarType); scalar {
		return suitedScalar(v, t.GetScalarType())
	}
	return v
}

func suitedScalar(v *record.Value, want record.ScalarType) *record.Value {
	switch k := v.GetKind().(type) {
	case *record.Value_Int64Value:
		if n := k.Int64Value; want == record.ScalarType_INT32 && int64(int32(n)) == n {
			return record.Int32(int32(n))
		}
	case *record.Value_Int32Value:
		if want == record.ScalarType_INT64 {
			return record.Int64(int64(k.Int32Value))
		}
	case *record.Value_DoubleValue:
		if f := k.DoubleValue; want == record.ScalarType_FLOAT && float64(float32(f)) == f {
			return record.Float(float32(f))
		}
	case *record.Value_FloatValue:
		if want == record.ScalarType_DOUBLE {
			return record.Double(float64(k.FloatValue))
		}
	case *record.Value_StringValue:
		if want == record.ScalarType_BYTES {
			return record.Bytes([]byte(k.StringValue))
		}
	}
	return v
}
