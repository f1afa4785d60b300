package jsonschema

import (
	"fmt"
	"maps"
	"slices"

	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/record"
)

// types is a set of JSON types.
type types uint8

const (
	nullType types = 1 << iota
	booleanType
	integerType
	numberType // fractions too; always together with integerType
	textType
	listType
	recordType
	allTypes = nullType | booleanType | integerType | numberType | textType | listType | recordType
)

// shape is what values may stand at one place of a schema, as far as a record type can say it: the
// types, the properties of objects and the elements of lists. Limits and patterns are left to
// validation.
type shape struct {
	types      types
	named      bool // a type, an enum or a const says so; else the types are everything
	properties map[string]*shape
	order      []string
	required   map[string]bool
	closed     bool
	rest       *shape // of properties without a name of their own; nil for anything
	hasObject  bool   // some keyword speaks of properties
	items      *shape // nil for anything
	hasItems   bool
	deep       bool // the place lies inside itself: left as text
}

// maxShapes bounds a record type; alternatives and shared definitions multiply.
const maxShapes = 20_000

type shaper struct {
	active map[*rule]int
	made   int
}

var everything = &shape{types: allTypes}

// of works out the shape of a rule.
func (g *shaper) of(r *rule) (*shape, error) {
	if r == nil {
		return everything, nil
	}
	if g.made++; g.made > maxShapes {
		return nil, fmt.Errorf("%w: more than %d places", record.ErrType, maxShapes)
	}
	r = r.target()
	if g.active[r] > 0 {
		return &shape{types: allTypes, deep: true}, nil
	}
	g.active[r]++
	defer func() { g.active[r]-- }()
	switch r.kind {
	case never:
		return &shape{named: true}, nil
	case booleanKind:
		return &shape{types: booleanType, named: true}, nil
	case nullKind:
		return &shape{types: nullType, named: true}, nil
	case stringKind:
		return typed(textType, r.str.required), nil
	case numberKind:
		if r.num.integer {
			return typed(integerType, true), nil
		}
		return typed(integerType|numberType, r.num.required), nil
	case enumKind, constKind:
		return shapeOfValues(r.values), nil
	case objectKind:
		return g.object(r)
	case arrayKind:
		return g.array(r)
	case combinedKind:
		return g.combined(r.comb)
	default:
		return everything, nil
	}
}

func typed(t types, named bool) *shape {
	if !named {
		t = allTypes
	}
	return &shape{types: t, named: named}
}

func shapeOfValues(values []*jsontree.Node) *shape {
	s := &shape{named: true}
	for _, v := range values {
		switch v.Kind {
		case jsontree.Null:
			s.types |= nullType
		case jsontree.Bool:
			s.types |= booleanType
		case jsontree.Integer:
			s.types |= integerType
		case jsontree.Fraction:
			s.types |= integerType | numberType
		case jsontree.String:
			s.types |= textType
		case jsontree.Array:
			s.types |= listType
		default:
			s.types |= recordType
		}
	}
	return s
}

func (g *shaper) object(r *rule) (*shape, error) {
	o := r.obj
	s := typed(recordType, o.required)
	s.hasObject = len(o.properties)+len(o.patterns)+len(o.requiredNames) > 0 || o.additional != nil || o.closed
	s.properties, s.required = make(map[string]*shape, len(o.properties)), map[string]bool{}
	u := r.unevaluated("unevaluatedProperties")
	s.closed = (o.closed || u != nil && u.kind == never) && len(o.patterns) == 0
	for _, name := range slices.Concat(o.order, slices.Sorted(maps.Keys(o.properties))) {
		p := o.properties[name]
		if p == nil || s.properties[name] != nil {
			continue
		}
		sub, err := g.of(p)
		if err != nil {
			return nil, err
		}
		s.properties[name] = sub
		s.order = append(s.order, name)
	}
	for _, name := range o.requiredNames {
		s.required[name] = true
	}
	if o.additional != nil && len(o.patterns) == 0 {
		rest, err := g.of(o.additional)
		if err != nil {
			return nil, err
		}
		s.rest = rest
	}
	return s, nil
}

// array: elements of a tuple that are not all of one shape are anything.
func (g *shaper) array(r *rule) (*shape, error) {
	s := typed(listType, r.arr.required)
	s.hasItems = r.arr.all != nil
	if r.arr.all == nil {
		return s, nil
	}
	var err error
	s.items, err = g.of(r.arr.all)
	return s, err
}

func (g *shaper) combined(c *combinedRule) (*shape, error) {
	var sum *shape
	for _, r := range c.rules {
		s, err := g.of(r)
		if err != nil {
			return nil, err
		}
		switch {
		case sum == nil:
			sum = s
		case c.criterion == allOf:
			sum = both(sum, s)
		default:
			sum = either(sum, s)
		}
	}
	if sum == nil {
		return everything, nil
	}
	return sum, nil
}

// both is the shape of values that are of a and of b.
func both(a, b *shape) *shape {
	s := &shape{
		types: a.types & b.types, named: a.named || b.named, closed: a.closed || b.closed, deep: a.deep || b.deep,
		hasObject: a.hasObject || b.hasObject, hasItems: a.hasItems || b.hasItems, rest: pick(a.rest, b.rest), items: pick(a.items, b.items),
	}
	s.properties, s.required = map[string]*shape{}, map[string]bool{}
	for _, from := range []*shape{a, b} {
		for _, name := range from.order {
			if p := s.properties[name]; p != nil {
				s.properties[name] = both(p, from.properties[name])
				continue
			}
			s.properties[name] = from.properties[name]
			s.order = append(s.order, name)
		}
		for name := range from.required {
			s.required[name] = true
		}
	}
	return s
}

func pick(a, b *shape) *shape {
	if a == nil || b != nil && !a.named {
		return b
	}
	return a
}

// either is the shape of values that are of a or of b.
func either(a, b *shape) *shape {
	s := &shape{
		types: a.types | b.types, named: a.named && b.named, deep: a.deep || b.deep,
		hasObject: a.hasObject || b.hasObject, hasItems: a.hasItems || b.hasItems,
	}
	aObject, bObject := a.types&recordType != 0, b.types&recordType != 0
	s.closed = (a.closed || !aObject) && (b.closed || !bObject)
	s.properties, s.required = map[string]*shape{}, map[string]bool{}
	for _, from := range []*shape{a, b} {
		for _, name := range from.order {
			if p := s.properties[name]; p != nil {
				s.properties[name] = either(p, from.properties[name])
				continue
			}
			s.properties[name] = from.properties[name]
			s.order = append(s.order, name)
		}
	}
	// A property that only one alternative names may be anything in the other, if that is open.
	for _, name := range s.order {
		for _, other := range []*shape{a, b} {
			if other.types&recordType != 0 && other.properties[name] == nil && !other.closed {
				s.properties[name] = everything
			}
		}
	}
	for name := range a.required {
		s.required[name] = b.required[name] || !bObject
	}
	for name := range b.required {
		s.required[name] = s.required[name] || a.required[name] || !aObject
	}
	switch {
	case a.items != nil && b.items != nil:
		s.items = either(a.items, b.items)
	case a.types&listType == 0:
		s.items = b.items
	case b.types&listType == 0:
		s.items = a.items
	}
	if a.rest != nil && b.rest != nil {
		s.rest = either(a.rest, b.rest)
	}
	return s
}
