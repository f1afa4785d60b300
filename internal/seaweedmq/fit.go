package seaweedmq

import (
	"math/big"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"kelp/internal/schema/record"
)

// SeaweedMQ's compaction to Parquet writes 0 for every value of its TIMESTAMP, TIME and DATE types, takes
// all decimals to have the scale of its own column type, and swaps the columns of records within records
// unless their fields are sorted. So what is published is what comes through: microseconds (INT64), days
// (INT32), decimals of that scale, and sorted fields.
const (
	decimalPrecision = 38
	decimalScale     = 18
)

var comesThrough = map[record.ScalarType]record.ScalarType{
	record.ScalarType_TIMESTAMP: record.ScalarType_INT64,
	record.ScalarType_TIME:      record.ScalarType_INT64,
	record.ScalarType_DATE:      record.ScalarType_INT32,
}

// suited is a copy of a type with types that come through.
func suited(t *record.Type) *record.Type {
	t = proto.CloneOf(t)
	suit(t)
	return t
}

func suit(t *record.Type) {
	switch k := t.GetKind().(type) {
	case *record.Type_ScalarType:
		if other, ok := comesThrough[k.ScalarType]; ok {
			k.ScalarType = other
		}
	case *record.Type_ListType:
		suit(k.ListType.ElementType)
	case *record.Type_RecordType:
		for _, f := range k.RecordType.Fields {
			suit(f.Type)
		}
		sortFields(k.RecordType)
	}
}

func sortFields(t *record.RecordType) {
	slices.SortFunc(t.Fields, func(a, b *record.Field) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range t.Fields {
		f.FieldIndex = int32(i)
	}
}

// apply gives a decoded value its columns' names and kinds. It changes the value.
func (p *projection) apply(v *record.RecordValue) {
	for name, t := range p.fit {
		fit(v.Fields[name], t)
	}
	if len(p.rename) == 0 {
		return
	}
	fields := make(map[string]*record.Value, len(v.Fields))
	for name, value := range v.Fields {
		if to, ok := p.rename[name]; ok {
			name = to
		}
		if name != "" {
			fields[name] = value
		}
	}
	v.Fields = fields
}

// fit gives a value the kind of its column's type.
func fit(v *record.Value, to *record.Type) {
	switch k := v.GetKind().(type) {
	case *record.Value_Int32Value:
		if to.GetScalarType() == record.ScalarType_INT64 {
			v.Kind = &record.Value_Int64Value{Int64Value: int64(k.Int32Value)}
		} else if to.GetScalarType() == record.ScalarType_DOUBLE {
			v.Kind = &record.Value_DoubleValue{DoubleValue: float64(k.Int32Value)}
		}
	case *record.Value_Int64Value:
		if to.GetScalarType() == record.ScalarType_DOUBLE {
			v.Kind = &record.Value_DoubleValue{DoubleValue: float64(k.Int64Value)}
		}
	case *record.Value_FloatValue:
		if to.GetScalarType() == record.ScalarType_DOUBLE {
			v.Kind = &record.Value_DoubleValue{DoubleValue: float64(k.FloatValue)}
		}
	case *record.Value_TimestampValue:
		v.Kind = &record.Value_Int64Value{Int64Value: k.TimestampValue.TimestampMicros}
	case *record.Value_TimeValue:
		v.Kind = &record.Value_Int64Value{Int64Value: k.TimeValue.TimeMicros}
	case *record.Value_DateValue:
		days := k.DateValue.DaysSinceEpoch
		if v.Kind = (&record.Value_Int32Value{Int32Value: days}); to.GetScalarType() == record.ScalarType_INT64 {
			v.Kind = &record.Value_Int64Value{Int64Value: int64(days)}
		}
	case *record.Value_DecimalValue:
		rescale(k.DecimalValue)
	case *record.Value_ListValue:
		for _, e := range k.ListValue.Values {
			fit(e, to.GetListType().GetElementType())
		}
	case *record.Value_RecordValue:
		for _, f := range to.GetRecordType().GetFields() {
			fit(k.RecordValue.Fields[f.Name], f.Type)
		}
	}
}

// rescale gives a decimal the scale of SeaweedMQ's columns. One that has more digits before or behind
// the point than they hold stays as it is.
func rescale(d *record.DecimalValue) {
	if d.Scale == decimalScale || d.Scale < -decimalPrecision || d.Scale > decimalScale {
		return
	}
	n := record.BigInt(d.Value)
	n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimalScale-d.Scale)), nil))
	if len(new(big.Int).Abs(n).String()) <= decimalPrecision {
		d.Value, d.Precision, d.Scale = record.AppendBigInt(nil, n), decimalPrecision, decimalScale
	}
}
