package avro

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema"
	"kelp/internal/schema/jsontree"
)

// Members that Avro itself reads; all others are properties and kept.
var (
	schemaReserved = reserved("doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases")
	enumReserved   = reserved("doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases", "default")
	fieldReserved  = reserved("default", "doc", "name", "order", "type", "aliases")
)

func reserved(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// parser reads texts one after the other; a text may use the names of those before it and, inside
// itself, names that it defines later.
type parser struct {
	names   map[string]*node
	pending []*node // unresolved names of the text at hand, to be filled in at its end
	records []*node // of the text at hand, for the checks that need resolved types
	unions  []*node
	stored  bool // neither defaults nor namespaces are checked
}

func newParser() *parser { return &parser{names: map[string]*node{}} }

func (p *parser) parse(text string) (*node, error) {
	tree, err := jsontree.Parse(text, jsontree.Options{MaxDepth: schema.MaxDepth, Comments: true})
	if err != nil {
		return nil, err
	}
	p.pending, p.records, p.unions = nil, nil, nil
	root, err := p.schema(tree, "")
	if err != nil {
		return nil, err
	}
	return p.resolve(root)
}

// resolve puts the definition in the place of every name that was used before it.
func (p *parser) resolve(root *node) (*node, error) {
	defined := make(map[*node]*node, len(p.pending))
	for _, n := range p.pending {
		d := p.names[n.name.full()]
		if d == nil {
			return nil, fmt.Errorf("undefined name: %q", n.name.full())
		}
		defined[n] = d
	}
	replace := func(slot **node) {
		if d := defined[*slot]; d != nil {
			*slot = d
		}
	}
	seen := map[*node]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, f := range n.fields {
			replace(&f.typ)
			walk(f.typ)
		}
		if n.items != nil {
			replace(&n.items)
			walk(n.items)
		}
		for i := range n.types {
			replace(&n.types[i])
			walk(n.types[i])
		}
	}
	replace(&root)
	walk(root)
	for _, u := range p.unions {
		if err := checkUnion(u); err != nil {
			return nil, err
		}
	}
	for _, r := range p.records {
		for _, f := range r.fields {
			if f.deflt != nil && !p.stored && !validDefault(f.typ, f.deflt, 0) {
				return nil, fmt.Errorf("invalid default for field %s: %s not a %s",
					f.name, f.deflt.Print(jsontree.Doubles), f.typ.fullName())
			}
		}
	}
	return root, nil
}

func checkUnion(u *node) error {
	seen := make(map[string]bool, len(u.types))
	for _, t := range u.types {
		if t.kind == union {
			return errors.New("nested union: a union cannot be a branch of a union")
		}
		n := t.fullName()
		if seen[n] {
			return fmt.Errorf("duplicate in union: %s", n)
		}
		seen[n] = true
	}
	return nil
}

func (p *parser) schema(t *jsontree.Node, namespace string) (*node, error) {
	switch t.Kind {
	case jsontree.String:
		return p.find(t.Text, namespace), nil
	case jsontree.Array:
		u := &node{kind: union, types: make([]*node, 0, len(t.Items))}
		for _, item := range t.Items {
			b, err := p.schema(item, namespace)
			if err != nil {
				return nil, err
			}
			u.types = append(u.types, b)
		}
		p.unions = append(p.unions, u)
		return u, nil
	case jsontree.Object:
		return p.object(t, namespace)
	default:
		return nil, fmt.Errorf("schema not yet supported: %s", t.Print(jsontree.Doubles))
	}
}

// find looks a name up: the full name first, then as written; else it stays open until the text ends.
func (p *parser) find(text, namespace string) *node {
	if k, ok := primitives[text]; ok {
		return &node{kind: k}
	}
	full := text
	if namespace != "" && !strings.Contains(text, ".") {
		full = namespace + "." + text
	}
	if n := p.names[full]; n != nil {
		return n
	}
	if n := p.names[text]; n != nil {
		return n
	}
	n := &node{kind: unresolved, name: name{simple: full}}
	p.pending = append(p.pending, n)
	return n
}

