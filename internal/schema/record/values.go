package record

import (
	"fmt"
	"math/big"
)

// Null is a null where one has to be written: an element of a list, or a field that is there and
// null in a format that tells this from a missing one.
func Null() *Value { return &Value{} }

// IsNull reports a missing value or a null.
func IsNull(v *Value) bool { return v == nil || v.Kind == nil }

// Bool is a BOOL.
func Bool(b bool) *Value { return &Value{Kind: &Value_BoolValue{b}} }

// Int32 is an INT32.
func Int32(i int32) *Value { return &Value{Kind: &Value_Int32Value{i}} }

// Int64 is an INT64.
func Int64(i int64) *Value { return &Value{Kind: &Value_Int64Value{i}} }

// Float is a FLOAT.
func Float(f float32) *Value { return &Value{Kind: &Value_FloatValue{f}} }

// Double is a DOUBLE.
func Double(f float64) *Value { return &Value{Kind: &Value_DoubleValue{f}} }

// Bytes is a BYTES; it takes over b.
func Bytes(b []byte) *Value { return &Value{Kind: &Value_BytesValue{b}} }

// String is a STRING, valid UTF-8.
func String(s string) *Value { return &Value{Kind: &Value_StringValue{s}} }

// Date is a DATE, in days since 1970-01-01.
func Date(days int32) *Value { return &Value{Kind: &Value_DateValue{&DateValue{DaysSinceEpoch: days}}} }

// TimeOfDay is a TIME, in microseconds since midnight.
func TimeOfDay(micros int64) *Value {
	return &Value{Kind: &Value_TimeValue{&TimeValue{TimeMicros: micros}}}
}

// ListOf is a list; it takes over vs.
func ListOf(vs []*Value) *Value { return &Value{Kind: &Value_ListValue{&ListValue{Values: vs}}} }

// Nested is a nested record.
func Nested(r *RecordValue) *Value { return &Value{Kind: &Value_RecordValue{r}} }

// Entry is an entry of a map.
func Entry(key, value *Value) *Value {
	return Nested(&RecordValue{Fields: map[string]*Value{MapKey: key, MapValue: value}})
}

// Timestamp is a point in time (utc) or a local date and time.
func Timestamp(micros int64, utc bool) *Value {
	return &Value{Kind: &Value_TimestampValue{&TimestampValue{TimestampMicros: micros, IsUtc: utc}}}
}

// Decimal is unscaled × 10^-scale.
func Decimal(unscaled *big.Int, precision, scale int32) *Value {
	return &Value{Kind: &Value_DecimalValue{&DecimalValue{
		Value: AppendBigInt(nil, unscaled), Precision: precision, Scale: scale,
	}}}
}

// AppendBigInt appends i as big-endian two's complement in as few bytes as possible, at least one.
func AppendBigInt(dst []byte, i *big.Int) []byte {
	if i.Sign() >= 0 {
		b := i.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			dst = append(dst, 0)
		}
		return append(dst, b...)
	}
	// -n is the complement of n-1.
	b := new(big.Int).Sub(new(big.Int).Neg(i), big.NewInt(1)).Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		dst = append(dst, 0xff)
	}
	for _, x := range b {
		dst = append(dst, ^x)
	}
	return dst
}

// BigInt reads big-endian two's complement; no bytes are zero.
func BigInt(b []byte) *big.Int {
	i := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		i.Sub(i, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return i
}

// WrongKind is the error of Encode for a value of another kind than the field's type.
func WrongKind(path string, want *Type, got *Value) error {
	return fmt.Errorf("%w: %s must be %s, not %s", ErrValue, path, describe(want), kindName(got))
}

func describe(t *Type) string {
	switch k := t.GetKind().(type) {
	case *Type_ScalarType:
		return k.ScalarType.String()
	case *Type_ListType:
		return "a list"
	case *Type_RecordType:
		return "a record"
	}
	return "of a known type"
}

func kindName(v *Value) string {
	if IsNull(v) {
		return "null"
	}
	fields := v.ProtoReflect().Descriptor().Oneofs().Get(0)
	return string(v.ProtoReflect().WhichOneof(fields).Name())
}
