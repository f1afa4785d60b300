package protobuf

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"kelp/internal/schema/record"
)

// Encode writes fields by number and unknown fields last, as protobuf's own serializers do.
func (c *codec) Encode(r *record.RecordValue) ([]byte, error) {
	v, err := c.view()
	if err != nil {
		return nil, err
	}
	e := encoder{walker: walker{limits: c.limits}}
	out, err := e.message(nil, v, r)
	if err == nil && len(out) > c.limits.Bytes {
		err = fmt.Errorf("%w: more than %d bytes", record.ErrLimit, c.limits.Bytes)
	}
	return out, err
}

// encoder knows where it is for the sake of errors.
type encoder struct {
	walker
	path []string
}

func (e *encoder) where(more ...string) string {
	return strings.Join(append(slices.Clone(e.path), more...), ".")
}

func (e *encoder) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s "+format, append([]any{record.ErrValue, e.where()}, args...)...)
}

func (e *encoder) wrongKind(f *fieldView, v *record.Value) error {
	return record.WrongKind(e.where(), f.typ, v)
}

func (e *encoder) message(dst []byte, v *view, r *record.RecordValue) ([]byte, error) {
	if err := e.deeper(len(e.path)); err != nil {
		return nil, err
	}
	used := 0
	oneofs := map[int16]string{}
	for i := range v.fields {
		f, fs := &v.fields[i], &v.shape.fields[i]
		value, there := r.GetFields()[f.name]
		if there {
			used++
		}
		if record.IsNull(value) {
			if fs.required {
				return nil, fmt.Errorf("%w: %s is required", record.ErrValue, e.where(f.name))
			}
			continue
		}
		if fs.oneof > 0 {
			if other := oneofs[fs.oneof]; other != "" {
				return nil, fmt.Errorf("%w: both %s and %s of a oneof", record.ErrValue, e.where(other), f.name)
			}
			oneofs[fs.oneof] = f.name
		}
		var err error
		e.path = append(e.path, f.name)
		if dst, err = e.field(dst, f, fs, value); err != nil {
			return nil, err
		}
		e.path = e.path[:len(e.path)-1]
	}
	if value, there := r.GetFields()[v.unknown]; there {
		used++
		if k, ok := value.GetKind().(*record.Value_BytesValue); ok {
			w := walker{limits: e.limits}
			if _, err := w.message(k.BytesValue, emptyShape, len(e.path)); err != nil {
				return nil, fmt.Errorf("%w: %s: %w", record.ErrValue, e.where(v.unknown), err)
			}
			dst = append(dst, k.BytesValue...)
		} else if !record.IsNull(value) {
			return nil, record.WrongKind(e.where(v.unknown), record.Scalar(record.ScalarType_BYTES), value)
		}
	}
	if used < len(r.GetFields()) {
		return nil, e.extraField(v, r)
	}
	return dst, nil
}

var emptyShape = &shape{name: "unknown fields"}

func (e *encoder) extraField(v *view, r *record.RecordValue) error {
	names := map[string]bool{v.unknown: true}
	for i := range v.fields {
		names[v.fields[i].name] = true
	}
	extra := ""
	for name := range r.Fields {
		if !names[name] && (extra == "" || name < extra) {
			extra = name
		}
	}
	return fmt.Errorf("%w: the schema has no field %s", record.ErrValue, e.where(shorten(extra)))
}