func (p *parser) object(t *jsontree.Node, namespace string) (*node, error) {
	typ, ok := t.StringAt("type")
	if !ok {
		return nil, fmt.Errorf("no type: %s", brief(t))
	}
	if k, ok := primitives[typ]; ok {
		n := &node{kind: k}
		return n, n.properties(t, schemaReserved)
	}
	switch typ {
	case "record", "error":
		return p.record(t, namespace, typ == "error")
	case "enum":
		return p.enum(t, namespace)
	case "fixed":
		return p.fixed(t, namespace)
	case "array":
		return p.collection(t, namespace, array, "items")
	case "map":
		return p.collection(t, namespace, mapKind, "values")
	default:
		return p.find(typ, namespace), nil
	}
}

func (p *parser) collection(t *jsontree.Node, namespace string, k kind, member string) (*node, error) {
	of := t.Get(member)
	if of == nil {
		return nil, fmt.Errorf("%s has no %s type: %s", k, member, brief(t))
	}
	n := &node{kind: k}
	var err error
	if n.items, err = p.schema(of, namespace); err != nil {
		return nil, err
	}
	return n, n.properties(t, schemaReserved)
}

// head reads what all named types have.
func head(t *jsontree.Node, namespace string, k kind) (*node, error) {
	if s, ok := t.StringAt("namespace"); ok {
		namespace = s
	}
	text, ok := t.StringAt("name")
	if !ok {
		return nil, fmt.Errorf("no name in schema: %s", brief(t))
	}
	nm, err := newName(text, namespace)
	if err != nil {
		return nil, err
	}
	if _, ok := primitives[nm.full()]; ok {
		return nil, fmt.Errorf("schemas may not be named after primitives: %s", nm.full())
	}
	return &node{kind: k, name: nm, doc: text0(t, "doc")}, nil
}

// text0 is a member's text, nil when it is absent or no string.
func text0(t *jsontree.Node, member string) *string {
	if s, ok := t.StringAt(member); ok {
		return &s
	}
	return nil
}

func (p *parser) record(t *jsontree.Node, namespace string, isError bool) (*node, error) {
	n, err := head(t, namespace, recordKind)
	if err != nil {
		return nil, err
	}
	n.isError = isError
	fields := t.Get("fields")
	if fields == nil || fields.Kind != jsontree.Array {
		return nil, fmt.Errorf("record has no fields: %s", brief(t))
	}
	n.byName = make(map[string]int, len(fields.Items))
	for _, ft := range fields.Items {
		f, err := p.field(ft, n.name.space)
		if err != nil {
			return nil, err
		}
		if _, dup := n.byName[f.name]; dup {
			return nil, fmt.Errorf("duplicate field %s in record %s", f.name, n.name.full())
		}
		n.byName[f.name] = len(n.fields)
		n.fields = append(n.fields, f)
	}
	p.records = append(p.records, n)
	return p.define(n, t, schemaReserved)
}

func (p *parser) field(t *jsontree.Node, namespace string) (*field, error) {
	text, ok := t.StringAt("name")
	if !ok {
		return nil, fmt.Errorf("no field name: %s", brief(t))
	}
	if err := checkName(text); err != nil {
		return nil, err
	}
	typ := t.Get("type")
	if typ == nil {
		return nil, fmt.Errorf("no field type: %s", brief(t))
	}
	f := &field{name: text, doc: text0(t, "doc"), deflt: t.Get("default")}
	var err error
	if f.typ, err = p.schema(typ, namespace); err != nil {
		return nil, err
	}
	if order := t.Get("order"); order != nil {
		switch o := strings.ToLower(order.Text); {
		case order.Kind == jsontree.String && (o == "descending" || o == "ignore"):
			f.order = o
		case order.Kind != jsontree.String || o != "ascending":
			return nil, fmt.Errorf("field %s: unknown order %s", f.name, brief(order))
		}
	}
	if f.deflt != nil && (f.typ.kind == float || f.typ.kind == double) && f.deflt.Kind == jsontree.String {
		v, err := strconv.ParseFloat(strings.TrimSpace(f.deflt.Text), 64)
		if err != nil && !math.IsInf(v, 0) {
			return nil, fmt.Errorf("invalid default for field %s: %q is not a number", f.name, f.deflt.Text)
		}
		f.deflt = &jsontree.Node{Kind: jsontree.Fraction, Text: strconv.FormatFloat(v, 'E', -1, 64)}
	}
	if f.aliases, err = aliases(t); err != nil {
		return nil, err
	}
	for _, m := range t.Members {
		if !fieldReserved[m.Name] {
			f.props = append(f.props, m)
		}
	}
	return f, nil
}

