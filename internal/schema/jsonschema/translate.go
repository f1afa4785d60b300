package jsonschema

import (
	"maps"
	"slices"

	"kelp/internal/schema/jsontree"
)

// translator makes rules of composites: keywords of one kind of value are merged into one rule,
// several kinds become a generated "all of".
type translator struct {
	made       map[*composite]*rule // as far as they have come
	refs       []pendingRef
	referred   map[*rule]*composite
	descending map[*composite]bool
	scopes     []*composite
	budget     *budget
	err        error
}

type pendingRef struct {
	rule   *rule
	target *composite
}

func translate(root *composite, b *budget) (*rule, error) {
	t := &translator{made: map[*composite]*rule{}, referred: map[*rule]*composite{}, descending: map[*composite]bool{}, budget: b}
	r := t.composite(root)
	t.tie()
	return r.copy(), t.err
}

// tie gives every reference its rule; references to one definition share one.
func (t *translator) tie() {
	built := map[*composite]*rule{}
	for len(t.refs) > 0 && t.err == nil {
		p := t.refs[0]
		t.refs = t.refs[1:]
		if r := t.made[p.target]; r != nil {
			if built[p.target] == nil {
				built[p.target] = r.copy()
			}
			p.rule.ref = built[p.target]
			continue
		}
		r := t.composite(p.target)
		t.tie()
		p.rule.ref = r.copy()
	}
}

func (t *translator) offer(r *rule, target *composite) {
	t.refs = append(t.refs, pendingRef{r, target})
	t.referred[r] = target
}

// composite makes the rule of a schema; the caller copies it where Java would build it.
func (t *translator) composite(c *composite) *rule {
	if err := t.budget.enter(); err != nil {
		t.err = err
	}
	defer t.budget.leave()
	if t.err != nil {
		return &rule{kind: anything}
	}
	if c.truth != nil {
		r := &rule{kind: never}
		if *c.truth {
			r.kind = always
		}
		t.made[c] = r
		return r
	}
	t.scopes = append(t.scopes, c)
	defer func() { t.scopes = t.scopes[:len(t.scopes)-1] }()
	if c.dynamic == nil {
		return t.keywords(c)
	}
	target := t.dynamicTarget(c)
	var other *rule
	if target != nil {
		other = t.composite(target)
	}
	return t.join(c, other, t.keywords(c))
}

// dynamicTarget is the outermost schema in scope that has the anchor.
func (t *translator) dynamicTarget(c *composite) *composite {
	_, fragment := splitFragment(c.dynamic.uri)
	if fragment != "" {
		fragment = fragment[1:]
	}
	for _, s := range t.scopes {
		if found := s.anchored(fragment, map[*composite]bool{}); found != nil {
			return found
		}
	}
	return c.dynamic.under
}

func (c *composite) anchored(name string, seen map[*composite]bool) *composite {
	if c.truth != nil || seen[c] {
		return nil
	}
	seen[c] = true
	if a, ok := c.node.StringAt("$dynamicAnchor"); ok && a == name {
		return c
	}
	for _, d := range c.named["$defs"] {
		if found := d.under.anchored(name, seen); found != nil {
			return found
		}
	}
	return nil
}

// children joins the keywords that make a rule each; nothing gives an empty "all of".
func (t *translator) children(c *composite) *rule {
	if t.descending[c] {
		r := &rule{kind: referenceKind, refText: "#"}
		t.offer(r, c)
		t.made[c] = r
		return r
	}
	t.descending[c] = true
	defer delete(t.descending, c)
	var product *rule
	for _, keyword := range c.keywords {
		if r := t.part(c, keyword.Name, keyword.Value); r != nil {
			product = t.join(c, product, r)
		}
	}
	if product == nil {
		product = combine(allOf, nil, true)
		t.made[c] = product
	}
	return product
}

// orderProperties notes the order of the text, which the joining has lost.
func (r *rule) orderProperties(text *jsontree.Node) {
	if text == nil {
		return
	}
	for _, part := range r.flat() {
		if part.kind == objectKind && part.obj.order == nil {
			for _, m := range text.Members {
				part.obj.order = append(part.obj.order, m.Name)
			}
		}
	}
}

