package avro

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"kelp/internal/schema/record"
)

// encoder appends Avro's binary encoding of record values.
type encoder struct {
	out    []byte
	limits record.Limits
	path   []string
}

func (e *encoder) at() string {
	if len(e.path) == 0 {
		return "the record"
	}
	return strings.Join(e.path, ".")
}

func (e *encoder) fail(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", record.ErrValue, e.at(), fmt.Sprintf(format, args...))
}

func (e *encoder) wrong(p *plan, v *record.Value) error { return record.WrongKind(e.at(), p.typ, v) }

func (e *encoder) long(l int64) { e.out = binary.AppendUvarint(e.out, uint64(l)<<1^uint64(l>>63)) }

func (e *encoder) bytes(b []byte) {
	e.long(int64(len(b)))
	e.out = append(e.out, b...)
}

func (e *encoder) root(p *plan, v *record.RecordValue, raw bool) error {
	for name := range v.GetFields() {
		if name != record.RootField {
			return e.fail("unknown field %q", name)
		}
	}
	if err := e.value(p, v.GetFields()[record.RootField], 0); err != nil || !raw {
		return err
	}
	_, n := binary.Uvarint(e.out)
	e.out = e.out[n:]
	return nil
}

func (e *encoder) record(p *plan, v *record.RecordValue, depth int) error {
	if depth > e.limits.Depth {
		return fmt.Errorf("%w: nested deeper than %d", record.ErrLimit, e.limits.Depth)
	}
	known := 0
	for i := range p.fields {
		f := &p.fields[i]
		fv, there := v.GetFields()[f.name]
		if there {
			known++
		}
		e.path = append(e.path, f.name)
		if err := e.value(f.plan, fv, depth+1); err != nil {
			return err
		}
		e.path = e.path[:len(e.path)-1]
	}
	if known == len(v.GetFields()) {
		return nil
	}
	for name := range v.GetFields() {
		if !slices.ContainsFunc(p.fields, func(f planField) bool { return f.name == name }) {
			return e.fail("unknown field %q", name)
		}
	}
	return nil
}

func (e *encoder) value(p *plan, v *record.Value, depth int) error {
	if depth > e.limits.Depth {
		return fmt.Errorf("%w: nested deeper than %d", record.ErrLimit, e.limits.Depth)
	}
	if len(e.out) > e.limits.Bytes {
		return fmt.Errorf("%w: more than %d bytes", record.ErrLimit, e.limits.Bytes)
	}
	switch p.how {
	case asOptional, asChoice:
		return e.union(p, v, depth)
	case asNull:
		if !record.IsNull(v) {
			return e.wrong(p, v)
		}
		return nil
	default:
	}
	if record.IsNull(v) {
		return e.fail("a value is required")
	}
	switch p.how {
	case asList:
		return e.list(p, v, depth)
	case asMap:
		return e.entries(p, v, depth)
	case asRecord:
		r, ok := v.Kind.(*record.Value_RecordValue)
		if !ok {
			return e.wrong(p, v)
		}
		return e.record(p, r.RecordValue, depth)
	case asOpaque:
		return e.opaque(p, v)
	case asDuration:
		return e.duration(p, v)
	case asBool, asInt32, asInt64, asFloat, asDouble, asDate, asTimeMillis, asTimeMicros, asStamp:
		return e.number(p, v)
	default:
		return e.text(p, v)
	}
}

func (e *encoder) union(p *plan, v *record.Value, depth int) error {
	nullAt, valueAt := -1, -1
	for i, b := range p.union {
		if b == nil {
			nullAt = i
		} else {
			valueAt = i
		}
	}
	if p.how == asChoice && !record.IsNull(v) {
		r, ok := v.Kind.(*record.Value_RecordValue)
		if !ok {
			return e.wrong(p, v)
		}
		valueAt, v = -1, nil
		for name, bv := range r.RecordValue.GetFields() {
			if record.IsNull(bv) {
				continue
			}
			i := slices.Index(p.names, name)
			if i < 0 || p.union[i] == nil {
				return e.fail("unknown branch %q", name)
			}
			if valueAt >= 0 {
				return e.fail("two branches are set: %q and %q", p.names[valueAt], name)
			}
			valueAt, v = i, bv
		}
	}
	if record.IsNull(v) {
		if nullAt < 0 {
			return e.fail("a value is required")
		}
		e.long(int64(nullAt))
		return nil
	}
	if valueAt < 0 {
		return e.wrong(p, v)
	}
	e.long(int64(valueAt))
	return e.value(p.union[valueAt], v, depth+1)
}