func (p *parser) enum(t *jsontree.Node, namespace string) (*node, error) {
	n, err := head(t, namespace, enum)
	if err != nil {
		return nil, err
	}
	symbols := t.Get("symbols")
	if symbols == nil || symbols.Kind != jsontree.Array {
		return nil, fmt.Errorf("enum has no symbols: %s", brief(t))
	}
	n.ordinal = make(map[string]int, len(symbols.Items))
	for _, s := range symbols.Items {
		if s.Kind != jsontree.String {
			return nil, fmt.Errorf("enum %s: a symbol is not a string: %s", n.name.full(), brief(s))
		}
		if err := checkName(s.Text); err != nil {
			return nil, err
		}
		if _, dup := n.ordinal[s.Text]; dup {
			return nil, fmt.Errorf("duplicate enum symbol: %s", s.Text)
		}
		n.ordinal[s.Text] = len(n.symbols)
		n.symbols = append(n.symbols, s.Text)
	}
	n.deflt = text0(t, "default")
	if n.deflt != nil {
		if _, ok := n.ordinal[*n.deflt]; !ok {
			return nil, fmt.Errorf("the enum default %s is not in the enum symbol set: %v", *n.deflt, n.symbols)
		}
	}
	return p.define(n, t, enumReserved)
}

func (p *parser) fixed(t *jsontree.Node, namespace string) (*node, error) {
	n, err := head(t, namespace, fixed)
	if err != nil {
		return nil, err
	}
	size := t.Get("size")
	if size == nil || size.Kind != jsontree.Integer {
		return nil, fmt.Errorf("invalid or no size: %s", brief(t))
	}
	v, err := strconv.ParseInt(size.Text, 10, 32)
	if err != nil || v < 0 || v > math.MaxInt32-8 {
		return nil, fmt.Errorf("invalid or no size: %s", brief(t))
	}
	n.size = int(v)
	return p.define(n, t, schemaReserved)
}

// define reads properties and aliases and makes the name known. The same definition again is fine.
func (p *parser) define(n *node, t *jsontree.Node, reserved map[string]bool) (*node, error) {
	if err := n.properties(t, reserved); err != nil {
		return nil, err
	}
	list, err := aliases(t)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		nm, err := newName(a, n.name.space)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(n.aliases, nm) {
			n.aliases = append(n.aliases, nm)
		}
	}
	full := n.name.full()
	for part := range strings.SplitSeq(full, ".") {
		if err := checkName(part); err != nil && !p.stored {
			return nil, err
		}
	}
	if other := p.names[full]; other != nil {
		if !sameDefinition(other, n) {
			return nil, fmt.Errorf("can't redefine: %s", full)
		}
		return other, nil
	}
	p.names[full] = n
	return n, nil
}

func (n *node) properties(t *jsontree.Node, reserved map[string]bool) error {
	for _, m := range t.Members {
		if !reserved[m.Name] {
			n.props = append(n.props, m)
		}
	}
	n.logical = logicalOf(n)
	return nil
}

// aliases reads a list of names without its repetitions; nil when there is none.
func aliases(t *jsontree.Node) ([]string, error) {
	list := t.Get("aliases")
	if list == nil {
		return nil, nil
	}
	if list.Kind != jsontree.Array {
		return nil, fmt.Errorf("aliases not an array: %s", brief(t))
	}
	var out []string
	seen := map[string]bool{}
	for _, a := range list.Items {
		if a.Kind != jsontree.String {
			return nil, fmt.Errorf("alias not a string: %s", brief(a))
		}
		if !seen[a.Text] {
			seen[a.Text] = true
			out = append(out, a.Text)
		}
	}
	return out, nil
}

// maxBrief bounds the piece of a schema that a message or a difference shows.
const maxBrief = 200

func brief(t *jsontree.Node) string { return shorten(t.Print(jsontree.Doubles)) }

func shorten(s string) string {
	if len(s) > maxBrief {
		return strings.ToValidUTF8(s[:maxBrief], "") + "…"
	}
	return s
}
