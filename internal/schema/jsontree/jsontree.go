// Package jsontree reads JSON into a tree that keeps what the registry keeps: the order of
// members and the spelling class of numbers. It prints trees as the registry prints them (the
// bytes decide ids and guids, so "almost the same JSON" is not enough).
//
// The main type is [Node]. Invariants: depth and size are bounded before memory is spent, a
// duplicate member takes the place of the first and the value of the last, and printing a tree
// and reading it again gives the same tree.
package jsontree

import (
	"cmp"
	"slices"
)

// Kind says what a node holds.
type Kind uint8

// The kinds of JSON values. Integers and fractions are apart: the registry prints them differently.
const (
	Null Kind = iota
	Bool
	Integer
	Fraction
	String
	Array
	Object
)

// Node is one JSON value.
type Node struct {
	Kind    Kind
	Bool    bool
	Text    string // of a string its value, of a number its literal
	Items   []*Node
	Members []Member
}

// Member is one member of an object.
type Member struct {
	Name  string
	Value *Node
}

// Get returns the member's value, nil when the node has none of that name.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Members {
		if n.Members[i].Name == name {
			return n.Members[i].Value
		}
	}
	return nil
}

// StringAt returns the member's text when it is a string.
func (n *Node) StringAt(name string) (string, bool) {
	if v := n.Get(name); v != nil && v.Kind == String {
		return v.Text, true
	}
	return "", false
}

// NewString returns a string node.
func NewString(text string) *Node { return &Node{Kind: String, Text: text} }

// Sorted returns a copy whose members are in order of their names at every level.
func (n *Node) Sorted() *Node {
	c := *n
	if n.Items != nil {
		c.Items = make([]*Node, len(n.Items))
		for i, item := range n.Items {
			c.Items[i] = item.Sorted()
		}
	}
	if n.Members != nil {
		c.Members = make([]Member, len(n.Members))
		for i, m := range n.Members {
			c.Members[i] = Member{Name: m.Name, Value: m.Value.Sorted()}
		}
		slices.SortStableFunc(c.Members, func(a, b Member) int { return compareUTF16(a.Name, b.Name) })
	}
	return &c
}

// compareUTF16 orders as Java does: by UTF-16 units, which differs from bytes above the basic plane.
func compareUTF16(a, b string) int {
	x, y := []rune(a), []rune(b)
	for i := range min(len(x), len(y)) {
		if x[i] == y[i] {
			continue
		}
		// A surrogate (0xD800..0xDFFF) stands below 0xE000..0xFFFF.
		xs, ys := x[i] > 0xFFFF, y[i] > 0xFFFF
		switch {
		case xs && !ys && y[i] >= 0xE000:
			return -1
		case ys && !xs && x[i] >= 0xE000:
			return 1
		default:
			return cmp.Compare(x[i], y[i])
		}
	}
	return cmp.Compare(len(x), len(y))
}

// Equal tells whether two values are the same: order of members does not matter, the kind and
// spelling of numbers does.
func Equal(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Bool != b.Bool || len(a.Items) != len(b.Items) || len(a.Members) != len(b.Members) {
		return false
	}
	switch a.Kind {
	case Integer, Fraction:
		return string(a.Append(nil, Doubles)) == string(b.Append(nil, Doubles))
	case String:
		return a.Text == b.Text
	default:
	}
	for i := range a.Items {
		if !Equal(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for _, m := range a.Members {
		if v := b.Get(m.Name); v == nil || !Equal(m.Value, v) {
			return false
		}
	}
	return true
}