func (e *encoder) field(dst []byte, f *fieldView, fs *fieldShape, v *record.Value) ([]byte, error) {
	if !fs.repeated {
		if fs.implicit && isZero(f, fs, v) {
			return dst, e.count(1)
		}
		return e.one(dst, f, fs, v)
	}
	k, ok := v.GetKind().(*record.Value_ListValue)
	if !ok {
		return nil, record.WrongKind(e.where(), record.List(f.typ), v)
	}
	values := k.ListValue.GetValues()
	if len(values) == 0 {
		return dst, nil
	}
	if !fs.packed {
		for _, each := range values {
			var err error
			if dst, err = e.one(dst, f, fs, each); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	dst = protowire.AppendTag(dst, fs.number, protowire.BytesType)
	at := len(dst)
	for _, each := range values {
		var err error
		if dst, err = e.scalar(dst, f, fs, each); err != nil {
			return nil, err
		}
	}
	return insertLength(dst, at), nil
}

// insertLength puts the length of what follows at in front of it.
func insertLength(dst []byte, at int) []byte {
	n := len(dst) - at
	size := protowire.SizeVarint(uint64(n))
	for range size {
		dst = append(dst, 0)
	}
	copy(dst[at+size:], dst[at:at+n])
	protowire.AppendVarint(dst[:at], uint64(n))
	return dst
}

// one writes a tag and a value.
func (e *encoder) one(dst []byte, f *fieldView, fs *fieldShape, v *record.Value) ([]byte, error) {
	dst = protowire.AppendTag(dst, fs.number, fs.wire)
	if f.how == mapScalar || f.how == mapEnum {
		return e.scalar(dst, f, fs, v)
	}
	if err := e.count(1); err != nil {
		return nil, err
	}
	at := len(dst)
	dst, err := e.contents(dst, f, fs, v)
	if err != nil {
		return nil, err
	}
	if fs.wire == protowire.StartGroupType {
		return protowire.AppendTag(dst, fs.number, protowire.EndGroupType), nil
	}
	return insertLength(dst, at), nil
}

// contents writes what is inside of a message.
func (e *encoder) contents(dst []byte, f *fieldView, fs *fieldShape, v *record.Value) ([]byte, error) {
	switch k := v.GetKind().(type) {
	case *record.Value_RecordValue:
		switch f.how {
		case mapNested:
			return e.message(dst, f.sub, k.RecordValue)
		case mapEntry:
			return e.entry(dst, f, k.RecordValue)
		default:
		}
	case *record.Value_BytesValue:
		if f.how == mapOpaque {
			return append(dst, k.BytesValue...), e.opaque(fs, k.BytesValue)
		}
	case *record.Value_TimestampValue:
		if f.how == mapTimestamp {
			seconds := floorDiv(k.TimestampValue.GetTimestampMicros(), microsPerSecond)
			dst = appendNonZero(dst, 1, uint64(seconds))
			nanos := (k.TimestampValue.GetTimestampMicros() - seconds*microsPerSecond) * nanosPerMicro
			return appendNonZero(dst, 2, uint64(nanos)), nil
		}
	case *record.Value_StringValue:
		if f.how == mapJSON {
			raw, err := structFromJSON(f.wellKnown.name, k.StringValue, e.where)
			return append(dst, raw...), err
		}
	case *record.Value_DecimalValue:
		if f.how == mapDecimal {
			return e.appendDecimal(dst, k.DecimalValue)
		}
	}
	if f.how == mapWrapper && !record.IsNull(v) {
		inner := &f.wellKnown.fields[0]
		if isZero(f, inner, v) {
			return dst, nil
		}
		return e.scalar(protowire.AppendTag(dst, inner.number, inner.wire), f, inner, v)
	}
	return nil, e.wrongKind(f, v)
}

func (e *encoder) opaque(fs *fieldShape, b []byte) error {
	w := walker{limits: e.limits}
	if _, err := w.message(b, fs.message, len(e.path)); err != nil {
		return fmt.Errorf("%w: %s: %w", record.ErrValue, e.where(), err)
	}
	return nil
}

func appendNonZero(dst []byte, number protowire.Number, u uint64) []byte {
	if u == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.VarintType), u)
}

func (e *encoder) appendDecimal(dst []byte, d *record.DecimalValue) ([]byte, error) {
	if d.GetPrecision() < 0 {
		return nil, e.wrong("has precision %d", d.GetPrecision())
	}
	if len(d.GetValue()) > 0 {
		dst = protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), d.GetValue())
	}
	dst = appendNonZero(dst, 2, uint64(d.GetPrecision()))
	return appendNonZero(dst, 3, uint64(int64(d.GetScale()))), nil
}

// entry writes key and value even if they are zero, as protobuf does.
func (e *encoder) entry(dst []byte, f *fieldView, r *record.RecordValue) ([]byte, error) {
	key, value := r.GetFields()[record.MapKey], r.GetFields()[record.MapValue]
	if record.IsNull(key) || record.IsNull(value) || len(r.GetFields()) != 2 {
		return nil, e.wrong("must have a key and a value in each entry")
	}
	shapes := f.entry
	dst, err := e.one(dst, f.key, &shapes.fields[0], key)
	if err != nil {
		return nil, err
	}
	return e.one(dst, f.val, &shapes.fields[1], value)
}

// isZero is for fields without presence, whose zero is not written.
func isZero(f *fieldView, fs *fieldShape, v *record.Value) bool {
	switch k := v.GetKind().(type) {
	case *record.Value_BoolValue:
		return !k.BoolValue
	case *record.Value_Int32Value:
		return k.Int32Value == 0
	case *record.Value_Int64Value:
		return k.Int64Value == 0
	case *record.Value_FloatValue:
		return math.Float32bits(k.FloatValue) == 0
	case *record.Value_DoubleValue:
		return math.Float64bits(k.DoubleValue) == 0
	case *record.Value_BytesValue:
		return len(k.BytesValue) == 0
	case *record.Value_StringValue:
		if fs.kind == protoreflect.EnumKind {
			n, ok := f.enum.numbers[k.StringValue]
			return ok && n == 0
		}
		return k.StringValue == ""
	case *record.Value_DecimalValue:
		return k.DecimalValue.GetScale() == 0 && record.BigInt(k.DecimalValue.GetValue()).Sign() == 0
	}
	return false
}

