package avro

import (
	"fmt"
	"slices"
	"strings"

	"kelp/internal/schema/record"
)

// how says which kind of record value an Avro value becomes.
type how uint8

const (
	asNull how = iota
	asBool
	asInt32
	asInt64
	asFloat
	asDouble
	asBytes
	asString
	asSymbol
	asFixed
	asUUID     // of fixed 16: its text
	asDuration // a record of months, days and milliseconds
	asDecimal
	asFixedDecimal
	asDate
	asTimeMillis
	asTimeMicros
	asStamp
	asList
	asMap
	asRecord
	asOptional // a union of null and one type
	asChoice   // any other union: a record with one field set
	asOpaque   // a record inside itself: its bytes
)

// plan is how one place of a schema is decoded and encoded. A recursive schema has a finite plan:
// the inner occurrence stays as it is.
type plan struct {
	how    how
	node   *node
	typ    *record.Type
	items  *plan
	fields []planField
	union  []*plan  // by branch; nil for null
	names  []string // of the branches of a choice, by branch
	unit   int64    // of a time: how many of it are a microsecond, or as many microseconds, negative
	utc    bool
}

type planField struct {
	name string // in the record
	avro *field
	plan *plan
}

// optional: there may be no value.
func (p *plan) optional() bool {
	switch p.how {
	case asNull:
		return true
	case asOptional, asChoice:
		return len(p.union) == 0 || slices.Contains(p.union, nil)
	default:
		return false
	}
}

// maxPlans bounds a record type: mutually recursive schemas have many ways through them.
const maxPlans = 50_000

type planner struct {
	active map[*node]bool
	done   map[*node]*plan // of types that are on no cycle
	cyclic map[*node]bool
	made   int
}

func newPlan(root *node) (*plan, error) {
	b := &planner{active: map[*node]bool{}, done: map[*node]*plan{}, cyclic: cycles(root)}
	return b.plan(root)
}

// cycles lists the types that contain themselves, or something that does: their plan depends on
// where they stand.
func cycles(root *node) map[*node]bool {
	state := map[*node]int{} // 1 active, 2 done
	cyclic := map[*node]bool{}
	var visit func(n *node) bool
	visit = func(n *node) bool {
		switch state[n] {
		case 1:
			return true
		case 2:
			return cyclic[n]
		}
		state[n] = 1
		found := false
		for _, c := range n.children() {
			found = visit(c) || found
		}
		state[n] = 2
		if found {
			cyclic[n] = true
		}
		return found
	}
	visit(root)
	return cyclic
}

func (n *node) children() []*node {
	if n.items != nil {
		return []*node{n.items}
	}
	if n.fields == nil {
		return n.types
	}
	out := make([]*node, len(n.fields))
	for i, f := range n.fields {
		out[i] = f.typ
	}
	return out
}

func (b *planner) plan(n *node) (*plan, error) {
	if p := b.done[n]; p != nil {
		return p, nil
	}
	if b.made++; b.made > maxPlans {
		return nil, fmt.Errorf("%w: more than %d fields and types", record.ErrType, maxPlans)
	}
	if b.active[n] {
		return &plan{how: asOpaque, node: n, typ: record.Scalar(record.ScalarType_BYTES)}, nil
	}
	if n.kind == recordKind {
		b.active[n] = true
		defer delete(b.active, n)
	}
	p := &plan{node: n}
	err := b.fill(p)
	if err == nil && !b.cyclic[n] {
		b.done[n] = p
	}
	return p, err
}

func (b *planner) fill(p *plan) (err error) {
	switch p.node.kind {
	case array:
		p.how = asList
		if p.items, err = b.plan(p.node.items); err != nil {
			return err
		}
		p.typ = record.List(p.items.typ)
	case mapKind:
		p.how = asMap
		if p.items, err = b.plan(p.node.items); err != nil {
			return err
		}
		p.typ = record.Map(record.Scalar(record.ScalarType_STRING), p.items.typ, !p.items.optional())
	case recordKind:
		return b.record(p)
	case union:
		return b.union(p)
	default:
		p.how, p.unit, p.utc = scalarHow(p.node)
		p.typ = scalarType(p.how)
	}
	return nil
}

func (b *planner) record(p *plan) error {
	p.how = asRecord
	fields := make([]*record.Field, len(p.node.fields))
	taken := map[string]bool{}
	for i, f := range p.node.fields {
		sub, err := b.plan(f.typ)
		if err != nil {
			return err
		}
		name := record.FieldName(f.name, func(s string) bool { return p.node.field(s) != nil || taken[s] })
		taken[name] = true
		p.fields = append(p.fields, planField{name, f, sub})
		fields[i] = record.NewField(name, sub.typ, !sub.optional())
	}
	t, err := record.NewRecordType(fields...)
	if err != nil {
		return fmt.Errorf("%s: %w", p.node.name.full(), err)
	}
	p.typ = record.Record(t)
	return nil
}

