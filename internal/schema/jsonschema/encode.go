package jsonschema

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/record"
)

// encoder appends compact JSON of record values.
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

func (e *encoder) root(p *plan, v *record.RecordValue) error {
	for name := range v.GetFields() {
		if name != record.RootField {
			return e.fail("unknown field %q", name)
		}
	}
	return e.value(p, v.GetFields()[record.RootField], 0)
}

func (e *encoder) value(p *plan, v *record.Value, depth int) error {
	if depth > e.limits.Depth || len(e.out) > e.limits.Bytes {
		return fmt.Errorf("%w: nested deeper than %d or more than %d bytes", record.ErrLimit, e.limits.Depth, e.limits.Bytes)
	}
	if record.IsNull(v) {
		if !p.nullable {
			return e.fail("a value is required")
		}
		e.out = append(e.out, "null"...)
		return nil
	}
	switch p.how {
	case asText:
		return e.text(p, v)
	case asList:
		return e.list(p, v, depth)
	case asMap:
		return e.entries(p, v, depth)
	case asRecord:
		r, ok := v.Kind.(*record.Value_RecordValue)
		if !ok {
			return record.WrongKind(e.at(), p.typ, v)
		}
		return e.record(p, r.RecordValue, depth)
	case asChoice:
		return e.choice(p, v, depth)
	default:
		return e.scalar(p, v)
	}
}

func (e *encoder) scalar(p *plan, v *record.Value) error {
	switch k := v.Kind.(type) {
	case *record.Value_BoolValue:
		if p.how == asBool {
			e.out = strconv.AppendBool(e.out, k.BoolValue)
			return nil
		}
	case *record.Value_Int64Value:
		if p.how == asInt64 {
			e.out = strconv.AppendInt(e.out, k.Int64Value, 10)
			return nil
		}
	case *record.Value_DoubleValue:
		if p.how == asDouble {
			return e.double(k.DoubleValue)
		}
	case *record.Value_StringValue:
		if p.how == asString {
			if !utf8.ValidString(k.StringValue) {
				return e.fail("a string that is not UTF-8")
			}
			e.out = jsontree.AppendString(e.out, k.StringValue)
			return nil
		}
	}
	return record.WrongKind(e.at(), p.typ, v)
}

// double prints the shortest decimal that is the number, in JavaScript's way.
func (e *encoder) double(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return e.fail("JSON has no %v", f)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	e.out = strconv.AppendFloat(e.out, f, format, -1, 64)
	return nil
}

// text takes a JSON text for what it says.
func (e *encoder) text(p *plan, v *record.Value) error {
	s, ok := v.Kind.(*record.Value_StringValue)
	if !ok {
		return record.WrongKind(e.at(), p.typ, v)
	}
	n, err := e.parse(s.StringValue)
	if err != nil {
		return err
	}
	e.out = n.Append(e.out, jsontree.Decimals)
	return nil
}

func (e *encoder) parse(text string) (*jsontree.Node, error) {
	n, err := jsontree.Parse(text, jsontree.Options{MaxDepth: e.limits.Depth, MaxValues: e.limits.Values})
	if err != nil {
		return nil, e.fail("no JSON text: %v", err)
	}
	return n, nil
}

func (e *encoder) list(p *plan, v *record.Value, depth int) error {
	l, ok := v.Kind.(*record.Value_ListValue)
	if !ok {
		return record.WrongKind(e.at(), p.typ, v)
	}
	e.out = append(e.out, '[')
	for i, item := range l.ListValue.GetValues() {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.value(p.items, item, depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

func (e *encoder) entries(p *plan, v *record.Value, depth int) error {
	l, ok := v.Kind.(*record.Value_ListValue)
	if !ok {
		return record.WrongKind(e.at(), p.typ, v)
	}
	e.out = append(e.out, '{')
	for i, item := range l.ListValue.GetValues() {
		fields := item.GetRecordValue().GetFields()
		key, ok := fields[record.MapKey].GetKind().(*record.Value_StringValue)
		if !ok || !utf8.ValidString(key.StringValue) {
			return e.fail("the key of a map must be a string")
		}
		for name := range fields {
			if name != record.MapKey && name != record.MapValue {
				return e.fail("unknown field %q in an entry of a map", name)
			}
		}
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.out = append(jsontree.AppendString(e.out, key.StringValue), ':')
		if err := e.value(p.items, fields[record.MapValue], depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

func (e *encoder) record(p *plan, v *record.RecordValue, depth int) error {
	fields := v.GetFields()
	e.out = append(e.out, '{')
	first := true
	comma := func() {
		if !first {
			e.out = append(e.out, ',')
		}
		first = false
	}
	known := 0
	for i := range p.fields {
		f := &p.fields[i]
		fv, there := fields[f.name]
		if !there {
			continue
		}
		known++
		comma()
		e.out = append(jsontree.AppendString(e.out, f.property), ':')
		e.path = append(e.path, f.name)
		if err := e.value(f.plan, fv, depth+1); err != nil {
			return err
		}
		e.path = e.path[:len(e.path)-1]
	}
	if x, there := fields[p.extra]; there && p.extra != "" {
		known++
		if err := e.extra(p, x, comma); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	if known == len(fields) {
		return nil
	}
	for name := range fields {
		if name != p.extra && !slices.ContainsFunc(p.fields, func(f planField) bool { return f.name == name }) {
			return e.fail("unknown field %q", name)
		}
	}
	return nil
}

// extra writes the members of the properties that the schema does not name.
func (e *encoder) extra(p *plan, v *record.Value, comma func()) error {
	if record.IsNull(v) {
		return nil
	}
	s, ok := v.Kind.(*record.Value_StringValue)
	if !ok {
		return e.fail("%s must be a STRING", p.extra)
	}
	n, err := e.parse(s.StringValue)
	if err != nil {
		return err
	}
	if n.Kind != jsontree.Object {
		return e.fail("%s must be a JSON object", p.extra)
	}
	for _, m := range n.Members {
		if _, named := p.byName[m.Name]; named {
			return e.fail("%s holds %q, which has a field of its own", p.extra, m.Name)
		}
		comma()
		e.out = append(jsontree.AppendString(e.out, m.Name), ':')
		e.out = m.Value.Append(e.out, jsontree.Decimals)
	}
	return nil
}

func (e *encoder) choice(p *plan, v *record.Value, depth int) error {
	r, ok := v.Kind.(*record.Value_RecordValue)
	if !ok || len(r.RecordValue.GetFields()) != 1 {
		return e.fail("exactly one of its types must be set")
	}
	for name, cv := range r.RecordValue.GetFields() {
		for _, c := range p.choices {
			if c.name == name {
				return e.value(c.plan, cv, depth+1)
			}
		}
		return e.fail("unknown type %q", name)
	}
	return nil
}
