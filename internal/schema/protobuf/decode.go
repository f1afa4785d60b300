package protobuf

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"kelp/internal/schema/record"
)

// Decode walks the payload once. Required fields are checked by Validate, not here.
func (c *codec) Decode(payload []byte) (*record.RecordValue, error) {
	v, err := c.view()
	if err != nil {
		return nil, err
	}
	if len(payload) > c.limits.Bytes {
		return nil, fmt.Errorf("%w: more than %d bytes", record.ErrLimit, c.limits.Bytes)
	}
	d := decoder{walker: walker{limits: c.limits}, cells: c.sizes.Cells(), data: payload}
	defer c.sizes.Note(&d.cells)
	fields, err := d.message(v, 0, len(payload), 0)
	if err != nil {
		return nil, err
	}
	return &record.RecordValue{Fields: fields}, nil
}

// decoder turns data into values. Strings and bytes share one copy of data each.
type decoder struct {
	walker
	cells record.Cells
	data  []byte
	text  string
	own   []byte
}

func (d *decoder) str(pos, end int) string {
	if d.text == "" {
		d.text = string(d.data)
	}
	return d.text[pos:end]
}

func (d *decoder) raw(pos, end int) []byte {
	if d.own == nil {
		d.own = bytes.Clone(d.data)
	}
	return d.own[pos:end:end]
}

// piece is one occurrence of a message in a field that has one: all occurrences are one message.
type piece struct{ field, pos, end int }

// messageState is what a message's walk keeps beside its record.
type messageState struct {
	pieces  []piece
	void    map[int]int // pieces of a field before this index were undone by another oneof member
	oneofs  map[int16]int
	list    *record.ListValue // of the field that came last
	listOf  int
	unknown []byte
}

func (d *decoder) message(v *view, pos, end, depth int) (map[string]*record.Value, error) {
	if err := d.deeper(depth); err != nil {
		return nil, err
	}
	out := make(map[string]*record.Value, len(v.fields))
	st := messageState{listOf: -1}
	for pos < end {
		start := pos
		number, wire, n := consumeTag(d.data[pos:end])
		if n < 0 {
			return nil, broken(v.name, n)
		}
		pos += n
		if err := d.count(1); err != nil {
			return nil, err
		}
		f := v.field(number)
		if f == nil || !f.accepts(wire) {
			n, err := d.skipUnknown(number, wire, d.data[pos:end], depth)
			if err != nil {
				return nil, err
			}
			pos += n
			st.unknown = append(st.unknown, d.data[start:pos]...)
			continue
		}
		n, err := d.occurrence(v, v.indexOf(number), wire, occurrenceOf{out, &st, pos, end, depth})
		if err != nil {
			return nil, err
		}
		pos += n
	}
	if err := d.join(v, out, &st, depth); err != nil {
		return nil, err
	}
	if st.unknown != nil {
		out[v.unknown] = d.cells.Bytes(st.unknown)
	}
	return out, d.defaults(v, out)
}

// occurrenceOf is where an occurrence of a field stands and where its value goes.
type occurrenceOf struct {
	out             map[string]*record.Value
	st              *messageState
	pos, end, depth int
}

// occurrence takes one value of a known field, or a packed run, and gives its length.
func (d *decoder) occurrence(v *view, at int, wire protowire.Type, o occurrenceOf) (int, error) {
	f, fv := &v.fields[at], &v.shape.fields[at]
	if fv.oneof > 0 {
		o.st.switchOneof(v, at, o.out)
	}
	rest := d.data[o.pos:o.end]
	if f.how == mapScalar || f.how == mapEnum {
		if wire == protowire.BytesType && fv.packable() {
			b, n := protowire.ConsumeBytes(rest)
			if n < 0 {
				return 0, broken(fv.name, n)
			}
			if len(b) == 0 {
				return n, nil // an empty run is an empty list, which is missing
			}
			return n, d.packed(f, fv, b, d.listFor(f, at, o))
		}
		value, n, err := d.scalar(f, fv, o.pos, o.end)
		if err != nil {
			return 0, err
		}
		if fv.repeated {
			l := d.listFor(f, at, o)
			l.Values = append(l.Values, value)
		} else {
			o.out[f.name] = value
		}
		return n, nil
	}
	from, to, n, err := extent(fv, wire, rest, o.pos)
	if err != nil {
		return 0, err
	}
	if !fv.repeated {
		o.st.pieces = append(o.st.pieces, piece{at, from, to})
		return n, nil
	}
	value, err := d.part(f, from, to, o.depth)
	if err != nil {
		return 0, err
	}
	l := d.listFor(f, at, o)
	l.Values = append(l.Values, value)
	return n, nil
}

// extent is where the contents of a message or group lie, and its length with what frames it.
func extent(fv *fieldShape, wire protowire.Type, rest []byte, pos int) (from, to, n int, err error) {
	if wire == protowire.StartGroupType {
		b, n := protowire.ConsumeGroup(fv.number, rest)
		if n < 0 {
			return 0, 0, 0, broken(fv.name, n)
		}
		return pos, pos + len(b), n, nil
	}
	b, n := protowire.ConsumeBytes(rest)
	if n < 0 {
		return 0, 0, 0, broken(fv.name, n)
	}
	return pos + n - len(b), pos + n, n, nil
}

