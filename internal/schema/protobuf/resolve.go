package protobuf

import (
	"fmt"
	"strings"

	"kelp/internal/schema"
)

// table is every type and extension that a schema can name, as a tree of name parts.
type table struct{ root *node }

type node struct {
	name     string
	fullName string
	children map[string]*node
	info     *typeInfo
	others   []*typeInfo // of files that have the same name
	ext      *field
}

// declare adds a type; the last one is what the name means, unless a scope sees only others.
func (n *node) declare(i *typeInfo) {
	if n.info != nil {
		n.others = append(n.others, n.info)
	}
	n.info = i
}

// typeInfo is a type where it is declared.
type typeInfo struct {
	node       *node
	pkg        string
	file       string // import path, "" for the schema's own file
	message    *message
	enum       *enum
	key, value string // of a map entry
	mapEntry   bool
}

func (i *typeInfo) isMap() bool { return i.mapEntry }

func (n *node) child(name string) *node {
	if c := n.children[name]; c != nil {
		return c
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := &node{name: name, fullName: qualifiedName(n.fullName, name)}
	n.children[name] = c
	return c
}

// find walks a dotted name downwards.
func (n *node) find(name string) *node {
	for n != nil && name != "" {
		var part string
		part, name, _ = strings.Cut(name, ".")
		n = n.children[part]
	}
	return n
}

func newTable() *table { return &table{root: &node{}} }

// add enters a file's declarations; a later file wins where names clash.
func (t *table) add(path string, f *file) {
	n := t.root
	if f.pkg != "" {
		for part := range strings.SplitSeq(f.pkg, ".") {
			n = n.child(part)
		}
	}
	a := adder{path: path, pkg: f.pkg}
	a.types(n, f.types)
	a.extends(n, f.extends)
}

type adder struct{ path, pkg string }

func (a adder) types(n *node, types []typ) {
	for _, each := range types {
		c := n.child(each.name())
		info := &typeInfo{node: c, pkg: a.pkg, file: a.path, message: each.message, enum: each.enum}
		c.declare(info)
		if m := each.message; m != nil {
			if m.mapEntry() {
				a.mapEntry(info, m)
			}
			a.inner(c, m)
		}
	}
}

func (a adder) mapEntry(info *typeInfo, m *message) {
	if key, value := m.field("key"), m.field("value"); key != nil && value != nil {
		info.mapEntry, info.key, info.value = true, key.typ, value.typ
	}
}

func (a adder) inner(n *node, m *message) {
	a.types(n, m.types)
	a.extends(n, m.extends)
	a.groups(n, m.groups)
	for _, o := range m.oneofs {
		a.groups(n, o.groups)
	}
}

func (a adder) groups(n *node, groups []*group) {
	for _, g := range groups {
		c := n.child(g.body.name)
		c.declare(&typeInfo{node: c, pkg: a.pkg, file: a.path, message: g.body})
		a.inner(c, g.body)
	}
}

func (a adder) extends(n *node, extends []*extend) {
	for _, e := range extends {
		for _, f := range e.fields {
			n.child(f.name).ext = f
		}
		a.groups(n, e.groups)
	}
}

// scope resolves names as written at some place of a file: from the innermost declaration
// outwards, the first full match wins. One that is limited to visible files is protoc's: where the
// first part of a name is found, the others must be too.
type scope struct {
	types   *table
	path    []*node // the root first
	visible map[string]bool
}

func newScope(types *table, pkg string) *scope {
	s := &scope{types: types, path: []*node{types.root}}
	if pkg != "" {
		for part := range strings.SplitSeq(pkg, ".") {
			s.enter(part)
		}
	}
	return s
}

func (s *scope) enter(name string) {
	n := s.path[len(s.path)-1].children[name]
	if n == nil {
		n = &node{name: name, fullName: qualifiedName(s.path[len(s.path)-1].fullName, name)}
	}
	s.path = append(s.path, n)
}

func (s *scope) leave() { s.path = s.path[:len(s.path)-1] }

func (s *scope) find(name string, is func(*node) bool) *node {
	if absolute, ok := strings.CutPrefix(name, "."); ok {
		if n := s.types.root.find(absolute); n != nil && is(n) {
			return n
		}
		return nil
	}
	for i := len(s.path) - 1; i >= 0; i-- {
		if n := s.path[i].find(name); n != nil && is(n) {
			return n
		}
		if first, _, dotted := strings.Cut(name, "."); s.visible != nil && dotted {
			// A message, an enum or a package of that name ends the search.
			if n := s.path[i].children[first]; n != nil && (s.typeOf(n) != nil || n.info == nil && n.ext == nil) {
				return nil
			}
		}
	}
	return nil
}

// typeOf is the type that a node is for this scope, nil for none.
func (s *scope) typeOf(n *node) *typeInfo {
	if n.info == nil || s.visible == nil || s.visible[n.info.file] {
		return n.info
	}
	for _, i := range n.others {
		if s.visible[i.file] {
			return i
		}
	}
	return nil
}

// lookup finds a type, nil if there is none.
func (s *scope) lookup(name string) *typeInfo {
	n := s.find(name, func(n *node) bool { return s.typeOf(n) != nil })
	if n == nil {
		return nil
	}
	return s.typeOf(n)
}

// resolve gives a type's full name.
func (s *scope) resolve(name string) (string, bool) {
	i := s.lookup(name)
	if i == nil {
		return "", false
	}
	return i.node.fullName, true
}

// extension finds an extension field and its full name.
func (s *scope) extension(name string) (string, *field) {
	n := s.find(name, func(n *node) bool { return n.ext != nil })
	if n == nil {
		return "", nil
	}
	return n.fullName, n.ext
}

// qualify gives a type's full name with a leading dot; a name that is not there ends parsing.
func (s *scope) qualify(name string) string {
	full, ok := s.resolve(name)
	if !ok {
		panic(syntaxError{fmt.Errorf("%w: could not resolve type: %s", schema.ErrInvalid, shorten(name))})
	}
	return "." + full
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
