package record

import "sync/atomic"

// Cells allocates the values of one record in runs: a value and its kind are one allocation instead
// of two, and they live and die together. The zero Cells is ready; it is for one goroutine. With [Sizes] the first run
// of each kind is as long as what the record before had of it.
type Cells struct {
	bools    run[boolCell]
	int32s   run[int32Cell]
	int64s   run[int64Cell]
	floats   run[floatCell]
	doubles  run[doubleCell]
	bytes    run[bytesCell]
	strings  run[stringCell]
	times    run[timestampCell]
	decimals run[decimalCell]
	lists    run[listCell]
	records  run[recordCell]
}

type (
	boolCell struct {
		v Value
		k Value_BoolValue
	}
	int32Cell struct {
		v Value
		k Value_Int32Value
	}
	int64Cell struct {
		v Value
		k Value_Int64Value
	}
	floatCell struct {
		v Value
		k Value_FloatValue
	}
	doubleCell struct {
		v Value
		k Value_DoubleValue
	}
	bytesCell struct {
		v Value
		k Value_BytesValue
	}
	stringCell struct {
		v Value
		k Value_StringValue
	}
	timestampCell struct {
		v Value
		k Value_TimestampValue
		t TimestampValue
	}
	decimalCell struct {
		v Value
		k Value_DecimalValue
		d DecimalValue
	}
	listCell struct {
		v Value
		k Value_ListValue
		l ListValue
	}
	recordCell struct {
		v Value
		k Value_RecordValue
		r RecordValue
	}
)

// maxRun bounds how many cells are allocated ahead.
const maxRun = 64

type run[T any] struct {
	free  []T
	size  int
	first int // what the first run should be; zero: no idea
	used  int
}

func (r *run[T]) next() *T {
	if len(r.free) == 0 {
		r.size = min(maxRun, max(2, r.first, 2*r.size))
		r.first = 0
		r.free = make([]T, r.size)
	}
	c := &r.free[0]
	r.free = r.free[1:]
	r.used++
	return c
}

// Sizes remember how many values of each kind the last record of a codec had. The zero Sizes are ready; they are safe
// for concurrent use.
type Sizes struct{ last [11]atomic.Int32 }

// Cells gives cells whose first runs are as long as the last record needed.
func (s *Sizes) Cells() Cells {
	var c Cells
	for i, first := range c.firsts() {
		*first = min(maxRun, int(s.last[i].Load()))
	}
	return c
}

// Note remembers what a record took.
func (s *Sizes) Note(c *Cells) {
	for i, used := range c.uses() {
		if n := int32(min(maxRun, used)); s.last[i].Load() != n {
			s.last[i].Store(n)
		}
	}
}

func (c *Cells) firsts() [11]*int {
	return [...]*int{
		&c.bools.first, &c.int32s.first, &c.int64s.first, &c.floats.first, &c.doubles.first, &c.bytes.first, &c.strings.first,
		&c.times.first, &c.decimals.first, &c.lists.first, &c.records.first,
	}
}

func (c *Cells) uses() [11]int {
	return [...]int{
		c.bools.used, c.int32s.used, c.int64s.used, c.floats.used, c.doubles.used, c.bytes.used, c.strings.used,
		c.times.used, c.decimals.used, c.lists.used, c.records.used,
	}
}

// Bool is a BOOL.
func (c *Cells) Bool(b bool) *Value {
	x := c.bools.next()
	x.k.BoolValue, x.v.Kind = b, &x.k
	return &x.v
}

// Int32 is an INT32.
func (c *Cells) Int32(i int32) *Value {
	x := c.int32s.next()
	x.k.Int32Value, x.v.Kind = i, &x.k
	return &x.v
}

// Int64 is an INT64.
func (c *Cells) Int64(i int64) *Value {
	x := c.int64s.next()
	x.k.Int64Value, x.v.Kind = i, &x.k
	return &x.v
}

// Float is a FLOAT.
func (c *Cells) Float(f float32) *Value {
	x := c.floats.next()
	x.k.FloatValue, x.v.Kind = f, &x.k
	return &x.v
}

// Double is a DOUBLE.
func (c *Cells) Double(f float64) *Value {
	x := c.doubles.next()
	x.k.DoubleValue, x.v.Kind = f, &x.k
	return &x.v
}

// Bytes is a BYTES; it takes over b.
func (c *Cells) Bytes(b []byte) *Value {
	x := c.bytes.next()
	x.k.BytesValue, x.v.Kind = b, &x.k
	return &x.v
}

// String is a STRING, valid UTF-8.
func (c *Cells) String(s string) *Value {
	x := c.strings.next()
	x.k.StringValue, x.v.Kind = s, &x.k
	return &x.v
}

// Timestamp is a point in time (utc) or a local date and time.
func (c *Cells) Timestamp(micros int64, utc bool) *Value {
	x := c.times.next()
	x.t.TimestampMicros, x.t.IsUtc = micros, utc
	x.k.TimestampValue, x.v.Kind = &x.t, &x.k
	return &x.v
}

// Decimal is a DECIMAL; it takes over unscaled, big-endian two's complement.
func (c *Cells) Decimal(unscaled []byte, precision, scale int32) *Value {
	x := c.decimals.next()
	x.d.Value, x.d.Precision, x.d.Scale = unscaled, precision, scale
	x.k.DecimalValue, x.v.Kind = &x.d, &x.k
	return &x.v
}

// List is a list; it takes over vs.
func (c *Cells) List(vs []*Value) *Value {
	x := c.lists.next()
	x.l.Values = vs
	x.k.ListValue, x.v.Kind = &x.l, &x.k
	return &x.v
}

// Nested is a nested record of the fields.
func (c *Cells) Nested(fields map[string]*Value) *Value {
	x := c.records.next()
	x.r.Fields = fields
	x.k.RecordValue, x.v.Kind = &x.r, &x.k
	return &x.v
}