func (e *encoder) list(p *plan, v *record.Value, depth int) error {
	l, ok := v.Kind.(*record.Value_ListValue)
	if !ok {
		return e.wrong(p, v)
	}
	values := l.ListValue.GetValues()
	if len(values) > 0 {
		e.long(int64(len(values)))
	}
	for _, item := range values {
		if err := e.value(p.items, item, depth+1); err != nil {
			return err
		}
	}
	e.long(0)
	return nil
}

func (e *encoder) entries(p *plan, v *record.Value, depth int) error {
	l, ok := v.Kind.(*record.Value_ListValue)
	if !ok {
		return e.wrong(p, v)
	}
	values := l.ListValue.GetValues()
	if len(values) > 0 {
		e.long(int64(len(values)))
	}
	for _, item := range values {
		entry, ok := item.GetKind().(*record.Value_RecordValue)
		if !ok {
			return e.fail("an entry of a map must be a record")
		}
		fields := entry.RecordValue.GetFields()
		key, ok := fields[record.MapKey].GetKind().(*record.Value_StringValue)
		if !ok || !utf8.ValidString(key.StringValue) {
			return e.fail("the key of a map must be a string")
		}
		for name := range fields {
			if name != record.MapKey && name != record.MapValue {
				return e.fail("unknown field %q in an entry of a map", name)
			}
		}
		e.bytes([]byte(key.StringValue))
		if err := e.value(p.items, fields[record.MapValue], depth+1); err != nil {
			return err
		}
	}
	e.long(0)
	return nil
}

// opaque takes bytes that must be an encoding of the type.
func (e *encoder) opaque(p *plan, v *record.Value) error {
	b, ok := v.Kind.(*record.Value_BytesValue)
	if !ok {
		return e.wrong(p, v)
	}
	w, err := newWalker(b.BytesValue, e.limits)
	if err == nil {
		if err = w.skip(p.node, 0); err == nil {
			err = w.end()
		}
	}
	if err != nil {
		return e.fail("not the encoding of %s: %v", p.node.name.full(), err)
	}
	e.out = append(e.out, b.BytesValue...)
	return nil
}

func (e *encoder) number(p *plan, v *record.Value) error {
	switch k := v.Kind.(type) {
	case *record.Value_BoolValue:
		if p.how == asBool {
			e.out = append(e.out, 0)
			if k.BoolValue {
				e.out[len(e.out)-1] = 1
			}
			return nil
		}
	case *record.Value_Int32Value:
		if p.how == asInt32 {
			e.long(int64(k.Int32Value))
			return nil
		}
	case *record.Value_Int64Value:
		if p.how == asInt64 {
			e.long(k.Int64Value)
			return nil
		}
	case *record.Value_FloatValue:
		if p.how == asFloat {
			e.out = binary.LittleEndian.AppendUint32(e.out, math.Float32bits(k.FloatValue))
			return nil
		}
	case *record.Value_DoubleValue:
		if p.how == asDouble {
			e.out = binary.LittleEndian.AppendUint64(e.out, math.Float64bits(k.DoubleValue))
			return nil
		}
	case *record.Value_DateValue:
		if p.how == asDate {
			e.long(int64(k.DateValue.GetDaysSinceEpoch()))
			return nil
		}
	case *record.Value_TimeValue:
		return e.time(p, v, k.TimeValue.GetTimeMicros())
	case *record.Value_TimestampValue:
		if p.how == asStamp {
			return e.stamp(p, k.TimestampValue)
		}
	}
	return e.wrong(p, v)
}

