package source

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"kelp/internal/schema/record"
)

// scaleMost bounds the digits behind the point of a decimal.
const scaleMost = 1000

// appendRecord appends a record value as a JSON object: the fields in the order of the type, others
// after them by name. Bytes are base64, decimals numbers as text, dates, times and timestamps ISO 8601,
// numbers that JSON has not (NaN, infinities) text.
func appendRecord(b []byte, v *record.RecordValue, t *record.RecordType) []byte {
	var names []string
	for _, f := range t.GetFields() {
		if _, ok := v.GetFields()[f.Name]; ok {
			names = append(names, f.Name)
		}
	}
	typed := len(names)
	for _, name := range slices.Sorted(maps.Keys(v.GetFields())) {
		if !slices.Contains(names[:typed], name) {
			names = append(names, name)
		}
	}
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		var of *record.Type
		for _, f := range t.GetFields() {
			if f.Name == name {
				of = f.Type
			}
		}
		b = appendValue(b, v.Fields[name], of)
	}
	return append(b, '}')
}

func appendText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // strings always marshal
		panic(err)
	}
	return append(b, text...)
}

func appendValue(b []byte, v *record.Value, t *record.Type) []byte {
	switch k := v.GetKind().(type) {
	case *record.Value_BoolValue:
		return strconv.AppendBool(b, k.BoolValue)
	case *record.Value_Int32Value:
		return strconv.AppendInt(b, int64(k.Int32Value), 10)
	case *record.Value_Int64Value:
		return strconv.AppendInt(b, k.Int64Value, 10)
	case *record.Value_FloatValue:
		return appendFloat(b, float64(k.FloatValue), 32)
	case *record.Value_DoubleValue:
		return appendFloat(b, k.DoubleValue, 64)
	case *record.Value_BytesValue:
		return appendText(b, base64.StdEncoding.EncodeToString(k.BytesValue))
	case *record.Value_StringValue:
		return appendText(b, k.StringValue)
	case *record.Value_TimestampValue:
		at := time.UnixMicro(k.TimestampValue.GetTimestampMicros()).UTC()
		if k.TimestampValue.GetIsUtc() {
			return appendText(b, at.Format("2006-01-02T15:04:05.999999Z"))
		}
		return appendText(b, at.Format("2006-01-02T15:04:05.999999"))
	case *record.Value_DateValue:
		return appendText(b, time.Unix(int64(k.DateValue.GetDaysSinceEpoch())*24*60*60, 0).UTC().Format("2006-01-02"))
	case *record.Value_TimeValue:
		return appendText(b, time.UnixMicro(k.TimeValue.GetTimeMicros()).UTC().Format("15:04:05.999999"))
	case *record.Value_DecimalValue:
		unscaled := record.BigInt(k.DecimalValue.GetValue())
		scale := min(max(0, k.DecimalValue.GetScale()), scaleMost)
		divisor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
		return appendText(b, new(big.Rat).SetFrac(unscaled, divisor).FloatString(int(scale)))
	case *record.Value_ListValue:
		return appendList(b, k.ListValue.GetValues(), t.GetListType().GetElementType())
	case *record.Value_RecordValue:
		return appendRecord(b, k.RecordValue, t.GetRecordType())
	}
	return append(b, "null"...)
}

func appendList(b []byte, all []*record.Value, of *record.Type) []byte {
	b = append(b, '[')
	for i, e := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, e, of)
	}
	return append(b, ']')
}

func appendFloat(b []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendText(b, strconv.FormatFloat(f, 'g', -1, bits))
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}