func (t *translator) keywords(c *composite) *rule {
	result := t.children(c)
	if properties := c.named["properties"]; len(properties) > 0 {
		o := &objectRule{properties: make(map[string]*rule, len(properties))}
		for _, p := range properties {
			o.properties[p.name] = t.composite(p.under).copy()
		}
		result = t.join(c, result, &rule{kind: objectKind, obj: o})
	}
	result.orderProperties(c.node.Get("properties"))
	if patterns := c.inTextOrder("patternProperties"); len(patterns) > 0 {
		o := &objectRule{}
		for _, p := range patterns {
			re, _ := compilePattern(p.name) // checked when it was loaded
			o.patterns = append(o.patterns, patternRule{p.name, re, t.composite(p.under).copy()})
		}
		result = t.join(c, result, &rule{kind: objectKind, obj: o})
	}
	if u := c.one["unevaluatedItems"]; u != nil {
		result = t.join(c, result, &rule{
			kind: arrayKind, arr: &arrayRule{},
			extra: map[string]extra{"unevaluatedItems": {rule: t.composite(u).copy()}},
		})
	}
	if u := c.one["unevaluatedProperties"]; u != nil {
		result = t.join(c, result, &rule{
			kind: objectKind, obj: &objectRule{},
			extra: map[string]extra{"unevaluatedProperties": {rule: t.composite(u).copy()}},
		})
	}
	t.made[c] = result
	result = t.unwrap(result)
	t.made[c] = result
	t.describe(c, result)
	return result
}

// inTextOrder: where several patterns match a name, the first of the text decides (the registry takes
// any of them).
func (c *composite) inTextOrder(keyword string) []namedComposite {
	text := c.node.Get(keyword)
	if text == nil {
		return nil
	}
	at := make(map[string]int, len(text.Members))
	for i, m := range text.Members {
		at[m.Name] = i
	}
	return slices.SortedFunc(slices.Values(c.named[keyword]), func(a, b namedComposite) int { return at[a.name] - at[b.name] })
}

// unwrap takes a generated "all of" of one rule, or of none, for what it is.
func (t *translator) unwrap(r *rule) *rule {
	if !r.generatedAll() || len(r.comb.rules) > 1 {
		return r
	}
	if len(r.comb.rules) == 0 {
		return &rule{kind: anything}
	}
	sub := r.comb.rules[0]
	if sub.kind != referenceKind {
		return sub.copy()
	}
	again := *sub
	if target := t.referred[sub]; target != nil {
		t.offer(&again, target)
	}
	return &again
}

// describe adds what is no rule. Unknown keywords and definitions take the place of what the joined
// rules kept aside: the registry loses that too.
func (t *translator) describe(c *composite, r *rule) {
	if s, ok := c.node.StringAt("title"); ok {
		r.title = &s
	}
	if s, ok := c.node.StringAt("description"); ok {
		r.description = &s
	}
	if v := c.node.Get("default"); v != nil && v.Kind != jsontree.Null && r.kind != referenceKind {
		r.deflt = v
	}
	kept := map[string]extra{}
	for _, m := range c.node.Members {
		if _, known := keywordForms[m.Name]; !known {
			kept[m.Name] = extra{value: m.Value}
		}
	}
	if defs := c.named["$defs"]; len(defs) > 0 {
		for _, d := range defs {
			t.composite(d.under)
			t.tie()
		}
		kept["$defs"] = extra{value: c.node.Get("$defs")}
	}
	if len(kept) > 0 {
		r.extra = kept
	}
}

func combine(c criterion, rules []*rule, generated bool) *rule {
	return &rule{kind: combinedKind, comb: &combinedRule{criterion: c, rules: rules, generated: generated}}
}

func (r *rule) generatedAll() bool {
	return r.kind == combinedKind && r.comb.generated && r.comb.criterion == allOf
}

func (r *rule) generatedAny() bool {
	return r.kind == combinedKind && r.comb.generated && r.comb.criterion == anyOf
}

func (r *rule) flat() []*rule {
	if r.generatedAll() {
		return r.comb.rules
	}
	return []*rule{r}
}

func (r *rule) holdsKind(k kind) bool {
	return slices.ContainsFunc(r.comb.rules, func(s *rule) bool { return s.kind == k })
}

