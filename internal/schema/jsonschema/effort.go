package jsonschema

import (
	library "github.com/santhosh-tekuri/jsonschema/v6"

	"kelp/internal/schema/jsontree"
)

// maxVisits bounds how often a schema meets a value while one document is checked. References let a small schema meet a
// value any number of times: ten schemas that each apply the next one twice are a thousand.
const maxVisits = 4 << 20

// effort counts the steps that the library takes at most for a document.
type effort struct{ left int }

// affordable says whether the library may check a document.
func affordable(s *library.Schema, n *jsontree.Node) bool {
	e := &effort{left: maxVisits}
	e.visit(s, n, nil)
	return e.left > 0
}

// way is how the library got to a schema without leaving a value: it turns back where that goes round.
type way struct {
	s  *library.Schema
	up *way
}

func (e *effort) visit(s *library.Schema, n *jsontree.Node, up *way) {
	e.left--
	for w := up; w != nil; w = w.up {
		if e.left--; w.s == s {
			return
		}
	}
	if s == nil || e.left <= 0 {
		return
	}
	here := &way{s, up}
	for _, next := range [...]*library.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else} {
		if next != nil {
			e.visit(next, n, here)
		}
	}
	if s.DynamicRef != nil {
		e.visit(s.DynamicRef.Ref, n, here)
	}
	for _, list := range [...][]*library.Schema{s.AllOf, s.AnyOf, s.OneOf} {
		for _, next := range list {
			e.visit(next, n, here)
		}
	}
	switch n.Kind {
	case jsontree.Object:
		e.object(s, n, here)
	case jsontree.Array:
		e.array(s, n)
	default:
	}
}

func (e *effort) object(s *library.Schema, n *jsontree.Node, here *way) {
	for _, next := range s.DependentSchemas {
		e.visit(next, n, here)
	}
	for _, dependency := range s.Dependencies {
		if next, ok := dependency.(*library.Schema); ok {
			e.visit(next, n, here)
		}
	}
	for _, m := range n.Members {
		if e.left--; e.left <= 0 {
			return
		}
		next := s.Properties[m.Name]
		if next == nil {
			next, _ = s.AdditionalProperties.(*library.Schema)
		}
		if next != nil {
			e.visit(next, m.Value, nil)
		}
		for _, next := range s.PatternProperties {
			e.visit(next, m.Value, nil)
		}
		if s.UnevaluatedProperties != nil {
			e.visit(s.UnevaluatedProperties, m.Value, nil)
		}
	}
}

func (e *effort) array(s *library.Schema, n *jsontree.Node) {
	single, _ := s.Items.(*library.Schema)
	tuple, _ := s.Items.([]*library.Schema)
	rest, _ := s.AdditionalItems.(*library.Schema)
	if s.DraftVersion >= 2020 {
		tuple, rest = s.PrefixItems, s.Items2020
	}
	for i, item := range n.Items {
		if e.left--; e.left <= 0 {
			return
		}
		next := rest
		if single != nil {
			next = single
		} else if i < len(tuple) {
			next = tuple[i]
		}
		for _, each := range [...]*library.Schema{next, s.Contains, s.UnevaluatedItems} {
			if each != nil {
				e.visit(each, item, nil)
			}
		}
	}
}