func (e *encoder) time(p *plan, v *record.Value, micros int64) error {
	switch p.how {
	case asTimeMicros:
		e.long(micros)
		return nil
	case asTimeMillis:
		millis := micros / 1000
		if micros%1000 != 0 || millis > math.MaxInt32 || millis < math.MinInt32 {
			return e.fail("%d microseconds are no time in milliseconds", micros)
		}
		e.long(millis)
		return nil
	default:
		return e.wrong(p, v)
	}
}

func (e *encoder) stamp(p *plan, t *record.TimestampValue) error {
	l := t.GetTimestampMicros()
	switch {
	case t.GetIsUtc() != p.utc:
		return e.fail("a point in time and a local time are not the same")
	case p.unit < 0:
		if l%-p.unit != 0 {
			return e.fail("%d microseconds are no time in milliseconds", l)
		}
		l /= -p.unit
	case p.unit > 1:
		if l > math.MaxInt64/p.unit || l < math.MinInt64/p.unit {
			return e.fail("a time of %d microseconds does not fit nanoseconds", l)
		}
		l *= p.unit
	}
	e.long(l)
	return nil
}

func (e *encoder) duration(p *plan, v *record.Value) error {
	r, ok := v.Kind.(*record.Value_RecordValue)
	if !ok {
		return e.wrong(p, v)
	}
	fields := r.RecordValue.GetFields()
	for _, name := range durationParts {
		part, ok := fields[name].GetKind().(*record.Value_Int64Value)
		if !ok || part.Int64Value < 0 || part.Int64Value > math.MaxUint32 {
			return e.fail("%s of a duration must be an INT64 of 32 bits without sign", name)
		}
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(part.Int64Value))
	}
	if len(fields) != len(durationParts) {
		return e.fail("a duration has months, days and milliseconds, nothing else")
	}
	return nil
}

// text writes what is text or bytes.
func (e *encoder) text(p *plan, v *record.Value) error {
	switch k := v.Kind.(type) {
	case *record.Value_StringValue:
		return e.string(p, v, k.StringValue)
	case *record.Value_BytesValue:
		switch {
		case p.how == asBytes:
			e.bytes(k.BytesValue)
			return nil
		case p.how == asFixed && len(k.BytesValue) == p.node.size:
			e.out = append(e.out, k.BytesValue...)
			return nil
		case p.how == asFixed:
			return e.fail("%d bytes, %s has %d", len(k.BytesValue), p.node.name.full(), p.node.size)
		}
	case *record.Value_DecimalValue:
		if p.how == asDecimal || p.how == asFixedDecimal {
			return e.decimal(p, k.DecimalValue)
		}
	}
	return e.wrong(p, v)
}

func (e *encoder) string(p *plan, v *record.Value, s string) error {
	switch p.how {
	case asString:
		if !utf8.ValidString(s) {
			return e.fail("a string that is not UTF-8")
		}
		e.bytes([]byte(s))
	case asSymbol:
		i, ok := p.node.ordinal[s]
		if !ok {
			return e.fail("%q is no symbol of %s", s, p.node.name.full())
		}
		e.long(int64(i))
	case asUUID:
		b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
		if err != nil || len(b) != 16 || uuidText(b) != strings.ToLower(s) {
			return e.fail("%q is no UUID", s)
		}
		e.out = append(e.out, b...)
	default:
		return e.wrong(p, v)
	}
	return nil
}

func (e *encoder) decimal(p *plan, d *record.DecimalValue) error {
	l := p.node.logical
	if int(d.GetScale()) != l.scale {
		return e.fail("a decimal of scale %d, the schema has %d", d.GetScale(), l.scale)
	}
	b := shortest(d.GetValue())
	if p.how == asDecimal {
		e.bytes(b)
		return nil
	}
	if len(b) > p.node.size {
		return e.fail("a decimal of %d bytes, %s has %d", len(b), p.node.name.full(), p.node.size)
	}
	sign := byte(0)
	if b[0]&0x80 != 0 {
		sign = 0xff
	}
	for range p.node.size - len(b) {
		e.out = append(e.out, sign)
	}
	e.out = append(e.out, b...)
	return nil
}
