package jsonschema

import (
	"fmt"
	"strconv"

	"kelp/internal/schema/jsontree"
)

// classicLoader reads drafts 4, 6 and 7: a $ref hides its siblings, and every keyword belongs to
// one kind of value. It builds rules as the registry's loader (everit) does: a definition is loaded
// again at its first reference, with references to itself inside going to that copy.
type classicLoader struct {
	documents map[string]*jsontree.Node // by URI
	knots     map[string]*knot          // by absolute reference
	ids       map[*jsontree.Node]map[string]located
	bases     map[*jsontree.Node]string // of documents: the name by which each was found
	budget    *budget
}

// knot ties references to a definition that is still being loaded.
type knot struct {
	rule *rule
	refs []*rule
}

func (k *knot) reference(text string) *rule {
	r := &rule{kind: referenceKind, refText: text, ref: k.rule}
	k.refs = append(k.refs, r)
	return r
}

func (k *knot) tie(target *rule) {
	for _, r := range k.refs {
		r.ref = target
	}
	k.rule = target
}

// scope is where a loader stands: the document, its draft and the base of references.
type scope struct {
	root  *jsontree.Node
	draft draft
	base  string
}

type located struct {
	node *jsontree.Node
	base string
}

func (s scope) enter(n *jsontree.Node) scope {
	if n.Kind == jsontree.Object {
		if id, ok := n.StringAt(s.draft.idKeyword()); ok {
			s.base = resolve(s.base, id)
		}
	}
	return s
}

func loadClassic(root *jsontree.Node, d draft, dependencies []document, b *budget) (*rule, error) {
	l := &classicLoader{
		documents: map[string]*jsontree.Node{}, knots: map[string]*knot{},
		ids: map[*jsontree.Node]map[string]located{}, bases: map[*jsontree.Node]string{}, budget: b,
	}
	id, _ := root.StringAt(d.idKeyword())
	for _, dep := range dependencies {
		l.documents[resolve(id, dep.name)] = mergeDefinitions(dep.tree)
	}
	root = mergeDefinitions(root)
	return l.load(root, scope{root: root, draft: d}.enter(root))
}

// load reads a schema; s has already entered it.
func (l *classicLoader) load(n *jsontree.Node, s scope) (*rule, error) {
	if err := l.budget.enter(); err != nil {
		return nil, err
	}
	defer l.budget.leave()
	switch n.Kind {
	case jsontree.Bool:
		if n.Bool {
			return &rule{kind: always}, nil
		}
		return &rule{kind: never}, nil
	case jsontree.Object:
		return l.object(n, s)
	default:
		return nil, fmt.Errorf("expected a boolean or an object, found %s", brief(n))
	}
}

func (l *classicLoader) child(n *jsontree.Node, s scope) (*rule, error) { return l.load(n, s.enter(n)) }

func (l *classicLoader) object(n *jsontree.Node, s scope) (*rule, error) {
	x := &extraction{loader: l, node: n, scope: s, used: map[string]bool{}}
	var parts []*rule
	var err error
	if n.Get("$ref") != nil {
		x.used["$ref"] = true
		parts, err = x.reference()
	} else {
		parts, err = x.keywords()
	}
	if err != nil {
		return nil, err
	}
	var r *rule
	switch len(parts) {
	case 0:
		r = &rule{kind: anything}
	case 1:
		r = parts[0]
	default:
		r = &rule{kind: combinedKind, comb: &combinedRule{criterion: allOf, rules: parts, inline: true}}
	}
	return r, x.common(r)
}

// extraction takes the keywords of one object apart, kind by kind; what one kind has used the next
// does not see.
type extraction struct {
	loader *classicLoader
	node   *jsontree.Node
	scope  scope
	used   map[string]bool
}

func (x *extraction) get(keyword string) *jsontree.Node {
	if x.used[keyword] {
		return nil
	}
	return x.node.Get(keyword)
}

func (x *extraction) hasAny(keywords []string) bool {
	for _, k := range keywords {
		if x.get(k) != nil {
			return true
		}
	}
	return false
}

func (x *extraction) use(keywords ...string) {
	for _, k := range keywords {
		x.used[k] = true
	}
}

func (x *extraction) child(n *jsontree.Node) (*rule, error) { return x.loader.child(n, x.scope) }

