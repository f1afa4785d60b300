package jsonschema

import (
	"fmt"
	"strconv"
	"strings"

	"kelp/internal/schema/jsontree"
)

// composite is a schema of draft 2019-09 or 2020-12 before it becomes rules: keywords stand side by
// side, $ref among them.
type composite struct {
	truth    *bool // of a boolean schema
	node     *jsontree.Node
	keywords []jsontree.Member // in the order in which they are joined
	one      map[string]*composite
	many     map[string][]*composite
	named    map[string][]namedComposite
	ref      *modernKnot
	dynamic  *modernKnot
}

type namedComposite struct {
	name  string
	under *composite
}

// modernKnot is a schema that references name by an absolute URI.
type modernKnot struct {
	uri   string
	json  *jsontree.Node
	base  string
	under *composite
}

// mainBase is the base of a text without an $id: a relative name, so that references to other
// documents stay as they are written.
const mainBase = "UNKNOWN"

// modernLoader reads drafts 2019-09 and 2020-12 as the registry's loader (json-sKema) does.
type modernLoader struct {
	documents map[string]*jsontree.Node
	knots     map[string]*modernKnot
	open      []*modernKnot // not loaded
	names     map[*jsontree.Node]string
	base      string
	budget    *budget
}

func loadModern(root *jsontree.Node, dependencies []document, b *budget) (*composite, error) {
	l := &modernLoader{
		documents: map[string]*jsontree.Node{}, knots: map[string]*modernKnot{},
		names: map[*jsontree.Node]string{}, base: mainBase, budget: b,
	}
	for _, d := range dependencies {
		tree := mergeDefinitions(d.tree)
		l.documents[d.name] = tree
		l.documents[resolve("mem://input", d.name)] = tree
		if parseURI(d.name).scheme == "" && !strings.HasPrefix(d.name, ".") {
			l.documents["./"+d.name] = tree
		}
	}
	root = mergeDefinitions(root)
	l.names[root] = mainBase
	if err := l.anchors(root); err != nil {
		return nil, err
	}
	l.enter(root)
	k := l.knot(l.base)
	k.json, k.base = root, l.base
	for len(l.open) > 0 {
		next := l.open[0]
		l.open = l.open[1:]
		if next.json == nil {
			if err := l.find(next); err != nil {
				return nil, err
			}
		}
		l.base = next.base
		var err error
		if next.under, err = l.load(next.json); err != nil {
			return nil, err
		}
	}
	return k.under, nil
}

func (l *modernLoader) knot(u string) *modernKnot {
	key := strings.TrimSuffix(u, "#")
	k := l.knots[key]
	if k == nil {
		k = &modernKnot{uri: u, base: u}
		l.knots[key] = k
		l.open = append(l.open, k)
	}
	return k
}

// enter moves the base of references into an object; the caller restores it.
func (l *modernLoader) enter(n *jsontree.Node) {
	if id, ok := n.StringAt("$id"); ok && !strings.HasSuffix(l.base, id) {
		l.base = l.against(id)
	}
}

func (l *modernLoader) against(ref string) string {
	if s := parseURI(l.base).scheme; s == "urn" || s == "tag" {
		return l.base + ref
	}
	return resolve(l.base, ref)
}

