package avro

import (
	"errors"
	"fmt"
	"strings"

	"kelp/internal/schema/jsontree"
)

// newName reads a name as a text writes it: dots in it are its own namespace.
func newName(text, namespace string) (name, error) {
	n := name{space: namespace, simple: text}
	if i := strings.LastIndexByte(text, '.'); i >= 0 {
		n = name{space: text[:i], simple: text[i+1:]}
	}
	return n, checkName(n.simple)
}

// checkName is Avro's strict rule for new schemas: letters, digits and underscores of ASCII.
func checkName(s string) error {
	if s == "" {
		return errors.New("empty name")
	}
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		switch {
		case letter, i > 0 && c >= '0' && c <= '9':
		case i == 0:
			return fmt.Errorf("illegal initial character: %s", shorten(s))
		default:
			return fmt.Errorf("illegal character in: %s", shorten(s))
		}
	}
	return nil
}

// sameDefinition tells whether a repeated definition says the same: name, shape and properties
// count, documentation and aliases do not.
func sameDefinition(a, b *node) bool {
	type pair struct{ a, b *node }
	seen := map[pair]bool{}
	var same func(a, b *node) bool
	same = func(a, b *node) bool {
		if a == b || seen[pair{a, b}] {
			return true
		}
		seen[pair{a, b}] = true
		if a.kind == unresolved || b.kind == unresolved {
			return a.fullName() == b.fullName()
		}
		if a.kind != b.kind || a.fullName() != b.fullName() || a.size != b.size || !sameProps(a.props, b.props) ||
			len(a.fields) != len(b.fields) || len(a.symbols) != len(b.symbols) || len(a.types) != len(b.types) {
			return false
		}
		for i, s := range a.symbols {
			if s != b.symbols[i] {
				return false
			}
		}
		for i, f := range a.fields {
			g := b.fields[i]
			if f.name != g.name || f.order != g.order || !jsontree.Equal(f.deflt, g.deflt) ||
				!sameProps(f.props, g.props) || !same(f.typ, g.typ) {
				return false
			}
		}
		for i, t := range a.types {
			if !same(t, b.types[i]) {
				return false
			}
		}
		return a.items == nil || same(a.items, b.items)
	}
	return same(a, b)
}

func sameProps(a, b []jsontree.Member) bool {
	return jsontree.Equal(&jsontree.Node{Kind: jsontree.Object, Members: a}, &jsontree.Node{Kind: jsontree.Object, Members: b})
}
