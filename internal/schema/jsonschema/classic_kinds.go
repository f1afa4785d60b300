package jsonschema

import (
	"fmt"
	"strings"

	"kelp/internal/schema/jsontree"
)

func (x *extraction) arrayRule(required bool) (*rule, error) {
	x.use(x.scope.draft.arrayKeywords()...)
	a := &arrayRule{required: required}
	if err := x.integer("minItems", &a.minItems); err != nil {
		return nil, err
	}
	if err := x.integer("maxItems", &a.maxItems); err != nil {
		return nil, err
	}
	if v := x.node.Get("uniqueItems"); v != nil {
		if v.Kind != jsontree.Bool {
			return nil, fmt.Errorf("uniqueItems: expected a boolean, found %s", brief(v))
		}
		a.unique = v.Bool
	}
	var err error
	if v := x.node.Get("additionalItems"); v != nil {
		if a.closed, a.additional, err = x.additional("additionalItems", v); err != nil {
			return nil, err
		}
	}
	if v := x.node.Get("items"); v != nil {
		if err := x.items(a, v); err != nil {
			return nil, err
		}
	}
	if v := x.node.Get("contains"); v != nil && x.scope.draft != draft4 {
		if a.contains, err = x.child(v); err != nil {
			return nil, err
		}
	}
	return &rule{kind: arrayKind, arr: a}, nil
}

func (x *extraction) items(a *arrayRule, v *jsontree.Node) (err error) {
	switch {
	case v.Kind == jsontree.Array:
		for _, item := range v.Items {
			r, err := x.child(item)
			if err != nil {
				return err
			}
			a.items, a.tuple = append(a.items, r), true
		}
		return nil
	case v.Kind == jsontree.Object, v.Kind == jsontree.Bool && x.scope.draft != draft4:
		a.all, err = x.child(v)
		return err
	default:
		return fmt.Errorf("items: expected a schema or an array, found %s", brief(v))
	}
}

// additional reads additionalItems and additionalProperties: false closes, a schema covers the rest.
func (x *extraction) additional(keyword string, v *jsontree.Node) (closed bool, of *rule, err error) {
	switch v.Kind {
	case jsontree.Bool:
		return !v.Bool, nil, nil
	case jsontree.Object:
		of, err = x.child(v)
		return false, of, err
	default:
		return false, nil, fmt.Errorf("%s: expected a boolean or an object, found %s", keyword, brief(v))
	}
}

func (x *extraction) objectRule(required bool) (*rule, error) {
	x.use(x.scope.draft.objectKeywords()...)
	o := &objectRule{required: required, properties: map[string]*rule{}}
	if err := x.integer("minProperties", &o.minProps); err != nil {
		return nil, err
	}
	if err := x.integer("maxProperties", &o.maxProps); err != nil {
		return nil, err
	}
	for _, step := range []func(*objectRule) error{x.properties, x.requiredNames, x.patternProperties, x.dependencies} {
		if err := step(o); err != nil {
			return nil, err
		}
	}
	var err error
	if v := x.node.Get("additionalProperties"); v != nil {
		if o.closed, o.additional, err = x.additional("additionalProperties", v); err != nil {
			return nil, err
		}
	}
	if v := x.node.Get("propertyNames"); v != nil && x.scope.draft != draft4 {
		if o.names, err = x.child(v); err != nil {
			return nil, err
		}
	}
	return &rule{kind: objectKind, obj: o}, nil
}

// members returns the members of a keyword that must be an object.
func (x *extraction) members(keyword string) ([]jsontree.Member, error) {
	v := x.node.Get(keyword)
	if v == nil {
		return nil, nil
	}
	if v.Kind != jsontree.Object {
		return nil, fmt.Errorf("%s: expected an object, found %s", keyword, brief(v))
	}
	return v.Members, nil
}

func (x *extraction) properties(o *objectRule) error {
	members, err := x.members("properties")
	if err != nil {
		return err
	}
	// The object of definitions is a scope like any other for the base of references.
	within := x.scope
	if v := x.node.Get("properties"); v != nil {
		within = within.enter(v)
	}
	for _, m := range members {
		if m.Name == x.scope.draft.idKeyword() && m.Value.Kind != jsontree.Object {
			continue
		}
		r, err := x.loader.child(m.Value, within)
		if err != nil {
			return fmt.Errorf("properties/%s: %w", m.Name, err)
		}
		o.properties[m.Name] = r
		o.order = append(o.order, m.Name)
	}
	return nil
}

func (x *extraction) requiredNames(o *objectRule) error {
	v := x.node.Get("required")
	if v == nil {
		return nil
	}
	if v.Kind != jsontree.Array {
		return fmt.Errorf("required: expected an array, found %s", brief(v))
	}
	names, err := texts("required", v)
	o.requiredNames = names
	return err
}

func texts(keyword string, v *jsontree.Node) ([]string, error) {
	out := make([]string, 0, len(v.Items))
	for _, item := range v.Items {
		if item.Kind != jsontree.String {
			return nil, fmt.Errorf("%s: expected a string, found %s", keyword, brief(item))
		}
		out = append(out, item.Text)
	}
	return out, nil
}

func (x *extraction) patternProperties(o *objectRule) error {
	members, err := x.members("patternProperties")
	if err != nil {
		return err
	}
	for _, m := range members {
		r, err := x.child(m.Value)
		if err != nil {
			return err
		}
		re, err := compilePattern(m.Name)
		if err != nil {
			return err
		}
		o.patterns = append(o.patterns, patternRule{pattern: m.Name, compile: re, rule: r})
	}
	return nil
}