// common reads what every rule has. A reference whose target is loaded already keeps neither
// default nor id: the registry loses them.
func (x *extraction) common(r *rule) error {
	lost := r.kind == referenceKind && r.ref != nil
	for keyword, into := range map[string]**string{
		x.scope.draft.idKeyword(): &r.id, "title": &r.title, "description": &r.description,
	} {
		v := x.get(keyword)
		if v == nil {
			continue
		}
		if v.Kind != jsontree.String {
			return fmt.Errorf("%s: expected a string, found %s", keyword, brief(v))
		}
		x.use(keyword)
		if into != &r.id || !lost {
			*into = &v.Text
		}
	}
	if x.scope.draft == draft7 {
		for _, keyword := range []string{"readOnly", "writeOnly"} {
			if v := x.get(keyword); v != nil && v.Kind != jsontree.Bool {
				return fmt.Errorf("%s: expected a boolean, found %s", keyword, brief(v))
			}
			x.use(keyword)
		}
	}
	if v := x.get("default"); v != nil {
		x.use("default")
		if !lost {
			r.deflt = v
		}
	}
	for _, m := range x.node.Members {
		if !x.used[m.Name] {
			if r.extra == nil {
				r.extra = map[string]extra{}
			}
			r.extra[m.Name] = extra{value: m.Value}
		}
	}
	return nil
}

