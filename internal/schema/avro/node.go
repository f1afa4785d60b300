package avro

import (
	"strings"

	"kelp/internal/schema/jsontree"
)

type kind uint8

const (
	unresolved kind = iota // a name that nothing has defined yet; gone after parsing
	null
	boolean
	integer
	long
	float
	double
	bytesKind
	stringKind
	recordKind
	enum
	fixed
	array
	mapKind
	union
)

var kindNames = [...]string{
	"", "null", "boolean", "int", "long", "float", "double", "bytes", "string",
	"record", "enum", "fixed", "array", "map", "union",
}

func (k kind) String() string { return kindNames[k] }

// upper is the kind's name in the registry's messages.
func (k kind) upper() string { return strings.ToUpper(k.String()) }

var primitives = map[string]kind{
	"null": null, "boolean": boolean, "int": integer, "long": long, "float": float, "double": double,
	"bytes": bytesKind, "string": stringKind,
}

func (k kind) named() bool { return k == recordKind || k == enum || k == fixed }

// name is a full name in its two parts; space is empty in the default namespace.
type name struct{ space, simple string }

func (n name) full() string {
	if n.space == "" {
		return n.simple
	}
	return n.space + "." + n.simple
}

// relative is how a text inside namespace writes the name: bare when that is unambiguous.
func (n name) relative(namespace string) string {
	if n.space != "" && n.space == namespace {
		for _, k := range kindNames {
			if k == n.simple {
				return n.full()
			}
		}
		return n.simple
	}
	return n.full()
}

// node is one type of a parsed schema. Named types are shared by everything that names them, so
// recursive schemas are cyclic graphs.
type node struct {
	kind    kind
	name    name
	isError bool
	doc     *string
	aliases []name // of named types

	fields  []*field
	byName  map[string]int
	symbols []string
	ordinal map[string]int
	deflt   *string // of an enum
	size    int
	items   *node   // of an array its elements, of a map its values
	types   []*node // of a union

	props   []jsontree.Member // what is not Avro's own, in the order of the text
	logical *logical          // nil when absent or not valid on this kind
	least   int64             // bytes that every value takes
}

type field struct {
	name    string
	typ     *node
	doc     *string
	deflt   *jsontree.Node
	order   string // empty for ascending
	aliases []string
	props   []jsontree.Member
}

// logical is a logical type that is valid on its node.
type logical struct {
	name             string
	precision, scale int // of a decimal
}

// fullName is the name that tells the branches of a union apart.
func (n *node) fullName() string {
	if n.kind.named() || n.kind == unresolved {
		return n.name.full()
	}
	return n.kind.String()
}

func (n *node) field(name string) *field {
	if i, ok := n.byName[name]; ok {
		return n.fields[i]
	}
	return nil
}
