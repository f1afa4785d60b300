package jsonschema

import (
	"fmt"

	"kelp/internal/schema/record"
)

// how says which kind of record value a JSON value becomes.
type how uint8

const (
	asText how = iota // JSON text: any value, or one whose schema contains itself
	asNull            // nothing but null
	asBool
	asInt64
	asDouble
	asString
	asList
	asMap    // an object without names of its own
	asRecord // an object
	asChoice // several types: a record with one field set
)

// plan is how one place of a schema is decoded and encoded.
type plan struct {
	how      how
	nullable bool
	typ      *record.Type
	items    *plan // of a list its elements, of a map its values
	fields   []planField
	byName   map[string]int // by the property's name
	extra    string         // the field for other properties; empty when there are none
	choices  []choice
}

type planField struct {
	name     string // in the record
	property string
	required bool
	plan     *plan
}

// choice is one type of several.
type choice struct {
	types types
	name  string
	plan  *plan
}

var choiceNames = []choice{
	{types: booleanType, name: "boolean"},
	{types: integerType, name: "integer"},
	{types: integerType | numberType, name: "number"},
	{types: textType, name: "string"},
	{types: listType, name: "array"},
	{types: recordType, name: "object"},
}

func newPlan(root *rule) (*plan, error) {
	g := &shaper{active: map[*rule]int{}}
	s, err := g.of(root)
	if err != nil {
		return nil, err
	}
	b := &planner{}
	return b.plan(s)
}

type planner struct{ made int }

func (b *planner) plan(s *shape) (*plan, error) {
	if b.made++; b.made > maxShapes {
		return nil, fmt.Errorf("%w: more than %d places", record.ErrType, maxShapes)
	}
	var list []choice
	kinds := s.effective()
	nullable := kinds&nullType != 0
	for _, c := range choiceNames {
		switch {
		case s.deep, kinds&c.types != c.types, c.types == integerType && kinds&numberType != 0:
			continue
		}
		list = append(list, c)
	}
	var p *plan
	var err error
	switch {
	case s.deep || len(list) == len(choiceNames)-1: // everything: all types, integer being a number
		p, nullable = &plan{how: asText, typ: record.Scalar(record.ScalarType_STRING)}, false
	case len(list) == 0:
		p, nullable = &plan{how: asNull, typ: record.Scalar(record.ScalarType_STRING)}, true
	case len(list) == 1:
		p, err = b.one(list[0].types, s)
	default:
		p, err = b.choice(list, s)
	}
	if err != nil {
		return nil, err
	}
	p.nullable = nullable
	return p, nil
}

// effective are the types, where a schema that speaks only of properties or items is taken to mean
// objects or lists.
func (s *shape) effective() types {
	switch {
	case s.named:
		return s.types
	case s.hasObject && !s.hasItems:
		return s.types & recordType
	case s.hasItems && !s.hasObject:
		return s.types & listType
	default:
		return s.types
	}
}

func (b *planner) one(t types, s *shape) (*plan, error) {
	switch t {
	case booleanType:
		return &plan{how: asBool, typ: record.Scalar(record.ScalarType_BOOL)}, nil
	case integerType:
		return &plan{how: asInt64, typ: record.Scalar(record.ScalarType_INT64)}, nil
	case integerType | numberType:
		return &plan{how: asDouble, typ: record.Scalar(record.ScalarType_DOUBLE)}, nil
	case textType:
		return &plan{how: asString, typ: record.Scalar(record.ScalarType_STRING)}, nil
	case listType:
		items := s.items
		if items == nil {
			items = everything
		}
		sub, err := b.plan(items)
		if err != nil {
			return nil, err
		}
		return &plan{how: asList, items: sub, typ: record.List(sub.typ)}, nil
	default:
		return b.object(s)
	}
}

func (b *planner) object(s *shape) (*plan, error) {
	if len(s.order) == 0 && s.rest != nil && !s.closed {
		sub, err := b.plan(s.rest)
		if err != nil {
			return nil, err
		}
		return &plan{how: asMap, items: sub, typ: record.Map(record.Scalar(record.ScalarType_STRING), sub.typ, !sub.optional())}, nil
	}
	p := &plan{how: asRecord, byName: make(map[string]int, len(s.order))}
	taken := map[string]bool{}
	isTaken := func(name string) bool { return taken[name] || s.properties[name] != nil }
	var fields []*record.Field
	for _, property := range s.order {
		if property == "" {
			continue // a field needs a name: such a property is an extra one
		}
		sub, err := b.plan(s.properties[property])
		if err != nil {
			return nil, err
		}
		name := record.FieldName(property, isTaken)
		taken[name] = true
		required := s.required[property]
		p.byName[property] = len(p.fields)
		p.fields = append(p.fields, planField{name, property, required, sub})
		fields = append(fields, record.NewField(name, sub.typ, required && !sub.optional()))
	}
	if !s.closed || len(p.fields) < len(s.order) {
		p.extra = record.FreeName(record.ExtraField, isTaken)
		fields = append(fields, record.NewField(p.extra, record.Scalar(record.ScalarType_STRING), false))
	}
	t, err := record.NewRecordType(fields...)
	if err != nil {
		return nil, err
	}
	p.typ = record.Record(t)
	return p, nil
}

func (b *planner) choice(list []choice, s *shape) (*plan, error) {
	p := &plan{how: asChoice}
	fields := make([]*record.Field, len(list))
	for i, c := range list {
		sub, err := b.one(c.types, s)
		if err != nil {
			return nil, err
		}
		c.plan = sub
		p.choices = append(p.choices, c)
		fields[i] = record.NewField(c.name, sub.typ, false)
	}
	t, err := record.NewRecordType(fields...)
	if err != nil {
		return nil, err
	}
	p.typ = record.Record(t)
	return p, nil
}

// optional: a value that is there may be null.
func (p *plan) optional() bool { return p.nullable }