func (x *extraction) keywords() ([]*rule, error) {
	var parts []*rule
	for _, step := range []func() ([]*rule, error){
		x.enum, x.combined, x.negation, x.constant, x.typed, x.sniffed,
	} {
		more, err := step()
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	return parts, nil
}

func (x *extraction) enum() ([]*rule, error) {
	v := x.get("enum")
	if v == nil {
		return nil, nil
	}
	if v.Kind != jsontree.Array {
		return nil, fmt.Errorf("enum: expected an array, found %s", brief(v))
	}
	x.use("enum")
	return []*rule{{kind: enumKind, values: v.Items}}, nil
}

func (x *extraction) combined() ([]*rule, error) {
	var parts []*rule
	for c, keyword := range criterionNames {
		v := x.get(keyword)
		if v == nil {
			continue
		}
		if v.Kind != jsontree.Array {
			return nil, fmt.Errorf("%s: expected an array, found %s", keyword, brief(v))
		}
		comb := &combinedRule{criterion: criterion(c)}
		for _, item := range v.Items {
			r, err := x.child(item)
			if err != nil {
				return nil, err
			}
			comb.rules = append(comb.rules, r)
		}
		parts = append(parts, &rule{kind: combinedKind, comb: comb})
	}
	x.use(criterionNames[:]...)
	return parts, nil
}

func (x *extraction) negation() ([]*rule, error) {
	v := x.get("not")
	if v == nil {
		return nil, nil
	}
	x.use("not")
	r, err := x.child(v)
	return []*rule{{kind: notKind, not: r}}, err
}

func (x *extraction) constant() ([]*rule, error) {
	v := x.get("const")
	if v == nil || x.scope.draft == draft4 {
		return nil, nil
	}
	x.use("const")
	return []*rule{{kind: constKind, values: []*jsontree.Node{v}}}, nil
}

func (x *extraction) typed() ([]*rule, error) {
	v := x.get("type")
	if v == nil {
		return nil, nil
	}
	x.use("type")
	switch v.Kind {
	case jsontree.String:
		r, err := x.ofType(v.Text)
		return []*rule{r}, err
	case jsontree.Array:
		comb := &combinedRule{criterion: anyOf}
		for _, item := range v.Items {
			if item.Kind != jsontree.String {
				return nil, fmt.Errorf("type: expected a string, found %s", brief(item))
			}
			r, err := x.ofType(item.Text)
			if err != nil {
				return nil, err
			}
			comb.rules = append(comb.rules, r)
		}
		return []*rule{{kind: combinedKind, comb: comb}}, nil
	default:
		return nil, fmt.Errorf("type: expected a string or an array, found %s", brief(v))
	}
}

func (x *extraction) ofType(name string) (*rule, error) {
	switch name {
	case "string":
		return x.stringRule(true)
	case "integer", "number":
		r, err := x.numberRule(true)
		if err == nil {
			r.num.integer = name == "integer"
		}
		return r, err
	case "boolean":
		return &rule{kind: booleanKind}, nil
	case "null":
		return &rule{kind: nullKind}, nil
	case "array":
		return x.arrayRule(true)
	case "object":
		return x.objectRule(true)
	default:
		return nil, fmt.Errorf("unknown type: %q", name)
	}
}

func (x *extraction) sniffed() ([]*rule, error) {
	var parts []*rule
	for _, s := range []struct {
		keywords []string
		load     func(bool) (*rule, error)
	}{
		{x.scope.draft.arrayKeywords(), x.arrayRule},
		{x.scope.draft.objectKeywords(), x.objectRule},
		{numberKeywords, x.numberRule},
		{stringKeywords, x.stringRule},
	} {
		if !x.hasAny(s.keywords) {
			continue
		}
		r, err := s.load(false)
		if err != nil {
			return nil, err
		}
		parts = append(parts, r)
	}
	if x.scope.draft == draft7 && x.hasAny(conditionalKeywords) {
		r := &rule{kind: conditionalKind}
		for keyword, into := range map[string]**rule{"if": &r.ifRule, "then": &r.thenRule, "else": &r.elseRule} {
			if v := x.get(keyword); v != nil {
				var err error
				if *into, err = x.child(v); err != nil {
					return nil, err
				}
			}
		}
		x.use(conditionalKeywords...)
		parts = append(parts, r)
	}
	return parts, nil
}

var (
	numberKeywords      = []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
	stringKeywords      = []string{"minLength", "maxLength", "pattern", "format"}
	conditionalKeywords = []string{"if", "then", "else"}
)

// integer reads a whole number that fits 32 bits.
func (x *extraction) integer(keyword string, into **int) error {
	v := x.node.Get(keyword)
	if v == nil {
		return nil
	}
	n, err := strconv.ParseInt(v.Text, 10, 32)
	if v.Kind != jsontree.Integer || err != nil {
		return fmt.Errorf("%s: expected an integer, found %s", keyword, brief(v))
	}
	i := int(n)
	*into = &i
	return nil
}

func (x *extraction) number(keyword string, into **jsontree.Node) error {
	v := x.node.Get(keyword)
	if v == nil {
		return nil
	}
	if v.Kind != jsontree.Integer && v.Kind != jsontree.Fraction {
		return fmt.Errorf("%s: expected a number, found %s", keyword, brief(v))
	}
	*into = v
	return nil
}

func (x *extraction) stringRule(required bool) (*rule, error) {
	x.use(stringKeywords...)
	r := &stringRule{required: required}
	if err := x.integer("minLength", &r.minLength); err != nil {
		return nil, err
	}
	if err := x.integer("maxLength", &r.maxLength); err != nil {
		return nil, err
	}
	if v := x.node.Get("pattern"); v != nil {
		if v.Kind != jsontree.String {
			return nil, fmt.Errorf("pattern: expected a string, found %s", brief(v))
		}
		if _, err := compilePattern(v.Text); err != nil {
			return nil, err
		}
		r.pattern = &v.Text
	}
	if v := x.node.Get("format"); v != nil {
		if v.Kind != jsontree.String {
			return nil, fmt.Errorf("format: expected a string, found %s", brief(v))
		}
		if x.scope.draft.knowsFormat(v.Text) {
			r.format = v.Text
		}
	}
	return &rule{kind: stringKind, str: r}, nil
}

func (x *extraction) numberRule(required bool) (*rule, error) {
	x.use(numberKeywords...)
	r := &numberRule{required: required}
	for keyword, into := range map[string]**jsontree.Node{
		"minimum": &r.minimum, "maximum": &r.maximum, "multipleOf": &r.multipleOf,
	} {
		if err := x.number(keyword, into); err != nil {
			return nil, err
		}
	}
	if r.multipleOf != nil && r.multipleOf.Double() == 0 {
		return nil, fmt.Errorf("multipleOf should not be 0")
	}
	if x.scope.draft != draft4 {
		if err := x.number("exclusiveMinimum", &r.exclusiveMin); err != nil {
			return nil, err
		}
		return &rule{kind: numberKind, num: r}, x.number("exclusiveMaximum", &r.exclusiveMax)
	}
	for keyword, into := range map[string]*bool{"exclusiveMinimum": &r.exclMinStrict, "exclusiveMaximum": &r.exclMaxStrict} {
		v := x.node.Get(keyword)
		if v != nil && v.Kind != jsontree.Bool {
			return nil, fmt.Errorf("%s: expected a boolean, found %s", keyword, brief(v))
		}
		*into = v != nil && v.Bool
	}
	return &rule{kind: numberKind, num: r}, nil
}