// listFor is the list of a repeated field.
func (d *decoder) listFor(f *fieldView, at int, o occurrenceOf) *record.ListValue {
	if o.st.listOf == at {
		return o.st.list
	}
	l := o.out[f.name].GetListValue()
	if l == nil {
		v := d.cells.List(nil)
		l = v.GetListValue()
		o.out[f.name] = v
	}
	o.st.list, o.st.listOf = l, at
	return l
}

// switchOneof drops the member that was set before.
func (st *messageState) switchOneof(v *view, at int, out map[string]*record.Value) {
	group := v.shape.fields[at].oneof
	before, set := st.oneofs[group]
	if set && before == at {
		return
	}
	if set {
		delete(out, v.fields[before].name)
		if st.void == nil {
			st.void = map[int]int{}
		}
		st.void[before] = len(st.pieces)
	}
	if st.oneofs == nil {
		st.oneofs = map[int16]int{}
	}
	st.oneofs[group] = at
}

// join decodes the messages in fields that hold one. Those that came in several pieces are put
// together first, which is rare and paid for from the limit of values.
func (d *decoder) join(v *view, out map[string]*record.Value, st *messageState, depth int) error {
	if len(st.pieces) > 1 {
		live := st.pieces[:0]
		for i, p := range st.pieces {
			if i >= st.void[p.field] {
				live = append(live, p)
			}
		}
		st.pieces = live
		slices.SortStableFunc(st.pieces, func(a, b piece) int { return a.field - b.field })
	} else if len(st.pieces) == 1 && st.void[st.pieces[0].field] > 0 {
		return nil
	}
	for i := 0; i < len(st.pieces); {
		n := i + 1
		for n < len(st.pieces) && st.pieces[n].field == st.pieces[i].field {
			n++
		}
		f := &v.fields[st.pieces[i].field]
		value, err := d.joined(f, st.pieces[i:n], depth)
		if err != nil {
			return err
		}
		out[f.name] = value
		i = n
	}
	return nil
}

func (d *decoder) joined(f *fieldView, pieces []piece, depth int) (*record.Value, error) {
	if len(pieces) == 1 {
		return d.part(f, pieces[0].pos, pieces[0].end, depth)
	}
	var all []byte
	for _, p := range pieces {
		all = append(all, d.data[p.pos:p.end]...)
	}
	if err := d.count(len(all) / 8); err != nil {
		return nil, err
	}
	data, text, own := d.data, d.text, d.own
	d.data, d.text, d.own = all, "", nil
	defer func() { d.data, d.text, d.own = data, text, own }()
	return d.part(f, 0, len(all), depth)
}

// part decodes the contents of one message.
func (d *decoder) part(f *fieldView, pos, end, depth int) (*record.Value, error) {
	switch f.how {
	case mapNested:
		fields, err := d.message(f.sub, pos, end, depth+1)
		if err != nil {
			return nil, err
		}
		return d.cells.Nested(fields), nil
	case mapEntry:
		return d.entry(f, pos, end, depth+1)
	case mapOpaque:
		if _, err := d.walker.message(d.data[pos:end], f.wellKnown, depth+1); err != nil {
			return nil, err
		}
		return d.cells.Bytes(d.raw(pos, end)), nil
	default:
		return d.wellKnown(f, pos, end, depth+1)
	}
}

// entry decodes the entry of a map; what is missing has its default.
func (d *decoder) entry(f *fieldView, pos, end, depth int) (*record.Value, error) {
	if err := d.deeper(depth); err != nil {
		return nil, err
	}
	fields := make(map[string]*record.Value, 2)
	shapes := f.entry
	var pieces []piece
	for pos < end {
		number, wire, n := consumeTag(d.data[pos:end])
		if n < 0 {
			return nil, broken("map entry", n)
		}
		pos += n
		if err := d.count(1); err != nil {
			return nil, err
		}
		fs := shapes.field(number)
		if fs == nil || !fs.accepts(wire) {
			n, err := d.skipUnknown(number, wire, d.data[pos:end], depth)
			if err != nil {
				return nil, err
			}
			pos += n
			continue
		}
		name, part := record.MapKey, f.key
		if number == 2 {
			name, part = record.MapValue, f.val
		}
		if fs.message != nil {
			from, to, n, err := extent(fs, wire, d.data[pos:end], pos)
			if err != nil {
				return nil, err
			}
			pieces = append(pieces, piece{0, from, to})
			pos += n
			continue
		}
		value, n, err := d.scalar(part, fs, pos, end)
		if err != nil {
			return nil, err
		}
		fields[name] = value
		pos += n
	}
	return d.entryOf(f, fields, pieces, depth)
}

func (d *decoder) entryOf(f *fieldView, fields map[string]*record.Value, pieces []piece, depth int) (*record.Value, error) {
	var err error
	if fields[record.MapKey] == nil {
		fields[record.MapKey] = d.zero(f.key, &f.entry.fields[0])
	}
	switch {
	case fields[record.MapValue] != nil:
	case len(pieces) > 0:
		fields[record.MapValue], err = d.joined(f.val, pieces, depth)
	case f.entry.fields[1].message != nil:
		fields[record.MapValue], err = d.part(f.val, 0, 0, depth)
	default:
		fields[record.MapValue] = d.zero(f.val, &f.entry.fields[1])
	}
	return d.cells.Nested(fields), err
}