// scalar writes a number, string, bytes or enum value without its tag.
func (e *encoder) scalar(dst []byte, f *fieldView, fs *fieldShape, v *record.Value) ([]byte, error) {
	if err := e.count(1); err != nil {
		return nil, err
	}
	switch k := v.GetKind().(type) {
	case *record.Value_BoolValue:
		if fs.kind == protoreflect.BoolKind {
			return protowire.AppendVarint(dst, protowire.EncodeBool(k.BoolValue)), nil
		}
	case *record.Value_Int32Value:
		switch fs.kind {
		case protoreflect.Int32Kind:
			return protowire.AppendVarint(dst, uint64(int64(k.Int32Value))), nil
		case protoreflect.Sint32Kind:
			return protowire.AppendVarint(dst, protowire.EncodeZigZag(int64(k.Int32Value))), nil
		case protoreflect.Sfixed32Kind:
			return protowire.AppendFixed32(dst, uint32(k.Int32Value)), nil
		default:
		}
	case *record.Value_Int64Value:
		return e.appendInt64(dst, f, fs.kind, v)
	case *record.Value_FloatValue:
		if fs.kind == protoreflect.FloatKind {
			return protowire.AppendFixed32(dst, math.Float32bits(k.FloatValue)), nil
		}
	case *record.Value_DoubleValue:
		if fs.kind == protoreflect.DoubleKind {
			return protowire.AppendFixed64(dst, math.Float64bits(k.DoubleValue)), nil
		}
	case *record.Value_BytesValue:
		if fs.kind == protoreflect.BytesKind {
			return protowire.AppendBytes(dst, k.BytesValue), nil
		}
	case *record.Value_StringValue:
		return e.appendText(dst, f, fs.kind, k.StringValue)
	case *record.Value_DecimalValue:
		return e.appendUnsigned(dst, f, fs.kind, v)
	}
	return nil, e.wrongKind(f, v)
}

func (e *encoder) appendInt64(dst []byte, f *fieldView, k protoreflect.Kind, v *record.Value) ([]byte, error) {
	i := v.GetInt64Value()
	switch k {
	case protoreflect.Int64Kind:
		return protowire.AppendVarint(dst, uint64(i)), nil
	case protoreflect.Sint64Kind:
		return protowire.AppendVarint(dst, protowire.EncodeZigZag(i)), nil
	case protoreflect.Sfixed64Kind:
		return protowire.AppendFixed64(dst, uint64(i)), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if i < 0 || i > math.MaxUint32 {
			return nil, e.wrong("is %d, which is no unsigned 32-bit number", i)
		}
		if k == protoreflect.Fixed32Kind {
			return protowire.AppendFixed32(dst, uint32(i)), nil
		}
		return protowire.AppendVarint(dst, uint64(i)), nil
	default:
		return nil, e.wrongKind(f, v)
	}
}

func (e *encoder) appendText(dst []byte, f *fieldView, k protoreflect.Kind, s string) ([]byte, error) {
	switch k {
	case protoreflect.StringKind:
		if !utf8.ValidString(s) {
			return nil, e.wrong("is not UTF-8")
		}
		return protowire.AppendString(dst, s), nil
	case protoreflect.EnumKind:
		n, ok := f.enum.numbers[s]
		if !ok {
			i, err := strconv.ParseInt(s, 10, 32)
			if err != nil || strings.HasPrefix(s, "+") {
				return nil, e.wrong("has no value %q", shorten(s))
			}
			n = int32(i)
		}
		return protowire.AppendVarint(dst, uint64(int64(n))), nil
	default:
		return nil, e.wrongKind(f, record.String(s))
	}
}

// maxUnsignedBytes is the size of an unsigned 64-bit number with its sign.
const maxUnsignedBytes = 9

func (e *encoder) appendUnsigned(dst []byte, f *fieldView, k protoreflect.Kind, v *record.Value) ([]byte, error) {
	if k != protoreflect.Uint64Kind && k != protoreflect.Fixed64Kind {
		return nil, e.wrongKind(f, v)
	}
	d := v.GetDecimalValue()
	i := new(big.Int)
	if len(d.GetValue()) <= maxUnsignedBytes {
		i = record.BigInt(d.GetValue())
	}
	if d.GetScale() != 0 || !i.IsUint64() || len(d.GetValue()) > maxUnsignedBytes {
		return nil, e.wrong("is no unsigned 64-bit number")
	}
	if k == protoreflect.Fixed64Kind {
		return protowire.AppendFixed64(dst, i.Uint64()), nil
	}
	return protowire.AppendVarint(dst, i.Uint64()), nil
}
