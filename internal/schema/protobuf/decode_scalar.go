package protobuf

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"kelp/internal/schema/record"
)

// scalar decodes one number, string, bytes or enum value.
func (d *decoder) scalar(f *fieldView, fs *fieldShape, pos, end int) (*record.Value, int, error) {
	b := d.data[pos:end]
	switch fs.wire {
	case protowire.VarintType:
		u, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, 0, broken(fs.name, n)
		}
		return d.varint(f, fs.kind, u), n, nil
	case protowire.Fixed32Type:
		u, n := protowire.ConsumeFixed32(b)
		if n < 0 {
			return nil, 0, broken(fs.name, n)
		}
		return d.fixed32(fs.kind, u), n, nil
	case protowire.Fixed64Type:
		u, n := protowire.ConsumeFixed64(b)
		if n < 0 {
			return nil, 0, broken(fs.name, n)
		}
		return d.fixed64(fs.kind, u), n, nil
	default:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil, 0, broken(fs.name, n)
		}
		from, to := pos+n-len(v), pos+n
		if fs.kind == protoreflect.BytesKind {
			return d.cells.Bytes(d.raw(from, to)), n, nil
		}
		if !utf8.Valid(v) {
			if fs.utf8 {
				return nil, 0, fmt.Errorf("%w: %s is not UTF-8", record.ErrPayload, fs.name)
			}
			return nil, 0, fmt.Errorf("%w: %s is not UTF-8", record.ErrRefused, fs.name)
		}
		return d.cells.String(d.str(from, to)), n, nil
	}
}

func (d *decoder) varint(f *fieldView, k protoreflect.Kind, u uint64) *record.Value {
	switch k {
	case protoreflect.BoolKind:
		return d.cells.Bool(u != 0)
	case protoreflect.Int32Kind:
		return d.cells.Int32(int32(u))
	case protoreflect.Sint32Kind:
		return d.cells.Int32(int32(protowire.DecodeZigZag(u & math.MaxUint32)))
	case protoreflect.Uint32Kind:
		return d.cells.Int64(int64(uint32(u)))
	case protoreflect.Sint64Kind:
		return d.cells.Int64(protowire.DecodeZigZag(u))
	case protoreflect.Uint64Kind:
		return d.unsigned(u)
	case protoreflect.EnumKind:
		if name, ok := f.enum.names[int32(u)]; ok {
			return d.cells.String(name)
		}
		return d.cells.String(strconv.Itoa(int(int32(u))))
	default:
		return d.cells.Int64(int64(u))
	}
}

func (d *decoder) fixed32(k protoreflect.Kind, u uint32) *record.Value {
	switch k {
	case protoreflect.FloatKind:
		return d.cells.Float(math.Float32frombits(u))
	case protoreflect.Fixed32Kind:
		return d.cells.Int64(int64(u))
	default:
		return d.cells.Int32(int32(u))
	}
}

func (d *decoder) fixed64(k protoreflect.Kind, u uint64) *record.Value {
	switch k {
	case protoreflect.DoubleKind:
		return d.cells.Double(math.Float64frombits(u))
	case protoreflect.Fixed64Kind:
		return d.unsigned(u)
	default:
		return d.cells.Int64(int64(u))
	}
}

// packed decodes a run of numbers.
func (d *decoder) packed(f *fieldView, fs *fieldShape, b []byte, l *record.ListValue) error {
	if err := d.walker.packed(fs, b); err != nil {
		return err
	}
	for len(b) > 0 {
		switch fs.wire {
		case protowire.Fixed32Type:
			u, n := protowire.ConsumeFixed32(b)
			l.Values, b = append(l.Values, d.fixed32(fs.kind, u)), b[n:]
		case protowire.Fixed64Type:
			u, n := protowire.ConsumeFixed64(b)
			l.Values, b = append(l.Values, d.fixed64(fs.kind, u)), b[n:]
		default:
			u, n := protowire.ConsumeVarint(b)
			l.Values, b = append(l.Values, d.varint(f, fs.kind, u)), b[n:]
		}
	}
	return nil
}

// defaults gives fields without presence their zero.
func (d *decoder) defaults(v *view, out map[string]*record.Value) error {
	for i := range v.fields {
		if fs := &v.shape.fields[i]; fs.implicit && out[v.fields[i].name] == nil {
			if err := d.count(1); err != nil {
				return err
			}
			out[v.fields[i].name] = d.zero(&v.fields[i], fs)
		}
	}
	return nil
}

func (d *decoder) zero(f *fieldView, fs *fieldShape) *record.Value {
	switch fs.wire {
	case protowire.VarintType:
		if fs.kind == protoreflect.EnumKind {
			return d.varint(f, fs.kind, uint64(f.enum.first))
		}
		return d.varint(f, fs.kind, 0)
	case protowire.Fixed32Type:
		return d.fixed32(fs.kind, 0)
	case protowire.Fixed64Type:
		return d.fixed64(fs.kind, 0)
	default:
		if fs.kind == protoreflect.BytesKind {
			return d.cells.Bytes([]byte{})
		}
		return d.cells.String("")
	}
}

// unsigned is a uint64 as DECIMAL(20, 0).
func (d *decoder) unsigned(u uint64) *record.Value {
	return d.cells.Decimal(record.AppendBigInt(nil, new(big.Int).SetUint64(u)), 20, 0)
}
