package avro

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema/jsontree"
)

// normalize returns a copy in the registry's normal form: logical type first and then the other
// properties by name, aliases by name, members of defaults and properties by name, empty
// documentation of types gone, numbers of defaults spelled as the type reads them.
func normalize(n *node) *node { return (&normalizer{done: map[*node]*node{}}).node(n) }

type normalizer struct{ done map[*node]*node }

func (z *normalizer) node(n *node) *node {
	if c := z.done[n]; c != nil {
		return c
	}
	c := *n
	z.done[n] = &c
	c.isError = false
	if c.doc != nil && *c.doc == "" {
		c.doc = nil
	}
	c.props = normalProps(n.props, n.logical)
	if n.kind != union && n.items == nil && n.aliases != nil {
		c.aliases = slices.Clone(n.aliases)
		slices.SortFunc(c.aliases, func(a, b name) int { return strings.Compare(a.full(), b.full()) })
	}
	if n.items != nil {
		c.items = z.node(n.items)
	}
	if n.types != nil {
		c.types = make([]*node, len(n.types))
		for i, t := range n.types {
			c.types[i] = z.node(t)
		}
	}
	if n.fields != nil {
		c.fields = make([]*field, len(n.fields))
		for i, f := range n.fields {
			c.fields[i] = z.field(f)
		}
	}
	return &c
}

func (z *normalizer) field(f *field) *field {
	c := *f
	c.typ = z.node(f.typ)
	c.aliases = slices.Clone(f.aliases)
	slices.Sort(c.aliases)
	c.deflt = normalDefault(f.typ, f.deflt)
	c.props = normalProps(f.props, nil)
	return &c
}

func normalProps(props []jsontree.Member, l *logical) []jsontree.Member {
	if len(props) == 0 {
		return props
	}
	sorted := (&jsontree.Node{Kind: jsontree.Object, Members: props}).Sorted().Members
	if l == nil {
		return sorted
	}
	first := []string{"logicalType"}
	if l.name == "decimal" {
		first = append(first, "precision")
		if l.scale != 0 {
			first = append(first, "scale")
		}
	}
	out := make([]jsontree.Member, 0, len(sorted))
	for _, name := range first {
		for _, m := range sorted {
			if m.Name == name {
				out = append(out, m)
			}
		}
	}
	for _, m := range sorted {
		if !slices.Contains(first, m.Name) {
			out = append(out, m)
		}
	}
	return out
}

// normalDefault spells a default as its type reads it. A union is taken as its first branch; what
// does not fit the type is dropped, as the registry does.
func normalDefault(n *node, v *jsontree.Node) *jsontree.Node {
	if v == nil {
		return nil
	}
	if n != nil && n.kind == union {
		if len(n.types) == 0 {
			return nil
		}
		return normalDefault(n.types[0], v)
	}
	switch v.Kind {
	case jsontree.Integer, jsontree.Fraction:
		return normalNumber(n, v)
	case jsontree.String:
		if n == nil || n.kind == stringKind || n.kind == enum || n.kind == bytesKind || n.kind == fixed {
			return v
		}
		return nil
	case jsontree.Array:
		c := &jsontree.Node{Kind: jsontree.Array, Items: make([]*jsontree.Node, 0, len(v.Items))}
		var of *node
		if n != nil {
			of = n.items
		}
		for _, item := range v.Items {
			if d := normalDefault(of, item); d != nil {
				c.Items = append(c.Items, d)
			}
		}
		return c
	case jsontree.Object:
		c := &jsontree.Node{Kind: jsontree.Object, Members: []jsontree.Member{}}
		for _, m := range v.Members {
			var of *node
			if n != nil && n.kind == mapKind {
				of = n.items
			} else if n != nil && n.kind == recordKind {
				if f := n.field(m.Name); f != nil {
					of = f.typ
				}
			}
			if d := normalDefault(of, m.Value); d != nil {
				c.Members = append(c.Members, jsontree.Member{Name: m.Name, Value: d})
			}
		}
		return c.Sorted()
	default:
		return v
	}
}

func normalNumber(n *node, v *jsontree.Node) *jsontree.Node {
	if n == nil {
		return v
	}
	switch {
	case n.kind == double:
		return &jsontree.Node{Kind: jsontree.Fraction, Text: strconv.FormatFloat(v.Double(), 'E', -1, 64)}
	case n.kind == float:
		f := v.Double()
		if math.IsNaN(f) {
			return v
		}
		return &jsontree.Node{Kind: jsontree.Fraction, Text: strconv.FormatFloat(float64(float32(f)), 'E', -1, 32)}
	case v.Kind == jsontree.Integer && (n.kind == integer || n.kind == long):
		return v
	default:
		return nil
	}
}