func (x *extraction) dependencies(o *objectRule) error {
	members, err := x.members("dependencies")
	if err != nil {
		return err
	}
	for _, m := range members {
		switch {
		case m.Value.Kind == jsontree.Array:
			names, err := texts("dependencies", m.Value)
			if err != nil {
				return err
			}
			if len(names) > 0 {
				if o.needs == nil {
					o.needs = map[string][]string{}
				}
				o.needs[m.Name] = names
			}
		case m.Value.Kind == jsontree.Object, m.Value.Kind == jsontree.Bool && x.scope.draft != draft4:
			r, err := x.child(m.Value)
			if err != nil {
				return err
			}
			if o.dependentSchemas == nil {
				o.dependentSchemas = map[string]*rule{}
			}
			o.dependentSchemas[m.Name] = r
		default:
			return fmt.Errorf("dependencies: expected a schema or an array, found %s", brief(m.Value))
		}
	}
	return nil
}

func (x *extraction) reference() ([]*rule, error) {
	v := x.node.Get("$ref")
	if v.Kind != jsontree.String {
		return nil, fmt.Errorf("$ref: expected a string, found %s", brief(v))
	}
	r, err := x.loader.lookup(v.Text, x.scope)
	return []*rule{r}, err
}

// lookup finds what a reference means: a definition met before, an id in this document, a pointer
// into it, or another document by name.
func (l *classicLoader) lookup(ref string, s scope) (*rule, error) {
	absolute := resolve(s.base, ref)
	if k := l.knots[absolute]; k != nil {
		return k.reference(absolute), nil
	}
	if at, ok := l.byID(s)[absolute]; ok {
		return l.tie(ref, absolute, at.node, scope{root: s.root, draft: s.draft, base: at.base})
	}
	if strings.HasPrefix(ref, "#") {
		return l.within(ref, ref, absolute, s)
	}
	if strings.HasPrefix(absolute, "#") {
		return l.within(ref, absolute, absolute, s)
	}
	return l.external(ref, absolute, s)
}

// within follows a reference inside the document at hand.
func (l *classicLoader) within(ref, fragment, absolute string, s scope) (*rule, error) {
	at, err := l.query(s.root, s.draft, fragment)
	if err != nil {
		return nil, err
	}
	return l.tie(ref, absolute, at.node, scope{root: s.root, draft: s.draft, base: at.base})
}

func (l *classicLoader) tie(ref, absolute string, target *jsontree.Node, s scope) (*rule, error) {
	k := &knot{}
	r := k.reference(ref)
	l.knots[absolute] = k
	loaded, err := l.load(target, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	k.tie(loaded)
	return r, nil
}

func (l *classicLoader) external(ref, absolute string, s scope) (*rule, error) {
	name, fragment := splitFragment(absolute)
	doc := l.documents[absolute]
	if doc != nil {
		fragment = "#"
	} else if doc = l.documents[name]; doc == nil {
		if m, ok := metaschema(name); ok {
			k := &knot{rule: m}
			l.knots[absolute] = k
			return k.reference(ref), nil
		}
		return nil, fmt.Errorf("unresolved reference %q: no reference of this name was given, and nothing is fetched", ref)
	}
	d := s.draft
	if u, ok := doc.StringAt("$schema"); ok {
		if found, known := classicDraft(u); known {
			d = found
		}
	}
	l.bases[doc] = name
	target := doc
	if fragment != "" {
		at, err := l.query(doc, s.draft, fragment)
		if err != nil {
			return nil, err
		}
		target = at.node
	}
	return l.tie(ref, absolute, target, scope{root: doc, draft: d, base: name}.enter(target))
}

// query follows a fragment: an id of the document, or a JSON pointer. An unknown plain name is the
// document itself, as in the registry.
func (l *classicLoader) query(root *jsontree.Node, d draft, fragment string) (located, error) {
	s := scope{root: root, draft: d, base: l.bases[root]}
	if at, ok := l.byID(s)[fragment]; ok {
		return at, nil
	}
	s = s.enter(root)
	tokens := strings.Split(fragment, "/")[1:]
	if len(tokens) > 0 && tokens[len(tokens)-1] == "" {
		tokens = tokens[:len(tokens)-1] // Java's split drops what is empty at the end
	}
	n := s.root
	for _, t := range tokens {
		next, err := step(n, unescape(t))
		if err != nil {
			return located{}, fmt.Errorf("reference %q: %w", fragment, err)
		}
		n = next
		s = s.enter(n)
	}
	return located{node: n, base: s.base}, nil
}

func step(n *jsontree.Node, key string) (*jsontree.Node, error) {
	switch n.Kind {
	case jsontree.Object:
		if v := n.Get(key); v != nil {
			return v, nil
		}
		return nil, fmt.Errorf("key %q not found", key)
	case jsontree.Array:
		var i int
		if _, err := fmt.Sscanf(key, "%d", &i); err != nil || i < 0 || i >= len(n.Items) {
			return nil, fmt.Errorf("%q is not an index of the array", key)
		}
		return n.Items[i], nil
	default:
		return nil, fmt.Errorf("nothing to find %q in", key)
	}
}

// byID lists every object of the scope's document that has an id, by that id as it is written.
func (l *classicLoader) byID(s scope) map[string]located {
	if m := l.ids[s.root]; m != nil {
		return m
	}
	m := map[string]located{}
	l.ids[s.root] = m
	var walk func(n *jsontree.Node, s scope)
	walk = func(n *jsontree.Node, s scope) {
		s = s.enter(n)
		if id, ok := n.StringAt(s.draft.idKeyword()); ok {
			m[id] = located{node: n, base: s.base}
		}
		for _, c := range n.Members {
			walk(c.Value, s)
		}
		for _, c := range n.Items {
			walk(c, s)
		}
	}
	walk(s.root, scope{root: s.root, draft: s.draft, base: l.bases[s.root]})
	return m
}