// join puts two rules of one schema together.
func (t *translator) join(c *composite, a, b *rule) *rule {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	r := joined(a.copy(), b.copy())
	t.made[c] = r
	return r
}

func joined(a, b *rule) *rule {
	switch {
	case a.kind == b.kind && mergeable(a.kind):
		return merge(a, b)
	case a.generatedAny() && a.holdsKind(b.kind):
		return combine(anyOf, gather(slices.Clone(a.comb.rules), b), true)
	case b.generatedAny() && b.holdsKind(a.kind):
		return combine(anyOf, gather(slices.Clone(b.comb.rules), a), true)
	}
	var all []*rule
	for _, r := range slices.Concat(a.flat(), b.flat()) {
		all = gather(all, r)
	}
	return combine(allOf, all, true)
}

func mergeable(k kind) bool {
	return k == arrayKind || k == numberKind || k == objectKind || k == stringKind
}

// gather adds a rule to a list: into the one of its kind if there is one.
func gather(list []*rule, r *rule) []*rule {
	if mergeable(r.kind) {
		for i, other := range list {
			if other.kind == r.kind {
				list[i] = merge(other, r)
				return list
			}
		}
	}
	return append(list, r)
}

func or[T any](a, b *T) *T {
	if b != nil {
		return b
	}
	return a
}

// merge gives a new rule that asks for both; where they disagree, b wins.
func merge(a, b *rule) *rule {
	m := &rule{
		kind: a.kind, id: or(a.id, b.id), title: or(a.title, b.title), description: or(a.description, b.description),
		deflt: or(a.deflt, b.deflt),
	}
	if len(a.extra)+len(b.extra) > 0 {
		m.extra = map[string]extra{}
		maps.Copy(m.extra, a.extra)
		maps.Copy(m.extra, b.extra)
	}
	switch a.kind {
	case stringKind:
		x, y := a.str, b.str
		m.str = &stringRule{
			x.required || y.required, or(x.minLength, y.minLength), or(x.maxLength, y.maxLength),
			or(x.pattern, y.pattern), y.format,
		}
	case numberKind:
		x, y := a.num, b.num
		m.num = &numberRule{
			required: x.required || y.required, integer: x.integer || y.integer,
			minimum: or(x.minimum, y.minimum), maximum: or(x.maximum, y.maximum), multipleOf: or(x.multipleOf, y.multipleOf),
			exclusiveMin: or(x.exclusiveMin, y.exclusiveMin), exclusiveMax: or(x.exclusiveMax, y.exclusiveMax),
		}
	case arrayKind:
		x, y := a.arr, b.arr
		m.arr = &arrayRule{
			required: x.required || y.required, minItems: or(x.minItems, y.minItems), maxItems: or(x.maxItems, y.maxItems),
			unique: x.unique || y.unique, all: or(x.all, y.all), items: slices.Concat(x.items, y.items), tuple: x.tuple || y.tuple,
			closed: x.closedToMore() || y.closedToMore(), additional: or(x.additional, y.additional), contains: or(x.contains, y.contains),
		}
	default:
		m.obj = mergeObjects(a.obj, b.obj)
	}
	return m
}

func mergeObjects(x, y *objectRule) *objectRule {
	o := &objectRule{
		required: x.required || y.required, properties: map[string]*rule{}, closed: x.closed || y.closed,
		additional: or(x.additional, y.additional), requiredNames: slices.Concat(x.requiredNames, y.requiredNames),
		minProps: or(x.minProps, y.minProps), maxProps: or(x.maxProps, y.maxProps), needs: map[string][]string{},
		dependentSchemas: map[string]*rule{}, names: or(x.names, y.names), order: slices.Concat(x.order, y.order),
	}
	for _, from := range []*objectRule{x, y} {
		maps.Copy(o.properties, from.properties)
		maps.Copy(o.dependentSchemas, from.dependentSchemas)
		for name, needs := range from.needs {
			o.needs[name] = slices.Concat(o.needs[name], needs)
		}
		for _, p := range from.patterns {
			if i := slices.IndexFunc(o.patterns, func(q patternRule) bool { return q.pattern == p.pattern }); i >= 0 {
				o.patterns[i] = p
			} else {
				o.patterns = append(o.patterns, p)
			}
		}
	}
	return o
}