// anchors registers what can be referred to by name: $id, $anchor and $dynamicAnchor.
func (l *modernLoader) anchors(n *jsontree.Node) error {
	if n.Kind == jsontree.Array {
		for _, item := range n.Items {
			if err := l.anchors(item); err != nil {
				return err
			}
		}
		return nil
	}
	if n.Kind != jsontree.Object {
		return nil
	}
	base := l.base
	defer func() { l.base = base }()
	l.enter(n)
	register := func(u string, unique bool) error {
		k := l.knot(u)
		if k.json != nil && k.json != n && unique {
			return fmt.Errorf("two schemas are named %q", u)
		}
		k.json = n
		return nil
	}
	if _, ok := n.StringAt("$id"); ok {
		if err := register(l.base, true); err != nil {
			return err
		}
	}
	for _, keyword := range []string{"$anchor", "$dynamicAnchor"} {
		if a, ok := n.StringAt(keyword); ok {
			if err := register(l.against("#"+a), keyword == "$anchor"); err != nil {
				return err
			}
		}
	}
	for _, m := range n.Members {
		if m.Name != "enum" && m.Name != "const" {
			if err := l.anchors(m.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *modernLoader) reference(ref string) *modernKnot {
	document, _ := splitFragment(ref)
	if parseURI(ref).scheme != "" || document != "" && l.documents[document] != nil {
		return l.knot(ref)
	}
	return l.knot(l.against(ref))
}

// find gives an open knot its schema: in a document met before, in a given one, by anchor or pointer.
func (l *modernLoader) find(k *modernKnot) error {
	name, fragment := splitFragment(k.uri)
	var root *jsontree.Node
	if byName := l.knots[name]; byName != nil && byName.json != nil {
		root = byName.json
	} else if root = l.documents[name]; root != nil {
		l.names[root] = name
		l.knot(name).json = root
		base := l.base
		l.base = k.uri
		l.enter(root)
		err := l.anchors(root)
		l.base = base
		if err != nil {
			return err
		}
	} else if _, ok := metaschema(name); ok {
		yes := &jsontree.Node{Kind: jsontree.Object, Members: []jsontree.Member{{Name: "title", Value: jsontree.NewString(name)}}}
		k.json, k.base = yes, name
		return nil
	} else {
		return fmt.Errorf("unresolved reference %q: no reference of this name was given, and nothing is fetched", k.uri)
	}
	if fragment == "" || fragment == "#" {
		k.json, k.base = root, name
		return nil
	}
	if k.json != nil { // an anchor of the document that was just read
		return nil
	}
	return l.point(k, root, fragment)
}

func (l *modernLoader) point(k *modernKnot, root *jsontree.Node, fragment string) error {
	tokens := strings.Split(fragment, "/")
	if tokens[0] != "#" {
		return fmt.Errorf("unresolved reference %q: no such anchor", k.uri)
	}
	saved := l.base
	defer func() { l.base = saved }()
	l.base = l.names[root]
	if id, ok := root.StringAt("$id"); ok {
		l.base = id
	} else if l.base == "" {
		l.base = mainBase
	}
	n := root
	l.enter(n)
	for _, t := range tokens[1:] {
		next, err := step(n, unescape(t))
		if err != nil {
			return fmt.Errorf("unresolved reference %q: %w", k.uri, err)
		}
		n = next
		l.enter(n)
	}
	k.json, k.base = n, l.base
	return nil
}

func (l *modernLoader) load(n *jsontree.Node) (*composite, error) {
	if err := l.budget.enter(); err != nil {
		return nil, err
	}
	defer l.budget.leave()
	switch n.Kind {
	case jsontree.Bool:
		return &composite{truth: &n.Bool, node: n}, nil
	case jsontree.Object:
		base := l.base
		defer func() { l.base = base }()
		l.enter(n)
		c := &composite{
			node: n, keywords: hashOrder(n), one: map[string]*composite{}, many: map[string][]*composite{},
			named: map[string][]namedComposite{},
		}
		for _, keyword := range c.keywords {
			if err := l.keyword(c, keyword.Name, keyword.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", keyword.Name, err)
			}
		}
		return c, nil
	default:
		return nil, fmt.Errorf("expected a boolean or an object, found %s", brief(n))
	}
}

// form is what a keyword's value must be; a schema is a form that is loaded.
type form uint8

const (
	isSchema form = iota + 1
	isSchemas
	isNamedSchemas
	isReference
	isString
	isBool
	isNumber
	isStrings
	isType
	isArray
	isNeeds
	isAny
)

var keywordForms = map[string]form{
	"additionalProperties": isSchema, "not": isSchema, "propertyNames": isSchema, "if": isSchema, "then": isSchema,
	"else": isSchema, "contains": isSchema, "items": isSchema, "unevaluatedItems": isSchema, "unevaluatedProperties": isSchema,
	"oneOf": isSchemas, "anyOf": isSchemas, "allOf": isSchemas, "prefixItems": isSchemas,
	"properties": isNamedSchemas, "patternProperties": isNamedSchemas, "dependentSchemas": isNamedSchemas, "$defs": isNamedSchemas,
	"$ref": isReference, "$dynamicRef": isReference,
	"$dynamicAnchor": isString, "title": isString, "description": isString, "format": isString, "pattern": isString,
	"deprecated": isBool, "uniqueItems": isBool,
	"minLength": isNumber, "maxLength": isNumber, "minItems": isNumber, "maxItems": isNumber, "minProperties": isNumber,
	"maxProperties": isNumber, "minimum": isNumber, "maximum": isNumber, "exclusiveMinimum": isNumber,
	"exclusiveMaximum": isNumber, "multipleOf": isNumber,
	"required": isStrings, "type": isType, "enum": isArray, "dependentRequired": isNeeds,
	"const": isAny, "default": isAny, "readOnly": isAny, "writeOnly": isAny, "minContains": isAny, "maxContains": isAny,
	"$id": isAny, "$anchor": isAny, "$schema": isAny, "$vocabulary": isAny, "true": isAny, "false": isAny,
}

func (l *modernLoader) keyword(c *composite, keyword string, v *jsontree.Node) (err error) {
	want := func(k jsontree.Kind, word string) error {
		if v.Kind != k {
			return fmt.Errorf("expected %s, found %s", word, brief(v))
		}
		return nil
	}
	switch keywordForms[keyword] {
	case isSchema:
		if keyword == "then" || keyword == "else" {
			if c.node.Get("if") == nil {
				return nil
			}
		}
		c.one[keyword], err = l.load(v)
	case isSchemas:
		err = l.schemas(c, keyword, v)
	case isNamedSchemas:
		if err = want(jsontree.Object, "an object"); err != nil {
			return err
		}
		for _, m := range hashOrder(v) {
			if keyword == "patternProperties" {
				if _, err := compilePattern(m.Name); err != nil {
					return err
				}
			}
			under, err := l.load(m.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			c.named[keyword] = append(c.named[keyword], namedComposite{m.Name, under})
		}
	case isReference:
		if err = want(jsontree.String, "a string"); err != nil {
			return err
		}
		if keyword == "$ref" {
			c.ref = l.reference(v.Text)
		} else {
			c.dynamic = l.reference(v.Text)
		}
	default:
		err = checkForm(keyword, v)
	}
	return err
}

func (l *modernLoader) schemas(c *composite, keyword string, v *jsontree.Node) error {
	if v.Kind != jsontree.Array {
		return fmt.Errorf("expected an array, found %s", brief(v))
	}
	c.many[keyword] = []*composite{}
	for i, item := range v.Items {
		under, err := l.load(item)
		if err != nil {
			return fmt.Errorf("%d: %w", i, err)
		}
		c.many[keyword] = append(c.many[keyword], under)
	}
	return nil
}

var typeNames = map[string]bool{
	"string": true, "integer": true, "number": true, "boolean": true, "null": true, "array": true, "object": true,
}

func checkForm(keyword string, v *jsontree.Node) error {
	wrong := func(word string) error { return fmt.Errorf("expected %s, found %s", word, brief(v)) }
	switch keywordForms[keyword] {
	case isString:
		if v.Kind != jsontree.String {
			return wrong("a string")
		}
		if keyword == "pattern" {
			_, err := compilePattern(v.Text)
			return err
		}
	case isBool:
		if v.Kind != jsontree.Bool {
			return wrong("a boolean")
		}
	case isNumber:
		if v.Kind != jsontree.Integer && v.Kind != jsontree.Fraction {
			return wrong("a number")
		}
	case isArray:
		if v.Kind != jsontree.Array {
			return wrong("an array")
		}
	case isStrings:
		if v.Kind != jsontree.Array {
			return wrong("an array")
		}
		_, err := texts(keyword, v)
		return err
	case isType:
		return checkType(v)
	case isNeeds:
		if v.Kind != jsontree.Object {
			return wrong("an object")
		}
		for _, m := range v.Members {
			if m.Value.Kind != jsontree.Array {
				return fmt.Errorf("expected an array, found %s", brief(m.Value))
			}
			if _, err := texts(keyword, m.Value); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

func checkType(v *jsontree.Node) error {
	list := []*jsontree.Node{v}
	if v.Kind == jsontree.Array {
		list = v.Items
	}
	for _, t := range list {
		if t.Kind != jsontree.String || !typeNames[t.Text] {
			return fmt.Errorf("unknown type: %s", brief(t))
		}
	}
	return nil
}

// hashOrder lists the members in the order of a Java hash table: the order in which the registry
// joins keywords, which decides how some combinations come out.
func hashOrder(n *jsontree.Node) []jsontree.Member {
	names, values := make([]string, len(n.Members)), make(map[string]*jsontree.Node, len(n.Members))
	for i, m := range n.Members {
		names[i], values[m.Name] = m.Name, m.Value
	}
	out := make([]jsontree.Member, len(names))
	for i, name := range javaOrder(names, 0) {
		out[i] = jsontree.Member{Name: name, Value: values[name]}
	}
	return out
}

// javaOrder puts names in the order of a Java HashMap that was made for a number of entries: by
// bucket, and within one in the order given.
func javaOrder(names []string, madeFor int) []string {
	size := 16
	for size < madeFor*4/3+1 || len(names)*4 > size*3 {
		size *= 2
	}
	buckets := make([][]string, size)
	for _, name := range names {
		var h int32
		for _, r := range name {
			if r > 0xFFFF {
				r -= 0x10000
				h = h*31 + 0xD800 + r>>10
				r = 0xDC00 + r&0x3FF
			}
			h = h*31 + r
		}
		at := (uint32(h) ^ uint32(h)>>16) & uint32(size-1)
		buckets[at] = append(buckets[at], name)
	}
	out := make([]string, 0, len(names))
	for _, b := range buckets {
		out = append(out, b...)
	}
	return out
}

// wholeNumber is a number cut to 32 bits, as the registry reads limits of these drafts.
func wholeNumber(v *jsontree.Node) *int {
	i, err := strconv.ParseInt(v.Text, 10, 64)
	if err != nil {
		i = int64(v.Double())
	}
	n := int(int32(i))
	return &n
}
