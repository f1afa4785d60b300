package protobuf

import (
	"math/big"

	"kelp/internal/schema/record"
)

// cells allocates values in runs: a value with its kind is one allocation in the generated code's
// layout, a record has dozens, and they live and die together.
type cells struct {
	bools    slab[boolCell]
	int32s   slab[int32Cell]
	int64s   slab[int64Cell]
	floats   slab[floatCell]
	doubles  slab[doubleCell]
	bytes    slab[bytesCell]
	strings  slab[stringCell]
	times    slab[timeCell]
	decimals slab[decimalCell]
	lists    slab[listCell]
	records  slab[recordCell]
}

type (
	boolCell struct {
		v record.Value
		k record.Value_BoolValue
	}
	int32Cell struct {
		v record.Value
		k record.Value_Int32Value
	}
	int64Cell struct {
		v record.Value
		k record.Value_Int64Value
	}
	floatCell struct {
		v record.Value
		k record.Value_FloatValue
	}
	doubleCell struct {
		v record.Value
		k record.Value_DoubleValue
	}
	bytesCell struct {
		v record.Value
		k record.Value_BytesValue
	}
	stringCell struct {
		v record.Value
		k record.Value_StringValue
	}
	timeCell struct {
		v record.Value
		k record.Value_TimestampValue
		t record.TimestampValue
	}
	decimalCell struct {
		v record.Value
		k record.Value_DecimalValue
		d record.DecimalValue
	}
	listCell struct {
		v record.Value
		k record.Value_ListValue
		l record.ListValue
	}
	recordCell struct {
		v record.Value
		k record.Value_RecordValue
		r record.RecordValue
	}
)

// maxRun bounds how many cells are allocated ahead.
const maxRun = 64

type slab[T any] struct {
	free []T
	run  int
}

func (s *slab[T]) next() *T {
	if len(s.free) == 0 {
		s.run = min(maxRun, max(4, 2*s.run))
		s.free = make([]T, s.run)
	}
	c := &s.free[0]
	s.free = s.free[1:]
	return c
}

func (c *cells) bool(b bool) *record.Value {
	x := c.bools.next()
	x.k.BoolValue, x.v.Kind = b, &x.k
	return &x.v
}

func (c *cells) int32(i int32) *record.Value {
	x := c.int32s.next()
	x.k.Int32Value, x.v.Kind = i, &x.k
	return &x.v
}

func (c *cells) int64(i int64) *record.Value {
	x := c.int64s.next()
	x.k.Int64Value, x.v.Kind = i, &x.k
	return &x.v
}

func (c *cells) float(f float32) *record.Value {
	x := c.floats.next()
	x.k.FloatValue, x.v.Kind = f, &x.k
	return &x.v
}

func (c *cells) double(f float64) *record.Value {
	x := c.doubles.next()
	x.k.DoubleValue, x.v.Kind = f, &x.k
	return &x.v
}

func (c *cells) bytesValue(b []byte) *record.Value {
	x := c.bytes.next()
	x.k.BytesValue, x.v.Kind = b, &x.k
	return &x.v
}

func (c *cells) string(s string) *record.Value {
	x := c.strings.next()
	x.k.StringValue, x.v.Kind = s, &x.k
	return &x.v
}

func (c *cells) timestamp(micros int64) *record.Value {
	x := c.times.next()
	x.t.TimestampMicros, x.t.IsUtc = micros, true
	x.k.TimestampValue, x.v.Kind = &x.t, &x.k
	return &x.v
}

func (c *cells) decimal(unscaled []byte, precision, scale int32) *record.Value {
	x := c.decimals.next()
	x.d.Value, x.d.Precision, x.d.Scale = unscaled, precision, scale
	x.k.DecimalValue, x.v.Kind = &x.d, &x.k
	return &x.v
}

// unsigned is a uint64 as DECIMAL(20, 0).
func (c *cells) unsigned(u uint64) *record.Value {
	return c.decimal(record.AppendBigInt(nil, new(big.Int).SetUint64(u)), 20, 0)
}

func (c *cells) list() (*record.Value, *record.ListValue) {
	x := c.lists.next()
	x.k.ListValue, x.v.Kind = &x.l, &x.k
	return &x.v, &x.l
}

func (c *cells) record(fields map[string]*record.Value) *record.Value {
	x := c.records.next()
	x.r.Fields = fields
	x.k.RecordValue, x.v.Kind = &x.r, &x.k
	return &x.v
}