func (b *planner) union(p *plan) error {
	p.union = make([]*plan, len(p.node.types))
	var values int
	for i, t := range p.node.types {
		if t.kind == null {
			continue
		}
		sub, err := b.plan(t)
		if err != nil {
			return err
		}
		p.union[i] = sub
		p.typ = sub.typ
		values++
	}
	if values < 2 {
		p.how = asOptional
		if values == 0 {
			p.typ = scalarType(asNull)
		}
		return nil
	}
	p.how = asChoice
	p.names = branchNames(p.node)
	var fields []*record.Field
	for i, sub := range p.union {
		if sub != nil {
			fields = append(fields, record.NewField(p.names[i], sub.typ, false))
		}
	}
	t, err := record.NewRecordType(fields...)
	if err != nil {
		return err
	}
	p.typ = record.Record(t)
	return nil
}

// branchNames are the names of a union's branches: without namespace where that is clear.
func branchNames(u *node) []string {
	uses := map[string]int{}
	for _, t := range u.types {
		uses[simpleName(t)]++
	}
	names := make([]string, len(u.types))
	for i, t := range u.types {
		names[i] = simpleName(t)
		if uses[names[i]] > 1 {
			names[i] = t.fullName()
		}
		names[i] = record.FieldName(names[i], func(s string) bool { return uses[s] > 0 })
	}
	return names
}

func simpleName(n *node) string {
	full := n.fullName()
	return full[strings.LastIndexByte(full, '.')+1:]
}

// scalarHow chooses by kind and logical type. unit and utc are for times only.
func scalarHow(n *node) (h how, unit int64, utc bool) {
	name := ""
	if n.logical != nil {
		name = n.logical.name
	}
	switch n.kind {
	case boolean:
		return asBool, 0, false
	case integer:
		switch name {
		case "date":
			return asDate, 0, false
		case "time-millis":
			return asTimeMillis, 0, false
		}
		return asInt32, 0, false
	case long:
		return longHow(name)
	case float:
		return asFloat, 0, false
	case double:
		return asDouble, 0, false
	case bytesKind:
		if name == "decimal" {
			return asDecimal, 0, false
		}
		return asBytes, 0, false
	case stringKind:
		return asString, 0, false
	case enum:
		return asSymbol, 0, false
	case fixed:
		switch name {
		case "decimal":
			return asFixedDecimal, 0, false
		case "uuid":
			return asUUID, 0, false
		case "duration":
			return asDuration, 0, false
		}
		return asFixed, 0, false
	default:
		return asNull, 0, false
	}
}

func longHow(name string) (h how, unit int64, utc bool) {
	if name == "time-micros" {
		return asTimeMicros, 0, false
	}
	utc = !strings.HasPrefix(name, "local-")
	switch strings.TrimPrefix(name, "local-") {
	case "timestamp-millis":
		return asStamp, -1000, utc
	case "timestamp-micros":
		return asStamp, 1, utc
	case "timestamp-nanos":
		return asStamp, 1000, utc
	}
	return asInt64, 0, false
}

func scalarType(h how) *record.Type {
	switch h {
	case asBool:
		return record.Scalar(record.ScalarType_BOOL)
	case asInt32:
		return record.Scalar(record.ScalarType_INT32)
	case asInt64:
		return record.Scalar(record.ScalarType_INT64)
	case asFloat:
		return record.Scalar(record.ScalarType_FLOAT)
	case asDouble:
		return record.Scalar(record.ScalarType_DOUBLE)
	case asBytes, asFixed:
		return record.Scalar(record.ScalarType_BYTES)
	case asDecimal, asFixedDecimal:
		return record.Scalar(record.ScalarType_DECIMAL)
	case asDate:
		return record.Scalar(record.ScalarType_DATE)
	case asTimeMillis, asTimeMicros:
		return record.Scalar(record.ScalarType_TIME)
	case asStamp:
		return record.Scalar(record.ScalarType_TIMESTAMP)
	case asDuration:
		return durationType
	default:
		return record.Scalar(record.ScalarType_STRING)
	}
}

// durationParts are the three unsigned 32-bit numbers of a duration.
var durationParts = [...]string{"months", "days", "milliseconds"}

var durationType = func() *record.Type {
	t := &record.RecordType{}
	for i, name := range durationParts {
		f := record.NewField(name, record.Scalar(record.ScalarType_INT64), true)
		f.FieldIndex = int32(i)
		t.Fields = append(t.Fields, f)
	}
	return record.Record(t)
}()
