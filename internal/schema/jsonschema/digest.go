package jsonschema

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema/jsontree"
)

type digest [sha256.Size]byte

// digester tells rules that print the same apart from those that do not: repeated branches of a
// combination count once. As in the registry it is the printed form that counts, so that rules of
// two kinds without any keyword are the same, and references are compared by their text.
type digester struct{ known map[*rule]digest }

func (g *digester) of(r *rule) digest {
	if r == nil {
		return digest{}
	}
	if d, ok := g.known[r]; ok {
		return d
	}
	var d digest
	switch r.kind {
	case always:
		d[0] = 1
	case never:
		d[0] = 2
	default:
		p := &printed{g: g}
		p.rule(r)
		slices.Sort(p.members)
		h := sha256.New()
		for _, m := range p.members {
			h.Write(strconv.AppendInt(nil, int64(len(m)), 10))
			h.Write([]byte(m))
		}
		h.Sum(d[:0])
	}
	g.known[r] = d
	return d
}

// printed collects the members of the object that a rule prints as; schemas in them are digests.
type printed struct {
	g       *digester
	members []string
}

func (p *printed) add(key, value string) { p.members = append(p.members, strconv.Quote(key)+value) }

func (p *printed) text(key string, s *string) {
	if s != nil {
		p.add(key, strconv.Quote(*s))
	}
}

func (p *printed) integer(key string, i *int) {
	if i != nil {
		p.add(key, strconv.Itoa(*i))
	}
}

func (p *printed) value(key string, n *jsontree.Node) {
	if n != nil {
		p.add(key, valueText(n))
	}
}

func (p *printed) flag(key string, set bool, value string) {
	if set {
		p.add(key, value)
	}
}

func (p *printed) sub(key string, r *rule) {
	if r != nil {
		d := p.g.of(r)
		p.add(key, string(d[:]))
	}
}

func (p *printed) list(key string, rules []*rule) {
	b := []byte("[")
	for _, r := range rules {
		d := p.g.of(r)
		b = append(b, d[:]...)
	}
	p.add(key, string(b))
}

func (p *printed) named(key string, rules map[string]*rule) {
	if len(rules) == 0 {
		return
	}
	b := []byte("{")
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		d := p.g.of(rules[name])
		b = append(strconv.AppendQuote(b, name), d[:]...)
	}
	p.add(key, string(b))
}

func (p *printed) rule(r *rule) {
	p.text("title", r.title)
	p.text("description", r.description)
	p.text("id", r.id)
	p.value("default", r.deflt)
	for name, e := range r.extra {
		p.value(name, e.value)
		p.sub(name, e.rule)
	}
	switch r.kind {
	case booleanKind, nullKind:
		p.add("type", r.kind.String())
	case stringKind:
		s := r.str
		p.flag("type", s.required, "string")
		p.integer("minLength", s.minLength)
		p.integer("maxLength", s.maxLength)
		p.text("pattern", s.pattern)
		p.flag("format", s.format != "", s.format)
	case numberKind:
		p.number(r.num)
	case objectKind:
		p.object(r.obj)
	case arrayKind:
		p.array(r.arr)
	case enumKind:
		values := slices.Sorted(maps.Keys(valueSet(r.values)))
		for i, v := range values {
			values[i] = strconv.Quote(v)
		}
		p.add("enum", "["+strings.Join(values, ","))
	case constKind:
		p.value("const", r.values[0])
	case combinedKind:
		p.combined(r.comb)
	case notKind:
		p.sub("not", r.not)
	case conditionalKind:
		p.sub("if", r.ifRule)
		p.sub("then", r.thenRule)
		p.sub("else", r.elseRule)
	case referenceKind:
		p.text("$ref", &r.refText)
	default:
	}
}

func (p *printed) number(n *numberRule) {
	p.flag("type", n.integer, "integer")
	p.flag("type", n.required && !n.integer, "number")
	p.value("minimum", n.minimum)
	p.value("maximum", n.maximum)
	p.value("multipleOf", n.multipleOf)
	p.value("exclusiveMinimum", n.exclusiveMin)
	p.value("exclusiveMaximum", n.exclusiveMax)
	p.flag("exclusiveMinimum", n.exclMinStrict, "true")
	p.flag("exclusiveMaximum", n.exclMaxStrict, "true")
}

func (p *printed) array(a *arrayRule) {
	p.flag("type", a.required, "array")
	p.flag("uniqueItems", a.unique, "true")
	p.integer("minItems", a.minItems)
	p.integer("maxItems", a.maxItems)
	p.flag("additionalItems", a.closedToMore(), "false")
	p.sub("items", a.all)
	if a.tuple {
		p.list("items", a.items)
	}
	p.sub("additionalItems", a.additional)
	p.sub("contains", a.contains)
}

func (p *printed) object(o *objectRule) {
	p.flag("type", o.required, "object")
	p.integer("minProperties", o.minProps)
	p.integer("maxProperties", o.maxProps)
	p.flag("additionalProperties", o.closed, "false")
	p.named("properties", o.properties)
	p.named("dependencies", o.dependentSchemas)
	if len(o.needs) > 0 {
		b := []byte("{")
		for _, name := range slices.Sorted(maps.Keys(o.needs)) {
			b = strconv.AppendQuote(b, name)
			for _, n := range sortedSet(o.needs[name]) {
				b = strconv.AppendQuote(b, n)
			}
			b = append(b, ',')
		}
		p.add("dependencies", string(b))
	}
	if len(o.requiredNames) > 0 {
		b := []byte("[")
		for _, n := range o.requiredNames {
			b = strconv.AppendQuote(b, n)
		}
		p.add("required", string(b))
	}
	patterns := make(map[string]*rule, len(o.patterns))
	for _, q := range o.patterns {
		patterns[q.pattern] = q.rule
	}
	p.named("patternProperties", patterns)
	p.sub("additionalProperties", o.additional)
	p.sub("propertyNames", o.names)
}

// combined prints the parts of one object of drafts 4 to 7 side by side, unless two of them are
// combinations of one sort.
func (p *printed) combined(c *combinedRule) {
	sorts := map[criterion]int{}
	for _, r := range c.rules {
		if r.kind == combinedKind {
			sorts[r.comb.criterion]++
		}
	}
	if !c.inline || sorts[allOf] > 1 || sorts[anyOf] > 1 || sorts[oneOf] > 1 {
		p.list(c.criterion.String(), c.rules)
		return
	}
	for _, r := range c.rules {
		p.rule(r)
	}
}

func sortedSet(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
