package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"kelp/internal/schema/record"
)

// decoder makes record values on its walk. Strings and bytes share one copy of the payload each.
type decoder struct {
	walker
	cells record.Cells
	text  string
	own   []byte
}

func (d *decoder) rawRoot(p *plan) *record.RecordValue {
	b := bytes.Clone(d.data)
	v := d.cells.Bytes(b)
	if p.how == asDecimal {
		v = d.decimal(p, b)
	}
	return &record.RecordValue{Fields: map[string]*record.Value{record.RootField: v}}
}

// str is the part of the payload that was just read, as text.
func (d *decoder) str(b []byte) string {
	if d.text == "" {
		d.text = string(d.data)
	}
	return d.text[d.pos-len(b) : d.pos]
}

func (d *decoder) keep(b []byte) []byte {
	if d.own == nil {
		d.own = bytes.Clone(d.data)
	}
	return d.own[d.pos-len(b) : d.pos : d.pos]
}

func (d *decoder) fields(p *plan, depth int) (map[string]*record.Value, error) {
	if err := d.deeper(depth); err != nil {
		return nil, err
	}
	if err := d.count(len(p.fields)); err != nil {
		return nil, err
	}
	out := make(map[string]*record.Value, len(p.fields))
	for i := range p.fields {
		f := &p.fields[i]
		v, err := d.value(f.plan, depth+1)
		if err != nil {
			return nil, d.in(f.avro, err)
		}
		if v != nil {
			out[f.name] = v
		}
	}
	return out, nil
}

// value reads one value; nil stands for null.
func (d *decoder) value(p *plan, depth int) (*record.Value, error) {
	if err := d.deeper(depth); err != nil {
		return nil, err
	}
	switch p.how {
	case asList:
		return d.list(p, depth)
	case asMap:
		return d.entries(p, depth)
	case asRecord:
		fields, err := d.fields(p, depth)
		if err != nil {
			return nil, err
		}
		return d.cells.Nested(fields), nil
	case asOptional, asChoice:
		return d.branchValue(p, depth)
	case asOpaque:
		start := d.pos
		if err := d.skip(p.node, depth); err != nil {
			return nil, err
		}
		return d.cells.Bytes(d.keep(d.data[start:d.pos])), nil
	default:
		return d.scalar(p)
	}
}

func (d *decoder) branchValue(p *plan, depth int) (*record.Value, error) {
	i, err := d.branch(p.node)
	if err != nil || p.union[i] == nil {
		return nil, err
	}
	v, err := d.value(p.union[i], depth+1)
	if err != nil || p.how == asOptional {
		return v, err
	}
	return d.cells.Nested(map[string]*record.Value{p.names[i]: v}), nil
}

// maxRoom bounds what is allocated for elements before they are read.
const maxRoom = 64

// room is a slice for the elements that the block ahead says it has.
func (d *decoder) room() []*record.Value {
	n, _ := binary.Varint(d.data[d.pos:])
	if n <= 0 {
		return nil
	}
	return make([]*record.Value, 0, min(n, maxRoom))
}

func (d *decoder) list(p *plan, depth int) (*record.Value, error) {
	out := d.room()
	err := d.blocks(p.node.elementLeast(), func() error {
		v, err := d.value(p.items, depth+1)
		if v == nil {
			v = record.Null()
		}
		out = append(out, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return d.cells.List(out), nil
}

func (d *decoder) entries(p *plan, depth int) (*record.Value, error) {
	out := d.room()
	err := d.blocks(p.node.elementLeast(), func() error {
		key, err := d.walker.text()
		if err != nil {
			return err
		}
		k := d.cells.String(d.str(key))
		v, err := d.value(p.items, depth+1)
		if err != nil {
			return err
		}
		entry := map[string]*record.Value{record.MapKey: k}
		if v != nil {
			entry[record.MapValue] = v
		}
		out = append(out, d.cells.Nested(entry))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d.cells.List(out), nil
}

func (d *decoder) scalar(p *plan) (*record.Value, error) {
	switch p.how {
	case asBool:
		b, err := d.boolean()
		return d.cells.Bool(b), err
	case asInt32:
		i, err := d.int()
		return d.cells.Int32(i), err
	case asDate:
		i, err := d.int()
		return record.Date(i), err
	case asTimeMillis:
		i, err := d.int()
		return record.TimeOfDay(int64(i) * 1000), err
	case asInt64:
		l, err := d.long()
		return d.cells.Int64(l), err
	case asTimeMicros:
		l, err := d.long()
		return record.TimeOfDay(l), err
	case asStamp:
		return d.stamp(p)
	case asFloat:
		f, err := d.float()
		return d.cells.Float(f), err
	case asDouble:
		f, err := d.double()
		return d.cells.Double(f), err
	case asString:
		b, err := d.walker.text()
		if err != nil {
			return nil, err
		}
		return d.cells.String(d.str(b)), nil
	case asSymbol:
		s, err := d.symbol(p.node)
		return d.cells.String(s), err
	case asNull:
		return nil, nil
	default:
		return d.binary(p)
	}
}

func (d *decoder) stamp(p *plan) (*record.Value, error) {
	at := d.pos
	l, err := d.long()
	if err != nil {
		return nil, err
	}
	switch {
	case p.unit < 0:
		if l > math.MaxInt64/-p.unit || l < math.MinInt64/-p.unit {
			return nil, fmt.Errorf("%w: byte %d: a time of %d milliseconds", record.ErrRefused, at, l)
		}
		l *= -p.unit
	case p.unit > 1:
		l = floorDiv(l, p.unit)
	}
	return d.cells.Timestamp(l, p.utc), nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// binary reads what is bytes or fixed.
func (d *decoder) binary(p *plan) (*record.Value, error) {
	var b []byte
	var err error
	if p.node.kind == fixed {
		b, err = d.take(int64(p.node.size), "fixed")
	} else {
		b, err = d.bytes()
	}
	if err != nil {
		return nil, err
	}
	switch p.how {
	case asDecimal, asFixedDecimal:
		return d.decimal(p, d.keep(b)), nil
	case asUUID:
		return d.cells.String(uuidText(b)), nil
	case asDuration:
		parts := make(map[string]*record.Value, len(durationParts))
		for i, name := range durationParts {
			parts[name] = d.cells.Int64(int64(binary.LittleEndian.Uint32(b[4*i:])))
		}
		return d.cells.Nested(parts), nil
	default:
		return d.cells.Bytes(d.keep(b)), nil
	}
}

func (d *decoder) decimal(p *plan, unscaled []byte) *record.Value {
	return d.cells.Decimal(shortest(unscaled), int32(p.node.logical.precision), int32(p.node.logical.scale))
}

// shortest drops leading bytes that repeat the sign; no bytes at all are zero.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1]&0x80 == 0 || b[0] == 0xff && b[1]&0x80 != 0) {
		b = b[1:]
	}
	if len(b) == 0 {
		return []byte{0}
	}
	return b
}

func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
