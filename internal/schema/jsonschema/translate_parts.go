package jsonschema

import (
	"slices"

	"kelp/internal/schema/jsontree"
)

// part makes the rule of one keyword, nil for those that make none.
func (t *translator) part(c *composite, keyword string, v *jsontree.Node) *rule {
	switch keyword {
	case "$ref":
		r := &rule{kind: referenceKind, refText: c.ref.uri}
		t.offer(r, c.ref.under)
		return r
	case "type":
		if v.Kind == jsontree.String {
			return typeRule(v.Text)
		}
		rules := make([]*rule, len(v.Items))
		for i, item := range v.Items {
			rules[i] = typeRule(item.Text)
		}
		return combine(anyOf, rules, true)
	case "allOf", "anyOf", "oneOf":
		// A member that is itself several keywords side by side is taken apart into the list.
		product := combine(criterion(slices.Index(criterionNames[:], keyword)), nil, false)
		for _, sub := range c.many[keyword] {
			product.comb.rules = append(product.comb.rules, t.composite(sub).copy().flat()...)
		}
		return product
	case "not":
		return &rule{kind: notKind, not: t.composite(c.one[keyword]).copy()}
	case "enum":
		return &rule{kind: enumKind, values: v.Items}
	case "const":
		return &rule{kind: constKind, values: []*jsontree.Node{v}}
	case "if":
		r := &rule{kind: conditionalKind, ifRule: t.composite(c.one["if"]).copy()}
		if c.one["then"] != nil {
			r.thenRule = t.composite(c.one["then"]).copy()
		}
		if c.one["else"] != nil {
			r.elseRule = t.composite(c.one["else"]).copy()
		}
		return r
	case "format", "readOnly", "writeOnly":
		return combine(allOf, nil, true) // no rule, yet it takes part in the joining
	case "minLength", "maxLength", "pattern":
		return stringPart(keyword, v)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return numberPart(keyword, v)
	case "items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems":
		return t.arrayPart(c, keyword, v)
	case "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties", "dependentRequired",
		"dependentSchemas":
		return t.objectPart(c, keyword, v)
	default:
		return nil
	}
}

func typeRule(name string) *rule {
	switch name {
	case "string":
		return &rule{kind: stringKind, str: &stringRule{required: true}}
	case "integer", "number":
		return &rule{kind: numberKind, num: &numberRule{required: true, integer: name == "integer"}}
	case "boolean":
		return &rule{kind: booleanKind}
	case "null":
		return &rule{kind: nullKind}
	case "array":
		return &rule{kind: arrayKind, arr: &arrayRule{required: true}}
	default:
		return &rule{kind: objectKind, obj: &objectRule{required: true}}
	}
}

func stringPart(keyword string, v *jsontree.Node) *rule {
	s := &stringRule{}
	switch keyword {
	case "minLength":
		s.minLength = wholeNumber(v)
	case "maxLength":
		s.maxLength = wholeNumber(v)
	default:
		s.pattern = &v.Text
	}
	return &rule{kind: stringKind, str: s}
}

func numberPart(keyword string, v *jsontree.Node) *rule {
	n := &numberRule{}
	switch keyword {
	case "minimum":
		n.minimum = v
	case "maximum":
		n.maximum = v
	case "exclusiveMinimum":
		n.exclusiveMin = v
	case "exclusiveMaximum":
		n.exclusiveMax = v
	default:
		n.multipleOf = v
	}
	return &rule{kind: numberKind, num: n}
}

func (t *translator) arrayPart(c *composite, keyword string, v *jsontree.Node) *rule {
	a := &arrayRule{}
	r := &rule{kind: arrayKind, arr: a}
	switch keyword {
	case "items":
		of := t.composite(c.one[keyword])
		switch {
		case of.kind == never:
			a.closed = true
		case of.kind == always:
		case len(c.many["prefixItems"]) == 0:
			a.all = of.copy()
		default:
			a.additional = of.copy()
		}
	case "prefixItems":
		for _, sub := range c.many[keyword] {
			a.items, a.tuple = append(a.items, t.composite(sub).copy()), true
		}
	case "contains":
		a.contains = t.composite(c.one[keyword]).copy()
		r.extra = map[string]extra{"minContains": {value: &jsontree.Node{Kind: jsontree.Integer, Text: "1"}}}
		for _, limit := range []string{"minContains", "maxContains"} {
			if n := c.node.Get(limit); n != nil && (n.Kind == jsontree.Integer || n.Kind == jsontree.Fraction) {
				r.extra[limit] = extra{value: n}
			}
		}
	case "minItems":
		a.minItems = wholeNumber(v)
	case "maxItems":
		a.maxItems = wholeNumber(v)
	default:
		a.unique = v.Bool
	}
	return r
}

func (t *translator) objectPart(c *composite, keyword string, v *jsontree.Node) *rule {
	o := &objectRule{}
	switch keyword {
	case "required":
		o.requiredNames, _ = texts(keyword, v) // checked when it was loaded
	case "additionalProperties":
		of := t.composite(c.one[keyword])
		o.closed = of.kind == never
		if of.kind != never && of.kind != always {
			o.additional = of.copy()
		}
	case "propertyNames":
		o.names = t.composite(c.one[keyword]).copy()
	case "minProperties":
		o.minProps = wholeNumber(v)
	case "maxProperties":
		o.maxProps = wholeNumber(v)
	case "dependentRequired":
		o.needs = map[string][]string{}
		for _, m := range v.Members {
			if names, _ := texts(keyword, m.Value); len(names) > 0 {
				o.needs[m.Name] = names
			}
		}
	default:
		o.dependentSchemas = map[string]*rule{}
		for _, d := range c.named[keyword] {
			o.dependentSchemas[d.name] = t.composite(d.under).copy()
		}
	}
	return &rule{kind: objectKind, obj: o}
}
